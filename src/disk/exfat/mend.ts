/** How what an inspection of an exFAT volume finds is mended: all of it after the walk, none while anybody still looks. */
import { upcaseChecksum } from "../../formats/exfat-checksums.ts";
import {
  ENTRY_BYTES,
  encodeUpcaseEntry,
  entriesOfName,
  type FileSet,
  nameOfSet,
  withAllocation,
  withName,
} from "../../formats/exfat-entries.ts";
import { type UpcaseTable, upcase } from "../../formats/exfat-upcase.ts";
import type { Run } from "../content-writer.ts";
import { type Directory, type SetPlace, scanDirectory, slotOffset } from "./directory.ts";
import type { Mending } from "./findings.ts";
import { END_OF_CHAIN, type Medium } from "./medium.ts";
import { applyEdits, clearingEdits, settingEdits } from "./slots.ts";

/** Other bytes for a set, in its place; what it gets shorter is marked as unused. */
export const rewriting =
  ({ directory, slot, entries }: SetPlace, changed: Uint8Array) =>
  async ({ medium }: Mending): Promise<void> =>
    await applyEdits(medium, directory, [
      ...clearingEdits({ slot: slot + changed.length / ENTRY_BYTES, entries: entries.subarray(changed.length) }),
      ...settingEdits(slot, changed),
    ]);

/** Marks entries as unused. */
export const dropping =
  ({ directory, slot, entries }: SetPlace) =>
  async ({ medium }: Mending): Promise<void> =>
    await applyEdits(medium, directory, clearingEdits({ slot, entries }));

/** A chain that ends with the last cluster of `run`. */
export const endingChain =
  ({ first, count }: Run) =>
  async ({ medium }: Mending): Promise<void> =>
    await medium.writeFatEntry(first + count - 1, END_OF_CHAIN);

/** Another name for a set, where the folder has one left that is like `name`. */
export const renaming =
  ({ directory, slot, entries }: SetPlace, name: string) =>
  async ({ medium, table }: Mending): Promise<void> => {
    const other = await unusedName(medium, directory, name, table);
    if (other !== undefined) await applyEdits(medium, directory, settingEdits(slot, withName(entries, other, table)));
  };

/** A name like `name` that nobody in the folder has, and that takes no more entries. */
async function unusedName(medium: Medium, directory: Directory, name: string, table: UpcaseTable): Promise<string | undefined> {
  const unitsMax = Math.min((entriesOfName(name.length) - 2) * 15, 255);
  const dot = name.lastIndexOf(".");
  const [stem, extension] = dot > 0 && name.length - dot < 8 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  const unitsMin = entriesOfName(name.length) > 3 ? unitsMax - 14 : 1;
  const taken = new Set<string>();
  for (let number = 2; number < 1000; number += 1) {
    const tail = `~${number}${extension}`;
    const candidate = `${stem.slice(0, Math.max(0, unitsMax - tail.length))}${tail}`;
    if (candidate.length < unitsMin) continue;
    if (taken.size === 0) {
      for await (const item of scanDirectory(medium, directory)) {
        const other = item.kind === "file" ? nameOfSet(item.entries) : undefined;
        if (other?.includes("~") === true) taken.add(upcase(other, table));
      }
    }
    if (!taken.has(upcase(candidate, table))) return candidate;
  }
  return undefined;
}

/** Gives the kind byte of slots `from` to `to` another value where `kind` says one. */
export async function fillSlots(
  medium: Medium,
  directory: Directory,
  from: number,
  to: number,
  kind: (type: number) => number | undefined,
): Promise<void> {
  for (let slot = from; slot < to; slot += 1) {
    const entry = await medium.read(slotOffset(medium, directory, slot), ENTRY_BYTES);
    const becomes = kind(entry[0]!);
    if (becomes === undefined) continue;
    const bytes = new Uint8Array(ENTRY_BYTES);
    bytes[0] = becomes;
    await applyEdits(medium, directory, [{ slot, bytes }]);
  }
}

/** Gives a set clusters of its own, with what its clusters hold. */
export async function copyApart(
  { medium, bitmap }: Mending,
  place: SetPlace & { readonly set: FileSet },
  runs: readonly Run[],
): Promise<void> {
  const count = runs.reduce((sum, run) => sum + run.count, 0);
  const fresh = await bitmap.findFree(count);
  const source = clustersIn(runs);
  for (const cluster of clustersIn(fresh)) {
    const from = source.next().value;
    if (from === undefined) break;
    for (let done = 0; done < medium.clusterBytes; done += COPY_BYTES) {
      const length = Math.min(COPY_BYTES, medium.clusterBytes - done);
      await medium.write(medium.offsetOf(cluster) + BigInt(done), await medium.read(medium.offsetOf(from) + BigInt(done), length));
    }
  }
  if (fresh.length > 1) await medium.writeChain(fresh);
  await bitmap.mark(fresh, true);
  await medium.flush();
  const { dataBytes } = place.set.allocation;
  const held = BigInt(count) * BigInt(medium.clusterBytes);
  const allocation = { firstCluster: fresh[0]!.first, dataBytes: smaller(dataBytes, held), noFatChain: fresh.length === 1 };
  const validBytes = smaller(place.set.validBytes, allocation.dataBytes);
  await applyEdits(medium, place.directory, settingEdits(place.slot, withAllocation(place.entries, allocation, { validBytes })));
}

const COPY_BYTES = 1 << 20;

function* clustersIn(runs: readonly Run[]): Generator<number> {
  for (const { first, count } of runs) for (let index = 0; index < count; index += 1) yield first + index;
}

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** Gives the volume another up-case table, in clusters of its own; `entryOffset`: of the entry that names them. */
export async function replaceUpcaseTable({ medium, bitmap }: Mending, bytes: Uint8Array, entryOffset: bigint): Promise<void> {
  const all = await bitmap.findFree(medium.clustersOf(BigInt(bytes.length)));
  await writeOver(medium, all, bytes);
  await medium.writeChain(all);
  await bitmap.mark(all, true);
  await medium.flush();
  const entry = { firstCluster: all[0]!.first, dataBytes: BigInt(bytes.length), noFatChain: false };
  await medium.write(entryOffset, encodeUpcaseEntry(entry, upcaseChecksum(bytes)));
}

async function writeOver(medium: Medium, runs: readonly Run[], bytes: Uint8Array): Promise<void> {
  let done = 0;
  for (const { first, count } of runs) {
    const piece = bytes.subarray(done, done + count * medium.clusterBytes);
    await medium.write(medium.offsetOf(first), piece);
    done += piece.length;
  }
}
