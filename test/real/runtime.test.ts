/** The runtime of a stick, unpacked and run on nothing but itself. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { KVM_PROBE_PASSED_STATUS, kvmProbeRom } from "../../src/host/kvm-probe-rom.ts";
import { run } from "./harness.ts";

const ACCEL = "usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so";

describe("a stick's runtime", () => {
  let folder = "";
  let root = "";
  let built: { readonly folder: string; readonly usedBytes: number; readonly roomBytes: number };
  beforeAll(async () => {
    const { status, stdout, stderr } = await run(["runtime", "build", "--json"]);
    expect(status, stderr).toBe(0);
    built = JSON.parse(stdout);
    folder = mkdtempSync(join(tmpdir(), "hiperiso-runtime-"));
    root = join(folder, "root");
    execFileSync("unsquashfs", ["-quiet", "-no-progress", "-dest", root, join(built.folder, "EFI/hiperiso/runtime.squashfs")]);
    writeFileSync(join(root, "tmp/probe.rom"), kvmProbeRom());
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Sees the runtime's files, and none of this computer's. */
  const inside = (words: readonly string[], input = "") =>
    spawnSync(
      "bwrap",
      [
        ...["--bind", root, "/", "--dev", "/dev", "--proc", "/proc", "--unshare-all", "--die-with-parent", "--clearenv"],
        ...["--setenv", "PATH", "/usr/bin:/usr/sbin:/bin:/sbin", "--setenv", "HOME", "/root", "--chdir", "/"],
        ...words,
      ],
      { encoding: "utf8", input },
    );
  const emulate = () =>
    inside([
      ...["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35", "-m", "64M"],
      ...["-accel", "tcg", "-cpu", "max", "-bios", "/tmp/probe.rom", "-chardev", "stdio,id=letters,signal=off"],
      ...["-device", "isa-debugcon,iobase=0xe9,chardev=letters", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
    ]);

  it("fits the boot partition, with room for a menu", () => {
    expect(built.usedBytes).toBeLessThanOrEqual(built.roomBytes);
    expect(built.roomBytes).toBeLessThanOrEqual(62 * 2 ** 20);
  });

  it.each([
    ["node", ["--version"], /^v\d+/],
    ["hiperiso", ["onboard", "--help"], /Usage: hiperiso onboard/],
    ["qemu-system-x86_64", ["--version"], /^QEMU emulator/],
    ["swtpm", ["--version"], /^TPM emulator/],
    ["kexec", ["--version"], /^kexec-tools/],
    ["setpriv", ["--version"], /^setpriv/],
    ["sh", ["-c", "echo $((6 * 7))"], /^42$/m],
  ])("runs %s on its own libraries", (program, words, says) => {
    expect(inside([program, ...words])).toMatchObject({ status: 0, stdout: expect.stringMatching(says) });
  });

  it("has the graphics cards that a guest may be given, and their firmware", () => {
    for (const card of ["VGA", "virtio-vga"]) {
      const words = ["qemu-system-x86_64", "-nodefaults", "-S", "-display", "none", "-device", card, "-monitor", "stdio"];
      expect(inside(words, "quit\n"), card).toMatchObject({ status: 0, stderr: "" });
    }
  });

  it("emulates a guest by a file that QEMU opens by name: without it there is no guest", () => {
    expect(emulate()).toMatchObject({ status: KVM_PROBE_PASSED_STATUS, stdout: "RPGLXST" });
    rmSync(join(root, ACCEL));
    const without = emulate();
    expect(without.status).not.toBe(KVM_PROBE_PASSED_STATUS);
    expect(without.stderr).toMatch(/tcg/);
    expect(without.stdout).toBe("");
  });

  it("names firmware that is there, or on the boot partition", () => {
    const descriptors = join(root, "usr/share/qemu/firmware");
    const named = readdirSync(descriptors).flatMap((name) =>
      [...readFileSync(join(descriptors, name), "utf8").matchAll(/"filename": "([^"]+)"/g)].map((match) => match[1]!),
    );
    expect(named.length).toBeGreaterThanOrEqual(4);
    for (const path of named) {
      const place = path.startsWith("/mnt/efi/") ? join(built.folder, path.slice("/mnt/efi/".length)) : join(root, path);
      expect(readFileSync(place).length, path).toBeGreaterThan(500_000);
    }
  });
});
