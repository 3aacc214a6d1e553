/**
 * The life of a session: a directory, a guest, evidence, an ending, a verdict.
 *
 * Whatever throws after the directory exists ends as a failed session with what was recorded until then; whatever
 * kills this process leaves an orphan that the next start finishes (`orphans.ts`).
 */
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { analyseSession } from "../analysis/analyse.ts";
import { createGoal } from "../analysis/goal.ts";
import type { Report } from "../contract/report.ts";
import { type Ending, type Owner, SESSION_FILES, type SessionEnded, type SessionStarted } from "../contract/session.ts";
import { runAttempt } from "./attempt.ts";
import { SessionDirectory } from "./directory.ts";
import { failedEnding, failureText } from "./failure.ts";
import { finaliseSession } from "./finalise.ts";
import type { Recording } from "./recording.ts";

export interface Recorded {
  readonly directory: string;
  readonly session: SessionEnded;
  readonly report: Report | undefined;
}

export async function recordBoot(recording: Recording): Promise<Recorded> {
  createGoal(recording.goal); // a goal that means nothing is refused before anything is made
  const scratch = await mkdtemp(join(recording.scratchRoot, "hiperiso-"));
  try {
    const owner: Owner = { ...recording.ownIdentity, scratch_dir: scratch };
    const directory = await SessionDirectory.create({ ...recording.session, owner, firstStage: "mounted" }, recording.clock);
    recording.onEvent({ type: "session", id: directory.id, directory: directory.path, plan: recording.plan });
    return await recordIn(directory, scratch, recording);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function recordIn(directory: SessionDirectory, scratch: string, recording: Recording): Promise<Recorded> {
  let ending: Ending;
  let failure: unknown;
  let emulated = false;
  try {
    await directory.markPhase("started");
    await saveHostInventory(directory, recording);
    ending = await runAttempt(directory, scratch, recording.plan, recording);
    if (recording.plan.accelerator.use === "kvm" && kvmFailed(ending)) {
      emulated = true;
      await putAside(directory, "attempt-1-kvm");
      recording.onEvent({ type: "restart", because: ending.detail });
      ending = { ...(await runAttempt(directory, scratch, recording.emulated, recording)), first_attempt: ending };
    }
  } catch (error) {
    failure = error;
    ending = await failedEnding(directory, recording.goal, error);
  }
  recording.onEvent({ type: "ending", ending });
  const { started } = directory;
  const kvm = emulated ? "unavailable" : recording.plan.accelerator.use === "kvm" && failure === undefined ? "available" : started.kvm;
  return await conclude(directory, { ...started, kvm }, ending, failure, recording);
}

/** It stopped in the middle of an instruction that KVM could not do, or would not even start. */
const kvmFailed = (ending: Ending): boolean =>
  ending.reason === "internal_error" || (ending.reason === "qemu_died" && ending.serial_bytes === 0 && ending.qemu_exit_code !== 0);

/** Analysis, and the files that close the session. Throws what had failed, once the session says so. */
async function conclude(
  directory: SessionDirectory,
  started: SessionStarted,
  ending: Ending,
  failure: unknown,
  { clock, host, onEvent }: Recording,
): Promise<Recorded> {
  const endTimeUtc = clock.utc();
  await directory.releaseReserve();
  await directory.writeJson(SESSION_FILES.ending, ending);
  await directory.markPhase("analysis");
  const { report, analysis } = await analyseSession(directory.path);
  const failed = failure !== undefined;
  const outcome = {
    started,
    status: failed ? ("failed" as const) : ("complete" as const),
    stage: failed ? ("fatal_error" as const) : ("session_complete" as const),
    ending,
    endTimeUtc,
    host,
    analysis,
    failure: failureText(failure, ending, report),
  };
  // An interrupted boot is finalised all the same: hence a signal of its own.
  const session = await finaliseSession(directory, outcome, new AbortController().signal);
  onEvent({ type: "status", stage: outcome.stage });
  onEvent({ type: "verdict", session, report });
  if (failed) throw failure;
  return { directory: directory.path, session, report };
}

async function saveHostInventory(directory: SessionDirectory, { hostInventory, job }: Recording): Promise<void> {
  await mkdir(directory.file(SESSION_FILES.hardware), { recursive: true });
  for await (const { name, text } of hostInventory(job.signal)) await writeFile(join(directory.file(SESSION_FILES.hardware), name), text);
}

/** The evidence of a boot that is tried again stays, out of the way of the one that counts. */
async function putAside(directory: SessionDirectory, name: string): Promise<void> {
  await mkdir(directory.file(name), { recursive: true });
  const { serial, serialTimes, firmwareLog, qemuErrors, qemuCommandLine, plan, screenText } = SESSION_FILES;
  for (const file of [serial, serialTimes, firmwareLog, qemuErrors, qemuCommandLine, plan, screenText]) {
    await rename(directory.file(file), join(directory.file(name), file)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }
}
