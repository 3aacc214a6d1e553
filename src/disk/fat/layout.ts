/**
 * Where the parts of a new FAT volume lie: a pure function of its size and of what was asked for. (Microsoft, "FAT: General Overview of On-Disk
 * Format" 1.03: "FAT Type Determination", "FAT Volume Initialization".)
 */
import { HiperisoError } from "../../contract/error.ts";
import {
  FAT16_CLUSTERS,
  FAT32_CLUSTERS,
  FAT32_CLUSTERS_MAX,
  type FatBits,
  type FatBoot,
  fatBytesFor,
  fatPlaces,
} from "../../formats/fat-boot.ts";
import { type CodePage, encodeFatLabel, fatLabelFault } from "../../formats/fat-names.ts";

export interface FatOptions {
  /** At most 11 characters, kept in capitals. Empty or undefined: none. */
  readonly label?: string;
  /** 32 bits: what systems tell volumes apart by. */
  readonly serial: number;
  /** Undefined: 12 to 4 MiB, 16 below 512 MiB, else 32, as Microsoft's paper chooses. */
  readonly bits?: FatBits;
  /** A power of two from one sector to 32 KiB. Undefined: as Microsoft's paper chooses. */
  readonly clusterBytes?: number;
  /** First byte of the volume on its disk, 0 where it lies on none: start-up code of other systems reads it. */
  readonly partitionOffset?: bigint;
  /** Of the label, which is an entry of the root, in milliseconds since 1970. Undefined: 1980. */
  readonly timeMs?: number;
  /** Of a FAT12 or FAT16 root. Undefined: 512, or fewer where the volume is tiny. */
  readonly rootEntries?: number;
}

export const DEFAULT_CODE_PAGE: CodePage = 437;

const MEBIBYTE = 1n << 20n;
const CLUSTER_BYTES_MAX = 32_768;
/** Drivers are known that are off by up to 16 clusters where one type of FAT ends and the next begins: volumes keep that distance (the paper's own advice). */
const EDGE = 16;
const CLUSTERS: Record<FatBits, { readonly min: number; readonly max: number }> = {
  12: { min: 1, max: FAT16_CLUSTERS - 1 - EDGE },
  16: { min: FAT16_CLUSTERS + EDGE, max: FAT32_CLUSTERS - 1 - EDGE },
  32: { min: FAT32_CLUSTERS + EDGE, max: FAT32_CLUSTERS_MAX - EDGE },
};

/** Largest volume in MiB for each size of clusters: the paper's tables, smallest clusters first. */
const USUAL: Record<16 | 32, readonly (readonly [mebibytes: number, clusterBytes: number])[]> = {
  16: [[16, 1024], [128, 2048], [256, 4096], [512, 8192], [1024, 16_384]],
  32: [[260, 512], [8192, 4096], [16_384, 8192], [32_768, 16_384]],
}; // biome-ignore format: tables

/**
 * `volumeBytes`: all of them are used, rounded down to whole sectors. Clusters start at a multiple of their size from the volume's start, for flash
 * and for 4 KiB sectors below. Throws HiperisoError of kind `usage` on a size or option that FAT cannot have.
 */
export function planFat(volumeBytes: bigint, sectorBytes: number, options: FatOptions): FatBoot {
  const bad = (expected: string, found: string) => new HiperisoError({ what: "make a FAT volume", expected, found, kind: "usage" });
  if (![512, 1024, 2048, 4096].includes(sectorBytes)) throw bad("sectors of 512 to 4096 bytes", `${sectorBytes}`);
  const fault = fatLabelFault(options.label ?? "", DEFAULT_CODE_PAGE);
  if (fault !== undefined) throw bad('a label of at most 11 characters, none of them one of " * + , . / : ; < = > ? [ \\ ] |', fault);
  if (!Number.isInteger(options.serial) || options.serial < 0 || options.serial > 0xffff_ffff)
    throw bad("a serial of 32 bits", `${options.serial}`);
  const partitionOffset = options.partitionOffset ?? 0n;
  const hidden = partitionOffset / BigInt(sectorBytes);
  if (partitionOffset < 0n || partitionOffset % BigInt(sectorBytes) !== 0n || hidden > 0xffff_ffffn)
    throw bad("a partition that starts at one of the first 2^32 sectors", `byte ${partitionOffset}`);
  const volumeSectors = volumeBytes / BigInt(sectorBytes);
  if (volumeSectors > 0xffff_ffffn) throw bad("at most 2^32 - 1 sectors", `${volumeSectors}`);
  const { clusterBytes } = options;
  if (
    clusterBytes !== undefined &&
    (!Number.isInteger(Math.log2(clusterBytes)) || clusterBytes < sectorBytes || clusterBytes > CLUSTER_BYTES_MAX)
  )
    throw bad(`clusters of a power of two from ${sectorBytes} bytes to 32 KiB`, `${clusterBytes}`);
  const { rootEntries } = options;
  if (
    rootEntries !== undefined &&
    (!Number.isInteger(rootEntries) || rootEntries < 1 || rootEntries > 0xffff || (rootEntries * 32) % sectorBytes !== 0)
  )
    throw bad("entries of the root that fill whole sectors, at most 65,535", `${rootEntries}`);

  const sectors = Number(volumeSectors);
  const types: readonly FatBits[] = options.bits === undefined ? usualTypes(volumeBytes) : [options.bits];
  for (const bits of types) {
    for (const bytes of clusterBytes === undefined ? clusterSizes(bits, volumeBytes, sectorBytes) : [clusterBytes]) {
      const boot = layOut({
        bits,
        sectors,
        sectorBytes,
        clusterSectors: bytes / sectorBytes,
        rootEntries,
        hidden: Number(hidden),
        options,
      });
      if (boot !== undefined) return boot;
    }
  }
  const kinds = types.map((bits) => `FAT${bits}`).join(" or ");
  const ranges = types.map((bits) => `${CLUSTERS[bits].min} to ${CLUSTERS[bits].max}`).join(" or ");
  throw bad(
    `a size that ${kinds} can have: ${ranges} clusters${clusterBytes === undefined ? "" : ` of ${clusterBytes} bytes`}`,
    `${volumeBytes} bytes in sectors of ${sectorBytes}`,
  );
}

/** The one that is usual for the size, then what else it could be. */
function usualTypes(volumeBytes: bigint): readonly FatBits[] {
  if (volumeBytes < 4n * MEBIBYTE + MEBIBYTE / 10n) return [12, 16];
  return volumeBytes < 512n * MEBIBYTE ? [16, 12, 32] : [32, 16];
}

/** The usual cluster first, then larger ones, then smaller ones: until the number of clusters is one that the type can have. */
function clusterSizes(bits: FatBits, volumeBytes: bigint, sectorBytes: number): number[] {
  const rows = bits === 12 ? [] : USUAL[bits];
  const row = rows.find(([mebibytes]) => volumeBytes <= BigInt(mebibytes) * MEBIBYTE);
  const usual = bits === 12 ? sectorBytes : Math.max(row?.[1] ?? CLUSTER_BYTES_MAX, sectorBytes);
  const larger: number[] = [];
  for (let bytes = usual; bytes <= CLUSTER_BYTES_MAX; bytes *= 2) larger.push(bytes);
  const smaller: number[] = [];
  for (let bytes = usual / 2; bytes >= sectorBytes; bytes /= 2) smaller.push(bytes);
  return [...larger, ...smaller];
}

interface Wanted {
  readonly bits: FatBits;
  readonly sectors: number;
  readonly sectorBytes: number;
  readonly clusterSectors: number;
  readonly rootEntries: number | undefined;
  readonly hidden: number;
  readonly options: FatOptions;
}

/** The FAT takes room from the clusters that it counts: it grows until both agree. Undefined where the number of clusters is not one of this type. */
function layOut({ bits, sectors, sectorBytes, clusterSectors, rootEntries, hidden, options }: Wanted): FatBoot | undefined {
  const entries = bits === 32 ? 0 : (rootEntries ?? (sectors * sectorBytes < 1 << 20 ? Math.max(112, sectorBytes / 32) : 512));
  const rootSectors = Math.ceil((entries * 32) / sectorBytes);
  const reservedMin = bits === 32 ? 32 : 1;
  // A guess that is not too large: each cluster takes its own bytes and those of an entry in both FATs.
  const bytesLeft = (sectors - reservedMin - rootSectors - clusterSectors) * sectorBytes;
  const atLeast = Math.floor(bytesLeft / (clusterSectors * sectorBytes + bits / 4));
  if (atLeast < 1) return undefined;
  let fatSectors = Math.max(1, Math.floor(fatBytesFor(bits, atLeast) / sectorBytes));
  for (; ; fatSectors += 1) {
    const unaligned = reservedMin + 2 * fatSectors + rootSectors;
    const reservedSectors = reservedMin + Math.ceil(unaligned / clusterSectors) * clusterSectors - unaligned;
    const [trackSectors, heads] = geometryOf(sectors, sectorBytes);
    const boot: FatBoot = {
      bits,
      sectorBytes,
      clusterSectors,
      reservedSectors,
      fatCount: 2,
      rootEntries: entries,
      sectors,
      media: 0xf8,
      fatSectors,
      trackSectors,
      heads,
      hiddenSectors: hidden,
      rootCluster: bits === 32 ? 2 : 0,
      fsInfoSector: bits === 32 ? 1 : 0,
      backupSector: bits === 32 ? 6 : 0,
      onlyFat: undefined,
      flags: 0,
      serial: options.serial,
      label: options.label === undefined || options.label === "" ? undefined : encodeFatLabel(options.label, DEFAULT_CODE_PAGE),
    };
    const { clusterCount } = fatPlaces(boot);
    if (clusterCount < CLUSTERS[bits].min) return undefined;
    if (fatSectors * sectorBytes >= fatBytesFor(bits, clusterCount)) {
      return clusterCount <= CLUSTERS[bits].max && (bits === 32 || fatSectors <= 0xffff) ? boot : undefined;
    }
  }
}

/** Largest volume in MiB, sectors in a track, heads: what card makers agreed on (SD, part 2, table C-2), and all others took up. */
const GEOMETRIES = [[4, 16, 2], [16, 32, 2], [32, 32, 4], [128, 32, 8], [256, 32, 16], [504, 63, 16], [1008, 63, 32], [2016, 63, 64], [4032, 63, 128]] as const; // biome-ignore format: a table

/** Nobody has used tracks for decades, but mtools refuses a volume that is no whole number of them. */
function geometryOf(sectors: number, sectorBytes: number): readonly [trackSectors: number, heads: number] {
  const mebibytes = (sectors * sectorBytes) / 2 ** 20;
  const [, usual, heads] = GEOMETRIES.find(([most]) => mebibytes <= most) ?? [0, 63, 255];
  for (const trackSectors of [usual, 63, 32]) if (sectors % trackSectors === 0) return [trackSectors, heads];
  let trackSectors = 62;
  while (sectors % trackSectors !== 0) trackSectors -= 1;
  return [trackSectors, heads];
}
