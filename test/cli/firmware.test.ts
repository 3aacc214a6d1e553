import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { command } from "../../src/cli/firmware.ts";
import { runProgram } from "../../src/cli/program.ts";
import { madeCode, madeVariables } from "../formats/firmware-images.ts";
import { descriptorText } from "../machine/firmware/stocks.ts";
import { keptStreams } from "./streams.ts";

let home: string;
let own: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "hiperiso-firmware-"));
  own = join(home, ".config/qemu/firmware");
  mkdirSync(own, { recursive: true });
  mkdirSync(join(home, "fw"));
  writeFileSync(join(home, "fw/a.fd"), madeCode({}));
  writeFileSync(join(home, "fw/b.fd"), madeVariables());
});
afterEach(() => rmSync(home, { recursive: true }));

async function firmware(...words: string[]) {
  const streams = keptStreams({ env: { HOME: home, PATH: process.env["PATH"] } });
  const commands = [{ name: "firmware", summary: "", load: async () => ({ command }) }];
  const program = { name: "hiperiso", description: "", examples: [], commands };
  const status = await runProgram(program, ["firmware", ...words], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

const GONE = descriptorText({ code: "/gone/\u001b[31mcode.fd", variables: "/gone/vars.fd", machines: ["pc-q35-*", "pc-i440fx-*"] });
const SOUND = () => descriptorText({ code: join(home, "fw/a.fd"), variables: join(home, "fw/b.fd") });

describe("hiperiso firmware", () => {
  test("check names files that do not exist, ends with 1, and lets no terminal code through", async () => {
    writeFileSync(join(own, "10-mine.json"), GONE);
    const { status, stdout } = await firmware("check");
    expect(status).toBe(1);
    expect(stdout).toContain(
      `${join(own, "10-mine.json")}:\n  error: file-missing: its executable does not exist: /gone/\\x1b[31mcode.fd\n`,
    );
    expect(stdout).toContain("hiperiso firmware fix");
    const { descriptors, clean } = JSON.parse((await firmware("check", "--json")).stdout);
    expect(clean).toBe(false);
    expect(descriptors.find(({ path }: { path: string }) => path === join(own, "10-mine.json"))).toMatchObject({
      state: "active",
      problems: [{ id: "file-missing", severity: "error" }, { id: "file-missing" }],
    });
  });

  test("check of what is sound ends with 0, and looks into libvirt's list", async () => {
    writeFileSync(join(own, "10-mine.json"), SOUND());
    expect(await firmware("check")).toMatchObject({ status: 0, stdout: expect.stringContaining("10-mine.json: nothing is wrong\n") });
    mkdirSync(join(home, ".config/libvirt"));
    writeFileSync(join(home, ".config/libvirt/qemu.conf"), `nvram = [\n  "${join(home, "fw/a.fd")}:/gone" ]\n`);
    writeFileSync(join(home, ".config/libvirt/qemu.config"), "");
    const { status, stdout } = await firmware("check");
    expect(status).toBe(1);
    expect(stdout).toContain(`${join(home, ".config/libvirt/qemu.conf")}:2: error: /gone: there is no such file\n`);
    expect(stdout).toMatch(/qemu\.config: warning: libvirt does not read it: its name is qemu\.conf/);
  });

  test("fix shows, and writes nothing without --yes", async () => {
    writeFileSync(join(own, "10-mine.json"), GONE);
    const { status, stdout } = await firmware("fix", "--search", join(home, "fw"));
    expect(status).toBe(1);
    expect(stdout).toMatch(/why: its executable does not exist.*\n {2}with: .* \+ .*\n.*kept as .*10-mine\.json\.old/);
    expect(stdout).toContain("Nothing was written: --yes writes it.");
    expect(readFileSync(join(own, "10-mine.json"), "utf8")).toBe(GONE);
  });

  test("fix --yes writes, keeps what stood there, and then all is sound; libvirt's block is printed for system and session", async () => {
    writeFileSync(join(own, "10-mine.json"), GONE);
    const { status, stdout } = await firmware("fix", "--yes", "--search", join(home, "fw"));
    expect([status, stdout]).toEqual([0, expect.stringContaining("Written. All descriptors are sound now.")]);
    expect(readFileSync(join(own, "10-mine.json.old"), "utf8")).toBe(GONE);
    const { mapping } = JSON.parse(readFileSync(join(own, "10-mine.json"), "utf8"));
    for (const { filename } of [mapping.executable, mapping["nvram-template"]]) expect(existsSync(filename)).toBe(true);
    expect(stdout).toContain("/etc/libvirt/qemu.conf");
    expect(stdout).toContain(join(home, ".config/libvirt/qemu.conf"));
    expect(stdout).toMatch(new RegExp(`nvram = \\[\\n(.*\\n)*.*"${join(home, "fw/a.fd")}:.*`));
    expect(await firmware("check")).toMatchObject({ status: 0 });
  });

  test("what cannot be mended is told, and masked when asked", async () => {
    writeFileSync(join(own, "10-mine.json"), "{");
    expect(await firmware("fix", "--yes")).toMatchObject({
      status: 1,
      stdout: expect.stringContaining("cannot be mended: what it was meant to say"),
    });
    expect(await firmware("fix", "--yes", "--mask")).toMatchObject({ status: 0 });
    expect(readdirSync(own).sort()).toEqual(["10-mine.json", "10-mine.json.old"]);
    expect(readFileSync(join(own, "10-mine.json"), "utf8")).toBe("");
  });

  test("a descriptor of one's own is out of reach of --system; --json says what is left", async () => {
    writeFileSync(join(own, "10-mine.json"), GONE);
    const { status, stdout } = await firmware("fix", "--json", "--system", "--search", join(home, "fw"));
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      written: false,
      writes: [],
      unmended: [{ because: expect.stringMatching(/it stands in .*, which counts more than \/etc\/qemu\/firmware/) }],
      left: { descriptors: [{ path: join(own, "10-mine.json") }] },
      libvirt: { system: "/etc/libvirt/qemu.conf", block: expect.stringContaining("nvram = [") },
    });
  });

  test("list shows descriptors in order, masks, and pairs by what they hold", async () => {
    writeFileSync(join(own, "10-mine.json"), SOUND());
    writeFileSync(join(own, "20-none.json"), "");
    const { status, stdout } = await firmware("list", "--search", join(home, "fw"));
    expect(status).toBe(0);
    expect(stdout).toContain(`${join(own, "10-mine.json")}\n  UEFI firmware\n  for x86_64: pc-q35-*\n`);
    expect(stdout).toContain("20-none.json: empty: it masks all of its name");
    expect(stdout).toContain(`${join(home, "fw/a.fd")} + ${join(home, "fw/b.fd")} (x86_64, 4 MiB, no keys)`);
  });
});
