/** Cuts the power after each write of some operations, and looks at what is left: before a repair, and after it. */
import { expect } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { type BlockStore, cutStore, memoryStore, PowerCut, sparseStore } from "../../../src/disk/block-store.ts";
import { checkFat, repairFat } from "../../../src/disk/fat/check.ts";
import { openFat } from "../../../src/disk/fat/volume.ts";
import type { Operation } from "../exfat/cutting.ts";
import { changed, freshVolume, fsckSays, hasDosfstools, type Kind, TIME_MS, treeOf } from "./volumes.ts";

/** A small volume with folders for `operationsOf`. */
export const volumeWithFolders = async ({ bytes, options }: Kind): Promise<Uint8Array> =>
  await changed(await freshVolume(bytes, options), async (volume) => {
    await volume.makeDirectory("/folder", TIME_MS);
    await volume.makeDirectory("/folder/a folder with a name that takes four entries of its folder", TIME_MS);
  });

/** `bytes`: the volume, on which all operations are done in the end. Gives how many cuts there were, and how many left more than what says that it was not closed. */
export async function cutEach(
  bytes: Uint8Array,
  operations: readonly Operation[],
  way: (store: BlockStore) => BlockStore,
): Promise<{ cuts: number; damaged: number }> {
  let cuts = 0;
  let damaged = 0;
  for (const operation of operations) {
    const before = await treeOf(memoryStore(bytes));
    const whole = bytes.slice();
    await changed(whole, operation);
    const after = await treeOf(memoryStore(whole));
    for (let writes = 1; ; writes += 1) {
      const store = sparseStore(BigInt(bytes.length), { below: memoryStore(bytes) });
      if (!(await isCut(way(cutStore(store, writes)), operation))) break;
      cuts += 1;
      // Even before anybody mends anything.
      const found = await treeOf(store);
      for (const [path, content] of before) if (after.get(path) === content) expect(found.get(path), path).toBe(content);
      const { problems } = await checkFat(store, quietJob);
      if (problems.some(({ id }) => id !== "dirty" && id !== "fsinfo")) damaged += 1;
      expect((await repairFat(store, quietJob)).problems).toEqual([]);
      expect(sameTree(await treeOf(store), before, after)).toEqual([]);
      if (hasDosfstools && cuts % 100 === 0) expect(fsckSays(await store.read(0n, bytes.length))).toBe("clean");
    }
    bytes.set(whole);
  }
  return { cuts, damaged };
}

/** True where the power went while `operation` ran, or while the volume was closed. */
async function isCut(store: BlockStore, operation: Operation): Promise<boolean> {
  try {
    const volume = await openFat(store, {}, quietJob);
    await operation(volume);
    await volume.flush();
    return false;
  } catch (error) {
    if (error instanceof PowerCut) return true;
    throw error;
  }
}

/** Paths that hold neither what they held before nor what they hold after; the operations of a step may be done in part. */
function sameTree(found: Map<string, string | null>, before: Map<string, string | null>, after: Map<string, string | null>): string[] {
  const wrong: string[] = [];
  for (const path of new Set([...before.keys(), ...after.keys()])) {
    const content = found.get(path);
    if (content !== before.get(path) && content !== after.get(path)) wrong.push(path);
  }
  // A file that moved stands under its old name or its new one.
  for (const [path, content] of before) {
    if (content !== null && after.get(path) === undefined && found.get(path) === undefined) {
      const moved = [...after].some(([name, there]) => there === content && !before.has(name));
      if (moved && ![...found.values()].includes(content)) wrong.push(`${path} (moved)`);
    }
  }
  return wrong;
}
