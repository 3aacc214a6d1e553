/** Where the parts of a new exFAT volume lie: a pure function of its size and of what was asked for. */
import { HiperisoError } from "../../contract/error.ts";
import { CLUSTERS_MAX, EXFAT_REGION_SECTORS, type ExfatBoot, FIRST_CLUSTER } from "../../formats/exfat-boot.ts";
import { labelFault } from "../../formats/exfat-entries.ts";

export interface ExfatOptions {
  /** 0 to 11 UTF-16 units. Empty: none. */
  readonly label?: string;
  /** 32 bits: what systems tell volumes apart by. */
  readonly serial: number;
  /** A power of two from one sector to 32 MiB. Undefined: 4 KiB to 256 MiB, 32 KiB to 32 GiB, then 128 KiB, as Windows and mkfs.exfat choose. */
  readonly clusterBytes?: number;
  /** First byte of the volume on its disk, 0 where it lies on none: start-up code of other systems reads it. */
  readonly partitionOffset?: bigint;
}

export interface ExfatLayout {
  readonly boot: ExfatBoot;
  readonly bitmapBytes: bigint;
  readonly bitmapClusters: number;
  readonly upcaseCluster: number;
  readonly upcaseClusters: number;
}

const MEBIBYTE = 1n << 20n;
const VOLUME_BYTES_MAX = 1n << 57n;

/**
 * `volumeBytes`: all of them are used, rounded down to whole sectors. FAT and heap start at multiples of 1 MiB where the volume is large enough
 * (erase blocks of flash), else as close as they can. Throws HiperisoError of kind `usage` on a size or option that exFAT cannot have.
 */
export function planExfat(volumeBytes: bigint, sectorBytes: number, upcaseBytes: number, options: ExfatOptions): ExfatLayout {
  const bad = (expected: string, found: string) => new HiperisoError({ what: "make an exFAT volume", expected, found, kind: "usage" });
  const sectorShift = Math.log2(sectorBytes);
  if (![9, 10, 11, 12].includes(sectorShift)) throw bad("sectors of 512 to 4096 bytes", `${sectorBytes}`);
  if (volumeBytes < MEBIBYTE || volumeBytes > VOLUME_BYTES_MAX) throw bad("a volume of 1 MiB to 128 PiB", `${volumeBytes} bytes`);
  const fault = labelFault(options.label ?? "");
  if (fault !== undefined) throw bad('a label of at most 11 characters, none of them one of " * / : < > ? \\ |', fault);
  if (!Number.isInteger(options.serial) || options.serial < 0 || options.serial > 0xffff_ffff)
    throw bad("a serial of 32 bits", `${options.serial}`);
  const partitionOffset = options.partitionOffset ?? 0n;
  if (partitionOffset < 0n || partitionOffset % BigInt(sectorBytes) !== 0n)
    throw bad("a partition that starts at a sector", `byte ${partitionOffset}`);
  const clusterBytes = options.clusterBytes ?? usualClusterBytes(volumeBytes, sectorBytes);
  const clusterShift = Math.log2(clusterBytes) - sectorShift;
  if (!Number.isInteger(clusterShift) || clusterShift < 0 || clusterBytes > 1 << 25) {
    throw bad(`clusters of a power of two from ${sectorBytes} bytes to 32 MiB`, `${clusterBytes}`);
  }

  const volumeSectors = volumeBytes >> BigInt(sectorShift);
  const alignSectors = Number(
    (volumeBytes >= 64n * MEBIBYTE ? MEBIBYTE : volumeBytes >= 4n * MEBIBYTE ? 65_536n : 4096n) / BigInt(sectorBytes),
  );
  const aligned = (sector: number) => Math.ceil(sector / alignSectors) * alignSectors;
  const fatSector = aligned(2 * EXFAT_REGION_SECTORS);
  // The FAT takes room from the clusters that it counts: reckon it for all clusters that the volume could hold, then count what is left.
  const clustersPossible = (volumeSectors - BigInt(fatSector)) >> BigInt(clusterShift);
  const fatSectors = Math.ceil(((Math.min(Number(clustersPossible), CLUSTERS_MAX) + 2) * 4) / sectorBytes);
  const heapSector = aligned(fatSector + fatSectors);
  const clustersLeft = volumeSectors > BigInt(heapSector) ? (volumeSectors - BigInt(heapSector)) >> BigInt(clusterShift) : 0n;
  const clusterCount = Math.min(Number(clustersLeft), CLUSTERS_MAX);
  if (heapSector > 0xffff_ffff) throw bad("larger clusters for a volume of this size", `${clusterBytes} bytes`);

  const bitmapBytes = Math.ceil(clusterCount / 8);
  const bitmapClusters = Math.ceil(bitmapBytes / clusterBytes);
  const upcaseClusters = Math.ceil(upcaseBytes / clusterBytes);
  if (clusterCount < bitmapClusters + upcaseClusters + 1) {
    throw bad("clusters small enough that the volume holds its own tables", `${clusterCount} of ${clusterBytes} bytes`);
  }
  const upcaseCluster = FIRST_CLUSTER + bitmapClusters;
  const rootCluster = upcaseCluster + upcaseClusters;
  const inUse = bitmapClusters + upcaseClusters + 1;
  return {
    boot: {
      partitionOffsetSectors: partitionOffset >> BigInt(sectorShift),
      volumeSectors,
      fatSector,
      fatSectors,
      heapSector,
      clusterCount,
      rootCluster,
      serial: options.serial,
      revision: 0x0100,
      flags: 0,
      sectorShift,
      clusterShift,
      fatCount: 1,
      percentInUse: Math.floor((inUse * 100) / clusterCount),
    },
    bitmapBytes: BigInt(bitmapBytes),
    bitmapClusters,
    upcaseCluster,
    upcaseClusters,
  };
}

function usualClusterBytes(volumeBytes: bigint, sectorBytes: number): number {
  const usual = volumeBytes <= 256n * MEBIBYTE ? 4096 : volumeBytes <= 32n * 1024n * MEBIBYTE ? 32_768 : 131_072;
  return Math.max(usual, sectorBytes);
}
