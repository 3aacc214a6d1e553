import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compareSessions } from "../../src/analysis/compare.ts";
import { parseOwnRules } from "../../src/analysis/own-rules.ts";
import { GRUB, INITRAMFS, KERNEL, LOGIN, PANIC_NO_ROOT, SYSTEMD } from "./composed-logs.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-compare-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

let made = 0;
function sessionOf(lines: readonly string[], files: Readonly<Record<string, unknown>> = {}): string {
  made += 1;
  const directory = join(folder, `session-${made}`);
  mkdirSync(directory);
  writeFileSync(join(directory, "serial.log"), lines.join("\n"));
  for (const [name, content] of Object.entries(files))
    writeFileSync(join(directory, name), typeof content === "string" ? content : JSON.stringify(content));
  return directory;
}

const HEALTHY = [...GRUB, ...KERNEL, ...INITRAMFS, ...SYSTEMD, ...LOGIN];
const BROKEN = [...GRUB, ...KERNEL, ...PANIC_NO_ROOT];
const later = (lines: readonly string[], s: number): readonly string[] =>
  lines.map((line) => line.replace(/^\[ *(\d+\.\d+)\]/, (_, clock: string) => `[${(Number(clock) + s).toFixed(6).padStart(12)}]`));

describe("two sessions", () => {
  test("that went the same way are the same, whatever their times", async () => {
    const comparison = await compareSessions(sessionOf(HEALTHY), sessionOf(later(HEALTHY, 2)));
    expect(comparison).toMatchObject({ same: true, verdict: { same: true }, findings: { went: [], came: [], weighed: [] }, settings: [] });
    expect(comparison.log).toMatchObject({ first: null, onlyA: 0, onlyB: 0 });
    const kernel = comparison.stages.find(({ stage }) => stage === "kernel")!;
    expect([kernel.a!.line, kernel.b!.line, kernel.difference_ms]).toEqual([6, 6, 2000]);
  });

  test("that went another way: verdict, stages, findings, and where the logs part", async () => {
    const comparison = await compareSessions(sessionOf(HEALTHY), sessionOf(BROKEN));
    expect(comparison.same).toBe(false);
    expect(comparison.verdict).toMatchObject({
      a: { boot_result: "success", boot_stage_final: "login" },
      b: { boot_result: "failure", boot_stage_final: "kernel", failure_domain: "kernel" },
    });
    expect(comparison.stages.map(({ stage, a, b }) => [stage, a !== null, b !== null])).toEqual([
      ["bootloader", true, true],
      ["kernel", true, true],
      ["initramfs", true, false],
      ["userspace", true, false],
      ["login", true, false],
    ]);
    expect(comparison.findings.went).toEqual([]);
    expect(comparison.findings.came.map(({ id }) => id)).toContain("kernel/no-root");
    expect(comparison.log!.first).toMatchObject({ a: { line: 11 }, b: { line: 11 }, together: null });
  });

  test("with the same verdict on another way differ by their stages", async () => {
    const { same, verdict, stages } = await compareSessions(sessionOf(HEALTHY), sessionOf(HEALTHY.slice(GRUB.length)));
    expect([same, verdict.same, stages[0]]).toEqual([false, true, expect.objectContaining({ stage: "bootloader", b: null })]);
  });

  test("the other way round: what came has gone", async () => {
    const { findings } = await compareSessions(sessionOf(BROKEN), sessionOf(HEALTHY));
    expect([findings.came, findings.went.map(({ id }) => id)]).toEqual([[], expect.arrayContaining(["kernel/no-root"])]);
  });

  test("findings are alike by rule and text without times and ids, and differ in their words", async () => {
    const oops = (address: string, disk: string) => [
      ...HEALTHY,
      "",
      `[    9.100000] blk_update_request: I/O error, dev ${disk}, sector ${address} op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0`,
    ];
    const [a, b, c] = [sessionOf(oops("12345678", "sda")), sessionOf(oops("87654321", "sda")), sessionOf(oops("12345678", "sdb"))];
    expect((await compareSessions(a, b)).findings).toMatchObject({ went: [], came: [], alike: 1 });
    expect((await compareSessions(a, c)).findings).toMatchObject({
      went: [{ severity: "warning" }],
      came: [{ severity: "warning" }],
      alike: 0,
    });
  });

  test("a finding that one survived and the other did not is a difference", async () => {
    const { same, findings } = await compareSessions(sessionOf([...BROKEN, ...KERNEL, ...HEALTHY]), sessionOf([...HEALTHY, "", ...BROKEN]));
    expect(same).toBe(false);
    expect(findings.weighed.map(({ a, b }) => [a.id, a.severity, b.severity])).toContainEqual(["kernel/no-root", "error", "fatal"]);
  });

  test("settings that differ, and times of phases", async () => {
    const files = (memoryMb: number, use: string, ms: number) => ({
      "machine.json": {
        memoryMb,
        accelerator: { use, because: "x" },
        firmware: { interface: "uefi" },
        processor: { model: "max", count: 2 },
        image: { attach: "cd", writable: false, path: `/somewhere/${use}.iso` },
      },
      "timing.json": {
        phases: [
          { phase: "qemu", uptime_s: 10, time_utc: "2026-11-21T00:00:00.000Z", since_previous_ms: null },
          { phase: "analysis", uptime_s: 10 + ms / 1000, time_utc: "2026-11-21T00:00:00.000Z", since_previous_ms: ms },
        ],
      },
    });
    const { settings, phases, same } = await compareSessions(
      sessionOf(HEALTHY, files(2048, "kvm", 1500)),
      sessionOf(HEALTHY, files(4096, "tcg", 4000)),
    );
    expect(same).toBe(true);
    expect(settings).toEqual([
      { setting: "accelerator", a: "kvm", b: "tcg" },
      { setting: "memory (MB)", a: "2048", b: "4096" },
    ]);
    expect(phases).toEqual([
      { phase: "qemu", a_ms: 1500, b_ms: 4000, difference_ms: 2500 },
      { phase: "analysis", a_ms: null, b_ms: null, difference_ms: null },
    ]);
  });

  test("damaged files beside the log only make the comparison say less", async () => {
    const damaged = sessionOf(HEALTHY, { "machine.json": '{"memoryMb": 1', "timing.json": { phases: 7 }, "session.json": "[]" });
    const odd = sessionOf(HEALTHY, { "machine.json": { memoryMb: { x: 1 }, accelerator: null, firmware: "uefi" } });
    expect(await compareSessions(damaged, odd)).toMatchObject({ same: true, settings: [], phases: [] });
  });

  test("nothing is written", async () => {
    const [a, b] = [sessionOf(HEALTHY), sessionOf(BROKEN)];
    await compareSessions(a, b);
    expect([readdirSync(a), readdirSync(b)]).toEqual([["serial.log"], ["serial.log"]]);
  });

  test("a person's own rules speak on both sides", async () => {
    const { rules } = parseOwnRules(
      `[{id: own/widget, kind: io_error, severity: error, stage: reached, domain: hardware, pattern: "^widget: gone",
         explanation: It is gone., hint: Look., matches: ["widget: gone"], ignores: ["widget: here"]}]`,
      "rules.yaml",
    );
    const { findings } = await compareSessions(sessionOf(HEALTHY), sessionOf(["widget: gone", ...HEALTHY]), { rules });
    expect(findings.came.map(({ id }) => id)).toEqual(["own/widget"]);
  });

  test("a directory without a log is a usage error", async () => {
    const empty = join(folder, "empty");
    mkdirSync(empty);
    await expect(compareSessions(sessionOf(HEALTHY), empty)).rejects.toMatchObject({ kind: "usage", where: empty });
  });
});
