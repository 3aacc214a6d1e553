/** What a failed stage left behind: its log, what it had made so far, and the tree in which its commands ran. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError } from "../contract/error.ts";
import { LOG, type Store } from "./store.ts";

export interface FailedStage {
  /** `<spec>.<stage>`. */
  readonly name: string;
  readonly folder: string;
  readonly log: string;
  /** Folder with a `tree.json`: a root file system that can be entered. Undefined where the stage unpacked none. */
  readonly tree: string | undefined;
}

/** `wanted`: a stage's name, with its spec's and a dot before it where several specs have one of that name. Throws (`usage`) where there is not exactly one. */
export async function findFailedStage(store: Store, wanted: string): Promise<FailedStage> {
  const all = await store.failed();
  const matching = all.filter((name) => name === wanted || name.endsWith(`.${wanted}`));
  const [name] = matching;
  if (name === undefined || matching.length > 1) {
    throw new HiperisoError({
      what: "find a failed stage",
      where: wanted,
      expected: all.length === 0 ? "a stage that failed" : `one of ${(matching.length > 1 ? matching : all).join(", ")}`,
      found:
        matching.length > 1 ? "several" : all.length === 0 ? `none: no build in ${store.root} has failed since it last ended well` : "none",
      kind: "usage",
    });
  }
  const folder = join(store.root, "failed", name);
  return { name, folder, log: join(folder, LOG), tree: await treeBelow(join(folder, "scratch")) };
}

/** Stages unpack their tree in their scratch or in a folder of it. */
async function treeBelow(folder: string, depth = 2): Promise<string | undefined> {
  const isTree = await stat(join(folder, "tree.json")).then(
    (facts) => facts.isFile(),
    () => false,
  );
  if (isTree) return folder;
  if (depth === 0) return undefined;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const found = entry.isDirectory() ? await treeBelow(join(folder, entry.name), depth - 1) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The last lines of its log; none where there is no log. */
export async function endOfLog({ log }: FailedStage, lines: number): Promise<readonly string[]> {
  const text = await readFile(log, "utf8").catch(() => "");
  return text.trimEnd() === "" ? [] : text.trimEnd().split("\n").slice(-lines);
}
