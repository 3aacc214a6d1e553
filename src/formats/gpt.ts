/**
 * GUID partition table: UEFI 2.10, 5.3. Little-endian; addresses are LBAs, never bytes.
 *
 * Header (5.3.2, table 5.5), one at LBA 1 and one in the last block of the disk:
 *      0   8  "EFI PART"               8   4  revision, 1.0          12   4  header size, 92 or more
 *     16   4  CRC-32 of the header, this field as zero
 *     24   8  LBA of this header      32   8  LBA of the other header
 *     40   8  first usable LBA        48   8  last usable LBA        56  16  disk GUID
 *     72   8  LBA of the entries      80   4  number of entries      84   4  size of an entry, 128 × 2^n
 *     88   4  CRC-32 of the entries
 * Entry (5.3.3, table 5.6):
 *      0  16  type, all zeros: unused     16  16  unique GUID        32   8  first LBA        40   8  last LBA, inclusive
 *     48   8  attributes                  56  72  name, UTF-16LE, to the first zero
 */
import { crc32 } from "node:zlib";
import { hex, latin1, viewOf } from "./bytes.ts";
import type { Place } from "./problem.ts";

const MIN_HEADER_BYTES = 92;
const MIN_ENTRY_BYTES = 128;
/** Sixteen times what everybody writes. A table of more is a lie, and its checksum would cost memory. */
export const ENTRY_TABLE_BYTES_MAX = 16 * 128 * 128;

export interface GptHeader {
  readonly myLba: bigint;
  readonly otherLba: bigint;
  readonly firstUsableLba: bigint;
  readonly lastUsableLba: bigint;
  readonly diskGuid: string;
  readonly entriesLba: bigint;
  readonly entryCount: number;
  readonly entryBytes: number;
  readonly entriesCrc: number;
}

export interface GptEntry {
  /** Of the entry in the image. */
  readonly offset: bigint;
  /** Place in the table, from 1. */
  readonly number: number;
  readonly typeGuid: string;
  readonly uniqueGuid: string;
  readonly firstLba: bigint;
  /** Inclusive. */
  readonly lastLba: bigint;
  readonly attributes: bigint;
  readonly name: string;
}

export const hasGptSignature = (block: Uint8Array): boolean => latin1(block.subarray(0, 8)) === "EFI PART";

/**
 * `block` is the logical block `lba`. Undefined (and reported) unless it holds an intact header: firmware takes no other.
 */
export function decodeGptHeader(block: Uint8Array, lba: bigint, { offset, report }: Place): GptHeader | undefined {
  const structure = "GPT header";
  const bad = (at: number, expected: string, found: string): undefined => {
    report({ offset: offset + BigInt(at), structure, expected, found });
  };
  if (block.length < MIN_HEADER_BYTES) return bad(0, `at least ${MIN_HEADER_BYTES} bytes`, `${block.length}, then the end of the image`);
  if (!hasGptSignature(block)) return bad(0, '"EFI PART"', hex(viewOf(block).getBigUint64(0, false), 16));
  const view = viewOf(block);
  const headerBytes = view.getUint32(12, true);
  if (headerBytes < MIN_HEADER_BYTES || headerBytes > block.length) {
    return bad(12, `a header size of ${MIN_HEADER_BYTES} to ${block.length}`, `${headerBytes}`);
  }
  const stored = view.getUint32(16, true);
  const actual = headerCrc(block.subarray(0, headerBytes));
  if (stored !== actual) return bad(16, `CRC-32 ${hex(actual, 8)}`, hex(stored, 8));
  const myLba = view.getBigUint64(24, true);
  if (myLba !== lba) return bad(24, `its own LBA, ${lba}`, `${myLba}`);
  const entryBytes = view.getUint32(84, true);
  if (entryBytes < MIN_ENTRY_BYTES || (entryBytes & (entryBytes - 1)) !== 0) return bad(84, "an entry size of 128 × 2^n", `${entryBytes}`);
  const entryCount = view.getUint32(80, true);
  if (entryCount * entryBytes > ENTRY_TABLE_BYTES_MAX) {
    return bad(80, `at most ${ENTRY_TABLE_BYTES_MAX} bytes of entries`, `${entryCount} of ${entryBytes} bytes`);
  }
  return {
    myLba,
    otherLba: view.getBigUint64(32, true),
    firstUsableLba: view.getBigUint64(40, true),
    lastUsableLba: view.getBigUint64(48, true),
    diskGuid: decodeGuid(block.subarray(56, 72)),
    entriesLba: view.getBigUint64(72, true),
    entryCount,
    entryBytes,
    entriesCrc: view.getUint32(88, true),
  };
}

function headerCrc(header: Uint8Array): number {
  const zeroed = header.slice();
  zeroed.fill(0, 16, 20);
  return crc32(zeroed);
}

/**
 * The used entries of the table that `header` describes; `table` is its `entryCount * entryBytes` bytes. Undefined (and reported) where the
 * image ends before the table does or its checksum is wrong: firmware takes no such table.
 */
export function decodeGptEntries(table: Uint8Array, header: GptHeader, { offset, report }: Place): readonly GptEntry[] | undefined {
  const structure = "GPT partition entries";
  const bytes = header.entryCount * header.entryBytes;
  if (table.length < bytes) {
    report({ offset, structure, expected: `${bytes} bytes`, found: `${table.length}, then the end of the image` });
    return undefined;
  }
  const actual = crc32(table.subarray(0, bytes));
  if (actual !== header.entriesCrc) {
    report({ offset, structure, expected: `CRC-32 ${hex(header.entriesCrc, 8)} as in the header`, found: hex(actual, 8) });
    return undefined;
  }
  const entries: GptEntry[] = [];
  for (let index = 0; index < header.entryCount; index += 1) {
    const entry = table.subarray(index * header.entryBytes, (index + 1) * header.entryBytes);
    if (entry.subarray(0, 16).every((byte) => byte === 0)) continue;
    const view = viewOf(entry);
    entries.push({
      offset: offset + BigInt(index * header.entryBytes),
      number: index + 1,
      typeGuid: decodeGuid(entry.subarray(0, 16)),
      uniqueGuid: decodeGuid(entry.subarray(16, 32)),
      firstLba: view.getBigUint64(32, true),
      lastLba: view.getBigUint64(40, true),
      attributes: view.getBigUint64(48, true),
      name: utf16(entry.subarray(56, 128)),
    });
  }
  return entries;
}

/** An entry to be written: `number` from 1 is its place in the table. */
export type NewGptEntry = Omit<GptEntry, "offset">;

/** UTF-16 units that a name may have: the field holds 36, and readers differ on whether the last must be zero. */
export const GPT_NAME_UNITS_MAX = 35;

/**
 * A table of `count` entries of `entryBytes`, unused ones as zeros. Throws RangeError for a number outside of the table or used
 * twice, a name that is too long or holds a NUL, a GUID that is none.
 */
export function encodeGptEntries(entries: readonly NewGptEntry[], count: number, entryBytes: number): Uint8Array {
  const table = new Uint8Array(count * entryBytes);
  const numbers = new Set<number>();
  for (const { number, typeGuid, uniqueGuid, firstLba, lastLba, attributes, name } of entries) {
    if (!Number.isInteger(number) || number < 1 || number > count || numbers.has(number))
      throw new RangeError(`GPT entry ${number}: not one of 1 to ${count}, or there already`);
    if (name.length > GPT_NAME_UNITS_MAX || name.includes("\0"))
      throw new RangeError(`GPT entry ${number}: a name of more than ${GPT_NAME_UNITS_MAX} UTF-16 units, or one with a NUL`);
    numbers.add(number);
    const entry = table.subarray((number - 1) * entryBytes, number * entryBytes);
    const view = viewOf(entry);
    entry.set(encodeGuid(typeGuid), 0);
    entry.set(encodeGuid(uniqueGuid), 16);
    view.setBigUint64(32, firstLba, true);
    view.setBigUint64(40, lastLba, true);
    view.setBigUint64(48, attributes, true);
    for (let unit = 0; unit < name.length; unit += 1) view.setUint16(56 + 2 * unit, name.charCodeAt(unit), true);
  }
  return table;
}

/** One logical block of `blockBytes` with the header at its start, its checksum made. */
export function encodeGptHeader(header: GptHeader, blockBytes: number): Uint8Array {
  const block = new Uint8Array(blockBytes);
  const view = viewOf(block);
  block.set(Buffer.from("EFI PART", "latin1"), 0);
  view.setUint32(8, 0x00010000, true);
  view.setUint32(12, MIN_HEADER_BYTES, true);
  view.setBigUint64(24, header.myLba, true);
  view.setBigUint64(32, header.otherLba, true);
  view.setBigUint64(40, header.firstUsableLba, true);
  view.setBigUint64(48, header.lastUsableLba, true);
  block.set(encodeGuid(header.diskGuid), 56);
  view.setBigUint64(72, header.entriesLba, true);
  view.setUint32(80, header.entryCount, true);
  view.setUint32(84, header.entryBytes, true);
  view.setUint32(88, header.entriesCrc, true);
  view.setUint32(16, headerCrc(block.subarray(0, MIN_HEADER_BYTES)), true);
  return block;
}

/** 16 bytes, the first three fields little-endian (RFC 4122 as Microsoft stores it), in capitals. */
export function decodeGuid(bytes: Uint8Array): string {
  const view = viewOf(bytes);
  const rest = Buffer.from(bytes.subarray(8, 16)).toString("hex");
  const text = [
    hexDigits(view.getUint32(0, true), 8),
    hexDigits(view.getUint16(4, true), 4),
    hexDigits(view.getUint16(6, true), 4),
    rest.slice(0, 4),
    rest.slice(4),
  ];
  return text.join("-").toUpperCase();
}

/** The 16 bytes of a GUID written as `decodeGuid` writes it, in either case. Throws RangeError for any other text. */
export function encodeGuid(text: string): Uint8Array {
  const parts = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/i.exec(text);
  if (parts === null) throw new RangeError(`not a GUID: ${text}`);
  const [, low = "", middle = "", high = "", clock = "", node = ""] = parts;
  const bytes = new Uint8Array(16);
  const view = viewOf(bytes);
  view.setUint32(0, Number.parseInt(low, 16), true);
  view.setUint16(4, Number.parseInt(middle, 16), true);
  view.setUint16(6, Number.parseInt(high, 16), true);
  bytes.set(Buffer.from(clock + node, "hex"), 8);
  return bytes;
}

const hexDigits = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");

function utf16(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("utf16le");
  const end = text.indexOf("\0");
  return end < 0 ? text : text.slice(0, end);
}

export const ESP_GUID = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B";

const TYPE_NAMES: Readonly<Record<string, string>> = {
  [ESP_GUID]: "EFI system",
  "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7": "Microsoft basic data",
  "E3C9E316-0B5C-4DB8-817D-F92DF00215AE": "Microsoft reserved",
  "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC": "Windows recovery",
  "21686148-6449-6E6F-744E-656564454649": "BIOS boot",
  "0FC63DAF-8483-4772-8E79-3D69D8477DE4": "Linux file system",
  "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F": "Linux swap",
  "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709": "Linux root (x86-64)",
  "BC13C2FF-59E6-4262-A352-B275FD6F7172": "Linux extended boot",
  "E6D6D379-F507-44C2-A23C-238F2A3DF928": "Linux LVM",
  "A19D880F-05FC-4D3B-A006-743F0F84911E": "Linux RAID",
  "48465300-0000-11AA-AA11-00306543ECAC": "Apple HFS+",
  "FE3A2A5D-4F32-41A7-B725-ACCC3285A309": "ChromeOS kernel",
  "516E7CB6-6ECF-11D6-8FF8-00022D09712B": "FreeBSD UFS",
  "83BD6B9D-7F41-11DC-BE0B-001560B84F0F": "FreeBSD boot",
};

export const gptTypeName = (guid: string): string | null => TYPE_NAMES[guid] ?? null;
