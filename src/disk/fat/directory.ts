/**
 * A folder of a FAT volume as entries on the medium: where each slot lies, what stands there, where there is room. Nothing is believed: long entries
 * that are no whole name of the 8.3 entry behind them are orphans, and what stands behind the end is not read.
 */
import { HiperisoError } from "../../contract/error.ts";
import {
  ATTRIBUTE,
  belongsTo,
  DOT_DOT_NAME,
  DOT_NAME,
  ENTRY_BYTES,
  FIRST_BYTE,
  isLongEntry,
  isWholeLongName,
  LONG_ENTRIES_MAX,
  longEntryNumber,
  longNameOf,
} from "../../formats/fat-entries.ts";
import { type CodePage, SHORT_NAME_BYTES, shortNameText } from "../../formats/fat-names.ts";
import type { Run } from "../content-writer.ts";
import { type ChainEnd, type FatMedium, followChain } from "./medium.ts";

/** What folders may have at most: 65,536 entries ("FAT Directory Structure", of DIR_FileSize). We make none larger. */
export const DIRECTORY_BYTES_MAX = 65_536 * ENTRY_BYTES;
/** What is read of a larger one that somebody made: two million entries. */
const DIRECTORY_BYTES_READ = 64 << 20;
const PIECE_BYTES = 16_384;

export interface Directory {
  /** From the root, `/` alone for the root. */
  readonly path: string;
  /** 0 for the root of FAT12 and FAT16, which has its own place. */
  readonly firstCluster: number;
  readonly runs: readonly Run[];
  readonly bytes: number;
  /** How its chain ended; other than `whole` it is read as far as it goes, and not written. */
  readonly end: ChainEnd;
  /** Where its own entry stands; undefined for the root, which has none. */
  readonly place: SetPlace | undefined;
}

/** A file's or folder's entries, its long name first: their first slot in their folder, counted from 0, and their bytes. */
export interface SetPlace {
  readonly directory: Directory;
  readonly slot: number;
  readonly entries: Uint8Array;
}

export type DirectoryItem =
  /** A file or folder. `long`: its name is that of long entries; else of its 8.3 entry. */
  | { readonly kind: "file"; readonly slot: number; readonly entries: Uint8Array; readonly name: string; readonly long: boolean }
  /** The volume's label; `.` and `..`. */
  | { readonly kind: "label" | "dot"; readonly slot: number; readonly entries: Uint8Array }
  /** Long entries that are no name of what follows. */
  | { readonly kind: "orphan"; readonly slot: number; readonly entries: Uint8Array }
  | { readonly kind: "free"; readonly slot: number; readonly count: number }
  /** The first entry that starts with 0: all from here to the last slot is free. */
  | { readonly kind: "end"; readonly slot: number };

export type FileItem = Extract<DirectoryItem, { kind: "file" }>;

export const slotsOf = (directory: Directory): number => directory.bytes / ENTRY_BYTES;
export const shortEntryOf = (entries: Uint8Array): Uint8Array => entries.subarray(entries.length - ENTRY_BYTES);
export const countOf = ({ entries }: { readonly entries: Uint8Array }): number => entries.length / ENTRY_BYTES;
export const isRoot = (directory: Directory): boolean => directory.path === "/";

export async function openRoot(medium: FatMedium, claim?: (cluster: number) => boolean): Promise<Directory> {
  const { bits, rootEntries, rootCluster } = medium.boot;
  if (bits === 32) return await openDirectory(medium, "/", rootCluster, undefined, claim);
  return { path: "/", firstCluster: 0, runs: [], bytes: rootEntries * ENTRY_BYTES, end: { kind: "whole", clusters: 0 }, place: undefined };
}

/** The clusters of a folder: its chain alone says how many. */
export async function openDirectory(
  medium: FatMedium,
  path: string,
  firstCluster: number,
  place: SetPlace | undefined,
  claim?: (cluster: number) => boolean,
): Promise<Directory> {
  const clustersMax = Math.max(1, Math.floor(DIRECTORY_BYTES_READ / medium.clusterBytes));
  const runs: Run[] = [];
  const following = followChain(medium, firstCluster, clustersMax, claim);
  for (let next = await following.next(); ; next = await following.next()) {
    if (next.done !== true) runs.push(next.value);
    else return { path, firstCluster, runs, bytes: next.value.clusters * medium.clusterBytes, end: next.value, place };
  }
}

/** Where `from` to `to` of a folder's bytes lie. */
function* placesIn(
  medium: FatMedium,
  directory: Directory,
  from: number,
  to: number,
): Generator<{ offset: bigint; at: number; bytes: number }> {
  if (directory.firstCluster === 0) {
    if (from < to) yield { offset: medium.rootOffset + BigInt(from), at: from, bytes: to - from };
    return;
  }
  let runStart = 0;
  for (const { first, count } of directory.runs) {
    const runEnd = runStart + count * medium.clusterBytes;
    const start = Math.max(from, runStart);
    const end = Math.min(to, runEnd);
    if (start < end) yield { offset: medium.offsetOf(first) + BigInt(start - runStart), at: start, bytes: end - start };
    if (runEnd >= to) return;
    runStart = runEnd;
  }
}

/** Where a slot lies on the medium. */
export function slotOffset(medium: FatMedium, directory: Directory, slot: number): bigint {
  for (const { offset } of placesIn(medium, directory, slot * ENTRY_BYTES, (slot + 1) * ENTRY_BYTES)) return offset;
  throw new RangeError(`slot ${slot} of ${directory.path}, which has ${slotsOf(directory)}`);
}

/** `count` slots' bytes from `slot` on; fewer where the folder ends before. */
export async function readSlots(medium: FatMedium, directory: Directory, slot: number, count: number): Promise<Uint8Array> {
  const start = slot * ENTRY_BYTES;
  const end = Math.min((slot + count) * ENTRY_BYTES, directory.bytes);
  const result = new Uint8Array(Math.max(0, end - start));
  for (const { offset, at, bytes } of placesIn(medium, directory, start, end)) result.set(await medium.read(offset, bytes), at - start);
  return result;
}

/** The file or folder whose entries start at a slot; undefined where none does. */
export async function readFileAt(medium: FatMedium, directory: Directory, slot: number, codePage: CodePage): Promise<FileItem | undefined> {
  const entries = await readSlots(medium, directory, slot, LONG_ENTRIES_MAX + 1);
  const grouping = new Grouping(codePage);
  for (let at = 0; at < entries.length; at += ENTRY_BYTES) {
    grouping.see(slot + at / ENTRY_BYTES, entries.subarray(at, at + ENTRY_BYTES));
    const [item] = grouping.take();
    if (item !== undefined) return item.kind === "file" ? item : undefined;
  }
  return undefined;
}

/** Everything that stands in a folder, in order, a piece of it in memory at a time. */
export async function* scanDirectory(
  medium: FatMedium,
  directory: Directory,
  codePage: CodePage,
  fromSlot = 0,
): AsyncGenerator<DirectoryItem> {
  const grouping = new Grouping(codePage);
  const slots = slotsOf(directory);
  for (let slot = fromSlot; slot < slots; ) {
    const piece = await readSlots(medium, directory, slot, PIECE_BYTES / ENTRY_BYTES);
    for (let at = 0; at < piece.length; at += ENTRY_BYTES, slot += 1) {
      grouping.see(slot, piece.subarray(at, at + ENTRY_BYTES));
      for (const item of grouping.take()) {
        yield item;
        if (item.kind === "end") return;
      }
    }
  }
  grouping.end();
  yield* grouping.take();
}

/** Entries, one after another, to what they are together. */
class Grouping {
  readonly #codePage: CodePage;
  #items: DirectoryItem[] = [];
  #long: { slot: number; entries: Uint8Array[] } | undefined;
  #free: { slot: number; count: number } | undefined;

  constructor(codePage: CodePage) {
    this.#codePage = codePage;
  }

  /** What is known to be whole since it was last taken. */
  take(): readonly DirectoryItem[] {
    if (this.#items.length === 0) return NOTHING;
    const items = this.#items;
    this.#items = [];
    return items;
  }

  see(slot: number, entry: Uint8Array): void {
    if (entry[0] === FIRST_BYTE.deleted) {
      this.#orphan();
      this.#free ??= { slot, count: 0 };
      this.#free.count += 1;
      return;
    }
    this.#endFree();
    if (entry[0] === FIRST_BYTE.end) {
      this.#orphan();
      this.#items.push({ kind: "end", slot });
    } else if (isLongEntry(entry)) this.#longEntry(slot, entry);
    else this.#shortEntry(slot, entry);
  }

  /** After the last slot. */
  end(): void {
    this.#orphan();
    this.#endFree();
  }

  #longEntry(slot: number, entry: Uint8Array): void {
    const before = this.#long?.entries.at(-1);
    const { number, last } = longEntryNumber(entry);
    const follows = before !== undefined && longEntryNumber(before).number === number + 1 && !last;
    if (!follows || number === 0) this.#orphan();
    this.#long ??= { slot, entries: [] };
    this.#long.entries.push(entry);
    if (this.#long.entries.length > LONG_ENTRIES_MAX) this.#orphan();
  }

  #shortEntry(slot: number, entry: Uint8Array): void {
    const attributes = entry[11]!;
    const isLabel = (attributes & ATTRIBUTE.label) !== 0 && (attributes & ATTRIBUTE.directory) === 0;
    if (isLabel || isDots(entry)) {
      this.#orphan();
      this.#items.push({ kind: isLabel ? "label" : "dot", slot, entries: entry.slice() });
      return;
    }
    const long = this.#long;
    if (long !== undefined) {
      const entries = joined([...long.entries, entry]);
      const longEntries = entries.subarray(0, entries.length - ENTRY_BYTES);
      if (isWholeLongName(longEntries) && belongsTo(longEntries, entry)) {
        this.#items.push({ kind: "file", slot: long.slot, entries, name: longNameOf(longEntries), long: true });
        this.#long = undefined;
        return;
      }
      this.#orphan();
    }
    this.#items.push({ kind: "file", slot, entries: entry.slice(), name: shortNameText(entry, entry[12]!, this.#codePage), long: false });
  }

  #orphan(): void {
    if (this.#long !== undefined) this.#items.push({ kind: "orphan", slot: this.#long.slot, entries: joined(this.#long.entries) });
    this.#long = undefined;
  }

  #endFree(): void {
    if (this.#free !== undefined) this.#items.push({ kind: "free", ...this.#free });
    this.#free = undefined;
  }
}

const NOTHING: readonly DirectoryItem[] = [];

const isDots = (entry: Uint8Array): boolean =>
  entry[0] === DOT_NAME[0] && [DOT_NAME, DOT_DOT_NAME].some((name) => Buffer.from(name).equals(entry.subarray(0, SHORT_NAME_BYTES)));

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** An error about a folder's or file's clusters, with the offset that shows it. */
export function brokenChain(medium: FatMedium, what: string, path: string, end: Exclude<ChainEnd, { kind: "whole" }>): HiperisoError {
  return new HiperisoError({
    what,
    where: `${medium.where}@${end.at}`,
    expected: `whole clusters of ${path}`,
    found: end.text,
    hint: "Check the volume and repair it.",
  });
}
