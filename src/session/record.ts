/**
 * The life of a session: a directory, a guest, evidence, an ending, a verdict.
 *
 * Whatever throws after the directory exists ends as a failed session with what was recorded until then; whatever
 * kills this process leaves an orphan that the next start finishes (`orphans.ts`).
 */
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createGoal } from "../analysis/goal.ts";
import type { SessionReport } from "../analysis/session-report.ts";
import { reasonOf } from "../contract/error.ts";
import { quietJob } from "../contract/job.ts";
import { type Ending, type Owner, SESSION_FILES, type SessionEnded, type SessionStarted, type StatusStage } from "../contract/session.ts";
import type { MachinePlan } from "../machine/plan.ts";
import { runAttempt } from "./attempt.ts";
import { SessionDirectory } from "./directory.ts";
import { analyseOrSayWhy, failedEnding, failureText } from "./failure.ts";
import { finaliseSession } from "./finalise.ts";
import type { Recording } from "./recording.ts";
import { makeScratch, removeScratch } from "./scratch.ts";

export interface Recorded {
  readonly directory: string;
  readonly session: SessionEnded;
  readonly report: SessionReport | undefined;
}

export async function recordBoot(recording: Recording): Promise<Recorded> {
  createGoal(recording.goal); // a goal that means nothing is refused before anything is made
  recording.job.signal.throwIfAborted();
  const owner: Owner = { ...recording.ownIdentity, scratch_dir: await makeScratch(recording.scratchRoot, recording.ownIdentity) };
  try {
    const directory = await SessionDirectory.create({ ...recording.session, owner, firstStage: "mounted" }, recording.clock);
    return await recordIn(directory, owner.scratch_dir, recording);
  } finally {
    await removeScratch(owner).catch((error: unknown) => recording.job.progress.warn(`${owner.scratch_dir} stays: ${reasonOf(error)}`));
  }
}

async function recordIn(directory: SessionDirectory, scratch: string, recording: Recording): Promise<Recorded> {
  let ending: Ending;
  let failure: unknown;
  let emulated = false;
  try {
    recording.onEvent({ type: "session", id: directory.id, directory: directory.path, plan: recording.plan });
    await directory.markPhase("started");
    if (recording.steps.length > 0) await directory.writeJson(SESSION_FILES.buildSteps, recording.steps);
    await saveHostInventory(directory, recording);
    await using furnished = await recording.furnish?.(scratch, recording.job);
    const furnish = (plan: MachinePlan) => furnished?.change(plan) ?? plan;
    ending = await runAttempt(directory, scratch, furnish(recording.plan), recording);
    if (recording.plan.accelerator.use === "kvm" && kvmFailed(ending)) {
      emulated = true;
      await putAside(directory, "attempt-1-kvm");
      recording.onEvent({ type: "restart", because: ending.detail });
      ending = { ...(await runAttempt(directory, scratch, furnish(recording.emulated), recording)), first_attempt: ending };
    }
  } catch (error) {
    ending = await failedEnding(directory, recording.goal, error);
    if (interrupted(recording.job.signal, error)) ending = { ...ending, reason: "interrupted", detail: "stopped before QEMU ran" };
    else failure = error;
  }
  recording.onEvent({ type: "ending", ending });
  return await conclude(directory, withKvm(directory.started, recording.plan, ending, emulated), ending, failure, recording);
}

/** Ctrl-C while the boot was being prepared: whoever waited threw. */
const interrupted = (signal: AbortSignal, error: unknown): boolean =>
  signal.aborted && (error === signal.reason || (error instanceof Error && error.name === "AbortError"));

/** What the boot itself has shown of KVM is worth more than the probe. */
function withKvm(started: SessionStarted, plan: MachinePlan, ending: Ending, emulated: boolean): SessionStarted {
  if (emulated)
    return { ...started, kvm: "unavailable", kvm_because: "it could not run this guest; see first_attempt", accelerator: "tcg" };
  if (plan.accelerator.use === "kvm" && ending.duration_ms !== null) return { ...started, kvm: "available" };
  return started;
}

/** It stopped in the middle of an instruction that KVM could not do, or would not even start. */
const kvmFailed = (ending: Ending): boolean =>
  ending.reason === "internal_error" || (ending.reason === "qemu_died" && ending.serial_bytes === 0 && ending.qemu_exit_code !== 0);

/** Analysis, and the files that close the session. Throws what had failed, once the session says so. */
export async function conclude(
  directory: SessionDirectory,
  started: SessionStarted,
  ending: Ending,
  thrown: unknown,
  recording: Pick<Recording, "clock" | "host" | "rules" | "onEvent">,
): Promise<Recorded> {
  const { failure, ...recorded } = await closeSession(directory, started, ending, thrown, recording);
  if (failure !== undefined) throw failure;
  return recorded;
}

/** The same, with what had failed as an answer. `stage`: the last one of `status.json`, where it is none of the usual two. */
export async function closeSession(
  directory: SessionDirectory,
  started: SessionStarted,
  ending: Ending,
  thrown: unknown,
  { clock, host, rules, onEvent }: Pick<Recording, "clock" | "host" | "rules" | "onEvent">,
  stage?: StatusStage,
): Promise<Recorded & { readonly failure: unknown }> {
  const endTimeUtc = clock.utc();
  await directory.releaseReserve();
  await directory.writeJson(SESSION_FILES.ending, ending);
  await directory.markPhase("analysis").catch(() => {});
  const { report, analysis, trouble } = await analyseOrSayWhy(directory.path, rules, quietJob);
  const failure = thrown ?? trouble;
  const failed = failure !== undefined;
  const outcome = {
    started,
    status: failed ? ("failed" as const) : ("complete" as const),
    stage: stage ?? (failed ? "fatal_error" : "session_complete"),
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
  return { directory: directory.path, session, report, failure };
}

export async function saveHostInventory(
  directory: SessionDirectory,
  { hostInventory, job }: Pick<Recording, "hostInventory" | "job">,
): Promise<void> {
  await mkdir(directory.file(SESSION_FILES.hardware), { recursive: true });
  for await (const { name, text } of hostInventory(job.signal)) await writeFile(join(directory.file(SESSION_FILES.hardware), name), text);
}

/** The evidence of a boot that is tried again stays, out of the way of the one that counts. */
async function putAside(directory: SessionDirectory, name: string): Promise<void> {
  await mkdir(directory.file(name), { recursive: true });
  const { serial, serialTimes, firmwareLog, qemuErrors, qemuCommandLine, plan, screenText, script, networkCapture } = SESSION_FILES;
  const { trace, traceEvents, traceFacts, traceRest } = SESSION_FILES;
  for (const file of [
    serial,
    serialTimes,
    firmwareLog,
    qemuErrors,
    qemuCommandLine,
    plan,
    screenText,
    script,
    networkCapture,
    trace,
    traceEvents,
    traceFacts,
    traceRest,
  ]) {
    await rename(directory.file(file), join(directory.file(name), file)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
  }
}
