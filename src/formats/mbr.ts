/**
 * Master boot record: sector 0 of a disk, for BIOS (the table as in UEFI 2.10, 5.2.1). Little-endian; addresses are LBAs.
 *      0 440  boot code, entered by a BIOS at 0:0x7c00      440   4  disk signature
 *    446  64  four entries of 16 bytes                      510   2  0x55 0xAA
 * Entry:
 *      0   1  0x80 active, 0 not      4   1  type      8   4  first LBA      12   4  sectors
 * An extended partition (0x05, 0x0f, 0x85) holds a chain of such sectors: their first entry is a logical partition, relative to
 * the sector it is in, their second the next sector, relative to the extended partition.
 */
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
