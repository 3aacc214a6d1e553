/**
 * Sessions whose recorder died before it could close them. The next start of the program marks them `failed`, adds
 * their line to the index and analyses what is there. Whether a session is an orphan is decided by its owner's
 * process, never by the age of a file (CONTRACT section 4).
 */
import { readdir, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { analyseSession } from "../analysis/analyse.ts";
import {
  endingSchema,
  type Owner,
  ownerSchema,
  SESSION_FILES,
  type SessionEnded,
  type SessionStarted,
  sessionEndedSchema,
  sessionStartedSchema,
} from "../contract/session.ts";
import { type Clock, utcOf } from "../host/clock.ts";
import { withDirectoryLock } from "../host/lock.ts";
import { identityOf, isAlive } from "../host/process-identity.ts";
import { decodeUnbornName, SessionDirectory } from "./directory.ts";
import { failedEnding, failureText } from "./failure.ts";
import { completeSession, exists, finaliseSession, readJson } from "./finalise.ts";

const OWNER_DIED = "its recorder was killed, or the computer went down, before the boot was over";
const NO_HOST: SessionEnded["host"] = { kernel_version: "", cpu_model: "", cpu_logical_cores: 0, total_ram_mb: 0, virt_supported: false };

/** Ids of the sessions that were closed. One sweeper at a time: two programs that start together must not both add a line. */
export async function sweepOrphans(logDirectory: string, clock: Clock, signal: AbortSignal): Promise<readonly string[]> {
  const names = await readdir(logDirectory).catch(() => []);
  const suspects: string[] = [];
  for (const name of names.sort()) {
    if (await isOrphan(join(logDirectory, name))) suspects.push(name);
  }
  if (suspects.length === 0) return [];
  return await withSweepLock(logDirectory, signal, async () => {
    const closed: string[] = [];
    for (const name of suspects) {
      const path = join(logDirectory, name);
      if (!(await isOrphan(path))) continue; // another sweeper was here first
      if (decodeUnbornName(name) !== undefined) await rm(path, { recursive: true, force: true });
      else if (await closeOrphan(logDirectory, path, clock, signal)) closed.push(name);
    }
    return closed;
  });
}

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

/** False where the directory holds no readable `session.json`: nothing can be said of it. */
async function closeOrphan(logDirectory: string, path: string, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const session = await readJson(join(path, SESSION_FILES.session)).catch(() => undefined);
  await endLeftovers(path);
  const ended = sessionEndedSchema.safeParse(session);
  const started = sessionStartedSchema.safeParse(session);
  if (ended.success) await completeSession(SessionDirectory.at(logDirectory, startOf(ended.data, path), clock), ended.data, signal);
  else if (started.success)
    await closeStarted(SessionDirectory.at(logDirectory, { ...started.data, session_id: basename(path) }, clock), signal);
  else return false;
  return true;
}

const startOf = (session: SessionEnded, path: string): SessionStarted => ({ ...session, status: "started", session_id: basename(path) });

async function closeStarted(directory: SessionDirectory, signal: AbortSignal): Promise<void> {
  const ending = endingSchema.safeParse(await readJson(directory.file(SESSION_FILES.ending)).catch(() => undefined)).data;
  const known = ending ?? (await failedEnding(directory, String(directory.started["goal"] ?? ""), new Error(OWNER_DIED)));
  await directory.releaseReserve();
  if (ending === undefined) await directory.writeJson(SESSION_FILES.ending, known);
  const { report, analysis } = await analyseSession(directory.path);
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

/** QEMU dies with its recorder; should it not have, it is ended here, as is the directory of its private files. */
async function endLeftovers(path: string): Promise<void> {
  const qemu = ownerSchema
    .partial({ scratch_dir: true })
    .safeParse(await readJson(join(path, SESSION_FILES.qemuProcess)).catch(() => undefined)).data;
  if (qemu !== undefined && isAlive({ ...qemu })) process.kill(qemu.pid, "SIGKILL");
  const owner = await readOwner(path);
  if (owner !== undefined && basename(owner.scratch_dir).startsWith("hiperiso-"))
    await rm(owner.scratch_dir, { recursive: true, force: true });
}
