/** How faults of a FAT volume are mended: entries written anew, names changed, clusters copied. What calls for it is found by `inspect.ts` and its parts. */
import { ENTRY_BYTES, encodeLongEntries, isDirectoryEntry, longEntriesOf, withData, withShortName } from "../../formats/fat-entries.ts";
import { type CodePage, shortNameFor, shortNameText } from "../../formats/fat-names.ts";
import { ClusterSet } from "../cluster-set.ts";
import type { Run } from "../content-writer.ts";
import { countOf, DIRECTORY_BYTES_MAX, type Directory, type FileItem, type SetPlace, scanDirectory, shortEntryOf } from "./directory.ts";
import { FreeMap } from "./free-map.ts";
import { type FatMedium, followChain } from "./medium.ts";
import { applyEdits, type Changing, clearingEdits, keysOf, nameKey, type SlotEdit, Surveys, settingEdits } from "./slots.ts";

/** What a mending may use: the medium, which of its clusters are free, and all that somebody owns. */
export interface Mending extends Changing {
  readonly free: FreeMap;
  readonly names: FolderNames;
  readonly used: ClusterSet;
}

/** Of a volume of which nothing was walked: `used` is still to be filled. */
export function prepareMending(medium: FatMedium, codePage: CodePage): Mending {
  const free = new FreeMap(medium);
  const takeChain = async (count: number): Promise<readonly Run[]> => {
    const runs = await free.findFree(count);
    await medium.writeChain(runs);
    await free.mark(runs, true);
    return runs;
  };
  return { medium, codePage, surveys: new Surveys(medium, codePage), free, names: new FolderNames(), used: new ClusterSet(), takeChain };
}

/** All names of the folder in which one was mended last: the next one is often there too. */
class FolderNames {
  #directory: Directory | undefined;
  #keys = new Set<string>();
  readonly #numbers = new Map<string, number>();

  async of({ medium, codePage }: Pick<Mending, "medium" | "codePage">, directory: Directory): Promise<Set<string>> {
    if (this.#directory === directory) return this.#keys;
    this.#directory = directory;
    this.#keys = new Set();
    this.#numbers.clear();
    for await (const item of scanDirectory(medium, directory, codePage)) {
      if (item.kind === "file") for (const key of keysOf(item, codePage)) this.#keys.add(key);
    }
    return this.#keys;
  }

  /** The number to try next after names that start alike. */
  numberFor(stem: string): number {
    const number = (this.#numbers.get(stem) ?? 1) + 1;
    this.#numbers.set(stem, number);
    return number;
  }
}

/** Another 8.3 entry in the place of one. */
export async function rewriteShort(medium: FatMedium, place: SetPlace, shortEntry: Uint8Array): Promise<void> {
  await applyEdits(medium, place.directory, [{ slot: place.slot + countOf(place) - 1, bytes: shortEntry }]);
}

/** Other long entries, no more than before, in front of the same 8.3 entry. */
export async function rewriteLong(medium: FatMedium, directory: Directory, item: FileItem, long: Uint8Array): Promise<void> {
  const before = countOf(item) - 1;
  const count = long.length / ENTRY_BYTES;
  const slot = item.slot + before - count;
  const edits: SlotEdit[] = clearingEdits({ slot: item.slot, entries: item.entries.subarray(0, (before - count) * ENTRY_BYTES) });
  await applyEdits(medium, directory, [...edits, ...settingEdits(slot, long)]);
}

/** Gives a file another 8.3 name that nobody has, and a long name that takes no more entries than before; without long entries the 8.3 name alone. */
export async function renameShort(mending: Mending, directory: Directory, item: FileItem, name: string): Promise<void> {
  const { medium, codePage } = mending;
  const taken = await mending.names.of(mending, directory);
  const short = shortNameFor(name, (candidate) => taken.has(nameKey(candidate)), `${item.slot}`);
  const entry = withShortName(shortEntryOf(item.entries), short);
  taken.add(nameKey(shortNameText(short, 0, codePage)));
  if (!item.long) return await rewriteShort(medium, { directory, ...item }, entry);
  taken.add(nameKey(name));
  const long = encodeLongEntries(name, short);
  const clear = countOf(item) - 1 - long.length / ENTRY_BYTES;
  await applyEdits(medium, directory, [
    ...clearingEdits({ slot: item.slot, entries: item.entries.subarray(0, clear * ENTRY_BYTES) }),
    ...settingEdits(item.slot + clear, long),
    { slot: item.slot + countOf(item) - 1, bytes: entry },
  ]);
}

/** A name like the file's that nobody in the folder has, and that takes no more entries. */
export async function unusedName(mending: Mending, directory: Directory, { name, long }: FileItem): Promise<string> {
  if (!long) return name; // its 8.3 name is made another
  const taken = await mending.names.of(mending, directory);
  const unitsMax = Math.min(longEntriesOf(name) * 13, 255);
  const dot = name.lastIndexOf(".");
  const [stem, extension] = dot > 0 && name.length - dot < 8 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  for (;;) {
    const tail = `~${mending.names.numberFor(nameKey(name))}${extension}`;
    const candidate = `${stem.slice(0, Math.max(0, unitsMax - tail.length))}${tail}`;
    if (!taken.has(nameKey(candidate))) return candidate;
  }
}

const COPY_BYTES = 1 << 20;

/** Gives a file or folder clusters of its own, with what its clusters hold. */
export async function copyApart({ medium, takeChain, free }: Mending, place: SetPlace, firstCluster: number): Promise<void> {
  const short = shortEntryOf(place.entries);
  const size = isDirectoryEntry(short) ? undefined : BigInt(new DataView(short.buffer, short.byteOffset).getUint32(28, true));
  const clustersMax = size === undefined ? Math.max(1, DIRECTORY_BYTES_MAX / medium.clusterBytes) : medium.clustersOf(size);
  const source: number[] = [];
  const runs: Run[] = [];
  const following = followChain(medium, firstCluster, Math.min(clustersMax, (await free.freeClusters()) + 1));
  for (let next = await following.next(); next.done !== true; next = await following.next()) runs.push(next.value);
  for (const { first, count } of runs) for (let index = 0; index < count; index += 1) source.push(first + index);
  const fresh = await takeChain(source.length);
  let index = 0;
  for (const { first, count } of fresh) {
    for (let cluster = first; cluster < first + count; cluster += 1, index += 1) {
      for (let done = 0; done < medium.clusterBytes; done += COPY_BYTES) {
        const length = Math.min(COPY_BYTES, medium.clusterBytes - done);
        await medium.write(
          medium.offsetOf(cluster) + BigInt(done),
          await medium.read(medium.offsetOf(source[index]!) + BigInt(done), length),
        );
      }
    }
  }
  await medium.flush();
  const held = BigInt(source.length) * BigInt(medium.clusterBytes);
  await rewriteShort(medium, place, withData(short, fresh[0]?.first ?? 0, size === undefined ? 0 : Number(size < held ? size : held)));
}
