import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { OVMF_PACKAGES } from "../../src/host/firmware.ts";
import { packagesOf } from "../../src/host/tool-packages.ts";
import { findTool, lookForTool, packageHint } from "../../src/host/tools.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  for (const name of ["first", "second"]) {
    await mkdir(join(folder, name));
    await writeFile(join(folder, name, "made-up-tool"), "#!/bin/sh\n");
    await chmod(join(folder, name, "made-up-tool"), 0o755);
  }
  await writeFile(join(folder, "first", "text"), "no program");
  await mkdir(join(folder, "first", "a-folder"));
  await symlink("nowhere", join(folder, "first", "dangling"));
});
afterAll(() => rm(folder, { recursive: true }));

test("the first on PATH, empty and relative parts of it left out", async () => {
  const env = { PATH: `:.:${join(folder, "none")}:${join(folder, "first")}:${join(folder, "second")}` };
  expect(await findTool("made-up-tool", env)).toBe(join(folder, "first", "made-up-tool"));
});

test("programs of the system are found without a PATH", async () => {
  expect(await findTool("sh", {})).toMatch(/^\/.*bin\/sh$/);
});

test.each(["text", "a-folder", "dangling", "missing"])("%s is no program", async (name) => {
  expect(await lookForTool(name, { PATH: join(folder, "first") })).toBeUndefined();
});

test("a missing program is an error with the package that brings it", async () => {
  const error = await findTool("swtpm-of-another-planet", { PATH: "" }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(HiperisoError);
  expect(error).toMatchObject({ where: "swtpm-of-another-planet", kind: "failure", hint: "Install swtpm-of-another-planet." });
});

test("the package is named for each distribution", () => {
  expect(packageHint("qemu-system-x86_64")).toBe(
    "Install its package: qemu-system-x86 (Debian, Ubuntu), qemu-system-x86-core (Fedora), qemu-system-x86 (Arch), qemu-x86 (openSUSE).",
  );
});

test("packages are those that the set-up installs, also of programs that come with another", async () => {
  const table = JSON.parse(await readFile("scripts/system-packages.json", "utf8")) as { tools: { id: string; packages: unknown }[] };
  const listed = (id: string) => table.tools.find((tool) => tool.id === id)?.packages;
  for (const id of ["xorriso", "mmdebstrap", "swtpm"]) expect(packagesOf(id)).toEqual(listed(id));
  expect(packageHint("unsquashfs")).toBe(packageHint("mksquashfs"));
  expect(packagesOf("a-program-of-another-planet")).toBeUndefined();
  expect(listed("ovmf")).toEqual(OVMF_PACKAGES);
});
