/**
 * FAT12, FAT16, FAT32: reading (Microsoft, "FAT: General Overview of On-Disk Format" 1.03). Little-endian.
 *
 * Boot sector:
 *      0   3  jump, 0xEB ?? 0x90 or 0xE9     11   2  bytes in a sector        13   1  sectors in a cluster
 *     14   2  reserved sectors              16   1  number of FATs           17   2  root entries, 0: FAT32
 *     19   2  sectors, 0: see 32            22   2  sectors in a FAT, 0: see 36
 *     32   4  sectors
 *   FAT32: 36 4 sectors in a FAT, 44 4 first cluster of the root, 66 1 0x29, 67 4 serial, 71 11 label
 *   FAT12, FAT16: 38 1 0x29, 39 4 serial, 43 11 label
 * The number of clusters alone decides which FAT it is: fewer than 4,085: 12; fewer than 65,525: 16; else 32.
 *
 * Directory entry, 32 bytes:
 *      0  11  name, 8 and 3; first byte 0: end, 0xE5: deleted     11   1  attributes: 8 label, 16 directory, 15 all of a long name
 *     20   2  first cluster, high half (FAT32)     26   2  low half     28   4  bytes
 * Long name entries stand before it, last part first: 0 1 number, 0x40 marks the last; 13 1 checksum of the 8.3 name;
 * 13 UTF-16 units at 1, 14 and 28.
 */
import { hex, latin1, viewOf } from "./bytes.ts";
import type { Place } from "./problem.ts";

export interface FatLayout {
  readonly fatBits: 12 | 16 | 32;
  readonly sectorBytes: number;
  readonly clusterBytes: number;
  /** All offsets from the start of the volume. */
  readonly fatOffset: bigint;
  readonly fatBytes: number;
  /** FAT12 and FAT16 keep the root apart; 0 bytes on FAT32. */
  readonly rootOffset: bigint;
  readonly rootBytes: number;
  /** FAT32; else 0. */
  readonly rootCluster: number;
  /** Of cluster 2, the first. */
  readonly dataOffset: bigint;
  readonly clusterCount: number;
  readonly volumeBytes: bigint;
  /** Of the boot sector; often out of date. Empty for "NO NAME". */
  readonly label: string;
  /** `XXXX-XXXX`; null without an extended boot signature. */
  readonly serial: string | null;
  /** Boot code that only says that there is nothing to boot, or none. */
  readonly bootMessageOnly: boolean;
}

/**
 * Undefined where this is no FAT boot sector. A sector with a FAT's jump and sizes that cannot be is reported, unless it
 * looks like other boot code that happens to start with a jump.
 */
export function decodeFatBootSector(sector: Uint8Array, { offset, report }: Place): FatLayout | undefined {
  if (sector.length < 512 || !(sector[0] === 0xe9 || (sector[0] === 0xeb && sector[2] === 0x90))) return undefined;
  const view = viewOf(sector);
  const sectorBytes = view.getUint16(11, true);
  const clusterSectors = sector[13]!;
  const reserved = view.getUint16(14, true);
  const fats = sector[16]!;
  if (![512, 1024, 2048, 4096].includes(sectorBytes) || !isPowerOfTwo(clusterSectors) || reserved === 0 || fats === 0 || fats > 2)
    return undefined;
  // exFAT and NTFS have zeros here (both say who they are at byte 3, too).
  const rootEntries = view.getUint16(17, true);
  const fatSectors = view.getUint16(22, true) || view.getUint32(36, true);
  const sectors = view.getUint16(19, true) || view.getUint32(32, true);
  if (fatSectors === 0 || sectors === 0) return undefined;

  const rootSectors = Math.ceil((rootEntries * 32) / sectorBytes);
  const dataSector = reserved + fats * fatSectors + rootSectors;
  const clusterCount = Math.floor((sectors - dataSector) / clusterSectors);
  if (clusterCount < 1) {
    report({ offset: offset + 32n, structure: "FAT boot sector", expected: `more than ${dataSector} sectors`, found: `${sectors}` });
    return undefined;
  }
  const fatBits = clusterCount < 4085 ? 12 : clusterCount < 65_525 ? 16 : 32;
  if ((fatBits === 32) !== (rootEntries === 0)) {
    report({
      offset: offset + 17n,
      structure: "FAT boot sector",
      expected: fatBits === 32 ? `no fixed root, having ${clusterCount} clusters` : `root entries, having ${clusterCount} clusters`,
      found: `${rootEntries} root entries`,
    });
    return undefined;
  }
  const fatBytes = fatSectors * sectorBytes;
  const needed = Math.ceil(((clusterCount + 2) * fatBits) / 8);
  if (fatBytes < needed) {
    report({ offset: offset + 22n, structure: "FAT boot sector", expected: `a FAT of at least ${needed} bytes`, found: `${fatBytes}` });
  }
  const extended = fatBits === 32 ? 66 : 38;
  const hasExtension = sector[extended] === 0x29;
  const serial = hex(view.getUint32(extended + 1, true), 8)
    .slice(2)
    .toUpperCase();
  return {
    fatBits,
    sectorBytes,
    clusterBytes: clusterSectors * sectorBytes,
    fatOffset: BigInt(reserved * sectorBytes),
    fatBytes,
    rootOffset: BigInt((dataSector - rootSectors) * sectorBytes),
    rootBytes: fatBits === 32 ? 0 : rootEntries * 32,
    rootCluster: fatBits === 32 ? view.getUint32(44, true) : 0,
    dataOffset: BigInt(dataSector * sectorBytes),
    clusterCount,
    volumeBytes: BigInt(sectors) * BigInt(sectorBytes),
    label: hasExtension ? labelOf(sector.subarray(extended + 5, extended + 16)) : "",
    serial: hasExtension ? `${serial.slice(0, 4)}-${serial.slice(4)}` : null,
    bootMessageOnly: isMessageOnly(sector.subarray(extended + 24, 510)),
  };
}

const isPowerOfTwo = (value: number): boolean => value !== 0 && (value & (value - 1)) === 0;

const labelOf = (bytes: Uint8Array): string => {
  const label = latin1(bytes).replace(/[ \0]+$/, "");
  return label === "NO NAME" ? "" : label;
};

/** mkfs.fat, mtools and Windows leave code that prints such a sentence and waits for a key. */
function isMessageOnly(code: Uint8Array): boolean {
  const text = latin1(code);
  return code.every((byte) => byte === 0) || /not a bootable disk|non-system disk|no operating system/i.test(text);
}

/** What the FAT says of a cluster: the next one, the end of the chain, or a value that cannot be followed. */
export type FatLink = { readonly next: number } | "end" | { readonly bad: number };

/** Bytes of the FAT in which the link of `cluster` stands, from the start of the FAT. FAT12 links share a byte with a neighbour. */
export function fatLinkRange(layout: FatLayout, cluster: number): { readonly at: number; readonly bytes: number } {
  if (layout.fatBits === 12) return { at: cluster + (cluster >> 1), bytes: 2 };
  return { at: cluster * (layout.fatBits / 8), bytes: layout.fatBits / 8 };
}

/** `bytes`: the range that `fatLinkRange` gave. */
export function decodeFatLink(layout: FatLayout, cluster: number, bytes: Uint8Array): FatLink {
  const view = viewOf(bytes);
  const raw = layout.fatBits === 32 ? view.getUint32(0, true) & 0x0fff_ffff : view.getUint16(0, true);
  const value = layout.fatBits === 12 ? (cluster % 2 === 0 ? raw & 0xfff : raw >> 4) : raw;
  const endFrom = layout.fatBits === 12 ? 0xff8 : layout.fatBits === 16 ? 0xfff8 : 0x0fff_fff8;
  if (value >= endFrom) return "end";
  return value >= 2 && value < layout.clusterCount + 2 ? { next: value } : { bad: value };
}

export interface FatEntry {
  readonly name: string;
  readonly directory: boolean;
  readonly firstCluster: number;
  readonly bytes: number;
  /** Of the 8.3 entry in the bytes that were decoded. */
  readonly at: number;
}

/** One directory, as its bytes stand on the volume: entries but ".", "..", and the label if there is one. */
export function decodeFatDirectory(
  bytes: Uint8Array,
  layout: FatLayout,
): { readonly entries: FatEntry[]; readonly label: string | undefined } {
  const entries: FatEntry[] = [];
  let label: string | undefined;
  let long: { text: string; checksum: number; expected: number } | undefined;
  for (let at = 0; at + 32 <= bytes.length; at += 32) {
    const entry = bytes.subarray(at, at + 32);
    if (entry[0] === 0) break;
    const attributes = entry[11]!;
    if (entry[0] === 0xe5) {
      long = undefined;
      continue;
    }
    if ((attributes & 0x3f) === 0x0f) {
      const number = entry[0]! & 0x3f;
      const part = longPart(entry);
      if ((entry[0]! & 0x40) !== 0) long = { text: part, checksum: entry[13]!, expected: number - 1 };
      else if (long !== undefined && number === long.expected && entry[13] === long.checksum) {
        long = { ...long, text: part + long.text, expected: number - 1 };
      } else long = undefined;
      continue;
    }
    const shortName = entry.subarray(0, 11);
    const longName = long !== undefined && long.expected === 0 && long.checksum === shortNameChecksum(shortName) ? long.text : undefined;
    long = undefined;
    if ((attributes & 8) !== 0) {
      label ??= latin1(shortName).trimEnd();
      continue;
    }
    if (entry[0] === 0x2e) continue; // "." and ".."
    const view = viewOf(entry);
    entries.push({
      name: longName ?? shortNameText(entry),
      directory: (attributes & 16) !== 0,
      firstCluster: view.getUint16(26, true) + (layout.fatBits === 32 ? (view.getUint16(20, true) & 0xfff) * 0x1_0000 : 0),
      bytes: view.getUint32(28, true),
      at,
    });
  }
  return { entries, label };
}

/** 13 UTF-16 units, to the first zero. */
function longPart(entry: Uint8Array): string {
  const units = Buffer.concat([entry.subarray(1, 11), entry.subarray(14, 26), entry.subarray(28, 32)]).toString("utf16le");
  const end = units.indexOf("\0");
  return end < 0 ? units : units.slice(0, end);
}

export function shortNameChecksum(name: Uint8Array): number {
  return name.reduce((sum, byte) => (((sum & 1) << 7) + (sum >> 1) + byte) & 0xff, 0);
}

/** Byte 12 is Windows NT's: 8 and 16 say that base or extension are in small letters. */
function shortNameText(entry: Uint8Array): string {
  const part = (start: number, end: number, small: number) => {
    const text = latin1(entry.subarray(start, end)).trimEnd();
    return (entry[12]! & small) === 0 ? text : text.toLowerCase();
  };
  const base = entry[0] === 0x05 ? `\u00e5${part(1, 8, 8)}` : part(0, 8, 8);
  const extension = part(8, 11, 16);
  return extension === "" ? base : `${base}.${extension}`;
}
