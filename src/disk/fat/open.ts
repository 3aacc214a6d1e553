/** The boot sector of a FAT volume, and on FAT32 its copy. */
import { HiperisoError } from "../../contract/error.ts";
import { decodeFatBoot, FAT_BOOT_BYTES, type FatBoot } from "../../formats/fat-boot.ts";
import type { BlockStore } from "../block-store.ts";

export interface BootSectors {
  /** Of the sector at the start, or of its copy where that is damaged. */
  readonly boot: FatBoot;
  /** What is wrong with the sector at the start. */
  readonly fault: HiperisoError | undefined;
  /** Where the copy stands that was used. */
  readonly backupOffset: bigint | undefined;
}

/** Where FAT32 keeps the copy unless the first says otherwise ("FAT32 FSInfo Sector Structure and Backup Boot Sector"). */
const BACKUP_SECTOR = 6;

/** Throws HiperisoError where neither describes a volume that the medium can hold. */
export async function readBootSectors(store: BlockStore): Promise<BootSectors> {
  try {
    return { boot: await readBoot(store, 0n), fault: undefined, backupOffset: undefined };
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    for (const sectorBytes of [512, 4096, 1024, 2048]) {
      const backupOffset = BigInt(BACKUP_SECTOR * sectorBytes);
      const boot = await readBackup(store, backupOffset);
      if (boot?.bits === 32 && boot.sectorBytes === sectorBytes && boot.backupSector === BACKUP_SECTOR)
        return { boot, fault: error, backupOffset };
    }
    throw error;
  }
}

async function readBackup(store: BlockStore, offset: bigint): Promise<FatBoot | undefined> {
  try {
    return await readBoot(store, offset);
  } catch (error) {
    if (error instanceof HiperisoError) return undefined;
    throw error;
  }
}

async function readBoot(store: BlockStore, offset: bigint): Promise<FatBoot> {
  const boot = decodeFatBoot(await store.read(offset, FAT_BOOT_BYTES), store.name, offset);
  const bytes = BigInt(boot.sectors) * BigInt(boot.sectorBytes);
  if (bytes <= store.sizeBytes) return boot;
  throw new HiperisoError({
    what: "read the FAT boot sector",
    where: `${store.name}@${offset + (boot.sectors < 0x10000 && boot.bits !== 32 ? 19n : 32n)}`,
    expected: `a volume of at most ${store.sizeBytes} bytes`,
    found: `${boot.sectors} sectors of ${boot.sectorBytes}`,
  });
}
