/** A session directory becomes a report: read, scan, judge, tell. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { type Job, quietJob } from "../contract/job.ts";
import { type Ending, SESSION_FILES, type SessionAnalysis } from "../contract/session.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import { type Boot, ConsoleScan, isLater, type ScanOptions, type SeenStage } from "./console-scan.ts";
import { millis, type Noted, tellFindings } from "./findings.ts";
import { createGoal, type Goal, STANDARD_GOAL } from "./goal.ts";
import { machineFindings } from "./machine-findings.ts";
import { writeReportPage } from "./report-page.ts";
import { reportText } from "./report-text.ts";
import type { Rule } from "./rule.ts";
import { arrivalOf } from "./serial-times.ts";
import { NO_EVIDENCE, readSessionEvidence, type SessionEvidence } from "./session-evidence.ts";
import type { ReportedStage, SessionReport } from "./session-report.ts";
import { decideVerdict } from "./verdict.ts";

export interface Analysed {
  readonly report: SessionReport;
  /** What `session.json` holds of it. */
  readonly analysis: SessionAnalysis;
  /** `report.txt`. */
  readonly text: string;
}

export interface AnalyseOptions {
  readonly job?: Job;
  /** False: nothing is written into the directory. */
  readonly write?: boolean;
  /** A person's own rules, tried before the program's. */
  readonly rules?: readonly Rule[];
}

/**
 * Analyses a session directory, or any directory that holds a `serial.log`. Writes `report.json`, `report.txt`, `report.html`,
 * `report.log` and `analysis.meta` there: the same bytes for the same evidence. Throws a usage error where there is nothing to analyse.
 */
export async function analyseSession(directory: string, options: AnalyseOptions = {}): Promise<Analysed> {
  const { job = quietJob, write = true, rules } = options;
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
  const serial =
    serialBytes === undefined
      ? []
      : (createReadStream(serialPath, { signal: job.signal, highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>);
  const analysed = await analyseConsole(serial, evidence, rules);
  if (write) {
    await writeReports(directory, analysed);
    await writeReportPage(directory, { ...analysed, evidence }, job.signal);
  }
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

const READ_BYTES = 1024 * 1024;

/** Analyses a console and what else is known of its boot. Reads `serial` once; memory does not grow with it. */
export async function analyseConsole(
  serial: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  evidence: SessionEvidence = NO_EVIDENCE,
  rules?: readonly Rule[],
): Promise<Analysed> {
  const own = rules === undefined || rules.length === 0 ? {} : { rules };
  const goal = goalOf(evidence.ending);
  const hasTimes = evidence.times.offsets.length > 0;
  const scan = new ConsoleScan({
    goal,
    ...own,
    expected: evidence.steps,
    ...(hasTimes ? { timeAt: (offset) => arrivalOf(evidence.times, offset) } : {}),
  });
  for await (const chunk of serial) scan.push(chunk);
  scan.end();
  return conclude(scan, { goal, ...own }, evidence);
}

function goalOf(ending: Ending | undefined): Goal {
  try {
    return createGoal(ending?.goal ?? STANDARD_GOAL);
  } catch {
    // Written by another version: what the recorder saw (`goal_reached`) still counts.
    return createGoal("never");
  }
}

function conclude(serial: ConsoleScan, options: ScanOptions, evidence: SessionEvidence): Analysed {
  const { ending } = evidence;
  const screen = scanText(evidence.screen, options);
  const firmware = scanText(evidence.firmwareLog, options);
  const lastBoot = serial.boots.length;
  const serialStages = serial.boots.flatMap(({ stages }, index) =>
    stages.map((seen) => ({
      stage: seen.stage,
      line: seen.line,
      time_ms: seen.timeMs ?? millis(seen.clock),
      boot: index + 1,
      program: seen.program,
      text: seen.text,
    })),
  );
  // What the screen and the firmware's own log show is of the last boot, and counts where the console was silent about it.
  const unseen = [...stagesOf(firmware), ...stagesOf(screen)].filter(({ stage }) => isLater(stage, serial.reached));
  const stages: ReportedStage[] = [...serialStages];
  for (const { stage, program, text } of unseen) {
    const known = stages.some((other) => other.boot === lastBoot && !isLater(stage, other.stage));
    if (!known) stages.push({ stage, line: null, time_ms: null, boot: lastBoot, program, text });
  }
  const before = firmwareBefore(stages, stagesOf(firmware), lastBoot);
  if (before !== undefined)
    stages.splice(
      stages.findIndex(({ boot }) => boot === lastBoot),
      0,
      before,
    );
  const noted = noteAll(serial, screen, firmware);
  const findings = tellFindings(noted);
  const told = [...findings, ...machineFindings(evidence, stages.at(-1)?.stage ?? "unknown", findings, lastBoot)];
  const goalOnScreen = screen.goalLine !== null;
  const judged = {
    stages,
    findings: told,
    attempts: new Set(noted.flatMap(({ seen: { rule } }) => (rule.waits === true ? [rule.id] : []))),
    lastBoot,
    goalLine: serial.goalLine,
    goalReached: serial.goalLine !== null || goalOnScreen || ending?.goal_reached === true,
    promptLine: Math.max(0, ...serial.boots.map(({ promptLine }) => promptLine)),
    lastLine: serial.lastLine === 0 ? null : serial.lastLine,
    ending,
    hasText: serial.hasText,
  };
  const verdict = decideVerdict(judged);
  const failedLine = verdict.cause === undefined ? null : told[verdict.cause]!.line;
  const build = serial.build.report(verdict.result === "success", failedLine, judged.lastLine, serial.lastTexts());
  const report: SessionReport = {
    boot_result: verdict.result,
    boot_stage_final: verdict.stage,
    failure_domain: verdict.domain,
    stages,
    findings: told.map((finding, index) => ({
      ...finding,
      // A boot that came through in the end has no fatal findings, only earlier attempts that failed.
      severity: verdict.result === "success" && finding.severity === "fatal" ? "error" : finding.severity,
      cause: index === verdict.cause && verdict.result !== "success",
    })),
    decided_by: { rule: verdict.rule, lines: verdict.lines },
    ...(build === undefined ? {} : { build }),
    ...(evidence.script === undefined ? {} : { script: evidence.script }),
    boots: lastBoot,
    last_line: serial.lastLine === 0 ? null : { line: serial.lastLine, text: serial.lastText() },
  };
  const analysis = summaryOf(report, serial, evidence);
  return { report, analysis, text: reportText(report, analysis, evidence) };
}

/** A BIOS prints nothing on the serial port, but its own log shows that it ran before the boot loader that the console shows first. */
function firmwareBefore(stages: readonly ReportedStage[], logged: readonly SeenStage[], lastBoot: number): ReportedStage | undefined {
  const shown = stages.filter(({ boot }) => boot === lastBoot);
  const seen = logged.find(({ stage }) => stage === "firmware");
  if (seen === undefined || shown.length === 0 || shown.some(({ stage }) => stage === "firmware")) return undefined;
  return { stage: "firmware", line: null, time_ms: null, boot: lastBoot, program: seen.program, text: seen.text };
}

function scanText(text: string, options: ScanOptions): ConsoleScan {
  const scan = new ConsoleScan(options);
  scan.push(Buffer.from(text));
  scan.end();
  return scan;
}

const stagesOf = (scan: ConsoleScan): readonly SeenStage[] => scan.boots.at(-1)!.stages;

/** Findings of all sources in order. Of the screen and the firmware's log only what the console did not tell. */
function noteAll(serial: ConsoleScan, screen: ConsoleScan, firmware: ConsoleScan): readonly Noted[] {
  const noted = serial.boots.flatMap((boot, index): readonly Noted[] =>
    boot.findings.map((seen) => ({
      seen,
      boot,
      bootNumber: index + 1,
      source: "serial" as const,
      overcome: seen.rule.kind === "build_failed" && seen.rule.ends !== true && serial.build.isOver(seen.line),
    })),
  );
  const others = (scan: ConsoleScan, source: "screen" | "qemu", known: readonly Noted[]) => {
    const boot = scan.boots.at(-1)!;
    const news = boot.findings.filter(({ rule }) => !known.some(({ seen }) => seen.rule.kind === rule.kind));
    return news.map((seen) => ({ seen, boot: judgedWith(boot, serial), bootNumber: serial.boots.length, source }));
  };
  const withScreen = [...noted, ...others(screen, "screen", noted)];
  return [...withScreen, ...others(firmware, "qemu", withScreen)];
}

/** A finding of the screen was survived where the console shows a later stage. Screens have no line numbers: what they show came last. */
function judgedWith(boot: Boot, serial: ConsoleScan): Boot {
  const later = serial.boots.at(-1)!.stages.map((stage) => ({ ...stage, line: Number.MAX_SAFE_INTEGER }));
  return {
    ...boot,
    firstLine: 1,
    findings: boot.findings,
    reached: boot.reached,
    hasClock: boot.hasClock,
    promptLine: boot.promptLine,
    stages: [...boot.stages, ...later],
  };
}

function summaryOf(report: SessionReport, serial: ConsoleScan, { ending, hasTrace }: SessionEvidence): SessionAnalysis {
  const { stages, findings } = report;
  const goalMs = serial.goalTimeMs ?? (serial.goalLine === null ? null : stages.find(({ line }) => line === serial.goalLine)?.time_ms);
  const { drivers, resolution, consoleArea } = serial.graphics;
  const screen = /^\d+x\d+$/.test(ending?.screen ?? "") ? ending!.screen : "";
  return {
    boot_result: report.boot_result,
    boot_stage_final: report.boot_stage_final,
    failure_domain: report.failure_domain,
    reached_login: stages.some(({ stage }) => stage === "login") ? 1 : 0,
    kernel_panic_count: findings
      .filter(({ kind, stage }) => kind === "panic" && stage !== "firmware")
      .reduce((sum, { count }) => sum + count, 0),
    error_count: findings.filter(({ severity }) => severity === "error" || severity === "fatal").length,
    has_serial: serial.hasText ? 1 : 0,
    has_trace: hasTrace ? 1 : 0,
    boot_duration_ms: Math.round(goalMs ?? ending?.duration_ms ?? stages.findLast(({ time_ms }) => time_ms !== null)?.time_ms ?? 0),
    graphics_drivers: drivers.join(","),
    graphics_resolution: [resolution, screen, consoleArea].find((known) => known !== "") ?? "",
  };
}

async function writeReports(directory: string, { report, analysis, text }: Analysed): Promise<void> {
  await writeFileAtomic(join(directory, SESSION_FILES.report), `${JSON.stringify(report, undefined, 2)}\n`);
  await writeFileAtomic(join(directory, SESSION_FILES.reportText), text);
  await writeFileAtomic(join(directory, SESSION_FILES.analysisMeta), metaText(analysis));
  await writeFileAtomic(join(directory, SESSION_FILES.reportLog), logText(report));
}

/** `KEY=VALUE` lines, the keys in capitals as in `env.txt`; a line's end in a value becomes a blank. */
const metaText = (analysis: SessionAnalysis): string =>
  Object.entries(analysis)
    .map(([key, value]) => `${key.toUpperCase()}=${String(value).replace(/[\r\n]/g, " ")}\n`)
    .join("");

/** What the analyser has to say of its own work. */
const logText = ({ boots, stages, findings, decided_by: by }: SessionReport): string =>
  [
    `boots: ${boots}`,
    `stages: ${stages.length}`,
    `findings: ${findings.length}`,
    `decided by: rule ${by.rule}, ${by.lines.length === 0 ? "no line of the log" : `line ${by.lines.join(", ")}`}`,
    "",
  ].join("\n");
