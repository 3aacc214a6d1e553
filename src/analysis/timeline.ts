/** The boots of a log as stretches of time: what is drawn to scale. A value; `timeline-svg.ts` draws it. */
import type { PassedStage, Severity } from "../contract/verdict.ts";
import type { SessionReport } from "./session-report.ts";
import type { Silence } from "./silences.ts";

export interface Stretch {
  readonly stage: PassedStage;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Mark {
  readonly severity: Severity;
  readonly kind: string;
  readonly ms: number;
  /** In `report.findings`. */
  readonly finding: number;
}

/** One boot. */
export interface Lane {
  readonly boot: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly stretches: readonly Stretch[];
  readonly silences: readonly Silence[];
  readonly marks: readonly Mark[];
}

export interface Timeline {
  /** Milliseconds at the right end of the axis; above 0 where there is a lane. */
  readonly endMs: number;
  /** Of boots that have a time at all, the first and the last ones. */
  readonly lanes: readonly Lane[];
  /** Boots with times that have no lane. */
  readonly lanesLeftOut: number;
}

export interface TimelineFacts {
  readonly report: SessionReport;
  /** Silences of each boot, from boot 1; where times are those of arrival, all of them stand with boot 1. */
  readonly silences: readonly (readonly Silence[])[];
  /** True: milliseconds since QEMU's start, one clock for all boots. False: each boot's kernel has a clock of its own. */
  readonly byArrival: boolean;
  /** When each boot ended by its clock, as far as that is known; by arrival only the last counts. */
  readonly endMs: readonly (number | null)[];
}

const LANES_FIRST = 2;
const LANES_LAST = 4;
/** More marks than this on one lane cannot be told from one another. */
const MARKS_MAX = 100;

export function planTimeline(facts: TimelineFacts): Timeline {
  const all: Lane[] = [];
  const starts = Array.from({ length: facts.report.boots }, (_, index) => startOf(facts, index + 1));
  for (let boot = 1; boot <= facts.report.boots; boot += 1) {
    const next = facts.byArrival ? starts.slice(boot).find((start) => start !== undefined) : undefined;
    const lane = planLane(facts, boot, starts[boot - 1], next);
    if (lane !== undefined) all.push(lane);
  }
  const few = all.length <= LANES_FIRST + LANES_LAST;
  const lanes = few ? all : [...all.slice(0, LANES_FIRST), ...all.slice(-LANES_LAST)];
  return { endMs: Math.max(0, ...lanes.map(({ toMs }) => toMs)), lanes, lanesLeftOut: all.length - lanes.length };
}

/** By arrival the first boot begins with QEMU, every other with its first stage; undefined where nothing of it has a time. */
function startOf({ report, byArrival }: TimelineFacts, boot: number): number | undefined {
  const timed = [...report.stages, ...report.findings].filter((one) => one.boot === boot && one.time_ms !== null);
  if (timed.length === 0) return undefined;
  return boot === 1 || !byArrival ? 0 : Math.min(...timed.map(({ time_ms: ms }) => ms!));
}

function planLane(facts: TimelineFacts, boot: number, fromMs: number | undefined, nextMs: number | undefined): Lane | undefined {
  if (fromMs === undefined) return undefined;
  const { report, byArrival } = facts;
  const stages = report.stages.filter((stage) => stage.boot === boot && stage.time_ms !== null);
  const marks = report.findings.flatMap(({ boot: of, time_ms: ms, severity, kind }, finding): readonly Mark[] =>
    of === boot && ms !== null && severity !== "info" ? [{ severity, kind, ms, finding }] : [],
  );
  const known = [...stages, ...marks.map(({ ms }) => ({ time_ms: ms }))].map(({ time_ms: ms }) => ms!);
  const silences = byArrival ? (facts.silences[0] ?? []) : (facts.silences[boot - 1] ?? []);
  const lastMs = byArrival ? facts.endMs.at(-1) : facts.endMs[boot - 1];
  const toMs = Math.max(fromMs, ...known, nextMs ?? lastMs ?? 0);
  if (toMs === fromMs) return undefined;
  return {
    boot,
    fromMs,
    toMs,
    stretches: stages.map(({ stage, time_ms: ms }, index) => ({
      stage,
      fromMs: ms!,
      toMs: Math.max(ms!, stages[index + 1]?.time_ms ?? toMs),
    })),
    // One that began before this boot did and ended in it is the waiting for this boot.
    silences: silences.filter((silence) => silence.toMs > fromMs && silence.toMs <= toMs),
    marks: marks.slice(0, MARKS_MAX),
  };
}
