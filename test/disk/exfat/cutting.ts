/** Cuts the power after each write of some operations, and looks at what is left: before a repair, and after it. */
import { expect } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { type BlockStore, cutStore, memoryStore, PowerCut, sparseStore } from "../../../src/disk/block-store.ts";
import { checkExfat, repairExfat } from "../../../src/disk/exfat/check.ts";
import { openExfat } from "../../../src/disk/exfat/volume.ts";
import type { Volume } from "../../../src/disk/volume.ts";
import { bytesOf, changed, freshVolume, fsckSays, hasExfatprogs, put, randomOf, TIME_MS, treeOf } from "./volumes.ts";

export const SECTOR = 512;

export type Operation = (volume: Volume) => Promise<void>;

/** What a person does to a stick, one thing after another; names of one and of many entries, folders that grow and are moved. */
export function operationsOf(seed: number, count: number): Operation[] {
  const random = randomOf(seed);
  const folders = ["", "/folder", "/folder/a folder with a name that takes four entries of its folder"];
  const name = () => `${folders[random(folders.length)]}/${"name ".repeat(1 + random(8))}${random(12)}`;
  return Array.from({ length: count }, (_, index): Operation => {
    const kind = random(10);
    const [path, other, size] = [name(), name(), random(4000)];
    return async (volume) => {
      const there = await volume.stat(path);
      if (kind < 6) await put(volume, path, bytesOf(index + 1, size), true);
      else if (kind < 8 && there !== undefined && (await volume.stat(other)) === undefined) await volume.rename(path, other);
      else if (kind === 8 && there !== undefined) await volume.remove(path);
      else {
        await volume.makeDirectory(`${path} folder ${index}`, TIME_MS);
        await put(volume, `${path} folder ${index}/x`, "x");
        await volume.rename(`${path} folder ${index}`, `/folder/moved ${index}`);
        if (index % 2 === 0) await volume.remove(`/folder/moved ${index}`, { recursive: true });
      }
    };
  });
}

/** Every write as one a sector: what a medium may do of a write when the power goes. */
function torn(store: BlockStore, backwards: boolean): BlockStore {
  return {
    ...store,
    write: async (offset, bytes) => {
      const starts = Array.from({ length: Math.ceil(bytes.length / SECTOR) }, (_, index) => index * SECTOR);
      if (backwards) starts.reverse();
      for (const start of starts) await store.write(offset + BigInt(start), bytes.subarray(start, start + SECTOR));
    },
  };
}

/** How a store comes to its writes, each of which the cut may follow. */
export const WAYS = {
  "a write": (store: BlockStore) => store,
  "a sector of a write": (store: BlockStore) => torn(store, false),
  "a sector of a write, the last one first": (store: BlockStore) => torn(store, true),
} as const;

/** A small volume with folders for `operationsOf`. */
export const volumeWithFolders = async (): Promise<Uint8Array> =>
  await changed(await freshVolume(1, { clusterBytes: SECTOR }), async (volume) => {
    await volume.makeDirectory("/folder", TIME_MS);
    await volume.makeDirectory("/folder/a folder with a name that takes four entries of its folder", TIME_MS);
  });

/** `bytes`: the volume, on which all operations are done in the end. Gives how many cuts there were, and how many left more than the dirty flag. */
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
      if ((await checkExfat(store, quietJob)).problems.length > 1) damaged += 1;
      expect((await repairExfat(store, quietJob)).problems).toEqual([]);
      expect(sameTree(await treeOf(store), before, after)).toEqual([]);
      if (hasExfatprogs && cuts % 200 === 0) expect(fsckSays(await store.read(0n, bytes.length))).toBe("clean");
    }
    bytes.set(whole);
  }
  return { cuts, damaged };
}

/** True where the power went while `operation` ran, or while the volume was closed. */
async function isCut(store: BlockStore, operation: Operation): Promise<boolean> {
  try {
    const volume = await openExfat(store, {}, quietJob);
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
