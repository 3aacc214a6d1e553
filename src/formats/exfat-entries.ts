/**
 * Directory entries of exFAT (specification 6 and 7), 32 bytes each, little-endian. Several in a row make a set: a primary entry and the
 * secondary ones that belong to it.
 *
 * Kind, byte 0: 0x80 in use, 0x40 secondary, 0x20 benign (may be passed over by who does not know it). 0: nothing follows in the directory.
 *     0x81 allocation bitmap   0x83 label   0xA0 volume GUID        0xC0 stream   0xE0 vendor's data
 *     0x82 up-case table       0x85 file    0xA1 padding of TexFAT  0xC1 name     0xE1 vendor's clusters
 *
 * File                     Stream                        Bitmap                  Up-case table           Label
 *   1 1  secondary entries   1 1  flags                    1 1  bit 0: second      4 4  sum                1  1  characters, to 11
 *   2 2  sum of the set      3 1  characters of the name  20 4  first cluster     20 4  first cluster      2 22  UTF-16
 *   4 2  attributes          4 2  hash of the name        24 8  bytes             24 8  bytes
 *   8 4  created             8 8  bytes ever written     Name
 *  12 4  modified           20 4  first cluster            1 1  flags, 0
 *  16 4  accessed           24 8  bytes                    2 30 UTF-16, 15 units
 *  20 1  created, 10 ms
 *  21 1  modified, 10 ms    Flags of a secondary entry: 1 clusters are possible, 2 they lie in a row and the FAT does not know them.
 *  22 3  offsets from UTC   Vendor's clusters: flags at 1, GUID 2 to 17, first cluster 20, bytes 24.
 */
import { viewOf } from "./bytes.ts";
import { nameHash, setChecksum } from "./exfat-checksums.ts";
import { decodeExfatTime, encodeExfatTime } from "./exfat-time.ts";
import { type UpcaseTable, upcase } from "./exfat-upcase.ts";

export const ENTRY_BYTES = 32;
export const ENTRY = {
  end: 0,
  bitmap: 0x81,
  upcase: 0x82,
  label: 0x83,
  file: 0x85,
  guid: 0xa0,
  texfat: 0xa1,
  stream: 0xc0,
  name: 0xc1,
} as const;
/** An entry that is not in use, of no kind: what room that nobody needs is filled with. */
export const ENTRY_UNUSED = 0x05;
export const ATTRIBUTE = { readOnly: 1, hidden: 2, system: 4, directory: 0x10, archive: 0x20 } as const;
export const STREAM_FLAG = { allocationPossible: 1, noFatChain: 2 } as const;
export const NAME_UNITS_MAX = 255;
export const LABEL_UNITS_MAX = 11;
const UNITS_IN_ENTRY = 15;
const SECONDARY_MAX = 255;

export const isInUse = (type: number): boolean => (type & 0x80) !== 0;
export const isSecondary = (type: number): boolean => (type & 0x40) !== 0;
export const isBenign = (type: number): boolean => (type & 0x20) !== 0;

/** Clusters that an entry owns. */
export interface Allocation {
  /** 0: none. */
  readonly firstCluster: number;
  readonly dataBytes: bigint;
  /** True: the clusters follow each other and the FAT's entries for them mean nothing. */
  readonly noFatChain: boolean;
}

export const NO_ALLOCATION: Allocation = { firstCluster: 0, dataBytes: 0n, noFatChain: false };

/** What a file's or folder's set says. */
export interface FileSet {
  readonly name: string;
  readonly attributes: number;
  readonly createdMs: number | null;
  readonly modifiedMs: number | null;
  readonly allocation: Allocation;
  readonly validBytes: bigint;
  readonly nameHash: number;
  /** Allocations of secondary entries behind the names, known or not. */
  readonly extras: readonly Allocation[];
  /** A critical entry of a kind that revision 1.00 does not know: the file may be listed and deleted, not opened (8.2). */
  readonly unknownCritical: number | undefined;
}

export interface SetFault {
  readonly id: "set-checksum" | "name-hash" | "set-shape" | "name-length" | "entry-flags";
  /** From the start of the set. */
  readonly at: number;
  readonly text: string;
}

/** Why a set is none that can be used; undefined where it has its stream and enough names. `entries`: the whole set. */
function shapeFault(entries: Uint8Array): SetFault | undefined {
  const count = entries.length / ENTRY_BYTES;
  const shape = (index: number, text: string): SetFault => ({ id: "set-shape", at: index * ENTRY_BYTES, text });
  if (count < 3) return shape(0, `a file of ${count} entries: it needs 3`);
  if (entries[ENTRY_BYTES] !== ENTRY.stream) return shape(1, "the second entry is not the stream");
  const units = entries[ENTRY_BYTES + 3]!;
  const names = Math.ceil(units / UNITS_IN_ENTRY);
  if (units === 0) return { id: "name-length", at: ENTRY_BYTES + 3, text: "a name without characters" };
  for (let index = 0; index < names; index += 1) {
    if (entries[(2 + index) * ENTRY_BYTES] !== ENTRY.name) {
      return { id: "name-length", at: ENTRY_BYTES + 3, text: `${units} characters of a name in ${index} entries` };
    }
  }
  return undefined;
}

/**
 * Reads a set of file, stream and names, as long as its primary entry says. What is wrong with it is in `faults`; `set` is undefined only
 * where there is no stream or no name to read. Ranges of clusters are the caller's to check: they need the volume.
 */
export function decodeFileSet(
  entries: Uint8Array,
  table: UpcaseTable,
): { readonly set: FileSet | undefined; readonly faults: readonly SetFault[] } {
  const view = viewOf(entries);
  const faults: SetFault[] = [];
  const stored = view.getUint16(2, true);
  const actual = setChecksum(entries);
  if (stored !== actual) {
    faults.push({ id: "set-checksum", at: 2, text: `the set's sum is 0x${stored.toString(16)}, its bytes give 0x${actual.toString(16)}` });
  }
  const shape = shapeFault(entries);
  if (shape !== undefined) return { set: undefined, faults: [...faults, shape] };
  const name = setName(entries);
  const hash = nameHash(upcase(name, table));
  const storedHash = view.getUint16(ENTRY_BYTES + 4, true);
  if (storedHash !== hash) {
    const text = `the name's hash is 0x${storedHash.toString(16)}, its characters give 0x${hash.toString(16)}`;
    faults.push({ id: "name-hash", at: ENTRY_BYTES + 4, text });
  }
  const flags = entries[ENTRY_BYTES + 1]!;
  if ((flags & STREAM_FLAG.allocationPossible) === 0) {
    faults.push({ id: "entry-flags", at: ENTRY_BYTES + 1, text: `the stream's flags ${flags} deny it clusters` });
  }
  const { extras, unknownCritical } = entriesBehindNames(entries, faults);
  const times = (at: number, tenMs: number, offset: number) =>
    decodeExfatTime({ timestamp: view.getUint32(at, true), tenMs: entries[tenMs]!, utcOffset: entries[offset]! });
  const set: FileSet = {
    name,
    attributes: view.getUint16(4, true),
    createdMs: times(8, 20, 22),
    modifiedMs: times(12, 21, 23),
    allocation: allocationAt(entries, ENTRY_BYTES),
    validBytes: view.getBigUint64(ENTRY_BYTES + 8, true),
    nameHash: storedHash,
    extras,
    unknownCritical,
  };
  return { set, faults };
}

/** The name of a file's set, whatever its sums say; undefined where it has none. */
export const nameOfSet = (entries: Uint8Array): string | undefined => (shapeFault(entries) === undefined ? setName(entries) : undefined);

/** Of a set that has the shape of one: its units as stored, unpaired surrogates too. */
function setName(entries: Uint8Array): string {
  const view = viewOf(entries);
  const units = entries[ENTRY_BYTES + 3]!;
  const codes: number[] = new Array(units);
  for (let unit = 0; unit < units; unit += 1) {
    const entry = 2 + Math.floor(unit / UNITS_IN_ENTRY);
    codes[unit] = view.getUint16(entry * ENTRY_BYTES + 2 + (unit % UNITS_IN_ENTRY) * 2, true);
  }
  return String.fromCharCode(...codes);
}

/** First cluster and bytes of any entry that follows the generic templates (6.3, 6.4). `at`: where the entry starts. */
export function allocationAt(entries: Uint8Array, at: number): Allocation {
  const view = viewOf(entries);
  return {
    firstCluster: view.getUint32(at + 20, true),
    dataBytes: view.getBigUint64(at + 24, true),
    noFatChain: (entries[at + 1]! & STREAM_FLAG.noFatChain) !== 0,
  };
}

function entriesBehindNames(entries: Uint8Array, faults: SetFault[]): Pick<FileSet, "extras" | "unknownCritical"> {
  const extras: Allocation[] = [];
  let unknownCritical: number | undefined;
  const names = Math.ceil(entries[ENTRY_BYTES + 3]! / UNITS_IN_ENTRY);
  for (let at = (2 + names) * ENTRY_BYTES; at < entries.length; at += ENTRY_BYTES) {
    const type = entries[at]!;
    if (type === ENTRY.stream || type === ENTRY.name) {
      faults.push({ id: "set-shape", at, text: "an entry of a name or stream more than the set needs" });
      continue;
    }
    if (!isBenign(type)) unknownCritical ??= type;
    const allocation = allocationAt(entries, at);
    if ((entries[at + 1]! & STREAM_FLAG.allocationPossible) !== 0 && allocation.firstCluster !== 0) extras.push(allocation);
  }
  return { extras, unknownCritical };
}

/** A benign primary set's own clusters (6.3): flags of 16 bits at 4. Undefined where it has none. */
export function benignAllocation(entries: Uint8Array): Allocation | undefined {
  const flags = viewOf(entries).getUint16(4, true);
  if ((flags & STREAM_FLAG.allocationPossible) === 0) return undefined;
  const allocation = { ...allocationAt(entries, 0), noFatChain: (flags & STREAM_FLAG.noFatChain) !== 0 };
  return allocation.firstCluster === 0 ? undefined : allocation;
}

export interface NewSet {
  readonly name: string;
  readonly directory: boolean;
  readonly timeMs: number;
  readonly allocation: Allocation;
}

/** Entries that the set of a name of `units` characters takes. */
export const entriesOfName = (units: number): number => 2 + Math.ceil(units / UNITS_IN_ENTRY);

/** A whole set with its sums. All data counts as written; all three times are one. The name must be one that `nameFault` finds nothing wrong with. */
export function encodeFileSet({ name, directory, timeMs, allocation }: NewSet, table: UpcaseTable): Uint8Array {
  const entries = new Uint8Array(entriesOfName(name.length) * ENTRY_BYTES);
  const view = viewOf(entries);
  const time = encodeExfatTime(timeMs);
  entries[0] = ENTRY.file;
  view.setUint16(4, directory ? ATTRIBUTE.directory : ATTRIBUTE.archive, true);
  for (const at of [8, 12, 16]) view.setUint32(at, time.timestamp, true);
  entries.set([time.tenMs, time.tenMs, time.utcOffset, time.utcOffset, time.utcOffset], 20);
  entries[ENTRY_BYTES] = ENTRY.stream;
  putAllocation(entries, allocation, allocation.dataBytes);
  return withName(entries, name, table);
}

/** A copy of a set with other clusters and, where given, another time of change; all else as it was. */
export function withAllocation(
  entries: Uint8Array,
  allocation: Allocation,
  change: { readonly validBytes?: bigint; readonly modifiedMs?: number } = {},
): Uint8Array {
  const changed = entries.slice();
  putAllocation(changed, allocation, change.validBytes ?? allocation.dataBytes);
  if (change.modifiedMs !== undefined) {
    const view = viewOf(changed);
    const time = encodeExfatTime(change.modifiedMs);
    for (const at of [12, 16]) view.setUint32(at, time.timestamp, true);
    changed[21] = time.tenMs;
    changed.set([time.utcOffset, time.utcOffset], 23);
  }
  return withSetChecksum(changed);
}

function putAllocation(entries: Uint8Array, { firstCluster, dataBytes, noFatChain }: Allocation, validBytes: bigint): void {
  const view = viewOf(entries);
  const chained = firstCluster === 0 || !noFatChain;
  entries[ENTRY_BYTES + 1] = STREAM_FLAG.allocationPossible | (chained ? 0 : STREAM_FLAG.noFatChain);
  view.setBigUint64(ENTRY_BYTES + 8, validBytes, true);
  view.setUint32(ENTRY_BYTES + 20, firstCluster, true);
  view.setBigUint64(ENTRY_BYTES + 24, dataBytes, true);
}

/** A copy of a set under another name: entries behind the names, a vendor's, are kept. */
export function withName(entries: Uint8Array, name: string, table: UpcaseTable): Uint8Array {
  const kept: Uint8Array[] = [];
  for (let at = 2 * ENTRY_BYTES; at < entries.length; at += ENTRY_BYTES) {
    const type = entries[at]!;
    if (isInUse(type) && type !== ENTRY.name && type !== ENTRY.stream) kept.push(entries.subarray(at, at + ENTRY_BYTES));
  }
  const names = entriesOfName(name.length) - 2;
  const changed = new Uint8Array((2 + names + kept.length) * ENTRY_BYTES);
  changed.set(entries.subarray(0, 2 * ENTRY_BYTES));
  const view = viewOf(changed);
  for (let index = 0; index < names; index += 1) {
    const at = (2 + index) * ENTRY_BYTES;
    changed[at] = ENTRY.name;
    for (let unit = 0; unit < UNITS_IN_ENTRY; unit += 1) {
      const from = index * UNITS_IN_ENTRY + unit;
      if (from < name.length) view.setUint16(at + 2 + unit * 2, name.charCodeAt(from), true);
    }
  }
  kept.forEach((entry, index) => {
    changed.set(entry, (2 + names + index) * ENTRY_BYTES);
  });
  changed[1] = changed.length / ENTRY_BYTES - 1;
  changed[ENTRY_BYTES + 3] = name.length;
  view.setUint16(ENTRY_BYTES + 4, nameHash(upcase(name, table)), true);
  return withSetChecksum(changed);
}

/** A copy with the hash of its name and the sum of the set as they must be; the set must have a name. */
export function withSums(entries: Uint8Array, table: UpcaseTable): Uint8Array {
  const changed = entries.slice();
  changed[ENTRY_BYTES + 1] = changed[ENTRY_BYTES + 1]! | STREAM_FLAG.allocationPossible;
  viewOf(changed).setUint16(ENTRY_BYTES + 4, nameHash(upcase(setName(changed), table)), true);
  return withSetChecksum(changed);
}

/**
 * The set that can be made of what is left of one: its stream, and the characters that its name entries hold. Never longer than what is left.
 * Undefined where there is no stream, which alone says where the data is, or no entry for a name.
 */
export function salvagedSet(entries: Uint8Array, table: UpcaseTable): Uint8Array | undefined {
  if (entries.length < 3 * ENTRY_BYTES || entries[ENTRY_BYTES] !== ENTRY.stream || entries[2 * ENTRY_BYTES] !== ENTRY.name)
    return undefined;
  const view = viewOf(entries);
  const codes: number[] = [];
  for (let at = 2 * ENTRY_BYTES; at < entries.length && entries[at] === ENTRY.name; at += ENTRY_BYTES) {
    for (let unit = 0; unit < UNITS_IN_ENTRY; unit += 1) codes.push(view.getUint16(at + 2 + unit * 2, true));
  }
  const promised = entries[ENTRY_BYTES + 3]!;
  const name = String.fromCharCode(...codes.slice(0, promised === 0 ? codes.length : promised)).replace(/\0.*$/s, "");
  return withName(entries.subarray(0, 2 * ENTRY_BYTES), mendedName(name), table); // what else there was may be a name entry with a wrong kind
}

/** Writes the sum of a set into its primary entry, in place. */
export function withSetChecksum(entries: Uint8Array): Uint8Array {
  viewOf(entries).setUint16(2, setChecksum(entries), true);
  return entries;
}

/** True where a set under a name of `units` characters, with its other entries, is not longer than a set can be. */
export const fitsInSet = (entries: Uint8Array, units: number): boolean =>
  entries.length / ENTRY_BYTES - entriesOfName(entries[ENTRY_BYTES + 3]!) + entriesOfName(units) - 1 <= SECONDARY_MAX;

/** What is wrong with a name (7.7.3): undefined where exFAT can hold it. */
export function nameFault(name: string): string | undefined {
  if (name.length === 0) return "an empty name";
  if (name.length > NAME_UNITS_MAX) return `${name.length} UTF-16 units, more than ${NAME_UNITS_MAX}`;
  if (name === "." || name === "..") return `the reserved name ${name}`;
  return characterFault(name);
}

/** What is wrong with a label: undefined where exFAT can hold it. An empty one is none. */
export function labelFault(label: string): string | undefined {
  return label.length > LABEL_UNITS_MAX ? `${label.length} UTF-16 units, more than ${LABEL_UNITS_MAX}` : characterFault(label);
}

function characterFault(text: string): string | undefined {
  const bad = /[\x00-\x1f"*/:<>?\\|]/.exec(text);
  return bad === null ? undefined : `the character U+${bad[0].charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`;
}

/** The same with each forbidden character as `_`, never empty, within the length. */
export function mendedName(name: string): string {
  const replaced = name.replace(/[\x00-\x1f"*/:<>?\\|]/g, "_").slice(0, NAME_UNITS_MAX);
  return nameFault(replaced) === undefined ? replaced : "unnamed";
}

// Entries of the root

export function encodeLabelEntry(label: string): Uint8Array {
  const entry = new Uint8Array(ENTRY_BYTES);
  const view = viewOf(entry);
  entry[0] = ENTRY.label;
  entry[1] = label.length;
  for (let unit = 0; unit < label.length; unit += 1) view.setUint16(2 + unit * 2, label.charCodeAt(unit), true);
  return entry;
}

/** At most 11 units, whatever the count says. */
export function decodeLabelEntry(entry: Uint8Array): string {
  const view = viewOf(entry);
  const units = Math.min(entry[1]!, LABEL_UNITS_MAX);
  return String.fromCharCode(...Array.from({ length: units }, (_, unit) => view.getUint16(2 + unit * 2, true)));
}

export function encodeBitmapEntry({ firstCluster, dataBytes }: Allocation): Uint8Array {
  return rootAllocation(ENTRY.bitmap, firstCluster, dataBytes);
}

export function encodeUpcaseEntry({ firstCluster, dataBytes }: Allocation, checksum: number): Uint8Array {
  const entry = rootAllocation(ENTRY.upcase, firstCluster, dataBytes);
  viewOf(entry).setUint32(4, checksum, true);
  return entry;
}

function rootAllocation(type: number, firstCluster: number, dataBytes: bigint): Uint8Array {
  const entry = new Uint8Array(ENTRY_BYTES);
  const view = viewOf(entry);
  entry[0] = type;
  view.setUint32(20, firstCluster, true);
  view.setBigUint64(24, dataBytes, true);
  return entry;
}
