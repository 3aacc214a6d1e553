/**
 * Changing a folder's entries. A sector is written whole or not at all, and an 8.3 entry, which alone makes a file one, lies in one: so the order
 * of sectors is what a cut can show. Long entries come before their 8.3 entry when a file appears, and go after it when it disappears.
 */
import { HiperisoError } from "../../contract/error.ts";
import { recommendedUpcaseTable, upcase } from "../../formats/exfat-upcase.ts";
import { ENTRY_BYTES, encodeLongEntries, FIRST_BYTE } from "../../formats/fat-entries.ts";
import { type CodePage, isShortName, shortNameFor, shortNameText } from "../../formats/fat-names.ts";
import type { Run } from "../content-writer.ts";
import { FolderSurveys } from "../folder-surveys.ts";
import {
  countOf,
  DIRECTORY_BYTES_MAX,
  type Directory,
  type FileItem,
  isRoot,
  readSlots,
  type SetPlace,
  scanDirectory,
  shortEntryOf,
  slotOffset,
  slotsOf,
} from "./directory.ts";
import type { FatMedium } from "./medium.ts";

const UPCASE = recommendedUpcaseTable();

/** What two names have in common that are one: Windows compares as it does on exFAT. */
export const nameKey = (name: string): string => upcase(name, UPCASE);

/** Names that are kept together, of all folders: some 30 MB. */
const NAMES_MAX = 300_000;

/** By `nameKey`, of long and 8.3 names. */
export class Surveys extends FolderSurveys<Directory> {
  readonly #codePage: CodePage;

  constructor(medium: FatMedium, codePage: CodePage) {
    super({
      namesMax: NAMES_MAX,
      slotsOf,
      keeps: ({ end }) => end.kind === "whole",
      async *items(directory) {
        for await (const item of scanDirectory(medium, directory, codePage)) {
          if (item.kind === "free" || item.kind === "end") yield item;
          else if (item.kind === "file") yield { kind: "names", slot: item.slot, keys: keysOf(item, codePage) };
        }
      },
    });
    this.#codePage = codePage;
  }

  added(directory: Directory, item: FileItem): void {
    this.noteAdded(directory, keysOf(item, this.#codePage), item.slot, countOf(item));
  }

  removed(directory: Directory, item: FileItem): void {
    this.noteRemoved(directory, keysOf(item, this.#codePage), item.slot, countOf(item));
  }
}

/** Both names by which a file is found, where it has two. */
export function keysOf({ entries, name, long }: FileItem, codePage: CodePage): readonly string[] {
  const key = nameKey(name);
  if (!long) return [key];
  const short = nameKey(shortNameText(shortEntryOf(entries), 0, codePage));
  return short === key ? [key] : [key, short];
}

/** One slot that is to hold other bytes. */
export interface SlotEdit {
  readonly slot: number;
  readonly bytes: Uint8Array;
}

export const settingEdits = (slot: number, entries: Uint8Array): SlotEdit[] =>
  Array.from({ length: countOf({ entries }) }, (_, index) => ({
    slot: slot + index,
    bytes: entries.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES),
  }));

/** Back to front: without its 8.3 entry a file is none, and long entries alone are nothing. */
export const clearingEdits = ({ slot, entries }: Pick<SetPlace, "slot" | "entries">): SlotEdit[] =>
  settingEdits(slot, entries)
    .reverse()
    .map((edit) => {
      const bytes = edit.bytes.slice();
      bytes[0] = FIRST_BYTE.deleted;
      return { slot: edit.slot, bytes };
    });

/** Writes edits in their order, those that follow each other in one sector as one write, and each on the medium before the next. */
export async function applyEdits(medium: FatMedium, directory: Directory, edits: readonly SlotEdit[]): Promise<void> {
  const perSector = medium.sectorBytes / ENTRY_BYTES;
  for (let index = 0; index < edits.length; ) {
    if (index > 0) await medium.flush();
    const sector = Math.floor(edits[index]!.slot / perSector);
    const bytes = await readSlots(medium, directory, sector * perSector, perSector);
    for (; index < edits.length && Math.floor(edits[index]!.slot / perSector) === sector; index += 1) {
      bytes.set(edits[index]!.bytes, (edits[index]!.slot - sector * perSector) * ENTRY_BYTES);
    }
    await medium.write(slotOffset(medium, directory, sector * perSector), bytes);
  }
}

export const inOneSector = (medium: FatMedium, edits: readonly SlotEdit[]): boolean => {
  const perSector = medium.sectorBytes / ENTRY_BYTES;
  return new Set(edits.map(({ slot }) => Math.floor(slot / perSector))).size <= 1;
};

/** What changing and growing folders needs of the volume. */
export interface Changing {
  readonly medium: FatMedium;
  readonly codePage: CodePage;
  readonly surveys: Surveys;
  /** Free clusters that no cut can bring back to whom they belonged, written into the FAT as one chain. */
  takeChain(count: number, wanted?: (cluster: number) => boolean): Promise<readonly Run[]>;
}

/** The entries of a name: long ones where the 8.3 one does not say all of it. `shortEntry`: with data, its name is replaced. */
export function entriesFor(name: string, shortName: Uint8Array, shortEntry: Uint8Array): Uint8Array {
  const long = isShortName(name) ? new Uint8Array() : encodeLongEntries(name, shortName);
  const entries = new Uint8Array(long.length + ENTRY_BYTES);
  entries.set(long);
  entries.set(shortEntry, long.length);
  entries.set(shortName, long.length);
  entries[long.length + 12] = 0; // no small letters: the long name says it
  return entries;
}

/** An 8.3 name that nobody in the folder has but, maybe, the file that gets it. */
export async function chooseShortName(changing: Changing, directory: Directory, name: string, itself?: FileItem): Promise<Uint8Array> {
  const { names } = await changing.surveys.of(directory);
  if (names === undefined) {
    throw new HiperisoError({
      what: "add an entry to a folder",
      where: `${changing.medium.where}:${directory.path}`,
      expected: "a folder of at most 65,536 entries",
      found: `${slotsOf(directory)}`,
      kind: "usage",
    });
  }
  return shortNameFor(name, (short) => {
    const slot = names.get(nameKey(short));
    return slot !== undefined && slot !== itself?.slot;
  });
}

/** Puts entries into a folder, which may have to grow for them. */
export async function addSet(
  changing: Changing,
  directory: Directory,
  name: string,
  entries: Uint8Array,
): Promise<SetPlace & { readonly item: FileItem }> {
  const { medium } = changing;
  const count = countOf({ entries });
  const room = await findRoom(changing, directory, count);
  await applyEdits(medium, room.directory, await editsForAdding(changing, room.directory, room.slot, entries));
  const item: FileItem = { kind: "file", slot: room.slot, entries, name, long: count > 1 };
  changing.surveys.added(room.directory, item);
  return { directory: room.directory, slot: room.slot, entries, item };
}

/**
 * A file's entries in their order, the 8.3 entry last. Where they take the place of the folder's end, what stands behind that is rubbish, which
 * would be read as soon as the end moves: it is cleared first.
 */
async function editsForAdding({ medium, surveys }: Changing, directory: Directory, slot: number, entries: Uint8Array): Promise<SlotEdit[]> {
  const edits = settingEdits(slot, entries);
  const behind = slot + edits.length;
  const { end } = await surveys.of(directory);
  if (behind <= end) return edits;
  const perSector = medium.sectorBytes / ENTRY_BYTES;
  const sectorBehind = (Math.floor(end / perSector) + 1) * perSector;
  const from = Math.min(behind, sectorBehind);
  const there = await readSlots(medium, directory, from, behind + 1 - from);
  const rubbish = settingEdits(from, there)
    .filter(({ bytes }) => bytes[0] !== FIRST_BYTE.end)
    .map((edit) => ({ slot: edit.slot, bytes: new Uint8Array(ENTRY_BYTES) }));
  return behind < sectorBehind ? [...edits, ...rubbish] : [...rubbish, ...edits];
}

async function findRoom(
  changing: Changing,
  directory: Directory,
  count: number,
): Promise<{ readonly directory: Directory; readonly slot: number }> {
  const survey = await changing.surveys.of(directory);
  for (const hole of survey.free) if (count <= hole.count) return { directory, slot: hole.slot };
  const slot = survey.tail;
  let grown = directory;
  while (slotsOf(grown) < slot + count) grown = await growDirectory(changing, grown);
  return { directory: grown, slot };
}

/** Adds a cluster of zeros to a folder. Until the chain says so, nobody knows of it. */
async function growDirectory(changing: Changing, directory: Directory): Promise<Directory> {
  const { medium } = changing;
  const bytes = directory.bytes + medium.clusterBytes;
  if (directory.firstCluster === 0 || bytes > Math.max(DIRECTORY_BYTES_MAX, medium.clusterBytes)) {
    throw new HiperisoError({
      what: "add an entry to a folder",
      where: `${medium.where}:${directory.path}`,
      expected:
        isRoot(directory) && directory.firstCluster === 0
          ? `room among the ${slotsOf(directory)} entries of this root`
          : "at most 65,536 entries",
      found: "none",
      kind: "usage",
    });
  }
  const last = directory.runs.at(-1)!;
  // Where a FAT12 entry lies in two sectors, a cut could leave half of it: no folder ends in such a cluster.
  const [run] = await changing.takeChain(1, (cluster) => !medium.straddles(cluster));
  await medium.writeZeros(medium.offsetOf(run!.first), BigInt(medium.clusterBytes));
  await medium.flush();
  const lastCluster = last.first + last.count - 1;
  await medium.setLinks([[lastCluster, run!.first]]);
  const follows = run!.first === lastCluster + 1;
  const runs = follows ? [...directory.runs.slice(0, -1), { first: last.first, count: last.count + 1 }] : [...directory.runs, run!];
  return { ...directory, runs, bytes, end: { kind: "whole", clusters: bytes / medium.clusterBytes } };
}

/** Puts entries in the place of others of the same length. The ones that change must lie in one sector: the old or the new, never neither. */
export async function replaceShortEntry(changing: Changing, place: SetPlace, shortEntry: Uint8Array): Promise<void> {
  await applyEdits(changing.medium, place.directory, [{ slot: place.slot + countOf(place) - 1, bytes: shortEntry }]);
}

export async function removeSet(
  { medium, surveys }: Pick<Changing, "medium" | "surveys">,
  directory: Directory,
  item: FileItem,
): Promise<void> {
  await applyEdits(medium, directory, clearingEdits(item));
  surveys.removed(directory, item);
}
