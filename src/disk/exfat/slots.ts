/** Changing the entries of a folder: finding room, writing sets so that a cut shows them whole or not at all, growing. */
import { HiperisoError } from "../../contract/error.ts";
import { type Allocation, ENTRY, ENTRY_BYTES, ENTRY_UNUSED, nameOfSet, withAllocation } from "../../formats/exfat-entries.ts";
import { type UpcaseTable, upcase } from "../../formats/exfat-upcase.ts";
import { FolderSurveys } from "../folder-surveys.ts";
import type { AllocationBitmap } from "./allocation.ts";
import { DIRECTORY_BYTES_MAX, type Directory, readSlots, type SetPlace, scanDirectory, slotOffset, slotsOf } from "./directory.ts";
import { END_OF_CHAIN, type Medium } from "./medium.ts";

/** Names that are kept together, of all folders: some 20 MB. */
const NAMES_MAX = 200_000;

/** By up-cased name. */
export class Surveys extends FolderSurveys<Directory> {
  readonly #table: UpcaseTable;

  constructor(medium: Medium, table: UpcaseTable) {
    super({
      namesMax: NAMES_MAX,
      slotsOf,
      keeps: ({ firstCluster }) => firstCluster !== 0,
      async *items(directory) {
        for await (const item of scanDirectory(medium, directory)) {
          if (item.kind === "free" || item.kind === "end") yield item;
          const name = item.kind === "file" ? nameOfSet(item.entries) : undefined;
          if (name !== undefined) yield { kind: "names", slot: item.slot, keys: [upcase(name, table)] };
        }
      },
    });
    this.#table = table;
  }

  added(directory: Directory, name: string, slot: number, count: number): void {
    this.noteAdded(directory, [upcase(name, this.#table)], slot, count);
  }

  removed(directory: Directory, name: string, slot: number, count: number): void {
    this.noteRemoved(directory, [upcase(name, this.#table)], slot, count);
  }
}

/** One slot that is to hold other bytes. */
export interface SlotEdit {
  readonly slot: number;
  readonly bytes: Uint8Array;
}

/** Back to front: the primary entry, which makes the set one, comes last. */
export const settingEdits = (slot: number, entries: Uint8Array): SlotEdit[] =>
  Array.from({ length: entries.length / ENTRY_BYTES }, (_, index) => ({
    slot: slot + index,
    bytes: entries.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES),
  })).reverse();

/** Front to back: without its primary entry the set is none. */
export const clearingEdits = ({ slot, entries }: Pick<SetPlace, "slot" | "entries">): SlotEdit[] =>
  Array.from({ length: entries.length / ENTRY_BYTES }, (_, index) => {
    const bytes = entries.slice(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES);
    bytes[0] = bytes[0]! & 0x7f; // kind without "in use"
    return { slot: slot + index, bytes };
  });

/**
 * Writes edits in their order, those that follow each other in one sector as one write. A drive's own cache may bring the sectors to the medium in any
 * order: so a flush stands between two.
 */
export async function applyEdits(medium: Medium, directory: Directory, edits: readonly SlotEdit[]): Promise<void> {
  const perSector = medium.sectorBytes / ENTRY_BYTES;
  for (let index = 0; index < edits.length; ) {
    if (index > 0) await medium.flush();
    const sector = Math.floor(edits[index]!.slot / perSector);
    const bytes = new Uint8Array(await readSlots(medium, directory, sector * perSector, perSector));
    for (; index < edits.length && Math.floor(edits[index]!.slot / perSector) === sector; index += 1) {
      bytes.set(edits[index]!.bytes, (edits[index]!.slot - sector * perSector) * ENTRY_BYTES);
    }
    await medium.write(slotOffset(medium, directory, sector * perSector), bytes);
  }
}

export const inOneSector = (medium: Medium, edits: readonly SlotEdit[]): boolean => {
  const perSector = medium.sectorBytes / ENTRY_BYTES;
  return new Set(edits.map(({ slot }) => Math.floor(slot / perSector))).size <= 1;
};

/** What changing and growing folders needs of the volume. */
export interface Changing {
  readonly medium: Medium;
  readonly bitmap: AllocationBitmap;
  readonly surveys: Surveys;
  /** Free clusters that no cut can bring back to whom they belonged. */
  allocate(count: number, after?: number): ReturnType<AllocationBitmap["findFree"]>;
}

/** Room for a set, in a folder that may have had to grow for it, and what to write beside the set itself. */
interface Room {
  readonly directory: Directory;
  readonly slot: number;
  readonly edits: readonly SlotEdit[];
}

/**
 * Puts a set into a folder. Its first two entries, which say where the data is and hold the sum, are kept in one sector: so it can be changed
 * later by a write that happens or does not.
 */
export async function addSet(changing: Changing, directory: Directory, name: string, entries: Uint8Array): Promise<SetPlace> {
  const room = await findRoom(changing, directory, entries.length / ENTRY_BYTES);
  await applyEdits(changing.medium, room.directory, [...room.edits, ...settingEdits(room.slot, entries)]);
  changing.surveys.added(room.directory, name, room.slot, entries.length / ENTRY_BYTES);
  return { directory: room.directory, slot: room.slot, entries };
}

export async function findRoom(changing: Changing, directory: Directory, count: number): Promise<Room> {
  const { medium } = changing;
  const survey = await changing.surveys.of(directory);
  for (const hole of survey.free) {
    const slot = placeFrom(hole.slot, count, medium);
    if (slot + count <= hole.slot + hole.count) return { directory, slot, edits: [] };
  }
  const slot = placeFrom(survey.tail, count, medium);
  const pad = slot - survey.tail;
  let grown = directory;
  // One slot stays free: GRUB does not look at a folder's size, and in one whose clusters are in a row reads on until an entry of kind 0.
  while (slotsOf(grown) < slot + count + 1) grown = await growDirectory(changing, grown);
  const edits: SlotEdit[] = [];
  if (slot + count > survey.end) {
    // What stands behind the first entry of kind 0 is rubbish until the end moves: then it would be read.
    const behind = await readSlots(medium, grown, slot + count, 1);
    if (behind.length > 0 && behind[0] !== ENTRY.end) edits.push({ slot: slot + count, bytes: new Uint8Array(ENTRY_BYTES) });
  }
  if (pad === 0 || survey.end >= slot) return { directory: grown, slot, edits };
  const unused = new Uint8Array(ENTRY_BYTES);
  unused[0] = ENTRY_UNUSED; // kind 0 would end the folder here
  const padding = Array.from({ length: pad }, (_, index) => ({ slot: survey.tail + index, bytes: unused }));
  await applyEdits(medium, grown, [...edits, { slot, bytes: new Uint8Array(ENTRY_BYTES) }, ...padding]);
  return { directory: grown, slot, edits: [] };
}

/**
 * The first slot from `slot` on where a set of `count` entries may start, or the next sector's first. Its first two entries stay in one sector; and it
 * lies in two clusters at most: fsck.exfat 1.2 takes the third for damage (seen with clusters of 512 bytes, the only ones that a set can fill).
 */
function placeFrom(slot: number, count: number, { sectorBytes, clusterBytes }: Medium): number {
  const perSector = sectorBytes / ENTRY_BYTES;
  const perCluster = clusterBytes / ENTRY_BYTES;
  const parted = count > 1 && slot % perSector === perSector - 1;
  const inThree = (slot % perCluster) + count > 2 * perCluster;
  return parted || inThree ? (Math.floor(slot / perSector) + 1) * perSector : slot;
}

/** Adds a cluster of zeros to a folder. Until its own set or the chain says so, nobody knows of it. */
export async function growDirectory(changing: Changing, directory: Directory): Promise<Directory> {
  const { medium, bitmap, surveys } = changing;
  const bytes = directory.bytes + medium.clusterBytes;
  if (bytes > DIRECTORY_BYTES_MAX && directory.bytes > 0) {
    throw new HiperisoError({
      what: "add an entry to a folder",
      where: `${medium.where}:${directory.path}`,
      expected: `at most ${DIRECTORY_BYTES_MAX} bytes of entries`,
      found: `${bytes}`,
      kind: "usage",
    });
  }
  const last = directory.runs.at(-1);
  const lastCluster = last === undefined ? 0 : last.first + last.count - 1;
  const [run] = await changing.allocate(1, lastCluster + 1);
  const cluster = run!.first;
  await medium.zero(cluster, 1);
  const follows = cluster === lastCluster + 1;
  const runs =
    follows && last !== undefined
      ? [...directory.runs.slice(0, -1), { first: last.first, count: last.count + 1 }]
      : [...directory.runs, run!];
  const noFatChain = last === undefined || (directory.noFatChain && follows);
  if (!noFatChain) {
    if (directory.noFatChain) await medium.writeChain(runs);
    else await medium.writeFatEntry(cluster, END_OF_CHAIN);
  }
  await bitmap.mark([run!], true);
  await medium.flush();
  const chained = !noFatChain && !directory.noFatChain;
  if (chained) {
    await medium.writeFatEntry(lastCluster, cluster);
    await medium.flush(); // a chain that is longer than its size is read, a shorter one is damage
  }
  const firstCluster = directory.firstCluster === 0 ? cluster : directory.firstCluster;
  const grown: Directory = { ...directory, firstCluster, runs, noFatChain, bytes };
  if (directory.place === undefined) return grown;
  const allocation: Allocation = { firstCluster, dataBytes: BigInt(bytes), noFatChain };
  surveys.forget(0);
  return { ...grown, place: await replaceSet(changing, directory.place, withAllocation(directory.place.entries, allocation)) };
}

/**
 * Puts `entries` in the place of a set of the same name and length. Where the entries that change lie in one sector it is one write: the old
 * or the new, never neither. Else the new set is written beside the old one, and the old one goes when the new one is on the medium.
 */
export async function replaceSet(changing: Changing, place: SetPlace, entries: Uint8Array): Promise<SetPlace> {
  const { medium } = changing;
  const edits = settingEdits(place.slot, entries).filter(({ slot, bytes }) => {
    const at = (slot - place.slot) * ENTRY_BYTES;
    return !Buffer.from(bytes).equals(place.entries.subarray(at, at + ENTRY_BYTES));
  });
  if (inOneSector(medium, edits)) {
    await applyEdits(medium, place.directory, edits);
    return { ...place, entries };
  }
  const name = nameOfSet(entries) ?? "";
  const moved = await addSet(changing, place.directory, name, entries);
  await medium.flush();
  await removeSet(changing, { ...place, directory: moved.directory }); // the survey has the name at its new slot by now
  return moved;
}

export async function removeSet({ medium, surveys }: Pick<Changing, "medium" | "surveys">, place: SetPlace): Promise<void> {
  await applyEdits(medium, place.directory, clearingEdits(place));
  surveys.removed(place.directory, nameOfSet(place.entries) ?? "", place.slot, place.entries.length / ENTRY_BYTES);
}
