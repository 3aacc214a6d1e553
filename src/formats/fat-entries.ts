/**
 * Directory entries of FAT volumes, both ways (Microsoft, "FAT: General Overview of On-Disk Format" 1.03: "FAT Directory Structure", "FAT Long
 * Directory Entries"). Little-endian, 32 bytes each.
 *
 *   8.3 entry:   0 11 name; first byte 0: this and all after it are free, 0xE5: deleted, 0x05: 0xE5
 *               11  1 attributes   12 1 small letters (Windows NT)   13 1 10 ms made   14 2 time made   16 2 date made   18 2 date read
 *               20  2 first cluster, high half (FAT32)   22 2 time written   24 2 date written   26 2 first cluster, low half   28 4 bytes
 *   Long entry:  0  1 number, from 1; 0x40: the last   1 10 five units   11 1 0x0F   12 1 0   13 1 sum of the 8.3 name   14 12 six units
 *               26  2 0   28 4 two units
 * Long entries stand in front of their 8.3 entry, the last part of the name first. A name that does not fill its last entry ends in a unit 0, then 0xFFFF.
 */
import { viewOf } from "./bytes.ts";
import { decodeExfatTime, encodeExfatTime } from "./exfat-time.ts";
import { shortNameChecksum } from "./fat.ts";
import type { FatBits } from "./fat-boot.ts";
import { SHORT_NAME_BYTES } from "./fat-names.ts";

export const ENTRY_BYTES = 32;
export const FIRST_BYTE = { end: 0x00, deleted: 0xe5 } as const;
export const ATTRIBUTE = { readOnly: 1, hidden: 2, system: 4, label: 8, directory: 16, archive: 32, longName: 15 } as const;
const LONG_NAME_MASK = 0x3f;
const LAST_LONG = 0x40;
const UNITS_OF_ENTRY = 13;
/** 255 units take 20 entries. */
export const LONG_ENTRIES_MAX = 20;
/** Where in a long entry its 13 units stand. */
const UNIT_OFFSETS = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30] as const;

export interface ShortEntry {
  /** 11 bytes. */
  readonly name: Uint8Array;
  readonly attributes: number;
  readonly smallLetters: number;
  readonly firstCluster: number;
  readonly sizeBytes: number;
  readonly createdMs: number | null;
  readonly modifiedMs: number | null;
}

export const isLongEntry = (entry: Uint8Array): boolean => (entry[11]! & LONG_NAME_MASK) === ATTRIBUTE.longName;
export const isDirectoryEntry = (entry: Uint8Array): boolean => (entry[11]! & ATTRIBUTE.directory) !== 0;

export function decodeShortEntry(entry: Uint8Array, bits: FatBits): ShortEntry {
  const view = viewOf(entry);
  return {
    name: entry.slice(0, SHORT_NAME_BYTES),
    attributes: entry[11]!,
    smallLetters: entry[12]!,
    firstCluster: firstClusterOf(entry, bits),
    sizeBytes: view.getUint32(28, true),
    createdMs: timeOf(view.getUint16(16, true), view.getUint16(14, true), entry[13]!),
    modifiedMs: timeOf(view.getUint16(24, true), view.getUint16(22, true), 0),
  };
}

/** The high half is another thing on FAT12 and FAT16: OS/2 kept an index of extended attributes there. */
export function firstClusterOf(entry: Uint8Array, bits: FatBits): number {
  const view = viewOf(entry);
  return view.getUint16(26, true) + (bits === 32 ? view.getUint16(20, true) * 0x1_0000 : 0);
}

/** FAT says nothing of zones: taken for UTC. Null where it is no date. */
const timeOf = (date: number, time: number, tenMs: number): number | null =>
  decodeExfatTime({ timestamp: ((date << 16) | time) >>> 0, tenMs, utcOffset: 0 });

export interface NewEntry {
  readonly name: Uint8Array;
  readonly attributes: number;
  readonly firstCluster: number;
  readonly sizeBytes: number;
  /** Of making, reading and writing. What FAT cannot hold becomes the nearest that it can, from 1980 to 2107. */
  readonly timeMs: number;
}

export function encodeShortEntry({ name, attributes, firstCluster, sizeBytes, timeMs }: NewEntry): Uint8Array {
  const entry = new Uint8Array(ENTRY_BYTES);
  const view = viewOf(entry);
  const { timestamp, tenMs } = encodeExfatTime(timeMs);
  entry.set(name);
  entry[11] = attributes;
  if (attributes !== ATTRIBUTE.label) {
    entry[13] = tenMs;
    view.setUint16(14, timestamp & 0xffff, true);
    view.setUint16(16, timestamp >>> 16, true);
    view.setUint16(18, timestamp >>> 16, true);
  }
  putWritten(entry, timeMs);
  putData(entry, firstCluster, sizeBytes);
  return entry;
}

function putWritten(entry: Uint8Array, timeMs: number): void {
  const { timestamp } = encodeExfatTime(timeMs);
  viewOf(entry).setUint16(22, timestamp & 0xffff, true);
  viewOf(entry).setUint16(24, timestamp >>> 16, true);
}

function putData(entry: Uint8Array, firstCluster: number, sizeBytes: number): void {
  const view = viewOf(entry);
  view.setUint16(20, firstCluster >>> 16, true);
  view.setUint16(26, firstCluster & 0xffff, true);
  view.setUint32(28, sizeBytes, true);
}

/** A copy of an 8.3 entry with other data, and another time of writing where one is given. */
export function withData(entry: Uint8Array, firstCluster: number, sizeBytes: number, modifiedMs?: number): Uint8Array {
  const copy = entry.slice();
  putData(copy, firstCluster, sizeBytes);
  if (modifiedMs !== undefined) {
    putWritten(copy, modifiedMs);
    copy.set(copy.subarray(24, 26), 18); // read when it was written
    copy[11] = copy[11]! | ATTRIBUTE.archive;
  }
  return copy;
}

/** A copy of an 8.3 entry with another name, all in capitals. */
export function withShortName(entry: Uint8Array, name: Uint8Array): Uint8Array {
  const copy = entry.slice();
  copy.set(name);
  copy[12] = 0;
  return copy;
}

/** How many long entries a name takes. */
export const longEntriesOf = (name: string): number => Math.ceil(name.length / UNITS_OF_ENTRY);

/** The long entries of a name in the order in which they stand, all in one. */
export function encodeLongEntries(name: string, shortName: Uint8Array): Uint8Array {
  const count = longEntriesOf(name);
  const bytes = new Uint8Array(count * ENTRY_BYTES);
  const view = viewOf(bytes);
  const checksum = shortNameChecksum(shortName);
  for (let number = 1; number <= count; number += 1) {
    const at = (count - number) * ENTRY_BYTES;
    bytes[at] = number | (number === count ? LAST_LONG : 0);
    bytes[at + 11] = ATTRIBUTE.longName;
    bytes[at + 13] = checksum;
    UNIT_OFFSETS.forEach((offset, unit) => {
      const index = (number - 1) * UNITS_OF_ENTRY + unit;
      view.setUint16(at + offset, index < name.length ? name.charCodeAt(index) : index === name.length ? 0 : 0xffff, true);
    });
  }
  return bytes;
}

/** The number of a long entry, and whether it is the last of its name, which stands first. */
export const longEntryNumber = (entry: Uint8Array): { readonly number: number; readonly last: boolean } => ({
  number: entry[0]! & 0x3f,
  last: (entry[0]! & LAST_LONG) !== 0,
});

/** True where the long entries are a whole name by their numbers: the last first, down to 1. */
export function isWholeLongName(entries: Uint8Array): boolean {
  const count = entries.length / ENTRY_BYTES;
  if (count === 0 || count > LONG_ENTRIES_MAX) return false;
  for (let index = 0; index < count; index += 1) {
    const { number, last } = longEntryNumber(entries.subarray(index * ENTRY_BYTES));
    if (number !== count - index || last !== (index === 0)) return false;
  }
  return true;
}

/** True where all long entries have the sum of this 8.3 name. */
export function belongsTo(longEntries: Uint8Array, shortName: Uint8Array): boolean {
  const checksum = shortNameChecksum(shortName.subarray(0, SHORT_NAME_BYTES));
  for (let at = 13; at < longEntries.length; at += ENTRY_BYTES) if (longEntries[at] !== checksum) return false;
  return true;
}

/** The same entries with the sum of this 8.3 name. */
export function withChecksumOf(longEntries: Uint8Array, shortName: Uint8Array): Uint8Array {
  const copy = longEntries.slice();
  for (let at = 13; at < copy.length; at += ENTRY_BYTES) copy[at] = shortNameChecksum(shortName.subarray(0, SHORT_NAME_BYTES));
  return copy;
}

/** False where a field of long entries that has one value alone has another: reserved bits of the attributes, their kind (12), what would be a first cluster (26). */
export function hasLongNameFields(longEntries: Uint8Array): boolean {
  for (let at = 0; at < longEntries.length; at += ENTRY_BYTES) {
    if (
      longEntries[at + 11] !== ATTRIBUTE.longName ||
      longEntries[at + 12] !== 0 ||
      longEntries[at + 26] !== 0 ||
      longEntries[at + 27] !== 0
    )
      return false;
  }
  return true;
}

/** Of whole long entries; up to the first unit 0. May hold unpaired surrogates, and anything else. */
export function longNameOf(entries: Uint8Array): string {
  const view = viewOf(entries);
  let name = "";
  for (let at = entries.length - ENTRY_BYTES; at >= 0; at -= ENTRY_BYTES) {
    for (const offset of UNIT_OFFSETS) {
      const unit = view.getUint16(at + offset, true);
      if (unit === 0) return name;
      name += String.fromCharCode(unit);
    }
  }
  return name;
}

export const DOT_NAME = new TextEncoder().encode(".          ");
export const DOT_DOT_NAME = new TextEncoder().encode("..         ");

/** `.` and `..`, which start each folder but the root; the root's own number is 0 here, also on FAT32. */
export function encodeDotEntries(firstCluster: number, parentCluster: number, timeMs: number): Uint8Array {
  const bytes = new Uint8Array(2 * ENTRY_BYTES);
  const common = { attributes: ATTRIBUTE.directory, sizeBytes: 0, timeMs };
  bytes.set(encodeShortEntry({ ...common, name: DOT_NAME, firstCluster }));
  bytes.set(encodeShortEntry({ ...common, name: DOT_DOT_NAME, firstCluster: parentCluster }), ENTRY_BYTES);
  return bytes;
}
