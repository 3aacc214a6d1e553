/**
 * NTFS, for reading. Microsoft publishes no specification; the layout is that of the Linux NTFS project's documentation and of the
 * structures in Linux' fs/ntfs3/ntfs.h. Little-endian; a cluster number counts from the start of the volume.
 *
 * Boot sector:
 *      3   8  "NTFS    "              11   2  bytes per sector         13   1  sectors per cluster, above 0x80: 2^(256 - n)
 *     40   8  sectors of the volume   48   8  cluster of the MFT       64   1  clusters per file record, negative: 2^-n bytes
 *     68   1  the same of an index record                              72   8  serial number
 * File record:
 *      0   4  "FILE"                   4   2  offset of the update sequence     6   2  its length in words
 *     16   2  sequence number         20   2  offset of the first attribute    22   2  flags: 1 in use, 2 directory
 *     24   4  bytes used              32   8  base record, 0 in a base record
 * Attribute:
 *      0   4  type, 0xffffffff: none   4   4  length          8   1  1: not resident     9   1  letters of its name
 *     10   2  offset of the name      12   2  flags: 1 compressed, 0x4000 encrypted, 0x8000 sparse
 *   resident:      16   4  length of the value    20   2  its offset
 *   not resident:  16   8  first virtual cluster  32   2  offset of the runs   40   8  allocated   48   8  size   56   8  initialised
 */
import { latin1, viewOf } from "./bytes.ts";

export interface NtfsBoot {
  readonly sectorBytes: number;
  readonly clusterBytes: number;
  readonly totalSectors: bigint;
  readonly mftCluster: bigint;
  readonly recordBytes: number;
  readonly indexBytes: number;
  readonly serial: bigint;
}

/** Why bytes are no such structure. */
export interface NtfsFault {
  readonly at: number;
  readonly expected: string;
  readonly found: string;
}

export const isFault = (value: object): value is NtfsFault => "expected" in value;

const POWERS_OF_TWO = { sector: [512, 4096], cluster: [512, 2 << 20], record: [512, 65_536] } as const;

/** Whether a boot sector says that it is NTFS; nothing is checked further. */
export const hasNtfsName = (sector: Uint8Array): boolean => latin1(sector.subarray(3, 11)) === "NTFS    ";

export function decodeNtfsBoot(sector: Uint8Array): NtfsBoot | NtfsFault {
  const fault = (at: number, expected: string, found: string): NtfsFault => ({ at, expected, found });
  if (sector.length < 512) return fault(0, "a boot sector of 512 bytes", `${sector.length} bytes`);
  if (!hasNtfsName(sector)) return fault(3, '"NTFS"', "something else");
  const view = viewOf(sector);
  const sectorBytes = view.getUint16(11, true);
  const perCluster = sector[13]!;
  const clusterBytes = sectorBytes * (perCluster > 0x80 ? 2 ** (256 - perCluster) : perCluster);
  const sized = (at: number) => {
    const value = view.getInt8(at);
    return value < 0 ? 2 ** -value : value * clusterBytes;
  };
  const [recordBytes, indexBytes] = [sized(64), sized(68)];
  if (!isPowerIn(sectorBytes, POWERS_OF_TWO.sector)) return fault(11, "512 to 4096 bytes per sector", `${sectorBytes}`);
  if (!isPowerIn(clusterBytes, POWERS_OF_TWO.cluster)) return fault(13, "clusters of 512 bytes to 2 MiB", `${clusterBytes} bytes`);
  if (!isPowerIn(recordBytes, POWERS_OF_TWO.record)) return fault(64, "file records of 512 bytes to 64 KiB", `${recordBytes} bytes`);
  if (!isPowerIn(indexBytes, POWERS_OF_TWO.record)) return fault(68, "index records of 512 bytes to 64 KiB", `${indexBytes} bytes`);
  return {
    sectorBytes,
    clusterBytes,
    totalSectors: view.getBigUint64(40, true),
    mftCluster: view.getBigUint64(48, true),
    recordBytes,
    indexBytes,
    serial: view.getBigUint64(72, true),
  };
}

const isPowerIn = (value: number, [least, most]: readonly [number, number]): boolean =>
  value >= least && value <= most && Number.isInteger(Math.log2(value));

const SEQUENCE_UNIT = 512;

/**
 * A record as it is meant: each of its 512-byte units ends on disk with the update sequence number, in whose place the real two bytes
 * are put back. A unit that ends otherwise was not written with the others.
 */
export function mendedRecord(record: Uint8Array, signature: "FILE" | "INDX"): Uint8Array | NtfsFault {
  const found = latin1(record.subarray(0, 4));
  if (found !== signature) return { at: 0, expected: `"${signature}"`, found: JSON.stringify(found) };
  const bytes = record.slice();
  const view = viewOf(bytes);
  const at = view.getUint16(4, true);
  const words = view.getUint16(6, true);
  const units = bytes.length / SEQUENCE_UNIT;
  if (words !== units + 1 || at + 2 * words > SEQUENCE_UNIT - 2)
    return { at: 4, expected: `an update sequence of ${units + 1} words in the first unit`, found: `${words} words at ${at}` };
  const number = view.getUint16(at, true);
  for (let unit = 1; unit < words; unit += 1) {
    const end = unit * SEQUENCE_UNIT - 2;
    if (view.getUint16(end, true) !== number)
      return { at: end, expected: "the update sequence number at the end of each unit", found: `another one in unit ${unit}` };
    view.setUint16(end, view.getUint16(at + 2 * unit, true), true);
  }
  return bytes;
}

export const ATTRIBUTE = {
  standardInformation: 0x10,
  attributeList: 0x20,
  fileName: 0x30,
  volumeName: 0x60,
  volumeInformation: 0x70,
  data: 0x80,
  indexRoot: 0x90,
  indexAllocation: 0xa0,
  bitmap: 0xb0,
} as const;

export interface NtfsAttribute {
  readonly type: number;
  readonly name: string;
  readonly flags: number;
  /** Of a resident attribute. */
  readonly value: Uint8Array | undefined;
  /** Of one that is not: its runs in order, and how much of them counts. */
  readonly runs: readonly NtfsRun[];
  readonly firstVcn: bigint;
  readonly sizeBytes: bigint;
  readonly initialisedBytes: bigint;
}

/** `cluster` undefined: a hole. */
export interface NtfsRun {
  readonly cluster: bigint | undefined;
  readonly clusters: bigint;
}

export const NTFS_FLAG = { compressed: 0x0001, encrypted: 0x4000, sparse: 0x8000 } as const;

/** Compressed in the ways of this format (the low byte names one), or encrypted: data that has to be turned back first. */
export const isCoded = (flags: number): boolean => (flags & 0xff) !== 0 || (flags & NTFS_FLAG.encrypted) !== 0;

export interface NtfsRecord {
  readonly inUse: boolean;
  readonly directory: boolean;
  /** 0: this is a base record. */
  readonly baseRecord: bigint;
  readonly attributes: readonly NtfsAttribute[];
}

const END_OF_ATTRIBUTES = 0xffffffff;
/** The low six bytes of a reference are the record's number, the others its sequence. */
export const recordNumber = (reference: bigint): bigint => reference & 0xffff_ffff_ffffn;

/** `record` as `mendedRecord` gives it. */
export function decodeNtfsRecord(record: Uint8Array): NtfsRecord | NtfsFault {
  const view = viewOf(record);
  const flags = view.getUint16(22, true);
  const attributes: NtfsAttribute[] = [];
  for (let at = view.getUint16(20, true); ; ) {
    if (at + 4 > record.length) return { at, expected: "an end of the attributes", found: "the end of the record" };
    if (view.getUint32(at, true) === END_OF_ATTRIBUTES) break;
    const length = at + 24 > record.length ? 0 : view.getUint32(at + 4, true);
    if (length < 24 || length % 8 !== 0 || at + length > record.length)
      return { at, expected: "an attribute inside the record", found: `one of ${length} bytes` };
    const attribute = decodeAttribute(record.subarray(at, at + length));
    if (isFault(attribute)) return { ...attribute, at: at + attribute.at };
    attributes.push(attribute);
    at += length;
  }
  return { inUse: (flags & 1) !== 0, directory: (flags & 2) !== 0, baseRecord: recordNumber(view.getBigUint64(32, true)), attributes };
}

function decodeAttribute(bytes: Uint8Array): NtfsAttribute | NtfsFault {
  const view = viewOf(bytes);
  const nameLength = bytes[9]! * 2;
  const nameAt = view.getUint16(10, true);
  if (nameAt + nameLength > bytes.length) return { at: 10, expected: "a name inside the attribute", found: `one at ${nameAt}` };
  const name = utf16(bytes.subarray(nameAt, nameAt + nameLength));
  const type = view.getUint32(0, true);
  const flags = view.getUint16(12, true);
  if (bytes[8] === 0) {
    const length = view.getUint32(16, true);
    const valueAt = view.getUint16(20, true);
    if (valueAt + length > bytes.length)
      return { at: 16, expected: "a value inside the attribute", found: `${length} bytes at ${valueAt}` };
    const value = bytes.slice(valueAt, valueAt + length);
    return { type, name, flags, value, runs: [], firstVcn: 0n, sizeBytes: BigInt(length), initialisedBytes: BigInt(length) };
  }
  if (bytes.length < 64) return { at: 4, expected: "64 bytes or more", found: `${bytes.length}` };
  const runs = decodeRuns(bytes.subarray(view.getUint16(32, true)));
  if (runs === undefined) return { at: 32, expected: "runs of clusters that end", found: "something else" };
  return {
    type,
    name,
    flags,
    value: undefined,
    runs,
    firstVcn: view.getBigUint64(16, true),
    sizeBytes: view.getBigUint64(48, true),
    initialisedBytes: view.getBigUint64(56, true),
  };
}

/** Each run: a byte with the lengths of two numbers, its clusters, and where it begins, counted from the run before. */
function decodeRuns(bytes: Uint8Array): readonly NtfsRun[] | undefined {
  const runs: NtfsRun[] = [];
  let cluster = 0n;
  for (let at = 0; ; ) {
    const head = bytes[at];
    if (head === undefined) return undefined;
    if (head === 0) return runs;
    const [countBytes, placeBytes] = [head & 15, head >> 4];
    const end = at + 1 + countBytes + placeBytes;
    if (countBytes === 0 || countBytes > 8 || placeBytes > 8 || end > bytes.length) return undefined;
    const clusters = signed(bytes.subarray(at + 1, at + 1 + countBytes));
    if (clusters <= 0n) return undefined;
    if (placeBytes === 0) runs.push({ cluster: undefined, clusters });
    else {
      cluster += signed(bytes.subarray(at + 1 + countBytes, end));
      if (cluster < 0n) return undefined;
      runs.push({ cluster, clusters });
    }
    at = end;
  }
}

function signed(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const [index, byte] of bytes.entries()) value |= BigInt(byte) << BigInt(8 * index);
  return BigInt.asIntN(8 * bytes.length, value);
}

export interface NtfsIndexEntry {
  /** Record of the file. */
  readonly record: bigint;
  readonly name: string;
  /** 2: the name for DOS beside a longer one. */
  readonly nameSpace: number;
  readonly directory: boolean;
  readonly sizeBytes: bigint;
  /** Ticks of 100 ns since 1601, UTC. */
  readonly modified: bigint;
  readonly attributes: number;
}

export const DOS_NAME_SPACE = 2;
const FILE_NAME_DIRECTORY = 0x1000_0000;
const FILE_NAME_BYTES = 66;

/**
 * The entries of a node: `bytes` from its header on (behind 16 bytes in an index root, behind 24 in an index record).
 *   0  4  offset of the first entry     4  4  bytes used
 * Entry: 0  8  file reference   8  2  length   10  2  length of the key   12  2  flags: 1 has a subnode, 2 last   16  …  key, a file name:
 *   8 × 8 bytes (parent, four times, allocated, size), 56  4  attributes, 64  1  letters, 65  1  name space, 66  …  name
 */
export function decodeIndexNode(bytes: Uint8Array): readonly NtfsIndexEntry[] | NtfsFault {
  if (bytes.length < 16) return { at: 0, expected: "an index header", found: `${bytes.length} bytes` };
  const view = viewOf(bytes);
  const end = Math.min(view.getUint32(4, true), bytes.length);
  const entries: NtfsIndexEntry[] = [];
  for (let at = view.getUint32(0, true); ; ) {
    if (at + 16 > end) return { at: 0, expected: "a last entry", found: "the end of the node" };
    const length = view.getUint16(at + 8, true);
    const keyLength = view.getUint16(at + 10, true);
    if ((view.getUint16(at + 12, true) & 2) !== 0) return entries;
    if (length < 16 || at + length > end || keyLength < FILE_NAME_BYTES || 16 + keyLength > length)
      return { at, expected: "an entry inside the node", found: `one of ${length} bytes with a key of ${keyLength}` };
    const key = at + 16;
    const letters = bytes[key + 64]!;
    if (FILE_NAME_BYTES + 2 * letters > keyLength) return { at: key, expected: "a name inside its entry", found: `${letters} letters` };
    const attributes = view.getUint32(key + 56, true);
    entries.push({
      record: recordNumber(view.getBigUint64(at, true)),
      name: utf16(bytes.subarray(key + FILE_NAME_BYTES, key + FILE_NAME_BYTES + 2 * letters)),
      nameSpace: bytes[key + 65]!,
      directory: (attributes & FILE_NAME_DIRECTORY) !== 0,
      sizeBytes: view.getBigUint64(key + 48, true),
      modified: view.getBigUint64(key + 16, true),
      attributes,
    });
    at += length;
  }
}

const TICKS_PER_MS = 10_000n;
/** 1601 to 1970. */
const EPOCH_MS = 11_644_473_600_000n;

/** Milliseconds since 1970; null for a time that a Date cannot hold. */
export function ntfsTimeMs(ticks: bigint): number | null {
  const ms = ticks / TICKS_PER_MS - EPOCH_MS;
  return ticks === 0n || ms > 8_640_000_000_000_000n ? null : Number(ms);
}

const utf16 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf16le");
