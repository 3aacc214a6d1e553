import { chmod, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  decodeDeviceHelp,
  decodeListHelp,
  decodeMachineHelp,
  decodeTraceAnswer,
  decodeVersion,
  machineVersionOf,
  qemuFacts,
} from "../../src/host/qemu-facts.ts";

describe("QEMU's answers", () => {
  test.each([
    [
      "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright (c)\n",
      "7.2.22",
      "7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)",
    ],
    ["QEMU emulator version 9.1.2 (qemu-9.1.2-1.fc41)\n", "9.1.2", "9.1.2 (qemu-9.1.2-1.fc41)"],
    ["QEMU emulator version 10.0.50 (v10.0.0-1234-gabcdef)\n", "10.0.50", "10.0.50 (v10.0.0-1234-gabcdef)"],
    ["QEMU emulator version 2.11\n", "2.11", "2.11"],
  ])("version of %j", (text, version, fullVersion) => {
    expect(decodeVersion(text, "/usr/bin/qemu")).toEqual({ version, fullVersion });
  });

  test("what is no QEMU is named", () => {
    expect(() => decodeVersion("bash, version 5", "/usr/bin/x")).toThrow(/QEMU's version: \/usr\/bin\/x.*bash, version 5/);
  });

  const MACHINES = `Supported machines are:
microvm              microvm (i386)
pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-7.2)
pc-i440fx-7.2        Standard PC (i440FX + PIIX, 1996) (default)
pc-i440fx-1.7        Standard PC (i440FX + PIIX, 1996) (deprecated)
q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-7.2)
pc-q35-7.2           Standard PC (Q35 + ICH9, 2009)
pc-q35-4.0.1         Standard PC (Q35 + ICH9, 2009)
x-remote             Experimental remote machine
none                 empty machine
`;

  test("machines, their aliases and the default one", () => {
    const machines = decodeMachineHelp(MACHINES);
    expect(machines.map(({ name }) => name)).toEqual([
      "microvm",
      "pc",
      "pc-i440fx-7.2",
      "pc-i440fx-1.7",
      "q35",
      "pc-q35-7.2",
      "pc-q35-4.0.1",
      "x-remote",
      "none",
    ]);
    expect(machines.filter(({ isDefault }) => isDefault)).toEqual([{ name: "pc-i440fx-7.2", aliasOf: null, isDefault: true }]);
    expect(machineVersionOf(machines, "q35")).toBe("pc-q35-7.2");
    expect(machineVersionOf(machines, "pc")).toBe("pc-i440fx-7.2");
    expect(machineVersionOf(machines, "pc-q35-4.0.1")).toBe("pc-q35-4.0.1");
    expect(machineVersionOf(machines, "of-another-planet")).toBe("of-another-planet");
  });

  test("devices under their headings", () => {
    const text = `Controller/Bridge/Hub devices:
name "ioh3420", bus PCI, desc "Intel IOH device id 3420 PCIE Root Port"

Display devices:
name "VGA", bus PCI
name "virtio-vga", bus PCI, alias "x"
`;
    expect(decodeDeviceHelp(text)).toEqual(["ioh3420", "VGA", "virtio-vga"]);
  });

  test("accelerators and displays, without the advice that newer ones add", () => {
    expect(decodeListHelp("Accelerators supported in QEMU binary:\ntcg\nkvm\n")).toEqual(["tcg", "kvm"]);
    expect(
      decodeListHelp(
        "Available display backend types:\nnone\negl-headless\n\nSome display backends support suboptions, which can be set with\n   -display backend\n",
      ),
    ).toEqual(["none", "egl-headless"]);
    expect(decodeListHelp("")).toEqual([]);
  });

  const qmp = (answer: string) =>
    `{"QMP": {}}\n{"return": {}}\n${JSON.stringify({ return: answer, id: "trace-file" })}\n{"event": "SHUTDOWN"}\n`;

  test("the trace backend, by the command that it brings to the monitor", () => {
    expect(
      decodeTraceAnswer(qmp("trace-file on|off|flush|set [arg] -- open, close, or flush trace file, or set a new file name\r\n")),
    ).toBe(true);
    expect(decodeTraceAnswer(qmp("unknown command: 'trace-file'\r\n"))).toBe(false);
    expect(decodeTraceAnswer('{"error": {"class": "CommandNotFound"}, "id": "trace-file"}\n')).toBe(false);
    expect(decodeTraceAnswer("")).toBe(false);
  });

  test("any text cut at any place is read without an error", () => {
    const whole = MACHINES + qmp("trace-file x");
    fc.assert(
      fc.property(fc.nat(whole.length), fc.string({ unit: "binary" }), (length, junk) => {
        const text = whole.slice(0, length) + junk;
        for (const machine of decodeMachineHelp(text)) expect(machine.name).not.toBe("");
        for (const name of [...decodeDeviceHelp(text), ...decodeListHelp(text)]) expect(name).not.toBe("");
        expect(typeof decodeTraceAnswer(text)).toBe("boolean");
      }),
    );
  });
});

/** A made-up program in the place of QEMU; the real one is in test/real/qemu-facts.test.ts. */
describe("asking", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
    await mkdir(join(folder, "modules"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const options = () => ({
    cacheDir: join(folder, "cache"),
    signal: new AbortController().signal,
    moduleFolders: [join(folder, "modules"), join(folder, "none")],
  });
  const starts = async () => (await readFile(join(folder, "starts"), "utf8")).length;

  async function madeUpQemu(script: string): Promise<string> {
    const path = join(folder, "qemu");
    await writeFile(path, `#!/bin/sh\nprintf x >> '${folder}/starts'\n${script}\n`);
    await chmod(path, 0o755);
    return path;
  }

  test("is done again only for another QEMU or another set of modules", async () => {
    const qemu = await madeUpQemu('[ "$1" = -version ] && echo "QEMU emulator version 8.2.1"; exit 0');
    const facts = await qemuFacts(qemu, options());
    expect(facts).toMatchObject({ version: "8.2.1", simpleTrace: false });
    const once = await starts();
    expect(await qemuFacts(qemu, options())).toEqual(facts);
    expect(await starts()).toBe(once);
    await utimes(join(folder, "modules"), 1, 1);
    await qemuFacts(qemu, options());
    expect(await starts()).toBe(2 * once);
    await utimes(qemu, 1, 1);
    await qemuFacts(qemu, options());
    expect(await starts()).toBe(3 * once);
  });

  test("fails with QEMU's own words, and keeps nothing", async () => {
    const qemu = await madeUpQemu('echo "error while loading shared libraries: libpixman-1.so.0" >&2; exit 1');
    await expect(qemuFacts(qemu, options())).rejects.toThrow(/ask QEMU for .*libpixman/);
    await expect(qemuFacts(join(folder, "none"), options())).rejects.toThrow(/ENOENT/);
  });

  test("can be cancelled while QEMU says nothing", async () => {
    const cancel = new AbortController();
    const qemu = await madeUpQemu("exec sleep 1000");
    const asking = qemuFacts(qemu, { ...options(), signal: cancel.signal });
    const outcome = expect(asking).rejects.toThrow("enough");
    await expect.poll(() => starts().catch(() => 0)).toBeGreaterThan(0);
    cancel.abort(new Error("enough"));
    await outcome;
  });
});
