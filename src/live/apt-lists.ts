/** apt's package lists: those of the computer, and our own, which any user may fetch; and what was found in them the last time. */
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomic } from "../host/atomic-file.ts";
import { withDirectoryLock } from "../host/lock.ts";
import { canonicalJson } from "./graph.ts";
import type { StageSurroundings } from "./stage.ts";
import { askTool, runTool, sha256 } from "./tool.ts";

/** In front of the other arguments of apt-cache and apt-get. */
export type AptOptions = readonly string[];

/** No change to a user of apt's own for downloads, which root alone could do, and no locks, which others may not be able to take. */
export const AS_ANY_USER = ["-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-qq"];

/** An update that fetches all lists of a distribution over a slow line. */
const UPDATE_WAIT_MAX_MS = 15 * 60_000;

export interface OwnLists {
  readonly folder: string;
  readonly options: AptOptions;
}

/** Package lists of our own, which any user may fetch. */
export async function ownLists({ cacheFolder }: StageSurroundings): Promise<OwnLists> {
  const folder = join(cacheFolder, "apt/lists");
  const cache = join(cacheFolder, "apt/cache");
  await mkdir(join(folder, "partial"), { recursive: true });
  await mkdir(join(cache, "archives/partial"), { recursive: true });
  const settings = [`Dir::State::lists=${folder}`, `Dir::Cache=${cache}`, "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache="];
  return { folder, options: [...settings, "Acquire::Languages=none", "Acquire::GzipIndexes=true"].flatMap((setting) => ["-o", setting]) };
}

/** Fetches our own lists anew. Of several stages and builds one after the other: apt-get would take the others' files away under their hands. */
export async function updateOwnLists(surroundings: StageSurroundings): Promise<void> {
  const { env, job } = surroundings;
  const { folder, options } = await ownLists(surroundings);
  const step = job.progress.begin("fetch the distribution's package lists");
  try {
    const update = () => runTool("apt-get", [...options, ...AS_ANY_USER, "update"], { env, signal: job.signal });
    await withDirectoryLock(folder, job.signal, update, "lists", UPDATE_WAIT_MAX_MS);
  } finally {
    step.end();
  }
}

interface AptFolders {
  /** Of the computer's lists. */
  readonly lists: string;
  readonly etc: string;
}

async function aptFolders({ env, job }: StageSurroundings): Promise<AptFolders> {
  const { stdout } = await askTool("apt-config", ["shell", "lists", "Dir::State::lists/d", "etc", "Dir::Etc/d"], {
    env,
    signal: job.signal,
  });
  const folder = (name: string): string | undefined => new RegExp(`^${name}='(.*)'$`, "m").exec(stdout)?.[1];
  return { lists: folder("lists") ?? "/var/lib/apt/lists/", etc: folder("etc") ?? "/etc/apt/" };
}

/** Whether our lists were fetched after the computer's. */
export async function areOwnNewer(surroundings: StageSurroundings): Promise<boolean> {
  const { folder } = await ownLists(surroundings);
  if (!(await readdir(folder)).some((name) => name.includes("_Packages"))) return false;
  const fetchedAt = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
  return (await fetchedAt(folder)) > (await fetchedAt((await aptFolders(surroundings)).lists));
}

const Kept = z.strictObject({ state: z.string(), answer: z.unknown() });

/**
 * What `ask` answered the last time, as long as all that apt reads for its answer is as it was: its configuration, the computer's lists and ours. apt-cache
 * takes seconds for what this tells in milliseconds. `question`: what the answer depends on beside that. `shape`: what an answer looks like.
 */
export async function rememberedAnswer<Answer>(
  question: unknown,
  shape: z.ZodType<Answer>,
  surroundings: StageSurroundings,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  const path = join(surroundings.cacheFolder, "apt/answers", `${sha256(canonicalJson(question))}.json`);
  const before = await stateOf(surroundings);
  const kept = await readKept(path);
  if (kept?.state === before) {
    const answer = shape.safeParse(kept.answer);
    if (answer.success) return answer.data;
  }
  const answer = await ask();
  // Lists that were fetched for the answer make a new state; those that changed under our hands make one that is not kept.
  const state = await stateOf(surroundings);
  if (state === (await stateOf(surroundings))) {
    await mkdir(join(path, ".."), { recursive: true });
    await writeFileAtomic(path, `${JSON.stringify({ state, answer })}\n`);
  }
  return answer;
}

async function readKept(path: string): Promise<z.infer<typeof Kept> | undefined> {
  try {
    return Kept.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

/** Names, sizes and times to the nanosecond of what apt reads. */
async function stateOf(surroundings: StageSurroundings): Promise<string> {
  const { lists, etc } = await aptFolders(surroundings);
  const files: string[] = [];
  const note = async (path: string): Promise<void> => {
    const facts = await stat(path, { bigint: true }).catch(() => undefined);
    files.push(`${path} ${facts === undefined ? "none" : `${facts.ino} ${facts.size} ${facts.mtimeNs} ${facts.ctimeNs}`}`);
  };
  const visit = async (folder: string, depth: number): Promise<void> => {
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && depth > 0) await visit(path, depth - 1);
      else await note(path);
    }
  };
  // Where a mirror is a folder of this computer, its own list counts only when it is fetched.
  for (const folder of [lists, (await ownLists(surroundings)).folder]) await visit(folder, 0);
  await visit(etc, 1);
  for (const name of ["APT_CONFIG", "PATH"]) files.push(`${name}=${surroundings.env[name] ?? ""}`);
  if (surroundings.env["APT_CONFIG"] !== undefined) await note(surroundings.env["APT_CONFIG"]);
  return sha256(files.sort().join("\n"));
}
