/**
 * Outputs of stages, each kept under the hash of its recipe:
 *
 *   outputs/<hash>/          what the stage made, complete and synced before it gets this name
 *   recipes/<hash>.json      what it was made from: why a stage runs again is read from these
 *   logs/<hash>.log          what the stage ran and what that said
 *   latest/<plan>.<stage>    the hash that this stage had last
 *   failed/<plan>.<stage>/   the workplace of a stage that failed, until it runs again: log, output, scratch
 *   work/<pid>-<ticks>-…/    being made; removed by the next build when its owner is gone
 *
 * A cut at any moment leaves only whole outputs under their names.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { syncDirectory, writeFileAtomic } from "../host/atomic-file.ts";
import { isAlive, ownIdentity, type ProcessIdentity } from "../host/process-identity.ts";
import { type Recipe, recipeHash } from "./graph.ts";

export interface Workplace extends AsyncDisposable {
  readonly path: string;
  readonly output: string;
  readonly scratch: string;
  /** Of the log that is to be written there. */
  readonly log: string;
}

export class Store {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /** Makes the folders, and removes what builds left behind that are no longer running. */
  static async open(root: string): Promise<Store> {
    try {
      for (const name of ["outputs", "recipes", "logs", "latest", "failed", "work"]) await mkdir(join(root, name), { recursive: true });
    } catch (error) {
      const hint = "Choose another folder with --store, or set XDG_CACHE_HOME.";
      throw new HiperisoError({ what: "open the store of stages", where: root, found: reasonOf(error), hint, cause: error });
    }
    const store = new Store(root);
    await store.#removeOrphans();
    return store;
  }

  /** Where the output with this hash is, or will be. */
  pathOf(hash: string): string {
    return join(this.#root, "outputs", hash);
  }

  async has(hash: string): Promise<boolean> {
    return (await stat(this.pathOf(hash)).catch(() => undefined))?.isDirectory() ?? false;
  }

  /** A new place to make an output in. Disposing of it removes what was not kept. */
  async workplace(): Promise<Workplace> {
    const path = join(this.#root, "work", `${ownerTag()}-${randomBytes(4).toString("hex")}`);
    const [output, scratch] = [join(path, "output"), join(path, "scratch")];
    for (const folder of [output, scratch]) await mkdir(folder, { recursive: true });
    return { path, output, scratch, log: join(path, LOG), [Symbol.asyncDispose]: () => removeTree(path) };
  }

  /** Gives a finished output its name. Where another build was quicker, that one stays: the same hash holds the same bytes. */
  async keep(recipe: Recipe, { output, log }: Workplace): Promise<void> {
    const hash = recipeHash(recipe);
    await writeFileAtomic(join(this.#root, "recipes", `${hash}.json`), `${JSON.stringify(recipe, null, 2)}\n`);
    await rename(log, join(this.#root, "logs", `${hash}.log`)).catch(() => {});
    await syncTree(output);
    try {
      await rename(output, this.pathOf(hash));
    } catch (error) {
      if (!(await this.has(hash))) throw error;
    }
    await syncDirectory(join(this.#root, "outputs"));
  }

  /**
   * Keeps the workplace of a stage that failed, in place of an earlier one, and says where. Of a full disk the log alone is kept: the rest would leave
   * no room for another try.
   */
  async keepFailed(plan: string, stage: string, workplace: Workplace, diskWasFull: boolean): Promise<string> {
    const path = this.#failed(plan, stage);
    if (diskWasFull) await Promise.all([workplace.output, workplace.scratch].map((folder) => removeTree(folder)));
    await this.forgetFailed(plan, stage);
    await rename(workplace.path, path);
    return path;
  }

  async forgetFailed(plan: string, stage: string): Promise<void> {
    const path = this.#failed(plan, stage);
    const old = join(this.#root, "work", `${ownerTag()}-${randomBytes(4).toString("hex")}`);
    try {
      await rename(path, old);
    } catch {
      return; // there is none
    }
    await removeTree(old);
  }

  #failed(plan: string, stage: string): string {
    return join(this.#root, "failed", `${plan}.${stage}`);
  }

  /** What the stage was made from last time; undefined when it never was, or when that can no longer be read. */
  async lastRecipe(plan: string, stage: string): Promise<Recipe | undefined> {
    try {
      const hash = (await readFile(this.#latest(plan, stage), "utf8")).trim();
      return JSON.parse(await readFile(join(this.#root, "recipes", `${hash}.json`), "utf8")) as Recipe;
    } catch {
      return undefined;
    }
  }

  async rememberLatest(plan: string, stage: string, hash: string): Promise<void> {
    await writeFileAtomic(this.#latest(plan, stage), `${hash}\n`);
  }

  #latest(plan: string, stage: string): string {
    return join(this.#root, "latest", `${plan}.${stage}`);
  }

  async #removeOrphans(): Promise<void> {
    const work = join(this.#root, "work");
    for (const name of await readdir(work)) {
      const owner = ownerOf(name);
      if (owner !== undefined && isAlive(owner)) continue;
      // A tool that outlived its build may still write there: then it is removed another time.
      await removeTree(join(work, name)).catch(() => {});
    }
  }
}

export const LOG = "log.txt";

const removeTree = (path: string): Promise<void> => rm(path, { recursive: true, force: true, maxRetries: 3 });

/** This process, so that another one can tell whether we still live. */
function ownerTag(): string {
  const { pid, pid_start_ticks, boot_id } = ownIdentity();
  return `${pid}-${pid_start_ticks}-${boot_id.replaceAll("-", "_")}`;
}

function ownerOf(name: string): ProcessIdentity | undefined {
  const [pid, ticks, boot] = name.split("-");
  if (pid === undefined || ticks === undefined || boot === undefined || !/^\d+$/.test(pid)) return undefined;
  return { pid: Number(pid), pid_start_ticks: ticks, boot_id: boot.replaceAll("_", "-") };
}

async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) {
      const file = await open(path, "r");
      try {
        await file.sync();
      } finally {
        await file.close();
      }
    }
  }
  await syncDirectory(folder);
}
