/**
 * Sessions whose recorder died before it could close them. The next start of the program marks them `failed`, adds
 * their line to the index and analyses what is there. Whether a session is an orphan is decided by its owner's
 * process, never by the age of a file (CONTRACT section 4).
 */
import { readdir, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { STANDARD_GOAL } from "../analysis/goal.ts";
import type { Rule } from "../analysis/rule.ts";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { silentProgress } from "../contract/job.ts";
import {
  endingSchema,
  type Owner,
  ownerSchema,
  SESSION_FILES,
  type SessionEnded,
  type StatusStage,
  sessionEndedSchema,
  sessionStartedSchema,
  statusSchema,
} from "../contract/session.ts";
import { type Clock, utcOf } from "../host/clock.ts";
import { withDirectoryLock } from "../host/lock.ts";
import { identityOf, isAlive } from "../host/process-identity.ts";
import { decodeUnbornName, SessionDirectory } from "./directory.ts";
import { analyseOrSayWhy, failedEnding, failureText } from "./failure.ts";
import { completeSession, exists, finaliseSession, readJson } from "./finalise.ts";
import { removeScratch } from "./scratch.ts";

const OWNER_DIED = "its recorder was killed, or the computer went down, before the boot was over";
const NO_HOST: SessionEnded["host"] = { kernel_version: "", cpu_model: "", cpu_logical_cores: 0, total_ram_mb: 0, virt_supported: false };

/** A person's own rules, asked for when there is something to analyse: mostly there is not. */
export type RulesForOrphans = () => Promise<readonly Rule[]>;

/**
 * Ids of the sessions that were closed. One sweeper at a time: two programs that start together must not both add a line.
 * Throws the first trouble when all have been tried: a session that cannot be closed keeps no other from it.
 */
export async function sweepOrphans(
  logDirectory: string,
  clock: Clock,
  signal: AbortSignal,
  rules: RulesForOrphans = async () => [],
): Promise<readonly string[]> {
  const names = await readdir(logDirectory).catch(() => []);
  const suspects: string[] = [];
  for (const name of names.sort()) {
    if (await isOrphan(join(logDirectory, name))) suspects.push(name);
  }
  if (suspects.length === 0) return [];
  return await withSweepLock(logDirectory, signal, async () => {
    let asked: Promise<readonly Rule[]> | undefined;
    const rulesOnce = () => (asked ??= rules());
    const closed: string[] = [];
    const troubles: unknown[] = [];
    for (const name of suspects) {
      const path = join(logDirectory, name);
      try {
        if (!(await isOrphan(path))) continue; // another sweeper was here first
        await endLeftovers(path);
        if (decodeUnbornName(name) !== undefined) await rm(path, { recursive: true, force: true });
        else if (await closeOrphan(logDirectory, path, { clock, signal, rules: rulesOnce })) closed.push(name);
      } catch (error) {
        signal.throwIfAborted();
        troubles.push(
          new HiperisoError({ what: "close a session that was cut off", where: path, found: reasonOf(error), hint: RIGHTS, cause: error }),
        );
      }
    }
    if (troubles.length > 0) throw troubles[0];
    return closed;
  });
}

const RIGHTS = "See that you may write there and that there is room.";

/** A lock of its own: closing a session takes the log directory's for its index line. */
async function withSweepLock<T>(logDirectory: string, signal: AbortSignal, use: () => Promise<T>): Promise<T> {
  return await withDirectoryLock(logDirectory, signal, use, "sweep");
}

async function isOrphan(path: string): Promise<boolean> {
  const unborn = decodeUnbornName(basename(path));
  if (unborn !== undefined) return identityOf(unborn.pid)?.pid_start_ticks !== unborn.startTicks;
  if (await exists(join(path, SESSION_FILES.complete))) return false;
  const owner = await readOwner(path);
  return owner !== undefined && !isAlive(owner);
}

/** Undefined where nobody says that it is a session of ours: then it is left alone. */
async function readOwner(path: string): Promise<Owner | undefined> {
  return ownerSchema.safeParse(await readJson(join(path, SESSION_FILES.owner)).catch(() => undefined)).data;
}

interface Sweep {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly rules: RulesForOrphans;
}

/** False where the directory holds no readable `session.json`: nothing can be said of it. */
async function closeOrphan(logDirectory: string, path: string, { clock, signal, rules }: Sweep): Promise<boolean> {
  const content = await readJson(join(path, SESSION_FILES.session)).catch(() => undefined);
  const session = sessionEndedSchema.safeParse(content).data ?? sessionStartedSchema.safeParse(content).data;
  if (session === undefined) return false;
  const directory = SessionDirectory.at(logDirectory, { ...session, status: "started", session_id: basename(path) }, clock);
  if (session.status === "started") await closeStarted(directory, await rules(), signal);
  else await completeSession(directory, session as SessionEnded, await lastStage(directory, session as SessionEnded), signal);
  return true;
}

/** The cut may have come before `status.json` was written, or after. */
async function lastStage(directory: SessionDirectory, { status }: SessionEnded): Promise<StatusStage> {
  const written = statusSchema.safeParse(await readJson(directory.file(SESSION_FILES.status)).catch(() => undefined)).data;
  if (written?.status === status) return written.stage;
  return status === "complete" ? "session_complete" : "fatal_error";
}

async function closeStarted(directory: SessionDirectory, rules: readonly Rule[], signal: AbortSignal): Promise<void> {
  const ending = endingSchema.safeParse(await readJson(directory.file(SESSION_FILES.ending)).catch(() => undefined)).data;
  const known = ending ?? (await failedEnding(directory, String(directory.started["goal"] ?? STANDARD_GOAL), new Error(OWNER_DIED)));
  await directory.releaseReserve();
  if (ending === undefined) await directory.writeJson(SESSION_FILES.ending, known);
  const { report, analysis } = await analyseOrSayWhy(directory.path, rules, { signal, progress: silentProgress });
  const lastBeat = await stat(directory.file(SESSION_FILES.heartbeat)).catch(() => undefined);
  await finaliseSession(
    directory,
    {
      started: directory.started,
      status: "failed",
      stage: "fatal_error",
      ending: known,
      endTimeUtc: lastBeat === undefined ? directory.started.start_time_utc : utcOf(lastBeat.mtimeMs),
      host: (directory.started["host"] as SessionEnded["host"] | undefined) ?? NO_HOST,
      analysis,
      failure: failureText(new Error(OWNER_DIED), known, report),
    },
    signal,
  );
}

/** QEMU dies with its recorder; should it not have, it is ended here. Its private files go, its socket, and files that were being replaced. */
async function endLeftovers(path: string): Promise<void> {
  const qemu = ownerSchema
    .partial({ scratch_dir: true })
    .safeParse(await readJson(join(path, SESSION_FILES.qemuProcess)).catch(() => undefined)).data;
  if (qemu !== undefined && isAlive(qemu)) killUnlessGone(qemu.pid);
  const owner = await readOwner(path);
  if (owner !== undefined) await removeScratch(owner);
  const halfMade = (await readdir(path)).filter((name) => name === SESSION_FILES.monitorSocket || /^\..+\.[0-9a-f]{8}\.tmp$/.test(name));
  for (const name of halfMade) await rm(join(path, name), { force: true });
}

function killUnlessGone(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
