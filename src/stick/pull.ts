/** Sessions from a stick to this computer: copied whole or not at all, entered in the index here, closed where they were cut off. */
import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { analyseSession } from "../analysis/analyse.ts";
import type { Rule } from "../analysis/rule.ts";
import type { Job } from "../contract/job.ts";
import { SESSION_FILES } from "../contract/session.ts";
import { copyFiles } from "../disk/copy/copy-files.ts";
import { hostTree } from "../disk/copy/host-tree.ts";
import { planCopy } from "../disk/copy/plan-copy.ts";
import { syncDirectory } from "../host/atomic-file.ts";
import type { Clock } from "../host/clock.ts";
import { takeFolderTurn } from "../host/folder-turn.ts";
import { makeFolders } from "../host/make-folders.ts";
import { sweepOrphans } from "../session/orphans.ts";
import { appendIndexLine } from "../session/session-index.ts";
import type { StickData } from "./data.ts";
import type { StickSession } from "./sessions.ts";

export interface PullWish {
  /** Of those that are there: all of them, or those that are not here yet. */
  readonly sessions: readonly StickSession[];
  /** Folder of this computer; made where it is missing. */
  readonly target: string;
  /** Sessions that are here already are copied again. */
  readonly again: boolean;
  /** Analysed by this version, the reports as they were recorded beside it. */
  readonly reanalyse: boolean;
  readonly rules: () => Promise<readonly Rule[]>;
}

export interface PulledSession {
  readonly id: string;
  readonly directory: string;
  /** It had been cut off, and is marked failed here. The stick keeps it as it is. */
  readonly closed: boolean;
}

export interface Pulled {
  readonly sessions: readonly PulledSession[];
  /** Ids of those that were here already. */
  readonly here: readonly string[];
  /** Ids of those that are still being recorded. */
  readonly running: readonly string[];
}

/** The stick is only read. A session is here under its name when all of it is; one that was interrupted is copied anew. */
export async function pullSessions(data: StickData, wish: PullWish, clock: Clock, job: Job): Promise<Pulled> {
  const { target, again, reanalyse, rules } = wish;
  await makeFolders(target);
  await using _turn = await takeFolderTurn(target, "pull", job.signal, () =>
    job.progress.say("waiting: another pull works in this folder"),
  );
  await removeLeftovers(target);
  const pulled: StickSession[] = [];
  const here: string[] = [];
  const running: string[] = [];
  for (const session of wish.sessions) {
    job.signal.throwIfAborted();
    const { id, folder, state, line } = session;
    if (folder === undefined) continue;
    const isHere = (await stat(join(target, id)).catch(() => undefined)) !== undefined;
    if (state === "running") running.push(id);
    else if (isHere && !again) here.push(id);
    else {
      await copySession(data, folder, join(target, id), isHere, job);
      if (line !== undefined) await appendIndexLine(target, line, job.signal);
      pulled.push(session);
    }
  }
  const closed = new Set(await sweepOrphans(target, clock, job.signal, rules));
  for (const { id } of pulled) if (reanalyse) await reanalyseBeside(join(target, id), await rules(), job);
  return { sessions: pulled.map(({ id }) => ({ id, directory: join(target, id), closed: closed.has(id) })), here, running };
}

const LEFTOVER = /^\.pull-[0-9a-f]{16}$/;
const leftoverName = (): string => `.pull-${randomBytes(8).toString("hex")}`;

/** Of pulls that were killed: the turn says that none is at work. */
async function removeLeftovers(target: string): Promise<void> {
  for (const name of await readdir(target)) if (LEFTOVER.test(name)) await rm(join(target, name), { recursive: true, force: true });
}

async function copySession({ tree, at }: StickData, folder: string, directory: string, isHere: boolean, job: Job): Promise<void> {
  const temporary = join(directory, "..", leftoverName());
  const sources = [{ tree, path: at(folder), name: "" }];
  const wish = { sources, target: hostTree, destination: temporary, intoFolder: false, recursive: true, force: false };
  try {
    await copyFiles(await planCopy(wish, job.signal), hostTree, job);
    if (isHere) {
      const old = join(directory, "..", leftoverName());
      await rename(directory, old);
      await rename(temporary, directory);
      await rm(old, { recursive: true, force: true });
    } else await rename(temporary, directory);
    await syncDirectory(join(directory, ".."));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
}

/** Where the reports stand that the stick wrote. */
export const RECORDED_FOLDER = "as-recorded";

const REPORTS = [
  SESSION_FILES.report,
  SESSION_FILES.reportText,
  SESSION_FILES.reportLog,
  SESSION_FILES.reportPage,
  SESSION_FILES.analysisMeta,
];

async function reanalyseBeside(directory: string, rules: readonly Rule[], job: Job): Promise<void> {
  const kept = join(directory, RECORDED_FOLDER);
  await mkdir(kept, { recursive: true });
  for (const name of REPORTS) {
    const isKept = (await stat(join(kept, name)).catch(() => undefined)) !== undefined;
    const isThere = (await stat(join(directory, name)).catch(() => undefined)) !== undefined;
    if (isThere && !isKept) await rename(join(directory, name), join(kept, name));
  }
  await analyseSession(directory, { job, rules });
}
