/** Two sessions side by side: verdicts, stages, findings, settings, phases, and where their logs part. */
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import * as z from "zod";
import { type Job, quietJob } from "../contract/job.ts";
import { SESSION_FILES, timingSchema } from "../contract/session.ts";
import {
  type BootResult,
  type BootStage,
  type FailureDomain,
  PASSED_STAGES,
  type PassedStage,
  SEVERITIES,
  type Severity,
} from "../contract/verdict.ts";
import { decodePrintk } from "../formats/printk.ts";
import { analyseSession } from "./analyse.ts";
import type { LogSource } from "./log-lines.ts";
import { compareLogs, type LogDifference } from "./log-parting.ts";
import { maskedText } from "./masked-text.ts";
import type { Rule } from "./rule.ts";
import type { SessionReport } from "./session-report.ts";

/** Of the two, a is the one that was named first: what only b has "came". */
export interface Pair<T> {
  readonly a: T;
  readonly b: T;
}

export interface Verdict {
  readonly boot_result: BootResult;
  readonly boot_stage_final: BootStage;
  readonly failure_domain: FailureDomain;
}

export interface ComparedStage {
  readonly boot: number;
  readonly stage: PassedStage;
  readonly a: StageSeen | null;
  readonly b: StageSeen | null;
  /** Of b against a; null where one of the two times is not known. */
  readonly difference_ms: number | null;
}

export interface StageSeen {
  readonly line: number | null;
  readonly time_ms: number | null;
}

export interface ComparedFinding {
  readonly id: string;
  /** Of the first that is alike. */
  readonly text: string;
  readonly line: number | null;
  readonly severity: Severity;
  readonly explanation: string;
  readonly count: number;
}

export interface ComparedPhase {
  readonly phase: string;
  /** Until the next phase. */
  readonly a_ms: number | null;
  readonly b_ms: number | null;
  readonly difference_ms: number | null;
}

export interface ComparedSetting {
  readonly setting: string;
  /** Null where the session does not say. */
  readonly a: string | null;
  readonly b: string | null;
}

export interface Comparison {
  readonly sessions: Pair<{ readonly id: string; readonly directory: string }>;
  /** Verdict, stages and findings are the same. */
  readonly same: boolean;
  readonly verdict: Pair<Verdict> & { readonly same: boolean };
  readonly stages: readonly ComparedStage[];
  readonly findings: {
    /** In a alone. */
    readonly went: readonly ComparedFinding[];
    /** In b alone. */
    readonly came: readonly ComparedFinding[];
    /** In both, but not as bad in one of them. */
    readonly weighed: readonly Pair<ComparedFinding>[];
    /** How many both have alike. */
    readonly alike: number;
  };
  /** Those that differ. */
  readonly settings: readonly ComparedSetting[];
  readonly phases: readonly ComparedPhase[];
  /** Null where one of the two has no `serial.log`. */
  readonly log: LogDifference | null;
}

/** What is read of a session to compare it. */
export interface ComparedSession {
  readonly id: string;
  readonly directory: string;
  readonly report: SessionReport;
  /** By name; undefined without a `machine.json`. */
  readonly settings: ReadonlyMap<string, string>;
  /** Each with the time until the next, in the order in which they came. */
  readonly phases: readonly { readonly phase: string; readonly ms: number | null }[];
  readonly log: LogSource | undefined;
}

export interface CompareOptions {
  readonly job?: Job;
  /** A person's own rules. */
  readonly rules?: readonly Rule[];
}

/**
 * Compares two session directories, or any directories with a `serial.log`. Both are analysed anew and nothing is written: a difference
 * between two versions of the analyser must not look like one between two boots. Throws a usage error where there is nothing to analyse.
 */
export async function compareSessions(a: string, b: string, options: CompareOptions = {}): Promise<Comparison> {
  return compareRead(await readCompared(a, options), await readCompared(b, options));
}

export async function compareRead(a: ComparedSession, b: ComparedSession): Promise<Comparison> {
  const verdict = { a: verdictOf(a.report), b: verdictOf(b.report) };
  const sameVerdict = (Object.keys(verdict.a) as (keyof Verdict)[]).every((key) => verdict.a[key] === verdict.b[key]);
  const stages = compareStages(a.report, b.report);
  const findings = compareFindings(a.report, b.report);
  const sameStages = stages.every((stage) => stage.a !== null && stage.b !== null);
  const sameFindings = findings.came.length + findings.went.length + findings.weighed.length === 0;
  return {
    sessions: { a: { id: a.id, directory: a.directory }, b: { id: b.id, directory: b.directory } },
    same: sameVerdict && sameStages && sameFindings,
    verdict: { ...verdict, same: sameVerdict },
    stages,
    findings,
    settings: compareSettings(a.settings, b.settings),
    phases: comparePhases(a.phases, b.phases),
    log: a.log === undefined || b.log === undefined ? null : await compareLogs(a.log, b.log),
  };
}

const verdictOf = ({ boot_result, boot_stage_final, failure_domain }: SessionReport): Verdict => ({
  boot_result,
  boot_stage_final,
  failure_domain,
});

function compareStages(a: SessionReport, b: SessionReport): readonly ComparedStage[] {
  const rows = new Map<string, ComparedStage>();
  for (const [side, { stages }] of [["a", a] as const, ["b", b] as const]) {
    for (const { boot, stage, line, time_ms } of stages) {
      const key = `${boot} ${stage}`;
      const row = rows.get(key) ?? { boot, stage, a: null, b: null, difference_ms: null };
      rows.set(key, { ...row, [side]: { line, time_ms } });
    }
  }
  const inOrder = [...rows.values()].sort((one, other) => one.boot - other.boot || placeOf(one.stage) - placeOf(other.stage));
  return inOrder.map((row) => ({ ...row, difference_ms: difference(row.a?.time_ms, row.b?.time_ms) }));
}

const placeOf = (stage: PassedStage): number => PASSED_STAGES.indexOf(stage);

const difference = (a: number | null | undefined, b: number | null | undefined): number | null => (a == null || b == null ? null : b - a);

function compareFindings(a: SessionReport, b: SessionReport): Comparison["findings"] {
  const [inA, inB] = [alikeFindings(a), alikeFindings(b)];
  const both = [...inA].flatMap(([key, one]) => (inB.has(key) ? [{ a: one, b: inB.get(key)! }] : []));
  const weighed = both.filter((pair) => pair.a.severity !== pair.b.severity);
  return {
    went: [...inA].flatMap(([key, finding]) => (inB.has(key) ? [] : [finding])),
    came: [...inB].flatMap(([key, finding]) => (inA.has(key) ? [] : [finding])),
    weighed,
    alike: both.length - weighed.length,
  };
}

/** By rule and masked text, in order of appearance. Of several the first speaks, with the weight of the worst. */
function alikeFindings({ findings }: SessionReport): ReadonlyMap<string, ComparedFinding> {
  const found = new Map<string, ComparedFinding>();
  for (const { id, text, line, severity, explanation, count } of findings) {
    const key = `${id} ${maskedText(messageOf(text))}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { id, text, line, severity, explanation, count });
    else found.set(key, { ...known, severity: worse(known.severity, severity), count: known.count + count });
  }
  return found;
}

const messageOf = (text: string): string => decodePrintk(text).message;

const worse = (one: Severity, other: Severity): Severity => (SEVERITIES.indexOf(other) > SEVERITIES.indexOf(one) ? other : one);

function compareSettings(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): readonly ComparedSetting[] {
  const names = new Set([...a.keys(), ...b.keys()]);
  return [...names]
    .filter((name) => a.get(name) !== b.get(name))
    .map((setting) => ({ setting, a: a.get(setting) ?? null, b: b.get(setting) ?? null }));
}

/** A phase that comes several times (another attempt) is compared with the same time of the other. */
function comparePhases(a: ComparedSession["phases"], b: ComparedSession["phases"]): readonly ComparedPhase[] {
  const [inA, inB] = [numberedPhases(a), numberedPhases(b)];
  return [...new Set([...inA.keys(), ...inB.keys()])].map((key) => {
    const [ofA, ofB] = [inA.get(key), inB.get(key)];
    const [aMs, bMs] = [ofA?.ms ?? null, ofB?.ms ?? null];
    return { phase: (ofA ?? ofB)!.phase, a_ms: aMs, b_ms: bMs, difference_ms: difference(aMs, bMs) };
  });
}

function numberedPhases(phases: ComparedSession["phases"]): ReadonlyMap<string, ComparedSession["phases"][number]> {
  const counts = new Map<string, number>();
  return new Map(
    phases.map((one) => {
      const count = (counts.get(one.phase) ?? 0) + 1;
      counts.set(one.phase, count);
      return [`${one.phase} ${count}`, one];
    }),
  );
}

async function readCompared(directory: string, { job = quietJob, rules }: CompareOptions): Promise<ComparedSession> {
  const { report } = await analyseSession(directory, { job, write: false, ...(rules === undefined ? {} : { rules }) });
  const path = join(directory, SESSION_FILES.serial);
  return {
    id: basename(resolve(directory)),
    directory,
    report,
    settings: settingsOf(await readLoose(join(directory, SESSION_FILES.plan)), await readLoose(join(directory, SESSION_FILES.session))),
    phases: phasesOf(await readLoose(join(directory, SESSION_FILES.timingJson))),
    log: (await isFile(path)) ? () => createReadStream(path, { signal: job.signal, highWaterMark: READ_BYTES }) : undefined,
  };
}

const READ_BYTES = 256 * 1024;

const isFile = async (path: string): Promise<boolean> =>
  stat(path).then(
    (facts) => facts.isFile(),
    () => false,
  );

/** Undefined where the file is not there or is damaged: a comparison says less then, and does not fail. */
async function readLoose(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** What a person sets, out of `machine.json` (`MachinePlan`) and `session.json`. A field that is missing or of another form is left out. */
const PLAN_SETTINGS: readonly (readonly [setting: string, path: readonly string[]])[] = [
  ["firmware", ["firmware", "interface"]],
  ["firmware file", ["firmware", "mapping", "executable", "filename"]],
  ["machine", ["machine", "type"]],
  ["accelerator", ["accelerator", "use"]],
  ["memory (MB)", ["memoryMb"]],
  ["processors", ["processor", "count"]],
  ["processor", ["processor", "model"]],
  ["attach", ["image", "attach"]],
  ["writable", ["image", "writable"]],
  ["kernel", ["kernel", "path"]],
  ["kernel command line", ["kernel", "append"]],
  ["display adapter", ["screen", "vga"]],
  ["network", ["network", "mode"]],
  ["QEMU", ["qemu"]],
];
const SESSION_SETTINGS: typeof PLAN_SETTINGS = [
  ["image", ["iso_basename"]],
  ["trace level", ["trace_level"]],
  ["KVM", ["kvm"]],
];

function settingsOf(plan: unknown, session: unknown): ReadonlyMap<string, string> {
  const told = (source: unknown, rows: typeof PLAN_SETTINGS) =>
    rows.flatMap(([setting, path]): readonly (readonly [string, string])[] => {
      const value = scalarSchema.safeParse(path.reduce<unknown>(fieldOf, source)).data;
      return value === undefined ? [] : [[setting, String(value)]];
    });
  return new Map([...told(session, SESSION_SETTINGS), ...told(plan, PLAN_SETTINGS)]);
}

const scalarSchema = z.union([z.string(), z.number(), z.boolean()]);

const fieldOf = (value: unknown, field: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, field) ? (value as Record<string, unknown>)[field] : undefined;

function phasesOf(content: unknown): ComparedSession["phases"] {
  const phases = timingSchema.safeParse(content).data?.phases ?? [];
  return phases.map(({ phase }, index) => ({ phase, ms: phases[index + 1]?.since_previous_ms ?? null }));
}
