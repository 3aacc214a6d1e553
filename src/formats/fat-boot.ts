/**
 * Boot sector and FSInfo sector of FAT12, FAT16 and FAT32, both ways (Microsoft, "FAT: General Overview of On-Disk Format" 1.03: "Boot Sector
 * and BPB", "FAT Type Determination", "FAT32 FSInfo Sector Structure and Backup Boot Sector"). Little-endian. `fat.ts` reads foreign images
 * with less; this is for volumes that are made, changed and checked.
 *
 *      0  3  jump                  16  1  number of FATs             24  2  sectors in a track
 *      3  8  name of the maker     17  2  entries of the root        26  2  heads
 *     11  2  bytes in a sector     19  2  sectors, 0: see 32         28  4  sectors before the volume
 *     13  1  sectors in a cluster  21  1  medium, 0xF0 or 0xF8..FF   32  4  sectors
 *     14  2  reserved sectors      22  2  sectors in a FAT, 0: FAT32
 *   FAT12, FAT16: 36 1 drive   37 1 flags   38 1 0x29   39 4 serial   43 11 label   54 8 "FAT12   ", "FAT16   "   62 code
 *   FAT32: 36 4 sectors in a FAT   40 2 which FATs: 7 only the one of bits 0 to 3   42 2 version, 0   44 4 first cluster of the root
 *          48 2 sector of FSInfo   50 2 sector of the copy of this sector   64 1 drive   65 1 flags   66 1 0x29   67 4 serial
 *          71 11 label   82 8 "FAT32   "   90 code
 *    510  2  0x55 0xAA, whatever the size of a sector
 * Flags are not in Microsoft's paper: Windows NT and Linux set bit 0 while a volume is in use.
 *
 * FSInfo:  0 4 0x41615252   484 4 0x61417272   488 4 free clusters   492 4 where to look for one   508 4 0xAA550000; 0xFFFFFFFF: not known
 */
import { HiperisoError } from "../contract/error.ts";
import { hex, viewOf } from "./bytes.ts";

export type FatBits = 12 | 16 | 32;

export interface FatBoot {
  readonly bits: FatBits;
  readonly sectorBytes: number;
  readonly clusterSectors: number;
  readonly reservedSectors: number;
  readonly fatCount: number;
  /** Of a FAT12 or FAT16 root, which has its own place; 0 on FAT32. */
  readonly rootEntries: number;
  readonly sectors: number;
  readonly media: number;
  readonly fatSectors: number;
  readonly trackSectors: number;
  readonly heads: number;
  readonly hiddenSectors: number;
  /** FAT32; else 0. */
  readonly rootCluster: number;
  /** FAT32; 0 where there is none. */
  readonly fsInfoSector: number;
  readonly backupSector: number;
  /** The FAT that counts where only one is kept; undefined where all are (the usual). */
  readonly onlyFat: number | undefined;
  readonly flags: number;
  /** Undefined without the signature 0x29: then there is no label either. */
  readonly serial: number | undefined;
  /** 11 bytes, as stored. */
  readonly label: Uint8Array | undefined;
}

/** What follows from the fields of a boot sector. */
export interface FatPlaces {
  /** First sector of the root of FAT12 and FAT16. */
  readonly rootSector: number;
  /** Of cluster 2. */
  readonly dataSector: number;
  readonly clusterCount: number;
}

export const FAT_BOOT_BYTES = 512;
export const FAT_FLAG = { dirty: 1, surfaceTest: 2 } as const;
/** Clusters from which on a volume is FAT16, and FAT32. */
export const FAT16_CLUSTERS = 4085;
export const FAT32_CLUSTERS = 65_525;
/** Values from 0x0FFFFFF6 on are not clusters. */
export const FAT32_CLUSTERS_MAX = 0x0fff_fff6 - 2;

export const flagsAt = (bits: FatBits): number => (bits === 32 ? 65 : 37);
export const labelAt = (bits: FatBits): number => (bits === 32 ? 71 : 43);

export function fatPlaces(boot: FatBoot): FatPlaces {
  const rootSector = boot.reservedSectors + boot.fatCount * boot.fatSectors;
  const dataSector = rootSector + Math.ceil((boot.rootEntries * 32) / boot.sectorBytes);
  return { rootSector, dataSector, clusterCount: Math.max(0, Math.floor((boot.sectors - dataSector) / boot.clusterSectors)) };
}

/** Bytes of a FAT that has an entry for each of so many clusters, and the two in front. */
export const fatBytesFor = (bits: FatBits, clusterCount: number): number => Math.ceil(((clusterCount + 2) * bits) / 8);

/**
 * `sector`: 512 bytes at least. `offset`: of the sector, for messages. Throws HiperisoError with the offset of the field that cannot be.
 * A volume whose FAT size stands at byte 36 is FAT32 whatever its cluster count: so Windows, Linux and GRUB read it.
 */
export function decodeFatBoot(sector: Uint8Array, where: string, offset = 0n): FatBoot {
  const bad = (at: number, expected: string, found: string) =>
    new HiperisoError({ what: "read the FAT boot sector", where: `${where}@${offset + BigInt(at)}`, expected, found });
  if (sector.length < FAT_BOOT_BYTES) throw bad(sector.length, `${FAT_BOOT_BYTES} bytes`, `${sector.length}`);
  const view = viewOf(sector);
  if (!(sector[0] === 0xe9 || sector[0] === 0xeb)) throw bad(0, "a jump, 0xEB or 0xE9", hex(sector[0]!));
  const sectorBytes = view.getUint16(11, true);
  if (![512, 1024, 2048, 4096].includes(sectorBytes)) throw bad(11, "sectors of 512, 1024, 2048 or 4096 bytes", `${sectorBytes}`);
  const clusterSectors = sector[13]!;
  if (clusterSectors === 0 || (clusterSectors & (clusterSectors - 1)) !== 0)
    throw bad(13, "a power of two of sectors in a cluster", `${clusterSectors}`);
  const reservedSectors = view.getUint16(14, true);
  if (reservedSectors === 0) throw bad(14, "reserved sectors", "0");
  const fatCount = sector[16]!;
  if (fatCount === 0 || fatCount > 4) throw bad(16, "1 to 4 FATs", `${fatCount}`);
  const media = sector[21]!;
  if (media !== 0xf0 && media < 0xf8) throw bad(21, "a medium of 0xF0 or 0xF8 to 0xFF", hex(media));
  const isFat32 = view.getUint16(22, true) === 0;
  const rootEntries = view.getUint16(17, true);
  if (isFat32 !== (rootEntries === 0))
    throw bad(17, isFat32 ? "no root of its own place on FAT32" : "entries of the root", `${rootEntries}`);
  const fatSectors = isFat32 ? view.getUint32(36, true) : view.getUint16(22, true);
  if (fatSectors === 0) throw bad(isFat32 ? 36 : 22, "sectors of a FAT", "0");
  const sectors = view.getUint16(19, true) || view.getUint32(32, true);
  const [version, which] = isFat32 ? [view.getUint16(42, true), view.getUint16(40, true)] : [0, 0];
  if (version !== 0) throw bad(42, "version 0", `${version}`);
  const extension = isFat32 ? 66 : 38;
  const hasExtension = sector[extension] === 0x29;
  const boot: FatBoot = {
    bits: isFat32 ? 32 : 16,
    sectorBytes,
    clusterSectors,
    reservedSectors,
    fatCount,
    rootEntries,
    sectors,
    media,
    fatSectors,
    trackSectors: view.getUint16(24, true),
    heads: view.getUint16(26, true),
    hiddenSectors: view.getUint32(28, true),
    rootCluster: isFat32 ? view.getUint32(44, true) : 0,
    fsInfoSector: isFat32 ? sectorIn(view.getUint16(48, true), reservedSectors) : 0,
    backupSector: isFat32 ? sectorIn(view.getUint16(50, true), reservedSectors) : 0,
    onlyFat: (which & 0x80) === 0 ? undefined : which & 0x0f,
    flags: sector[extension - 1]!,
    serial: hasExtension ? view.getUint32(extension + 1, true) : undefined,
    label: hasExtension ? sector.slice(extension + 5, extension + 16) : undefined,
  };
  if (boot.onlyFat !== undefined && boot.onlyFat >= fatCount) throw bad(40, `one of ${fatCount} FATs`, `number ${boot.onlyFat}`);
  const { dataSector, clusterCount } = fatPlaces(boot);
  const sectorsAt = view.getUint16(19, true) === 0 ? 32 : 19;
  if (clusterCount === 0) throw bad(sectorsAt, `more than ${dataSector} sectors`, `${sectors}`);
  if (!isFat32 && clusterCount >= FAT32_CLUSTERS) throw bad(sectorsAt, `fewer than ${FAT32_CLUSTERS} clusters`, `${clusterCount}`);
  if (clusterCount > FAT32_CLUSTERS_MAX) throw bad(sectorsAt, `at most ${FAT32_CLUSTERS_MAX} clusters`, `${clusterCount}`);
  const bits = isFat32 ? 32 : clusterCount < FAT16_CLUSTERS ? 12 : 16;
  const needed = fatBytesFor(bits, clusterCount);
  if (fatSectors * sectorBytes < needed)
    throw bad(isFat32 ? 36 : 22, `a FAT of ${needed} bytes or more`, `${fatSectors} sectors of ${sectorBytes}`);
  if (isFat32 && (boot.rootCluster < 2 || boot.rootCluster > clusterCount + 1))
    throw bad(44, `a root at cluster 2 to ${clusterCount + 1}`, `${boot.rootCluster}`);
  return { ...boot, bits };
}

/** 0 and 0xFFFF mean that there is none; what lies behind the reserved sectors is none either. */
const sectorIn = (sector: number, reservedSectors: number): number => (sector < reservedSectors ? sector : 0);

/** 512 bytes, with code that says that there is nothing to boot from. Without a serial there is no label. */
export function encodeFatBoot(boot: FatBoot): Uint8Array {
  const sector = new Uint8Array(FAT_BOOT_BYTES);
  const view = viewOf(sector);
  const isFat32 = boot.bits === 32;
  const codeAt = isFat32 ? 90 : 62;
  sector.set([0xeb, codeAt - 2, 0x90]);
  sector.set(ascii("MSWIN4.1"), 3); // what Microsoft's paper recommends: some systems know no other
  view.setUint16(11, boot.sectorBytes, true);
  sector[13] = boot.clusterSectors;
  view.setUint16(14, boot.reservedSectors, true);
  sector[16] = boot.fatCount;
  view.setUint16(17, boot.rootEntries, true);
  if (boot.sectors < 0x10000 && !isFat32) view.setUint16(19, boot.sectors, true);
  else view.setUint32(32, boot.sectors, true);
  sector[21] = boot.media;
  if (isFat32) {
    view.setUint32(36, boot.fatSectors, true);
    view.setUint16(40, boot.onlyFat === undefined ? 0 : 0x80 | boot.onlyFat, true);
    view.setUint32(44, boot.rootCluster, true);
    view.setUint16(48, boot.fsInfoSector, true);
    view.setUint16(50, boot.backupSector, true);
  } else view.setUint16(22, boot.fatSectors, true);
  view.setUint16(24, boot.trackSectors, true);
  view.setUint16(26, boot.heads, true);
  view.setUint32(28, boot.hiddenSectors, true);
  sector[flagsAt(boot.bits) - 1] = 0x80; // the BIOS's first disk
  sector[flagsAt(boot.bits)] = boot.flags;
  if (boot.serial !== undefined) {
    sector[labelAt(boot.bits) - 5] = 0x29;
    view.setUint32(labelAt(boot.bits) - 4, boot.serial, true);
    sector.set(boot.label ?? ascii("NO NAME    "), labelAt(boot.bits));
    sector.set(ascii(`FAT${boot.bits}   `), labelAt(boot.bits) + 11);
  }
  sector.set(bootCode(codeAt), codeAt);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** For a computer that tries to boot the volume: says that it cannot, waits for a key, and lets the BIOS go on. `at`: where it stands. */
function bootCode(at: number): Uint8Array {
  // biome-ignore format: a line an instruction or two
  const code = [
    0x31, 0xc0, 0x8e, 0xd8,        // xor ax, ax; mov ds, ax
    0xfc,                          // cld
    0xbe, 0x00, 0x00,              // mov si, message
    0xac,                          // next: lodsb
    0x84, 0xc0, 0x74, 0x09,        // test al, al; jz wait
    0xb4, 0x0e, 0xbb, 0x07, 0x00,  // mov ah, 14; mov bx, 7
    0xcd, 0x10, 0xeb, 0xf2,        // int 0x10 (write a character); jmp next
    0x31, 0xc0, 0xcd, 0x16,        // wait: xor ax, ax; int 0x16 (read a key)
    0xcd, 0x19, 0xeb, 0xfe,        // int 0x19 (boot from elsewhere); jmp $
  ];
  const message = 0x7c00 + at + code.length;
  code.splice(6, 2, message & 0xff, message >> 8);
  return new Uint8Array([...code, ...ascii("This is not a bootable disk. Press a key to boot from another.\r\n\0")]);
}

export interface FatFsInfo {
  /** Undefined: not known. */
  readonly freeClusters: number | undefined;
  /** A cluster from which to look for a free one. */
  readonly nextFree: number | undefined;
}

const NOT_KNOWN = 0xffff_ffff;
const FSINFO_SIGNATURES = [
  [0, 0x4161_5252],
  [484, 0x6141_7272],
  [508, 0xaa55_0000],
] as const;

/** Undefined where a signature is missing. `sector`: 512 bytes at least. */
export function decodeFsInfo(sector: Uint8Array): FatFsInfo | undefined {
  if (sector.length < FAT_BOOT_BYTES) return undefined;
  const view = viewOf(sector);
  if (FSINFO_SIGNATURES.some(([at, signature]) => view.getUint32(at, true) !== signature)) return undefined;
  const known = (at: number) => (view.getUint32(at, true) === NOT_KNOWN ? undefined : view.getUint32(at, true));
  return { freeClusters: known(488), nextFree: known(492) };
}

export function encodeFsInfo({ freeClusters, nextFree }: FatFsInfo): Uint8Array {
  const sector = new Uint8Array(FAT_BOOT_BYTES);
  const view = viewOf(sector);
  for (const [at, signature] of FSINFO_SIGNATURES) view.setUint32(at, signature, true);
  view.setUint32(488, freeClusters ?? NOT_KNOWN, true);
  view.setUint32(492, nextFree ?? NOT_KNOWN, true);
  return sector;
}
