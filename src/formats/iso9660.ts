/**
 * ISO 9660 (ECMA-119): volume descriptors and directory records. Numbers are stored twice, little-endian then big-endian
 * ("both-endian"): a pair that differs is reported and the little-endian half believed, as Linux does.
 *
 * Volume descriptors, one a 2,048-byte sector from sector 16, until one of type 255 (ECMA-119 8):
 *      0   1  type: 0 boot record, 1 primary, 2 supplementary (Joliet), 255 terminator
 *      1   5  "CD001"           6   1  version, 1 (2: enhanced)
 *      8  32  system id        40  32  volume id            80   8  size of the volume in blocks
 *     88  32  escape sequences (supplementary)             128   4  bytes in a block
 *    156  34  directory record of the root                 318 128  publisher
 *    446 128  data preparer   574 128  application         813  17  created           830  17  modified
 *
 * Directory records, packed, none crossing a sector (ECMA-119 9.1):
 *      0   1  length, 0: go to the next sector               1   1  blocks of extended attributes before the data
 *      2   8  first block      10   8  bytes of data        18   7  date
 *     25   1  flags: 1 hidden, 2 directory, 4 associated, 128 more extents follow
 *     26   1  file unit size, 27 1 gap: interleaved where not 0
 *     32   1  length of the name, 33 the name; padded to even, then the system use area (Rock Ridge)
 */
import { hex, latin1, viewOf } from "./bytes.ts";
import type { Place } from "./problem.ts";

export const ISO_SECTOR_BYTES = 2048;
/** The first 16 sectors belong to whoever makes the medium bootable. */
export const FIRST_DESCRIPTOR_SECTOR = 16;

export interface VolumeDescriptorHeader {
  readonly type: number;
  readonly version: number;
}

export const DESCRIPTOR_TYPE = { bootRecord: 0, primary: 1, supplementary: 2, terminator: 255 } as const;

/** Primary or supplementary volume descriptor. Text is trimmed of the padding blanks and of nothing else. */
export interface VolumeDescriptor {
  readonly systemId: string;
  readonly volumeId: string;
  readonly publisher: string;
  readonly preparer: string;
  readonly application: string;
  /** `YYYY-MM-DD-hh-mm-ss-cc`, without its time zone; null where the field holds no date. */
  readonly modified: string | null;
  /** 512, 1,024 or 2,048. */
  readonly blockBytes: number;
  readonly volumeBytes: bigint;
  readonly root: DirectoryRecord;
  /** Joliet level 1 to 3; null for a descriptor with another character set. */
  readonly jolietLevel: number | null;
}

export interface DirectoryRecord {
  /** Of the record in the image, for messages. */
  readonly offset: bigint;
  readonly recordBytes: number;
  /** First block of the data, after the extended attributes. */
  readonly block: number;
  readonly dataBytes: number;
  readonly directory: boolean;
  readonly associated: boolean;
  /** The file goes on in the next record of the same name. */
  readonly moreExtents: boolean;
  readonly interleaved: boolean;
  /** As stored: "\0" is the directory itself, "\x01" its parent. */
  readonly rawName: Uint8Array;
  readonly systemUse: Uint8Array;
}

/** Undefined where the sector holds no ISO 9660 descriptor at all. */
export function decodeDescriptorHeader(sector: Uint8Array): VolumeDescriptorHeader | undefined {
  return sector.length >= 7 && latin1(sector.subarray(1, 6)) === "CD001" ? { type: sector[0]!, version: sector[6]! } : undefined;
}

/** Undefined (and reported) where the descriptor cannot be used. `sector` is one whole sector. */
export function decodeVolumeDescriptor(sector: Uint8Array, { offset, report }: Place): VolumeDescriptor | undefined {
  const structure = sector[0] === DESCRIPTOR_TYPE.primary ? "primary volume descriptor" : "supplementary volume descriptor";
  if (sector.length < ISO_SECTOR_BYTES) {
    report({ offset, structure, expected: `${ISO_SECTOR_BYTES} bytes`, found: `${sector.length}, then the end of the image` });
    return undefined;
  }
  const blockBytes = bothEndian16(sector, 128, "logical block size", { offset, report });
  if (blockBytes !== 512 && blockBytes !== 1024 && blockBytes !== 2048) {
    report({ offset: offset + 128n, structure, expected: "a logical block size of 512, 1024 or 2048", found: `${blockBytes}` });
    return undefined;
  }
  const root = decodeDirectoryRecord(sector.subarray(156, 156 + 34), { offset: offset + 156n, report });
  if (root === undefined) return undefined;
  if (!root.directory) {
    report({ offset: offset + 156n + 25n, structure: "root directory record", expected: "the directory flag", found: "a file" });
    return undefined;
  }
  const jolietLevel = sector[0] === DESCRIPTOR_TYPE.supplementary ? jolietLevelOf(sector.subarray(88, 120)) : null;
  const text = (start: number, length: number) => {
    const bytes = sector.subarray(start, start + length);
    return (jolietLevel === null ? latin1(bytes) : ucs2(bytes)).replace(/[ \0]+$/, "");
  };
  return {
    systemId: text(8, 32),
    volumeId: text(40, 32),
    publisher: text(318, 128),
    preparer: text(446, 128),
    application: text(574, 128),
    modified: decodeDate(sector.subarray(830, 847)),
    blockBytes,
    volumeBytes: BigInt(bothEndian32(sector, 80, "volume space size", { offset, report })) * BigInt(blockBytes),
    root,
    jolietLevel,
  };
}

/** Smallest record: 33 bytes and a name of one. */
const MIN_RECORD_BYTES = 34;

/**
 * The record at the start of `bytes`, which end where the record's sector ends. Undefined (and reported) where its lengths cannot be right:
 * nothing behind it in this sector can be found then.
 */
export function decodeDirectoryRecord(bytes: Uint8Array, place: Place): DirectoryRecord | undefined {
  const { offset, report } = place;
  const structure = "directory record";
  const recordBytes = bytes[0] ?? 0;
  if (recordBytes < MIN_RECORD_BYTES || recordBytes > bytes.length) {
    const room = bytes.length < MIN_RECORD_BYTES ? `${bytes.length} bytes left in its sector` : `${recordBytes}`;
    report({ offset, structure, expected: `a length of ${MIN_RECORD_BYTES} to ${Math.max(bytes.length, MIN_RECORD_BYTES)}`, found: room });
    return undefined;
  }
  const nameBytes = bytes[32]!;
  if (nameBytes === 0 || 33 + nameBytes > recordBytes) {
    report({ offset: offset + 32n, structure, expected: `a name of 1 to ${recordBytes - 33} bytes`, found: `${nameBytes}` });
    return undefined;
  }
  const flags = bytes[25]!;
  return {
    offset,
    recordBytes,
    block: bothEndian32(bytes, 2, "location of extent", place) + bytes[1]!,
    dataBytes: bothEndian32(bytes, 10, "data length", place),
    directory: (flags & 2) !== 0,
    associated: (flags & 4) !== 0,
    moreExtents: (flags & 128) !== 0,
    interleaved: bytes[26] !== 0 || bytes[27] !== 0,
    rawName: bytes.slice(33, 33 + nameBytes),
    systemUse: bytes.slice(Math.min(33 + nameBytes + ((nameBytes + 1) % 2), recordBytes), recordBytes),
  };
}

/** "KERNEL.IMG;1" → "KERNEL.IMG", "README.;1" → "README": version number and the dot of an empty extension are no part of the name. */
export const plainName = (raw: Uint8Array): string => latin1(raw).replace(/;\d*$/, "").replace(/\.$/, "");

/** Joliet: UCS-2, big-endian; a version number may be there. */
export const jolietName = (raw: Uint8Array): string => ucs2(raw).replace(/;\d*$/, "");

/** ISO 2022 escape sequences "%/@", "%/C", "%/E" (Joliet specification, "SVD Escape Sequences Field"). */
function jolietLevelOf(escapes: Uint8Array): number | null {
  const level = ["%/@", "%/C", "%/E"].indexOf(latin1(escapes.subarray(0, 3)));
  return level < 0 ? null : level + 1;
}

/** 16 digits and a time zone (ECMA-119 8.4.26.1). All zeros, digits or bytes, is no date. */
function decodeDate(bytes: Uint8Array): string | null {
  const digits = latin1(bytes.subarray(0, 16));
  if (!/^\d{16}$/.test(digits) || /^0+$/.test(digits)) return null;
  return digits.replace(/^(....)(..)(..)(..)(..)(..)(..)$/, "$1-$2-$3-$4-$5-$6-$7");
}

function ucs2(bytes: Uint8Array): string {
  const view = viewOf(bytes);
  let text = "";
  for (let at = 0; at + 1 < bytes.length; at += 2) text += String.fromCharCode(view.getUint16(at, false));
  return text;
}

export function bothEndian32(bytes: Uint8Array, at: number, field: string, place: Place): number {
  const view = viewOf(bytes);
  return agreed(view.getUint32(at, true), view.getUint32(at + 4, false), at, field, place);
}

function bothEndian16(bytes: Uint8Array, at: number, field: string, place: Place): number {
  const view = viewOf(bytes);
  return agreed(view.getUint16(at, true), view.getUint16(at + 2, false), at, field, place);
}

function agreed(little: number, big: number, at: number, field: string, { offset, report }: Place): number {
  if (little !== big) {
    report({
      offset: offset + BigInt(at),
      structure: `ISO 9660 ${field}`,
      expected: "the same number in both byte orders",
      found: `${hex(little)} little-endian, ${hex(big)} big-endian`,
    });
  }
  return little;
}
