/**
 * Outputs of stages, each kept under the hash of its recipe:
 *
 *   outputs/<hash>/          what the stage made, complete and synced before it gets this name
 *   recipes/<hash>.json      what it was made from: why a stage runs again is read from these; its time is the output's last use
 *   logs/<hash>.log          what the stage ran and what that said
 *   latest/<spec>.<stage>    the hash that this stage had last, and the path of its spec; <spec> is the spec's name and a mark of its path
 *   failed/<plan>.<stage>/   the workplace of a stage that failed, until it runs again: log, output, scratch
 *   work/<pid>-<ticks>-…/    being made; removed by the next build when its owner is gone
 *   pins/<pid>-<ticks>-…     what a living build uses, a hash in each line: not to be cleaned away under its hands
 *   cache/                   what stages fetched, and check when they use it
 *
 * A cut at any moment leaves only whole outputs under their names.
 */
import { createHash, randomBytes } from "node:crypto";
import { appendFile, mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { quietJob } from "../contract/job.ts";
import { syncDirectory, syncTree } from "../host/atomic-file.ts";
import { withDirectoryLock } from "../host/lock.ts";
import { isAlive, ownIdentity, type ProcessIdentity } from "../host/process-identity.ts";
import type { Environment } from "../host/xdg.ts";
import { type Recipe, recipeHash } from "./graph.ts";
import { removeTree } from "./sandbox/tree.ts";

export interface Workplace extends AsyncDisposable {
  readonly path: string;
  readonly output: string;
  readonly scratch: string;
  /** Of the log that is to be written there. */
  readonly log: string;
}

/** What one build uses. Disposing of it lets go of all. */
export interface Pins extends AsyncDisposable {
  /** Whether the output is there. It then stays until the build ends. */
  holds(hash: string): Promise<boolean>;
}

const FOLDERS = ["outputs", "recipes", "logs", "latest", "failed", "work", "pins"] as const;
const HASH = /^[0-9a-f]{64}$/;

export class Store {
  readonly root: string;
  readonly #env: Environment;

  private constructor(root: string, env: Environment) {
    this.root = root;
    this.#env = env;
  }

  /** Makes the folders, and removes what builds left behind that are no longer running. `env`: where tools are looked for. */
  static async open(root: string, env: Environment): Promise<Store> {
    try {
      for (const name of FOLDERS) await mkdir(join(root, name), { recursive: true });
    } catch (error) {
      throw storeError("open the store of stages", root, error);
    }
    const store = new Store(root, env);
    await store.#removeOrphans();
    return store;
  }

  /** Where the output with this hash is, or will be. */
  pathOf(hash: string): string {
    return join(this.root, "outputs", hash);
  }

  logOf(hash: string): string {
    return join(this.root, "logs", `${hash}.log`);
  }

  async has(hash: string): Promise<boolean> {
    return (await stat(this.pathOf(hash)).catch(() => undefined))?.isDirectory() ?? false;
  }

  /** `nowMs`: the time of this build, for the last use of what it uses. */
  async pins(nowMs: number, signal: AbortSignal): Promise<Pins> {
    const path = join(this.root, "pins", newName());
    await this.#wrote(path, () => writeFile(path, ""));
    return {
      holds: (hash) =>
        this.#locked(signal, async () => {
          await this.#wrote(path, () => appendFile(path, `${hash}\n`));
          if (!(await this.has(hash))) return false;
          // Who may read the store and not write it can still use it.
          await utimes(this.#recipe(hash), nowMs / 1000, nowMs / 1000).catch(() => {});
          return true;
        }),
      [Symbol.asyncDispose]: () => rm(path, { force: true }),
    };
  }

  /** A new place to make an output in. Disposing of it removes what was not kept. */
  async workplace(): Promise<Workplace> {
    const path = join(this.root, "work", newName());
    const [output, scratch] = [join(path, "output"), join(path, "scratch")];
    await this.#wrote(path, async () => {
      try {
        for (const folder of [output, scratch]) await mkdir(folder, { recursive: true });
      } catch (error) {
        await rm(path, { recursive: true, force: true });
        throw error;
      }
    });
    return { path, output, scratch, log: join(path, LOG), [Symbol.asyncDispose]: () => this.#remove(path) };
  }

  /** Gives a finished output its name. Where another build was quicker, that one stays: the same hash holds the same bytes. */
  async keep(recipe: Recipe, { output, log }: Pick<Workplace, "output" | "log">): Promise<void> {
    const hash = recipeHash(recipe);
    await this.#writeWhole(this.#recipe(hash), `${JSON.stringify(recipe, null, 2)}\n`);
    await rename(log, this.logOf(hash)).catch(() => {});
    await syncTree(output);
    try {
      await rename(output, this.pathOf(hash));
    } catch (error) {
      if (!(await this.has(hash))) throw error;
    }
    await syncDirectory(join(this.root, "outputs"));
  }

  /**
   * Keeps the workplace of a stage that failed, in place of an earlier one, and says where. Of a full disk the log alone is kept: the rest would leave
   * no room for another try.
   */
  async keepFailed(plan: string, stage: string, workplace: Workplace, diskWasFull: boolean): Promise<string> {
    const path = this.failedPath(plan, stage);
    if (diskWasFull) await Promise.all([workplace.output, workplace.scratch].map((folder) => this.#remove(folder)));
    await this.forgetFailed(plan, stage);
    await rename(workplace.path, path);
    return path;
  }

  async forgetFailed(plan: string, stage: string): Promise<void> {
    await this.#discard(this.failedPath(plan, stage));
  }

  /** `name`: as `failed` gives it. */
  async removeFailed(name: string): Promise<void> {
    await this.#discard(join(this.root, "failed", name));
  }

  failedPath(plan: string, stage: string): string {
    return join(this.root, "failed", `${plan}.${stage}`);
  }

  /** Of failed workplaces: `<plan>.<stage>`. */
  async failed(): Promise<readonly string[]> {
    return (await readdir(join(this.root, "failed"))).sort();
  }

  /** What the stage was made from last time; undefined when it never was, or when that can no longer be read. */
  async lastRecipe(spec: SpecPlace, stage: string): Promise<Recipe | undefined> {
    const latest = await this.#readLatest(latestName(spec, stage));
    return latest === undefined ? undefined : await this.recipe(latest.hash);
  }

  async recipe(hash: string): Promise<Recipe | undefined> {
    try {
      return JSON.parse(await readFile(this.#recipe(hash), "utf8")) as Recipe;
    } catch {
      return undefined;
    }
  }

  async rememberLatest(spec: SpecPlace, stage: string, hash: string): Promise<void> {
    const name = latestName(spec, stage);
    if ((await this.#readLatest(name))?.hash === hash) return;
    await this.#writeWhole(join(this.root, "latest", name), `${hash}\n${spec.path}\n`);
  }

  /** All that could be cleaned away. */
  async inventory(): Promise<StoreInventory> {
    const latest = new Set((await this.#latest()).filter(({ specIsThere }) => specIsThere).map(({ hash }) => hash));
    const pinned = await this.#pinned();
    const outputs: KeptOutput[] = [];
    for (const hash of (await readdir(join(this.root, "outputs"))).filter((name) => HASH.test(name)).sort()) {
      const path = this.pathOf(hash);
      const used = (await stat(this.#recipe(hash)).catch(() => undefined)) ?? (await stat(path).catch(() => undefined));
      if (used === undefined) continue; // gone meanwhile
      const kind = (await this.recipe(hash))?.kind ?? "unknown";
      const sizeBytes = await sizeOf(path);
      outputs.push({ hash, kind, sizeBytes, usedMs: used.mtimeMs, isLatest: latest.has(hash), isPinned: pinned.has(hash) });
    }
    const failed: FailedWorkplace[] = [];
    for (const name of await this.failed()) {
      const path = join(this.root, "failed", name);
      const facts = await stat(path).catch(() => undefined);
      if (facts !== undefined) failed.push({ name, sizeBytes: await sizeOf(path), failedMs: facts.mtimeMs });
    }
    return { outputs, failed };
  }

  /** Takes outputs away, but not what a build began to use meanwhile. Gives the hashes that went. */
  async removeOutputs(hashes: readonly string[], signal: AbortSignal): Promise<readonly string[]> {
    const gone: string[] = [];
    for (const hash of hashes) {
      // Out of its place in one step and under the lock, and gone for good behind it: that can take long.
      const away = join(this.root, "work", newName());
      const moved = await this.#locked(signal, async () => {
        if ((await this.#pinned()).has(hash)) return false;
        await rename(this.pathOf(hash), away);
        return true;
      });
      if (!moved) continue;
      await this.#remove(away);
      await Promise.all([this.#recipe(hash), this.logOf(hash)].map((path) => rm(path, { force: true })));
      gone.push(hash);
    }
    return gone;
  }

  /** Removes recipes, logs and names of what is no longer kept, and what is known of specs that are gone. */
  async removeRemains(): Promise<void> {
    const known = await this.#latest();
    for (const { name, specIsThere } of known) if (!specIsThere) await rm(join(this.root, "latest", name), { force: true });
    const used = new Set(known.filter(({ specIsThere }) => specIsThere).map(({ hash }) => hash));
    for (const [folder, suffix] of [
      ["logs", ".log"],
      ["recipes", ".json"],
    ] as const) {
      for (const name of await readdir(join(this.root, folder))) {
        const hash = name.slice(0, -suffix.length);
        // Of a latest one it is still told what changed since.
        if (!used.has(hash) && !(await this.has(hash))) await rm(join(this.root, folder, name), { force: true });
      }
    }
  }

  /** Undefined where there is none, or it can no longer be read. */
  async #readLatest(name: string): Promise<Latest | undefined> {
    const [hash = "", path = ""] = (await readFile(join(this.root, "latest", name), "utf8").catch(() => "")).split("\n");
    if (!HASH.test(hash)) return undefined;
    return { name, hash, specIsThere: path === "" || (await stat(path).catch(() => undefined)) !== undefined };
  }

  /**
   * Takes away what stages fetched, which the next build fetches anew, and says how many bytes that were; undefined where a build is running, which may
   * be using it. `isTrial`: nothing goes.
   */
  async removeCache(signal: AbortSignal, isTrial = false): Promise<number | undefined> {
    const cache = join(this.root, "cache");
    return await this.#locked(signal, async () => {
      if ((await readdir(join(this.root, "pins"))).length > 0) return undefined;
      const sizeBytes = await sizeOf(cache);
      if (!isTrial) await this.#discard(cache);
      return sizeBytes;
    });
  }

  async #latest(): Promise<readonly Latest[]> {
    const names = await readdir(join(this.root, "latest"));
    return (await Promise.all(names.map((name) => this.#readLatest(name)))).filter((latest) => latest !== undefined);
  }

  async #pinned(): Promise<ReadonlySet<string>> {
    const folder = join(this.root, "pins");
    const texts = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), "utf8").catch(() => "")));
    return new Set(texts.flatMap((text) => text.split("\n")));
  }

  /** A build begins to use an output, or the cleaner takes one away: never both at once. */
  #locked<T>(signal: AbortSignal, use: () => Promise<T>): Promise<T> {
    return withDirectoryLock(join(this.root, "outputs"), signal, use, "store");
  }

  async #wrote(path: string, write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (error) {
      throw storeError("write into the store of stages", path, error);
    }
  }

  /** The old text or the new one. It is made in `work`, where what is left of a killed build is found by the next. */
  async #writeWhole(path: string, text: string): Promise<void> {
    const temporary = join(this.root, "work", newName());
    await this.#wrote(path, async () => {
      try {
        const file = await open(temporary, "wx", 0o644);
        try {
          await file.writeFile(text);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, path);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
    });
    await syncDirectory(dirname(path));
  }

  /** Away under its name at once, for good behind it. Does nothing where there is none. */
  async #discard(path: string): Promise<void> {
    const away = join(this.root, "work", newName());
    try {
      await rename(path, away);
    } catch {
      return;
    }
    await this.#remove(away);
  }

  /** Also after an abort, for nothing of an ended build shall stay. */
  #remove(path: string): Promise<void> {
    return removeTree(path, { env: this.#env, job: quietJob });
  }

  #recipe(hash: string): string {
    return join(this.root, "recipes", `${hash}.json`);
  }

  async #removeOrphans(): Promise<void> {
    for (const folder of ["work", "pins"]) {
      for (const name of await readdir(join(this.root, folder))) {
        const owner = ownerOf(name);
        if (owner !== undefined && isAlive(owner)) continue;
        // A tool that outlived its build may still write there: then it is removed another time.
        await this.#remove(join(this.root, folder, name)).catch(() => {});
      }
    }
  }
}

/** A spec as the store tells it from others: copies of one example have one name. */
export interface SpecPlace {
  readonly name: string;
  /** Absolute. */
  readonly path: string;
}

interface Latest {
  /** Of its file. */
  readonly name: string;
  readonly hash: string;
  readonly specIsThere: boolean;
}

function latestName({ name, path }: SpecPlace, stage: string): string {
  return `${name}-${createHash("sha256").update(path).digest("hex").slice(0, 8)}.${stage}`;
}

export interface KeptOutput {
  readonly hash: string;
  /** Of the stage. */
  readonly kind: string;
  /** On disk, holes left out. */
  readonly sizeBytes: number;
  /** Milliseconds since 1970: when a build last used it. */
  readonly usedMs: number;
  /** The last build of its spec needs it. */
  readonly isLatest: boolean;
  /** A build uses it now. */
  readonly isPinned: boolean;
}

export interface FailedWorkplace {
  /** `<plan>.<stage>`. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly failedMs: number;
}

export interface StoreInventory {
  readonly outputs: readonly KeptOutput[];
  readonly failed: readonly FailedWorkplace[];
}

export const LOG = "log.txt";

const storeError = (what: string, where: string, error: unknown): HiperisoError =>
  new HiperisoError({ what, where, found: reasonOf(error), hint: storeHint(error), cause: error });

function storeHint(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT")
    return "The file system is full: make room (hiperiso live gc), or choose another folder with --store.";
  return "Choose another folder with --store, or set XDG_CACHE_HOME.";
}

/** Names this process, so that another one can tell whether we still live, and nothing else. */
function newName(): string {
  const { pid, pid_start_ticks, boot_id } = ownIdentity();
  return `${pid}-${pid_start_ticks}-${boot_id.replaceAll("-", "_")}-${randomBytes(4).toString("hex")}`;
}

function ownerOf(name: string): ProcessIdentity | undefined {
  const [pid, ticks, boot] = name.split("-");
  if (pid === undefined || ticks === undefined || boot === undefined || !/^\d+$/.test(pid)) return undefined;
  return { pid: Number(pid), pid_start_ticks: ticks, boot_id: boot.replaceAll("_", "-") };
}

/** Bytes on disk of all below. What cannot be read (another id's folder) counts nothing. */
export async function sizeOf(path: string): Promise<number> {
  const BLOCK_BYTES = 512; // stat(2): st_blocks, whatever the file system's own are
  let bytes = 0;
  for (const entry of await readdir(path, { withFileTypes: true }).catch(() => [])) {
    if (entry.isDirectory()) bytes += await sizeOf(join(path, entry.name));
    else if (entry.isFile()) bytes += ((await stat(join(path, entry.name)).catch(() => undefined))?.blocks ?? 0) * BLOCK_BYTES;
  }
  return bytes;
}
