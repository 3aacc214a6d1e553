import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  DISTRIBUTIONS,
  decodeDistribution,
  decodeVersionLine,
  installCommand,
  lookForTools,
  readSystemTools,
  type SystemTool,
} from "../../src/host/system-packages.ts";

const signal = new AbortController().signal;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-tools-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const tool = (facts: Partial<SystemTool>): SystemTool => ({
  id: "x",
  what: "x",
  commands: [],
  files: [],
  packages: { debian: "d", fedora: "f", arch: "a", opensuse: "o" },
  needed_for: "x",
  cost_when_missing: "x",
  required: true,
  stage: "boot",
  ...facts,
});

function program(name: string, script: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

describe("the list of system packages", () => {
  test("names for each tool how it is found, its packages, its use and its cost", async () => {
    const tools = await readSystemTools();
    expect(tools.length).toBeGreaterThan(10);
    for (const { commands, files, packages, needed_for, cost_when_missing } of tools) {
      expect(commands.length + files.length).toBeGreaterThan(0);
      expect(Object.keys(packages).sort()).toEqual([...DISTRIBUTIONS].sort());
      expect(needed_for).not.toBe("");
      expect(cost_when_missing).toMatch(/\.$/);
    }
    expect(new Set(tools.map(({ id }) => id)).size).toBe(tools.length);
  });

  test("that is missing or no JSON is a broken installation", async () => {
    await expect(readSystemTools(new URL("file:///nonexistent.json"))).rejects.toThrow(/install hiperiso again/);
  });
});

describe("looking for tools", () => {
  test("finds programs with their version, files, and what is missing", async () => {
    const good = program("hiperiso-good", 'echo "good (GNU) 1.2.3"; exit 1');
    const silent = program("hiperiso-silent", "true");
    const file = join(folder, "firmware.fd");
    writeFileSync(file, "");
    const found = await lookForTools(
      [
        tool({ commands: ["hiperiso-none", "hiperiso-good"] }),
        tool({ commands: ["hiperiso-silent"] }),
        tool({ files: ["/nonexistent", file] }),
        tool({ commands: ["hiperiso-none"], files: ["/nonexistent"] }),
      ],
      { PATH: folder },
      signal,
    );
    expect(found.map(({ path, version }) => [path, version])).toEqual([
      [good, "1.2.3"],
      [silent, undefined],
      [file, undefined],
      [undefined, undefined],
    ]);
  });

  test("ends when it is cancelled, also while a program answers nothing", async () => {
    program("hiperiso-stuck", "exec sleep 600");
    const abort = new AbortController();
    const looking = lookForTools([tool({ commands: ["hiperiso-stuck"] })], { PATH: folder }, abort.signal);
    setImmediate(() => abort.abort());
    await expect(looking).rejects.toThrow(/abort/);
  });
});

test.each([
  ["QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)", "7.2.22"],
  ["xz (XZ Utils) 5.4.1\nliblzma 5.4.1", "5.4.1"],
  ["*** Zstandard CLI (64-bit) v1.5.4, by Yann Collet ***", "1.5.4"],
  ["grub-mkimage (GRUB) 2.06-13+deb12u1", "2.06-13"],
  ["GPT fdisk (sgdisk) version 1.0.9", "1.0.9"],
  ["usage: tool [options]", undefined],
])("the version in %j is %s", (text, version) => {
  expect(decodeVersionLine(text)).toBe(version);
});

test.each([
  ['PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\n', "debian"],
  ['ID=linuxmint\nID_LIKE="ubuntu debian"\n', "debian"],
  ["ID=fedora\n", "fedora"],
  ['ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"],
  ["ID=manjaro\nID_LIKE=arch\n", "arch"],
  ['ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "opensuse"],
  ["ID=alpine\n", undefined],
  ["", undefined],
])("os-release %j is of the family %s", (text, family) => {
  expect(decodeDistribution(text)).toBe(family);
});

test("what to type names each package once", () => {
  expect(installCommand("arch", [tool({}), tool({}), tool({ packages: { debian: "d", fedora: "f", arch: "Z", opensuse: "o" } })])).toBe(
    "sudo pacman -S Z a",
  );
});
