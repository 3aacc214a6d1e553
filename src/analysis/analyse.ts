/** A session directory becomes a report: read, scan, judge, tell. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { type Job, quietJob } from "../contract/job.ts";
import type { Finding, Report, StageReached } from "../contract/report.ts";
import { type Ending, SESSION_FILES, type SessionAnalysis } from "../contract/session.ts";
import type { BootStage } from "../contract/verdict.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import { ConsoleScan, type SeenFinding, type SeenStage, textsOf } from "./console-scan.ts";
import { createGoal, type Goal, matchesGoal, STANDARD_GOAL, stageMeetsGoal } from "./goal.ts";
import { reportText } from "./report-text.ts";
import { arrivalOf } from "./serial-times.ts";
import { readSessionEvidence, type SessionEvidence } from "./session-evidence.ts";
import { decideVerdict } from "./verdict.ts";

export interface Analysed {
  readonly report: Report;
  /** What `session.json` holds of it. */
  readonly analysis: SessionAnalysis;
  /** `report.txt`. */
  readonly text: string;
}

export interface AnalyseOptions {
  readonly job?: Job;
  /** False: nothing is written into the directory. */
  readonly write?: boolean;
}

/**
 * Analyses a session directory, or any directory that holds a `serial.log`. Writes `report.json`, `report.txt`, `report.log`
 * and `analysis.meta` there: the same bytes for the same evidence. Throws a usage error where there is nothing to analyse.
 */
export async function analyseSession(directory: string, options: AnalyseOptions = {}): Promise<Analysed> {
  const { job = quietJob, write = true } = options;
  const serialPath = join(directory, SESSION_FILES.serial);
  const serialBytes = await sizeOf(serialPath);
  const evidence = await readSessionEvidence(directory);
  if (serialBytes === undefined && evidence.ending === undefined) {
    throw new HiperisoError({
      what: "analyse a session",
      where: directory,
      expected: `a directory with a ${SESSION_FILES.serial}`,
      found: "none",
      kind: "usage",
    });
  }
  const goal = goalOf(evidence.ending);
  const serial = await scanSerial(serialBytes === undefined ? undefined : serialPath, evidence, goal, job.signal);
  const analysed = conclude(serial, evidence);
  if (write) await writeReports(directory, analysed);
  return analysed;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new HiperisoError({ what: "read a session", where: path, found: reasonOf(error), kind: "usage", cause: error });
  }
}

function goalOf(ending: Ending | undefined): Goal {
  try {
    return createGoal(ending?.goal ?? STANDARD_GOAL);
  } catch {
    // Written by another version: what the recorder saw (`goal_reached`) still counts.
    return createGoal("never");
  }
}

interface ScannedSerial {
  readonly stages: readonly SeenStage[];
  readonly findings: readonly SeenFinding[];
  readonly goalLine: number | null;
  readonly goalReached: boolean;
  readonly hasText: boolean;
}

const LINE_BYTES_MAX = 64 * 1024;

async function scanSerial(path: string | undefined, evidence: SessionEvidence, goal: Goal, signal: AbortSignal): Promise<ScannedSerial> {
  const scan = new ConsoleScan();
  let goalLine: number | null = null;
  let hasText = false;
  for await (const { number, raw, offset } of path === undefined ? [] : serialLines(path, signal)) {
    const before = scan.reached;
    scan.line(number, raw, arrivalOf(evidence.times, offset));
    if (raw.trim() !== "") hasText = true;
    if (
      goalLine === null &&
      (goal.type === "stage"
        ? stageMeetsGoal(goal, scan.reached) && scan.reached !== before
        : textsOf(raw).some((text) => matchesGoal(goal, text)))
    ) {
      goalLine = number;
    }
  }
  return {
    stages: scan.stages,
    findings: scan.findings,
    goalLine,
    goalReached: goalLine !== null || evidence.ending?.goal_reached === true,
    hasText,
  };
}

interface RawLine {
  readonly number: number;
  readonly raw: string;
  /** Of its last byte. */
  readonly offset: number;
}

async function* serialLines(path: string, signal: AbortSignal): AsyncGenerator<RawLine> {
  let pending = Buffer.alloc(0);
  let number = 1;
  let offset = 0;
  for await (const chunk of createReadStream(path, { signal }) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let lf = chunk.indexOf(0x0a); lf !== -1; lf = chunk.indexOf(0x0a, from)) {
      const bytes = Buffer.concat([pending, chunk.subarray(from, lf)]);
      yield { number, raw: bytes.toString("utf8"), offset: offset + lf };
      pending = Buffer.alloc(0);
      number += 1;
      from = lf + 1;
    }
    pending = Buffer.concat([pending, chunk.subarray(from, from + LINE_BYTES_MAX - pending.length)]);
    offset += chunk.length;
  }
  if (pending.length > 0) yield { number, raw: pending.toString("utf8"), offset: offset - 1 };
}

function conclude(serial: ScannedSerial, evidence: SessionEvidence): Analysed {
  const { ending } = evidence;
  const stages: StageReached[] = serial.stages.map(({ stage, line, timeMs, clock }) => ({ stage, line, time_ms: timeMs ?? millis(clock) }));
  if (stages.length === 0 && /^Booting from /m.test(evidence.firmwareLog)) stages.unshift({ stage: "firmware", line: null, time_ms: null });
  const found: Finding[] = [...serial.findings.map(toFinding), ...otherFindings(evidence)];
  const verdict = decideVerdict({
    stages,
    findings: found,
    goalLine: serial.goalLine,
    goalReached: serial.goalReached,
    ending,
    hasSerial: serial.hasText,
  });
  const findings = found.map((finding, index) => ({ ...finding, cause: index === verdict.cause }));
  const report: Report = {
    boot_result: verdict.result,
    boot_stage_final: verdict.stage,
    failure_domain: verdict.domain,
    stages,
    findings,
    decided_by: { rule: verdict.rule, lines: verdict.lines },
  };
  const goalMs = serial.goalLine === null ? null : (stages.find(({ line }) => line === serial.goalLine)?.time_ms ?? null);
  const analysis: SessionAnalysis = {
    boot_result: verdict.result,
    boot_stage_final: verdict.stage,
    failure_domain: verdict.domain,
    reached_login: stages.some(({ stage }) => stage === "login") ? 1 : 0,
    kernel_panic_count: findings.filter(({ id }) => PANICS.has(id)).reduce((sum, { count }) => sum + count, 0),
    error_count: findings.filter(({ severity }) => severity === "error" || severity === "fatal").length,
    has_serial: serial.hasText ? 1 : 0,
    has_trace: evidence.hasTrace ? 1 : 0,
    boot_duration_ms: Math.round(goalMs ?? ending?.duration_ms ?? stages.at(-1)?.time_ms ?? 0),
    graphics_drivers: "",
    graphics_resolution: "",
  };
  return { report, analysis, text: reportText(report, analysis, ending) };
}

const PANICS: ReadonlySet<string> = new Set(["kernel/panic"]);

const millis = (clock: number | null): number | null => (clock === null ? null : Math.round(clock * 1000));

function toFinding(seen: SeenFinding): Finding {
  const { rule, values } = seen;
  const stage: BootStage = rule.stage === "reached" ? (seen.reached ?? "unknown") : rule.stage;
  return {
    id: rule.id,
    kind: rule.kind,
    severity: rule.severity,
    stage,
    domain: rule.domain,
    source: "serial",
    line: seen.line,
    text: seen.text,
    explanation: filled(rule.explanation, values),
    hint: filled(rule.hint, values),
    count: seen.count,
    cause: false,
  };
}

const filled = (sentence: string, values: Readonly<Record<string, string>>): string =>
  sentence.replace(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "?");

function otherFindings({ screen, ending, qemuErrors }: SessionEvidence): Finding[] {
  const findings: Finding[] = [];
  const noDevice = screen.split("\n").find((line) => /^No bootable device\.|^Boot failed: /.test(line));
  if (noDevice !== undefined) {
    findings.push({
      id: "firmware/seabios-no-bootable-device",
      kind: "no_boot_device",
      severity: "fatal",
      stage: "firmware",
      domain: "firmware",
      source: "screen",
      line: null,
      text: noDevice,
      explanation: "The BIOS found no device that it could boot from.",
      hint: "Check that the image holds a boot sector for BIOS (hiperiso inspect), or boot it with --firmware uefi.",
      count: 1,
      cause: false,
    });
  }
  const machine = machineFinding(ending, qemuErrors);
  return machine === undefined ? findings : [...findings, machine];
}

function machineFinding(ending: Ending | undefined, qemuErrors: string): Finding | undefined {
  if (ending === undefined) return undefined;
  const base = { source: "qemu", line: null, text: qemuErrors.trim().split("\n").at(-1) ?? "", count: 1, cause: false } as const;
  switch (ending.reason) {
    case "internal_error":
      return {
        ...base,
        id: "machine/kvm-internal-error",
        kind: "kvm_error",
        severity: "fatal",
        stage: "unknown",
        domain: "hardware",
        explanation: "KVM could not carry out the guest's code and stopped it.",
        hint: "Boot it again with --accel tcg.",
      };
    case "qemu_died":
      return {
        ...base,
        id: "machine/qemu-died",
        kind: "qemu_error",
        severity: "fatal",
        stage: "unknown",
        domain: "unknown",
        explanation: "QEMU ended on its own.",
        hint: "Read qemu.stderr in the session directory.",
      };
    case "hang":
      return {
        ...base,
        id: "machine/hang",
        kind: "hang",
        severity: "error",
        stage: "unknown",
        domain: "unknown",
        text: ending.detail,
        explanation: "Serial console, disk and screen were still until the limit.",
        hint: "Look at the last lines of serial.log, the screenshot and the processors' registers.",
      };
    case "reset_loop":
      return {
        ...base,
        id: "machine/reset-loop",
        kind: "reset_loop",
        severity: "fatal",
        stage: "unknown",
        domain: "unknown",
        text: ending.detail,
        explanation: "The guest reset itself again and again.",
        hint: "Look at what stands last before each reset in serial.log.",
      };
    default:
      return undefined;
  }
}

async function writeReports(directory: string, { report, analysis, text }: Analysed): Promise<void> {
  await writeFileAtomic(join(directory, SESSION_FILES.report), `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFileAtomic(join(directory, SESSION_FILES.reportText), text);
  await writeFileAtomic(join(directory, SESSION_FILES.analysisMeta), metaText(analysis));
  await writeFileAtomic(join(directory, SESSION_FILES.reportLog), `${text.split("\n", 1)[0]}\n`);
}

/** `KEY=VALUE` lines, the keys in capitals as in `env.txt`; a line's end in a value becomes a blank. */
const metaText = (summary: SessionAnalysis): string =>
  Object.entries(summary)
    .map(([key, value]) => `${key.toUpperCase()}=${String(value).replace(/[\r\n]/g, " ")}\n`)
    .join("");
