/** The sessions on a stick: what its index says, and what is there. */
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import {
  INDEX_FILE,
  type IndexLine,
  ownerSchema,
  SESSION_FILES,
  type SessionFile,
  sessionEndedSchema,
  sessionStartedSchema,
} from "../contract/session.ts";
import type { SESSION_STATES } from "../contract/stick-answers.ts";
import { isAlive } from "../host/process-identity.ts";
import { decodeIndex } from "../session/session-index.ts";
import { readDataFile, type StickData } from "./data.ts";

export interface StickSession {
  readonly id: string;
  /** Its folder on the stick; undefined where only its line in the index is left. */
  readonly folder: string | undefined;
  /** `cut off`: its recorder died, and nothing has closed it. `running`: it lives, on this computer. `gone`: its folder was removed. */
  readonly state: (typeof SESSION_STATES)[number];
  readonly line: IndexLine | undefined;
  readonly session: SessionFile | undefined;
}

export interface StickSessions {
  /** Oldest first. */
  readonly sessions: readonly StickSession[];
  /** Numbers, from 1, of lines of the index that are none. */
  readonly unreadableLines: readonly number[];
}

const INDEX_BYTES_MAX = 64 << 20;
const JSON_BYTES_MAX = 4 << 20;

/** `logs`: the folder on the stick. What is damaged there is told and left out. */
export async function readStickSessions(data: StickData, logs: string, job: Job): Promise<StickSessions> {
  const { tree, at } = data;
  if ((await tree.stat(at(logs)))?.kind !== "directory") return { sessions: [], unreadableLines: [] };
  const index = decodeIndex(await textOf(data, `${logs}/${INDEX_FILE}`, INDEX_BYTES_MAX, job));
  const lines = new Map(index.lines.map((line) => [line.session_id, line]));
  const found = new Map<string, StickSession>();
  for await (const { name, kind } of tree.list(at(logs))) {
    job.signal.throwIfAborted();
    if (name === undefined || kind !== "directory" || name.startsWith(".")) continue;
    const session = await readSessionFolder(data, `${logs}/${name}`, job);
    if (session !== undefined) found.set(name, { id: name, folder: `${logs}/${name}`, line: lines.get(name), ...session });
  }
  for (const line of index.lines) {
    if (!found.has(line.session_id))
      found.set(line.session_id, { id: line.session_id, folder: undefined, state: "gone", line, session: undefined });
  }
  const startOf = ({ line, session }: StickSession) => session?.start_time_utc ?? line?.start_time_utc ?? "";
  const sessions = [...found.values()].sort((a, b) => compare(startOf(a), startOf(b)) || compare(a.id, b.id));
  return { sessions, unreadableLines: index.unreadable };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

async function readSessionFolder(data: StickData, folder: string, job: Job): Promise<Pick<StickSession, "state" | "session"> | undefined> {
  const { tree, at } = data;
  const json = await jsonOf(data, `${folder}/${SESSION_FILES.session}`, job);
  const session = sessionEndedSchema.safeParse(json).data ?? sessionStartedSchema.safeParse(json).data;
  if (session === undefined) return undefined;
  const isClosed = session.status !== "started" && (await tree.stat(at(`${folder}/${SESSION_FILES.complete}`))) !== undefined;
  if (isClosed) return { state: session.status === "complete" ? "complete" : "failed", session };
  // On a stick of another computer, or of another start of this one, no owner lives.
  const owner = ownerSchema.safeParse(await jsonOf(data, `${folder}/${SESSION_FILES.owner}`, job)).data;
  return { state: owner !== undefined && isAlive(owner) ? "running" : "cut off", session };
}

async function jsonOf(data: StickData, path: string, job: Job): Promise<unknown> {
  try {
    return JSON.parse(await textOf(data, path, JSON_BYTES_MAX, job));
  } catch {
    return undefined;
  }
}

async function textOf(data: StickData, path: string, bytesMax: number, job: Job): Promise<string> {
  try {
    return new TextDecoder().decode(await readDataFile(data, path, bytesMax));
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    job.progress.warn(reasonOf(error));
    return "";
  }
}

/** Those whose ids begin so. Throws HiperisoError of kind `usage` where a beginning is that of none, or of more than one, or their folder is gone. */
export function chosenSessions(sessions: readonly StickSession[], references: readonly string[], where: string): readonly StickSession[] {
  const chosen = references.map((reference) => {
    const exact = sessions.find(({ id }) => id === reference);
    const matching = exact === undefined ? sessions.filter(({ id }) => id.startsWith(reference)) : [exact];
    const [only] = matching;
    if (only !== undefined && matching.length === 1 && only.folder !== undefined) return only;
    throw new HiperisoError({
      what: "find the session on the stick",
      where,
      expected: `one session whose id begins with ${JSON.stringify(reference)}`,
      found: only === undefined ? "none" : matching.length > 1 ? matching.map(({ id }) => id).join(", ") : "its line in the index alone",
      kind: "usage",
    });
  });
  return [...new Map(chosen.map((session) => [session.id, session])).values()];
}
