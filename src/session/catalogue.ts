/** The sessions under a log directory: which there are, how they went, which one a person means. */
import { readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { HiperisoError } from "../contract/error.ts";
import { ownerSchema, SESSION_FILES, type SessionFile, sessionEndedSchema, sessionStartedSchema } from "../contract/session.ts";
import { isAlive, ownIdentity } from "../host/process-identity.ts";
import { unbornName } from "./directory.ts";
import { exists, readJson } from "./finalise.ts";

export interface SessionEntry {
  readonly id: string;
  readonly directory: string;
  /** `running`: its recorder lives. `cut off`: it does not, and nothing has closed the session yet. */
  readonly state: "running" | "cut off" | "complete" | "failed";
  readonly session: SessionFile;
}

/** Oldest first. Directories without a readable `session.json` are not sessions. */
export async function listSessions(logDirectory: string): Promise<readonly SessionEntry[]> {
  const names = await readdir(logDirectory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw new HiperisoError({ what: "list sessions", where: logDirectory, found: error.message, kind: "usage", cause: error });
  });
  const entries: SessionEntry[] = [];
  // One after the other: many thousand files opened at once are more than a process may have, and those too many would be missing here.
  for (const name of names.filter((one) => !one.startsWith("."))) {
    const entry = await readSession(join(logDirectory, name));
    if (entry !== undefined) entries.push(entry);
  }
  return entries.sort((a, b) => compare(a.session.start_time_utc, b.session.start_time_utc) || compare(a.id, b.id));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

export async function readSession(directory: string): Promise<SessionEntry | undefined> {
  const content = await readJson(join(directory, SESSION_FILES.session)).catch(() => undefined);
  const session = sessionEndedSchema.safeParse(content).data ?? sessionStartedSchema.safeParse(content).data;
  if (session === undefined) return undefined;
  return { id: basename(directory), directory, state: await stateOf(directory, session), session };
}

async function stateOf(directory: string, session: SessionFile): Promise<SessionEntry["state"]> {
  if (session.status !== "started" && (await exists(join(directory, SESSION_FILES.complete))))
    return session.status as "complete" | "failed";
  const owner = ownerSchema.safeParse(await readJson(join(directory, SESSION_FILES.owner)).catch(() => undefined)).data;
  return owner !== undefined && isAlive(owner) ? "running" : "cut off";
}

/** The session that `reference` names: a directory, an id, or the beginning of just one id; undefined means the newest. */
export async function findSession(logDirectory: string, reference: string | undefined): Promise<SessionEntry> {
  const bad = (expected: string, found: string) =>
    new HiperisoError({
      what: "find the session",
      where: reference ?? logDirectory,
      expected,
      found,
      hint: "`hiperiso sessions list` shows them.",
      kind: "usage",
    });
  if (reference === "") throw bad("an id, the beginning of one, or a directory", "nothing"); // a shell variable that was not set
  if (reference?.includes("/")) {
    const entry = await readSession(resolve(reference));
    if (entry === undefined)
      throw bad(`a directory with a ${SESSION_FILES.session}`, (await exists(reference)) ? "none in it" : "no such directory");
    return entry;
  }
  const sessions = await listSessions(logDirectory);
  if (reference === undefined) {
    const newest = sessions.at(-1);
    if (newest === undefined) throw bad("at least one session", "none");
    return newest;
  }
  const exact = sessions.find(({ id }) => id === reference);
  if (exact !== undefined) return exact;
  const matching = sessions.filter(({ id }) => id.startsWith(reference));
  if (matching.length === 1) return matching[0]!;
  throw bad(
    "one session whose id begins so",
    matching.length === 0 ? "none" : `${matching.length}: ${matching.map(({ id }) => id).join(", ")}`,
  );
}

/**
 * Removes a session's directory, at once for whoever looks: what is left of a removal that is killed, the next start
 * takes away. Its index line stays: the index is a diary. Throws while the session runs.
 */
export async function removeSession(entry: SessionEntry): Promise<void> {
  if (entry.state === "running") {
    throw new HiperisoError({
      what: "remove the session",
      where: entry.directory,
      found: "it is still being recorded",
      hint: "Stop its boot first.",
      kind: "usage",
    });
  }
  const discarded = join(dirname(entry.directory), unbornName(ownIdentity()));
  await rename(entry.directory, discarded);
  await rm(discarded, { recursive: true });
}

/** Bytes in a session's directory. */
export async function sessionSize(directory: string): Promise<number> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const sizes = await Promise.all(
    entries.filter((entry) => entry.isFile()).map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
