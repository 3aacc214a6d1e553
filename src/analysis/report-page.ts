/** Reads what `report.html` shows beside the analysis, and writes it. */
import { readFile, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { SESSION_FILES, type SessionAnalysis, sessionStartedSchema } from "../contract/session.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import { type Interest, indexLines, type LogLine, planExcerpt, readLines } from "./log-excerpt.ts";
import { type BootFacts, type PageContent, reportHtml } from "./report-html.ts";
import { readScreenshots } from "./screenshots.ts";
import type { SessionEvidence } from "./session-evidence.ts";
import type { SessionReport } from "./session-report.ts";
import { clockSilences, lastClock, type Silence, silentStretches } from "./silences.ts";

/** A log of more lines is shown in parts. */
const LINES_MAX = 20_000;

export interface AnalysedSession {
  readonly report: SessionReport;
  readonly analysis: SessionAnalysis;
  readonly evidence: SessionEvidence;
}

/**
 * Writes `report.html` into a session's directory: the same bytes for the same evidence. Where the file system is nearly full there is no
 * page, not an old one either: the room is for what closes the session, and a page can be made again at any time.
 */
export async function writeReportPage(directory: string, analysed: AnalysedSession, signal: AbortSignal): Promise<void> {
  const path = join(directory, SESSION_FILES.reportPage);
  const page = Buffer.from(reportHtml(await readPageContent(directory, analysed, signal)));
  if (hasRoomFor(page.length, await statfs(directory))) await writeFileAtomic(path, page);
  else await rm(path, { force: true });
}

/** What is left free for the files that close a session, and for others that are closed in the same moment. */
const ROOM_KEPT_BYTES = 2 * 1024 * 1024;

/** Some file systems do not tell their size, and say 0 blocks: there it is tried. */
export function hasRoomFor(bytes: number, { blocks, bavail, bsize }: { blocks: number; bavail: number; bsize: number }): boolean {
  return blocks === 0 || bavail * bsize >= bytes + ROOM_KEPT_BYTES;
}

async function readPageContent(directory: string, analysed: AnalysedSession, signal: AbortSignal): Promise<PageContent> {
  const { report, evidence } = analysed;
  const path = join(directory, SESSION_FILES.serial);
  const endMs = evidence.ending?.duration_ms ?? evidence.times.times.at(-1) ?? 0;
  const stretches = silentStretches(evidence.times, endMs);
  const index = await indexLines(
    path,
    stretches.map(({ offset }) => offset),
    signal,
  );
  const lines = await readLines(path, index, planExcerpt(index.lines, interestsOf(report), LINES_MAX), signal);
  const byBoot = linesByBoot(report, lines);
  const byArrival = evidence.times.offsets.length > 0;
  const silences: readonly (readonly Silence[])[] = byArrival
    ? [stretches.map(({ fromMs, toMs, offset }) => ({ fromMs, toMs, line: index.lineBefore.get(offset) ?? 0 }))]
    : byBoot.map(clockSilences);
  return {
    ...analysed,
    boot: await readBootFacts(directory),
    log: { lines, lineCount: index.lines, bytes: index.bytes },
    silences,
    endMs: byArrival ? [endMs] : byBoot.map(lastClock),
    screenshots: await readScreenshots(directory),
  };
}

/** Where a reader of this report will look: what decided first, then the way of the last boot, what went wrong, and the boots before. */
function interestsOf({ decided_by: decided, findings, stages, boots }: SessionReport): readonly Interest[] {
  const around = (line: number | null, before: number, after: number): readonly Interest[] =>
    line === null ? [] : [{ line, before, after }];
  const ofSeverity = (...wanted: readonly string[]) =>
    findings.filter(({ severity }) => wanted.includes(severity)).flatMap(({ first_line, line }) => around(first_line ?? line, 15, 60));
  return [
    ...findings.filter(({ cause }) => cause).flatMap(({ line }) => around(line, 100, 300)),
    ...decided.lines.flatMap((line) => around(line, 50, 50)),
    ...stages.filter(({ boot }) => boot === boots).flatMap(({ line }) => around(line, 10, 60)),
    ...ofSeverity("fatal", "error"),
    ...ofSeverity("warning"),
    ...stages.flatMap(({ line }) => around(line, 5, 20)),
    ...ofSeverity("info"),
  ];
}

/** A boot begins with the first line that anything was seen on. */
function linesByBoot({ stages, findings, boots }: SessionReport, lines: readonly LogLine[]): readonly (readonly LogLine[])[] {
  const starts = Array.from({ length: boots }, (_, index) =>
    index === 0
      ? 1
      : Math.min(...[...stages, ...findings].flatMap(({ boot, line }) => (boot === index + 1 && line !== null ? [line] : []))),
  );
  return starts.map((start, index) => {
    const next = Math.min(...starts.slice(index + 1), Number.POSITIVE_INFINITY);
    return lines.filter(({ number }) => number >= start && number < next);
  });
}

/** Only what stands in `session.json` from the first moment, so that a later analysis writes the same page. */
const bootSchema = z.looseObject({
  session_id: sessionStartedSchema.shape.session_id,
  iso_basename: sessionStartedSchema.shape.iso_basename,
  start_time_utc: sessionStartedSchema.shape.start_time_utc,
  guest_ram_mb: sessionStartedSchema.shape.guest_ram_mb,
  guest_cpus: sessionStartedSchema.shape.guest_cpus,
});

async function readBootFacts(directory: string): Promise<BootFacts | undefined> {
  let content: unknown;
  try {
    content = JSON.parse(await readFile(join(directory, SESSION_FILES.session), "utf8"));
  } catch {
    return undefined; // a log that somebody brought, or a damaged session: the page does without
  }
  const session = bootSchema.safeParse(content).data;
  if (session === undefined) return undefined;
  const { session_id, iso_basename, start_time_utc, guest_ram_mb, guest_cpus } = session;
  return { sessionId: session_id, image: iso_basename, startTimeUtc: start_time_utc, ramMb: guest_ram_mb, cpus: guest_cpus };
}
