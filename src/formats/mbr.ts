/**
 * Master boot record: sector 0 of a disk, for BIOS (the table as in UEFI 2.10, 5.2.1). Little-endian; addresses are LBAs.
 *      0 440  boot code, entered by a BIOS at 0:0x7c00      440   4  disk signature
 *    446  64  four entries of 16 bytes                      510   2  0x55 0xAA
 * Entry:
 *      0   1  0x80 active, 0 not      4   1  type      8   4  first LBA      12   4  sectors
 *      1   3  first sector, and 5 3 last sector, as a BIOS of old counts them: head; sector from 1 in bits 0 to 5 and bits 8 and 9
 *             of the cylinder in bits 6 and 7; cylinder. Nothing reads them any more; what they cannot count is the highest they can.
 * An extended partition (0x05, 0x0f, 0x85) holds a chain of such sectors: their first entry is a logical partition, relative to
 * the sector it is in, their second the next sector, relative to the extended partition.
 */
import { HiperisoError } from "../contract/error.ts";
import { hex, viewOf } from "./bytes.ts";
import type { Place } from "./problem.ts";

export const MBR_BYTES = 512;

export interface Mbr {
  readonly bootCode: Uint8Array;
  readonly diskSignature: number;
  /** Entries whose type is not 0. */
  readonly entries: readonly MbrEntry[];
}

export interface MbrEntry {
  /** Of the entry in the image. */
  readonly offset: bigint;
  /** Place in this sector's table, from 1. */
  readonly number: number;
  readonly type: number;
  readonly active: boolean;
  readonly firstLba: number;
  readonly sectors: number;
}

/**
 * Undefined where there is no table: no signature, fewer than 512 bytes, or no entry with a status that can be (boot code ends with
 * 0x55 0xAA too). That is not reported: most sectors are no MBR.
 */
export function decodeMbr(sector: Uint8Array, { offset, report }: Place): Mbr | undefined {
  if (sector.length < MBR_BYTES || sector[510] !== 0x55 || sector[511] !== 0xaa) return undefined;
  const view = viewOf(sector);
  const entries: MbrEntry[] = [];
  const starts = [446, 462, 478, 494];
  if (starts.every((at) => !isStatus(sector[at]!))) return undefined;
  for (const [index, at] of starts.entries()) {
    const number = index + 1;
    const type = sector[at + 4]!;
    if (type === 0) continue;
    const status = sector[at]!;
    if (!isStatus(status)) {
      report({ offset: offset + BigInt(at), structure: `MBR entry ${number}`, expected: "a status of 0x00 or 0x80", found: hex(status) });
    }
    entries.push({
      offset: offset + BigInt(at),
      number,
      type,
      active: status === 0x80,
      firstLba: view.getUint32(at + 8, true),
      sectors: view.getUint32(at + 12, true),
    });
  }
  return { bootCode: sector.slice(0, 440), diskSignature: view.getUint32(440, true), entries };
}

const isStatus = (status: number): boolean => status === 0 || status === 0x80;

export const isExtended = (type: number): boolean => type === 0x05 || type === 0x0f || type === 0x85;

export const PROTECTIVE_TYPE = 0xee;
export const ESP_TYPE = 0xef;

/** Types that are met today; the full list has hundreds that nobody writes any more. */
const TYPE_NAMES: Readonly<Record<number, string>> = {
  1: "FAT12",
  4: "FAT16",
  5: "extended",
  6: "FAT16",
  7: "NTFS or exFAT",
  11: "FAT32",
  12: "FAT32",
  14: "FAT16",
  15: "extended",
  23: "hidden NTFS, used for hybrid ISO images",
  130: "Linux swap",
  131: "Linux",
  133: "Linux extended",
  142: "Linux LVM",
  165: "FreeBSD",
  166: "OpenBSD",
  169: "NetBSD",
  205: "ISO 9660",
  238: "protective, for a GPT",
  239: "EFI system",
  253: "Linux RAID",
};

export const mbrTypeName = (type: number): string | null => TYPE_NAMES[type] ?? null;

/** A partition to be written into the table itself. Sector addresses and counts are 32 bits. */
export interface PrimaryPartition {
  readonly type: number;
  readonly active: boolean;
  readonly firstLba: bigint;
  readonly sectors: bigint;
}

/** Heads, and sectors of a track, as which the disk is counted. Tools differ; parted takes 4 and 32 for a file. */
export interface DiskGeometry {
  readonly heads: number;
  readonly sectors: number;
}

const USUAL_GEOMETRY: DiskGeometry = { heads: 255, sectors: 63 };
const PARTITIONS_MAX = 4;
const CYLINDER_MAX = 1023;

/**
 * A sector with up to four primary partitions, in this order, and `bootCode` of up to 440 bytes. Throws on more, on partitions that overlap or
 * hold nothing, and where a number does not fit its field.
 */
export function encodeMbr({
  diskSignature,
  partitions,
  bootCode = new Uint8Array(),
  geometry = USUAL_GEOMETRY,
}: {
  readonly diskSignature: number;
  readonly partitions: readonly PrimaryPartition[];
  readonly bootCode?: Uint8Array;
  readonly geometry?: DiskGeometry;
}): Uint8Array {
  const bad = (where: string, expected: string, found: string) =>
    new HiperisoError({ what: "write a partition table", where, expected, found });
  if (partitions.length > PARTITIONS_MAX) throw bad("the table", `${PARTITIONS_MAX} partitions at most`, `${partitions.length}`);
  if (bootCode.length > 440) throw bad("the boot code", "440 bytes at most", `${bootCode.length}`);
  const sector = new Uint8Array(MBR_BYTES);
  const view = viewOf(sector);
  sector.set(bootCode);
  view.setUint32(440, diskSignature, true);
  for (const [index, { type, active, firstLba, sectors }] of partitions.entries()) {
    const name = `partition ${index + 1}`;
    if (type < 1 || type > 0xff) throw bad(name, "a type of 0x01 to 0xff", hex(type));
    if (firstLba < 1n || sectors < 1n || firstLba > 0xffff_ffffn || sectors > 0xffff_ffffn) {
      throw bad(name, "32 bits each for the first sector and their number, neither of them 0", `${firstLba} and ${sectors}`);
    }
    const other = partitions.findIndex(
      (one, at) => at < index && one.firstLba < firstLba + sectors && firstLba < one.firstLba + one.sectors,
    );
    if (other >= 0) throw bad(name, "sectors of its own", `some of partition ${other + 1}`);
    const at = 446 + index * 16;
    sector[at] = active ? 0x80 : 0;
    sector.set(encodeChs(firstLba, geometry), at + 1);
    sector[at + 4] = type;
    sector.set(encodeChs(firstLba + sectors - 1n, geometry), at + 5);
    view.setUint32(at + 8, Number(firstLba), true);
    view.setUint32(at + 12, Number(sectors), true);
  }
  sector.set([0x55, 0xaa], 510);
  return sector;
}

function encodeChs(lba: bigint, { heads, sectors }: DiskGeometry): Uint8Array {
  const track = lba / BigInt(sectors);
  const cylinder = Number(track / BigInt(heads));
  if (cylinder > CYLINDER_MAX) return encodeChsParts(CYLINDER_MAX, heads - 1, sectors);
  return encodeChsParts(cylinder, Number(track % BigInt(heads)), Number(lba % BigInt(sectors)) + 1);
}

const encodeChsParts = (cylinder: number, head: number, sector: number): Uint8Array =>
  Uint8Array.of(head, sector | ((cylinder >> 2) & 0xc0), cylinder & 0xff);
