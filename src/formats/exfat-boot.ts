/**
 * The boot region of exFAT, main and backup (specification 3): where everything is. Little-endian; addresses are sectors from the volume's start.
 *
 * Boot sector:
 *      0  3  EB 76 90                  88  4  first sector of the heap       108  1  log2 of bytes in a sector, 9 to 12
 *      3  8  "EXFAT   "                92  4  clusters                       109  1  log2 of sectors in a cluster, 0 to 25 - the other
 *     11 53  zeros                     96  4  first cluster of the root      110  1  FATs, 1 or 2
 *     64  8  sectors before the volume 100 4  serial                         111  1  drive, 0x80
 *     72  8  sectors of the volume     104 2  revision, 0x0100               112  1  percent in use; 0xFF: not known
 *     80  4  first sector of the FAT   106 2  flags                          120 390 boot code
 *     84  4  sectors of a FAT                                                510  2  55 AA
 * Flags: 1 the second FAT is in force, 2 dirty, 4 the medium failed, 8 to be cleared.
 *
 * Region, 12 sectors: the boot sector; 8 extended boot sectors that end in 00 00 55 AA; OEM parameters; a reserved one; and one that
 * repeats the sum of the eleven before it. The backup region follows at sector 12.
 */
import { HiperisoError } from "../contract/error.ts";
import { hex, latin1, viewOf } from "./bytes.ts";
import { bootChecksum } from "./exfat-checksums.ts";

export interface ExfatBoot {
  readonly partitionOffsetSectors: bigint;
  readonly volumeSectors: bigint;
  readonly fatSector: number;
  readonly fatSectors: number;
  readonly heapSector: number;
  readonly clusterCount: number;
  readonly rootCluster: number;
  readonly serial: number;
  readonly revision: number;
  readonly flags: number;
  readonly sectorShift: number;
  readonly clusterShift: number;
  readonly fatCount: number;
  readonly percentInUse: number;
}

export const EXFAT_FLAG = { secondFat: 1, dirty: 2, mediaFailure: 4, clearToZero: 8 } as const;
export const EXFAT_REGION_SECTORS = 12;
/** First and last number of a cluster: 2 and `clusterCount + 1`. */
export const FIRST_CLUSTER = 2;
export const CLUSTERS_MAX = 0xffff_fff5;
/** Where the flags and the percentage stand, the two fields that change without a new sum. */
export const EXFAT_FLAGS_AT = 106;
export const EXFAT_PERCENT_AT = 112;
/** What a boot sector must be read of, whatever the sector's size. */
export const EXFAT_BOOT_BYTES = 512;

const JUMP = [0xeb, 0x76, 0x90] as const;
const NAME = "EXFAT   ";
const SHIFT_MIN = 9;
const SHIFT_MAX = 12;
const CLUSTER_SHIFT_MAX = 25;
const VOLUME_BYTES_MIN = 1n << 20n;

/** A whole region, 12 sectors, with its sum: the same for main and backup. */
export function encodeExfatBootRegion(boot: ExfatBoot): Uint8Array {
  const sectorBytes = 1 << boot.sectorShift;
  const region = new Uint8Array(EXFAT_REGION_SECTORS * sectorBytes);
  const view = viewOf(region);
  region.set(JUMP);
  region.set(new TextEncoder().encode(NAME), 3);
  view.setBigUint64(64, boot.partitionOffsetSectors, true);
  view.setBigUint64(72, boot.volumeSectors, true);
  view.setUint32(80, boot.fatSector, true);
  view.setUint32(84, boot.fatSectors, true);
  view.setUint32(88, boot.heapSector, true);
  view.setUint32(92, boot.clusterCount, true);
  view.setUint32(96, boot.rootCluster, true);
  view.setUint32(100, boot.serial, true);
  view.setUint16(104, boot.revision, true);
  view.setUint16(EXFAT_FLAGS_AT, boot.flags, true);
  region.set([boot.sectorShift, boot.clusterShift, boot.fatCount, 0x80, boot.percentInUse], 108);
  region.fill(0xf4, 120, 510); // hlt: this is not a disk to boot from (3.1.19)
  region.set([0x55, 0xaa], 510);
  for (let sector = 1; sector <= 8; sector += 1) view.setUint32((sector + 1) * sectorBytes - 4, 0xaa55_0000, true);
  return withBootChecksum(region);
}

/** The region with the sum of its first eleven sectors in the twelfth. `region`: 12 sectors of any size; changed in place. */
export function withBootChecksum(region: Uint8Array): Uint8Array {
  const sectorBytes = region.length / EXFAT_REGION_SECTORS;
  const view = viewOf(region);
  const sum = bootChecksum(region.subarray(0, 11 * sectorBytes));
  for (let at = 11 * sectorBytes; at < region.length; at += 4) view.setUint32(at, sum, true);
  return region;
}

/**
 * The fields of a boot sector (its first 512 bytes or more), each within its range (3.1.1 to 3.1.20). `offset`: of the sector on the
 * medium, for messages. Throws on the first field that is not. The sum is not looked at: it stands in another sector.
 */
export function decodeExfatBootSector(bytes: Uint8Array, where: string, offset = 0n): ExfatBoot {
  const bad = (at: number, expected: string, found: string | number | bigint) =>
    new HiperisoError({ what: "read the exFAT boot sector", where: `${where}@${offset + BigInt(at)}`, expected, found: `${found}` });
  if (bytes.length < EXFAT_BOOT_BYTES) throw bad(bytes.length, `${EXFAT_BOOT_BYTES} bytes`, `the end after ${bytes.length}`);
  const view = viewOf(bytes);
  if (latin1(bytes.subarray(3, 11)) !== NAME) throw bad(3, `"${NAME}"`, JSON.stringify(latin1(bytes.subarray(3, 11))));
  if (JUMP.some((byte, index) => bytes[index] !== byte)) throw bad(0, "EB 76 90", hex(view.getUint32(0, true) & 0xffffff, 6));
  const zeros = bytes.subarray(11, 64).findIndex((byte) => byte !== 0);
  if (zeros >= 0) throw bad(11 + zeros, "zero", bytes[11 + zeros]!);
  if (view.getUint16(510, true) !== 0xaa55) throw bad(510, "55 AA", hex(view.getUint16(510), 4));
  const [sectorShift, clusterShift, fatCount, , percentInUse] = bytes.subarray(108, 113) as unknown as [
    number,
    number,
    number,
    number,
    number,
  ];
  if (sectorShift < SHIFT_MIN || sectorShift > SHIFT_MAX) throw bad(108, "sectors of 2^9 to 2^12 bytes", `2^${sectorShift}`);
  if (clusterShift > CLUSTER_SHIFT_MAX - sectorShift) throw bad(109, "clusters of 32 MiB at most", `2^${sectorShift + clusterShift} bytes`);
  if (fatCount !== 1 && fatCount !== 2) throw bad(110, "one FAT or two", fatCount);
  const boot: ExfatBoot = {
    partitionOffsetSectors: view.getBigUint64(64, true),
    volumeSectors: view.getBigUint64(72, true),
    fatSector: view.getUint32(80, true),
    fatSectors: view.getUint32(84, true),
    heapSector: view.getUint32(88, true),
    clusterCount: view.getUint32(92, true),
    rootCluster: view.getUint32(96, true),
    serial: view.getUint32(100, true),
    revision: view.getUint16(104, true),
    flags: view.getUint16(EXFAT_FLAGS_AT, true),
    sectorShift,
    clusterShift,
    fatCount,
    percentInUse,
  };
  const { volumeSectors, fatSector, fatSectors, heapSector, clusterCount, rootCluster, revision } = boot;
  if (volumeSectors << BigInt(sectorShift) < VOLUME_BYTES_MIN) throw bad(72, "a volume of 1 MiB or more", `${volumeSectors} sectors`);
  if (revision >> 8 !== 1) throw bad(104, "revision 1", `${revision >> 8}.${revision & 0xff}`);
  if (clusterCount === 0 || clusterCount > CLUSTERS_MAX) throw bad(92, `1 to ${CLUSTERS_MAX} clusters`, clusterCount);
  if (fatSector < 2 * EXFAT_REGION_SECTORS) throw bad(80, "a FAT from sector 24 on", fatSector);
  const fatSectorsMin = Math.ceil(((clusterCount + 2) * 4) / (1 << sectorShift));
  if (fatSectors < fatSectorsMin) throw bad(84, `${fatSectorsMin} sectors or more for ${clusterCount} clusters`, fatSectors);
  if (fatSector + fatSectors * fatCount > heapSector)
    throw bad(88, `a heap from sector ${fatSector + fatSectors * fatCount} on`, heapSector);
  const heapSectors = BigInt(clusterCount) << BigInt(clusterShift);
  if (BigInt(heapSector) + heapSectors > volumeSectors) {
    throw bad(92, `clusters within ${volumeSectors} sectors`, `an end at sector ${BigInt(heapSector) + heapSectors}`);
  }
  if (rootCluster < FIRST_CLUSTER || rootCluster > clusterCount + 1) throw bad(96, `a cluster of 2 to ${clusterCount + 1}`, rootCluster);
  if ((boot.flags & EXFAT_FLAG.secondFat) !== 0 && fatCount !== 2) throw bad(EXFAT_FLAGS_AT, "the first FAT in force", hex(boot.flags, 4));
  return boot;
}

/** The sum that a region has, and the one that is written in it: undefined where its words differ. `region`: 12 sectors. */
export function bootChecksums(region: Uint8Array): { readonly actual: number; readonly stored: number | undefined } {
  const sectorBytes = region.length / EXFAT_REGION_SECTORS;
  const view = viewOf(region);
  const actual = bootChecksum(region.subarray(0, 11 * sectorBytes));
  const stored = view.getUint32(11 * sectorBytes, true);
  for (let at = 11 * sectorBytes; at < region.length; at += 4) {
    if (view.getUint32(at, true) !== stored) return { actual, stored: undefined };
  }
  return { actual, stored };
}
