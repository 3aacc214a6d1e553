import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { KVM_PROBE_PASSED_STATUS, KVM_PROBE_STAGES, kvmProbeRom } from "../../src/host/kvm-probe-rom.ts";
import { lookForTool } from "../../src/host/tools.ts";

const SOURCE = "guest/kvm-probe/probe.asm";
const source = readFileSync(SOURCE, "utf8");
const nasm = await lookForTool("nasm", process.env);

describe("the ROM of the probe guest", () => {
  test.skipIf(nasm === undefined)("is what its source assembles to", () => {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-test-"));
    try {
      execFileSync(nasm!, ["-Wall", "-Werror", "-f", "bin", "-o", join(folder, "probe.bin"), SOURCE]);
      const assembled = readFileSync(join(folder, "probe.bin"));
      const rom = Buffer.from(kvmProbeRom());
      expect(rom.subarray(rom.length - assembled.length).toString("hex")).toBe(assembled.toString("hex"));
      expect(new Set(rom.subarray(0, rom.length - assembled.length))).toEqual(new Set([0xf4]));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("is 64 KiB, and jumps at the reset vector to where its code begins", () => {
    const rom = kvmProbeRom();
    expect(rom).toHaveLength(65_536);
    const vector = new DataView(rom.buffer, 0xfff0);
    expect(vector.getUint8(0)).toBe(0xe9); // jmp rel16
    const target = 0xfff0 + 3 + vector.getInt16(1, true);
    expect(rom[target]).toBe(0xfa); // cli
    expect(rom[target - 1]).toBe(0xf4); // what stands before is never run
  });

  test("writes the letters that its reader expects, in that order, and their exit status", () => {
    const letters = [...source.matchAll(/^ +letter {2}'([A-Z])'/gm)].map(([, letter]) => letter);
    expect(letters).toEqual(KVM_PROBE_STAGES.map(({ letter }) => letter));
    const passed = Number(/^PASSED +equ +(0x[0-9a-f]+)/m.exec(source)?.[1]);
    expect((passed << 1) | 1).toBe(KVM_PROBE_PASSED_STATUS);
  });
});
