/**
 * The end of a session: the files that say how it went, in an order in which every cut leaves something that the next
 * start can finish. `SESSION_COMPLETE` is last.
 */
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import {
  type Ending,
  type IndexLine,
  SESSION_FILES,
  type SessionAnalysis,
  type SessionEnded,
  type SessionStarted,
  type StatusStage,
} from "../contract/session.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import type { SessionDirectory } from "./directory.ts";
import { appendIndexLine } from "./session-index.ts";

export interface SessionOutcome {
  /** As `session.json` stands since the start, with what is known better now. */
  readonly started: SessionStarted;
  readonly status: "complete" | "failed";
  readonly stage: StatusStage;
  readonly ending: Ending;
  readonly endTimeUtc: string;
  readonly host: SessionEnded["host"];
  readonly analysis: SessionAnalysis;
  /** First lines of FAILURE.txt; undefined where nothing failed. */
  readonly failure: string | undefined;
}

export async function finaliseSession(directory: SessionDirectory, outcome: SessionOutcome, signal: AbortSignal): Promise<SessionEnded> {
  await directory.releaseReserve();
  await directory.markPhase("finalised").catch(() => {});
  await directory.writeTimingJson().catch(() => {});
  const session = await endedSession(directory, outcome);
  if (outcome.failure !== undefined) await writeFileAtomic(directory.file(SESSION_FILES.failure), `${outcome.failure}\n`);
  await directory.writeJson(SESSION_FILES.session, session);
  await completeSession(directory, session, outcome.stage, signal);
  return session;
}

/** What is left to do when `session.json` is final. */
export async function completeSession(
  directory: SessionDirectory,
  session: SessionEnded,
  stage: StatusStage,
  signal: AbortSignal,
): Promise<void> {
  await directory.setStatus(session.status, stage, session.qemu_exit_code);
  await appendIndexLine(directory.logDirectory, indexLineOf(session), signal);
  await writeFile(directory.file(SESSION_FILES.complete), "");
}

async function endedSession(directory: SessionDirectory, outcome: SessionOutcome): Promise<SessionEnded> {
  const { started, analysis } = outcome;
  const {
    session_id,
    iso_path,
    iso_basename,
    log_dir,
    start_time_utc,
    kvm,
    trace_level,
    guest_ram_mb,
    guest_cpus,
    status: _,
    host: __,
    ...added
  } = started;
  return {
    session_id,
    status: outcome.status,
    result: analysis.boot_result,
    iso_path,
    iso_basename,
    log_dir,
    start_time_utc,
    end_time_utc: outcome.endTimeUtc,
    kvm,
    trace_level,
    guest_ram_mb,
    guest_cpus,
    qemu_exit_code: outcome.ending.qemu_exit_code,
    report_available: (await exists(directory.file(SESSION_FILES.report))) ? 1 : 0,
    host: outcome.host,
    analysis,
    hw_inventory: await hardwareInventory(directory),
    ...added,
  };
}

async function hardwareInventory(directory: SessionDirectory): Promise<SessionEnded["hw_inventory"]> {
  const files = await readdir(directory.file(SESSION_FILES.hardware)).catch(() => []);
  return {
    available: files.length > 0,
    files: files.sort().join(","),
    has_timing: await exists(directory.file(SESSION_FILES.timingJson)),
    has_network_pcap: await exists(directory.file(SESSION_FILES.networkCapture)),
  };
}

export function indexLineOf(session: SessionEnded): IndexLine {
  return {
    session_id: session.session_id,
    status: session.status,
    result: session.result,
    iso_basename: session.iso_basename,
    iso_path: session.iso_path,
    log_dir: session.log_dir,
    start_time_utc: session.start_time_utc,
    end_time_utc: session.end_time_utc,
    kvm: session.kvm,
    trace_level: session.trace_level,
    qemu_exit_code: session.qemu_exit_code,
    report_available: session.report_available,
    boot_result: session.analysis.boot_result,
    boot_stage_final: session.analysis.boot_stage_final,
    failure_domain: session.analysis.failure_domain,
    graphics_drivers: session.analysis.graphics_drivers,
  };
}

export async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

export async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, "utf8"));
}
