/**
 * El Torito 1.0 (Phoenix, IBM 1995): how a CD tells the firmware what to boot. Little-endian.
 *
 * Boot record volume descriptor, sector 17 of the medium:
 *      7  32  "EL TORITO SPECIFICATION", zero-padded         71   4  sector of the catalogue
 *
 * Catalogue: 32-byte entries. The first is the validation entry:
 *      0   1  1      1  1  platform      4  24  id     28  2  checksum: all 16-bit words sum to 0     30  2  0x55 0xAA
 * The second is the default entry; then sections, each a header:
 *      0   1  0x90, or 0x91 for the last     1  1  platform     2  2  entries that follow     4  28  id
 * Default and section entries:
 *      0   1  0x88 bootable, 0 not           1  1  emulation in bits 0-3; 0x20 of a section entry: extension entries (0x44) follow
 *      2   2  load segment, 0: 0x7c0         6  2  512-byte sectors to load        8  4  LBA of the image, 2,048-byte sectors
 */
import { hex, latin1, viewOf } from "./bytes.ts";
import type { Place } from "./problem.ts";

const ENTRY_BYTES = 32;

export const PLATFORM = { x86: 0, powerPc: 1, mac: 2, efi: 0xef } as const;

export interface BootCatalogEntry {
  /** From 1. */
  readonly number: number;
  /** Of the entry in the image. */
  readonly offset: bigint;
  /** Of its section; of the validation entry for the default entry. */
  readonly platformId: number;
  readonly bootable: boolean;
  /** 0 none, 1 to 3 floppies of 1.2, 1.44 and 2.88 MB, 4 hard disk. */
  readonly emulation: number;
  readonly loadSegment: number;
  readonly loadSectors: number;
  /** 2,048-byte sectors. */
  readonly lba: number;
  /** Of the section; of the validation entry for the default entry. */
  readonly id: string;
}

/** LBA of the catalogue, or undefined where this boot record is not El Torito's. `sector`: a volume descriptor of type 0. */
export function decodeBootRecord(sector: Uint8Array): number | undefined {
  if (sector.length < 75 || latin1(sector.subarray(7, 39)).replace(/[\0 ]+$/, "") !== "EL TORITO SPECIFICATION") return undefined;
  return viewOf(sector).getUint32(71, true);
}

export interface BootCatalog {
  /** UEFI passes over a catalogue whose checksum is wrong (EDK II does); a BIOS does not add up (SeaBIOS). */
  readonly checksumRight: boolean;
  readonly entries: readonly BootCatalogEntry[];
}

/** All entries that can be read. `catalog` is what the image holds from the catalogue's first byte on: one sector or more. */
export function decodeBootCatalog(catalog: Uint8Array, { offset, report }: Place): BootCatalog {
  const entryAt = (index: number): Uint8Array => catalog.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES);
  const offsetOf = (index: number): bigint => offset + BigInt(index * ENTRY_BYTES);
  const count = Math.floor(catalog.length / ENTRY_BYTES);
  if (count < 2) {
    report({
      offset,
      structure: "El Torito boot catalogue",
      expected: "two entries of 32 bytes",
      found: `${catalog.length} bytes, then the end of the image`,
    });
    return { checksumRight: false, entries: [] };
  }

  const validation = entryAt(0);
  if (!isValidation(validation, { offset, report })) return { checksumRight: false, entries: [] };
  const checksumRight = hasRightChecksum(validation, { offset, report });
  const entries: BootCatalogEntry[] = [];
  let number = 0;
  const add = (index: number, platformId: number, id: string) => {
    number += 1;
    const entry = decodeEntry(entryAt(index), number, platformId, id, { offset: offsetOf(index), report });
    if (entry !== undefined) entries.push(entry);
  };
  add(1, validation[1]!, trimmed(validation.subarray(4, 28)));

  for (let index = 2; index < count; ) {
    const header = entryAt(index);
    const indicator = header[0]!;
    if (indicator !== 0x90 && indicator !== 0x91) {
      // Makers that know of one entry only leave zeros; anything else is no section.
      if (indicator !== 0)
        report({ offset: offsetOf(index), structure: "El Torito section header", expected: "0x90 or 0x91", found: hex(indicator) });
      break;
    }
    const wanted = viewOf(header).getUint16(2, true);
    const platformId = header[1]!;
    const id = trimmed(header.subarray(4, 32));
    const start = offsetOf(index);
    index += 1;
    let read = 0;
    while (read < wanted && index < count) {
      add(index, platformId, id);
      read += 1;
      const extended = (entryAt(index)[1]! & 0x20) !== 0;
      index += 1;
      // Selection criteria for vendors: nothing in them for us, but they stand between the entries.
      while (extended && index < count && entryAt(index)[0] === 0x44) {
        const more = (entryAt(index)[1]! & 0x20) !== 0;
        index += 1;
        if (!more) break;
      }
    }
    if (read < wanted) {
      report({
        offset: start + 2n,
        structure: "El Torito section header",
        expected: `${wanted} entries`,
        found: `${read}, then the end of the catalogue`,
      });
    }
    if (indicator === 0x91) break;
  }
  return { checksumRight, entries };
}

function isValidation(entry: Uint8Array, { offset, report }: Place): boolean {
  if (entry[0] === 1 && entry[30] === 0x55 && entry[31] === 0xaa) return true;
  const found = `${hex(entry[0]!)} … ${hex(entry[30]!)} ${hex(entry[31]!)}`;
  report({ offset, structure: "El Torito validation entry", expected: "0x01 first and 0x55 0xaa last", found });
  return false;
}

function hasRightChecksum(entry: Uint8Array, { offset, report }: Place): boolean {
  const view = viewOf(entry);
  let sum = 0;
  for (let at = 0; at < ENTRY_BYTES; at += 2) sum = (sum + view.getUint16(at, true)) & 0xffff;
  if (sum !== 0) {
    const structure = "El Torito validation entry";
    report({ offset: offset + 28n, structure, expected: "words that sum to 0", found: `a sum of ${hex(sum, 4)}` });
  }
  return sum === 0;
}

function decodeEntry(
  bytes: Uint8Array,
  number: number,
  platformId: number,
  id: string,
  { offset, report }: Place,
): BootCatalogEntry | undefined {
  const indicator = bytes[0]!;
  if (indicator !== 0x88 && indicator !== 0) {
    report({ offset, structure: `El Torito entry ${number}`, expected: "0x88 (bootable) or 0x00", found: hex(indicator) });
    return undefined;
  }
  const view = viewOf(bytes);
  return {
    number,
    offset,
    platformId,
    bootable: indicator === 0x88,
    emulation: bytes[1]! & 0xf,
    loadSegment: view.getUint16(2, true) || 0x7c0,
    loadSectors: view.getUint16(6, true),
    lba: view.getUint32(8, true),
    id,
  };
}

const trimmed = (bytes: Uint8Array): string => latin1(bytes).replace(/[\0 ]+$/, "");
