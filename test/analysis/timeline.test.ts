import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ReportedStage, SessionReport } from "../../src/analysis/session-report.ts";
import { planTimeline } from "../../src/analysis/timeline.ts";
import { tickTimes } from "../../src/analysis/timeline-svg.ts";
import type { PassedStage } from "../../src/contract/verdict.ts";

const stage = (name: PassedStage, boot: number, timeMs: number | null): ReportedStage => ({
  stage: name,
  line: 1,
  time_ms: timeMs,
  boot,
  program: "",
  text: "",
});

const report = (stages: ReportedStage[]): SessionReport => ({
  boot_result: "incomplete",
  boot_stage_final: "unknown",
  failure_domain: "unknown",
  stages,
  findings: [],
  decided_by: { rule: "", lines: [] },
  boots: Math.max(1, ...stages.map(({ boot }) => boot)),
  last_line: null,
});

describe("a timeline", () => {
  test("by arrival is one clock: a boot ends where the next begins, the last with the session", () => {
    const stages = [stage("firmware", 1, 1000), stage("kernel", 1, 4000), stage("firmware", 2, 9000), stage("kernel", 2, 12_000)];
    const { lanes, endMs } = planTimeline({
      report: report(stages),
      silences: [[{ fromMs: 5000, toMs: 9000, line: 3 }]],
      byArrival: true,
      endMs: [20_000],
    });
    expect(endMs).toBe(20_000);
    expect(lanes.map(({ fromMs, toMs }) => [fromMs, toMs])).toEqual([
      [0, 9000],
      [9000, 20_000],
    ]);
    expect(lanes[0]!.stretches.map(({ stage: name, fromMs, toMs }) => [name, fromMs, toMs])).toEqual([
      ["firmware", 1000, 4000],
      ["kernel", 4000, 9000],
    ]);
    expect(lanes.map(({ silences }) => silences.length)).toEqual([1, 0]);
  });

  test("by the kernels' clocks begins anew with each boot", () => {
    const stages = [stage("bootloader", 1, null), stage("kernel", 1, 0), stage("kernel", 2, 0), stage("initramfs", 2, 2000)];
    const { lanes } = planTimeline({ report: report(stages), silences: [[], []], byArrival: false, endMs: [7000, 5000] });
    expect(lanes.map(({ fromMs, toMs, stretches }) => [fromMs, toMs, stretches.length])).toEqual([
      [0, 7000, 1],
      [0, 5000, 2],
    ]);
  });

  test("of a reset loop shows the first boots and the last, and how many it leaves out", () => {
    const stages = Array.from({ length: 50 }, (_, index) => stage("firmware", index + 1, (index + 1) * 1000));
    const { lanes, lanesLeftOut } = planTimeline({ report: report(stages), silences: [[]], byArrival: true, endMs: [60_000] });
    expect(lanes.map(({ boot }) => boot)).toEqual([1, 2, 47, 48, 49, 50]);
    expect(lanesLeftOut).toBe(44);
  });

  test("without a time has no lane", () => {
    expect(planTimeline({ report: report([stage("firmware", 1, null)]), silences: [], byArrival: false, endMs: [null] })).toEqual({
      endMs: 0,
      lanes: [],
      lanesLeftOut: 0,
    });
  });
});

test("the ticks of an axis are few, evenly spaced, from 0 to at most the end", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 400_000_000 }), (endMs) => {
      const ticks = tickTimes(endMs);
      expect(ticks[0]).toBe(0);
      expect(ticks.length).toBeGreaterThanOrEqual(2);
      expect(ticks.length).toBeLessThanOrEqual(6);
      expect(ticks.at(-1)).toBeLessThanOrEqual(endMs);
      expect(new Set(ticks.slice(1).map((tick, index) => tick - ticks[index]!)).size).toBe(1);
    }),
  );
});
