/** What a FAT volume says of itself outside of its tables: the boot sector and its copy, the flags of whether all is well, FSInfo. */
import type { HiperisoError } from "../../contract/error.ts";
import { hex } from "../../formats/bytes.ts";
import { decodeFatBoot, decodeFsInfo, encodeFsInfo, FAT_BOOT_BYTES, FAT_FLAG, FAT32_CLUSTERS, flagsAt } from "../../formats/fat-boot.ts";
import type { Inspecting } from "./findings.ts";
import type { FatMedium } from "./medium.ts";
import type { BootSectors } from "./open.ts";

export async function inspectBootSectors(inspecting: Inspecting, { fault, backupOffset }: BootSectors): Promise<void> {
  const { medium, findings } = inspecting;
  const { boot } = medium;
  if (fault !== undefined && backupOffset !== undefined) {
    findBadBootSector(inspecting, fault, backupOffset);
    return;
  }
  const sector = await medium.read(0n, FAT_BOOT_BYTES);
  if (sector[510] !== 0x55 || sector[511] !== 0xaa) {
    const text = `the boot sector ends in ${hex(sector[510]!)} ${hex(sector[511]!)}`;
    findings.add("boot-signature", { offset: 510n, text, mending: "0x55 0xAA is written" }, async () => {
      await medium.write(510n, Uint8Array.of(0x55, 0xaa));
    });
  }
  if (boot.bits === 32 && medium.clusterCount < FAT32_CLUSTERS) {
    const text = `${medium.clusterCount} clusters: by Microsoft's paper that is no FAT32, by all known systems it is`;
    findings.add("few-clusters", { offset: 32n, text });
  }
  if (boot.backupSector !== 0) await inspectBackupSector(inspecting, sector);
}

function findBadBootSector({ findings }: Inspecting, fault: HiperisoError, backupOffset: bigint): void {
  const text = fault.found === undefined ? fault.message : `the boot sector: expected ${fault.expected}, found ${fault.found}`;
  findings.add("boot-sector", { offset: 0n, text, mending: "its copy is written over it" }, async ({ medium }) => {
    const copy = await medium.read(backupOffset, FAT_BOOT_BYTES);
    copy[flagsAt(32)] = copy[flagsAt(32)]! | FAT_FLAG.dirty; // until the walk is through
    await medium.write(0n, copy);
  });
}

async function inspectBackupSector({ medium, findings }: Inspecting, sector: Uint8Array): Promise<void> {
  const offset = medium.sectorOffset(medium.boot.backupSector);
  const backup = await medium.read(offset, FAT_BOOT_BYTES);
  const at = sector.findIndex((byte, index) => byte !== backup[index] && index !== flagsAt(32));
  if (at < 0) return;
  const text = `the copy of the boot sector differs from byte ${at} on`;
  const mending = "the boot sector is written over it";
  findings.add("backup-boot-sector", { offset: offset + BigInt(at), text, mending }, async () => {
    const copy = await medium.read(0n, FAT_BOOT_BYTES);
    decodeFatBoot(copy, medium.where); // never a bad one over the only good one
    copy[flagsAt(32)] = copy[flagsAt(32)]! & ~FAT_FLAG.dirty;
    await medium.write(offset, copy);
  });
}

export async function inspectFlags({ medium, findings }: Inspecting): Promise<void> {
  const one = await medium.link(1);
  const flags = await medium.bootFlags();
  if ((one & medium.soundBit) !== medium.soundBit || (flags & FAT_FLAG.surfaceTest) !== 0) {
    const text = "the volume says that its medium failed: copy what matters off it";
    findings.add("media-failure", { offset: medium.fatOffsetOf(1), text });
  }
  if ((flags & FAT_FLAG.dirty) === 0 && (one & medium.closedBit) === medium.closedBit) return;
  const offset = (flags & FAT_FLAG.dirty) !== 0 ? BigInt(flagsAt(medium.boot.bits)) : medium.fatOffsetOf(1);
  const text = "the volume was not closed properly";
  findings.add("dirty", { offset, text, mending: "the flags are cleared" }, () => clearDirty(medium), "flag");
}

async function clearDirty(medium: FatMedium): Promise<void> {
  await medium.markClosed(true);
  await medium.writeBootFlags((await medium.bootFlags()) & ~FAT_FLAG.dirty);
}

export async function inspectFsInfo({ medium, free, findings }: Inspecting): Promise<void> {
  if (medium.boot.fsInfoSector === 0) return;
  const offset = medium.sectorOffset(medium.boot.fsInfoSector);
  const info = decodeFsInfo(await medium.read(offset, FAT_BOOT_BYTES));
  const freeClusters = await free.freeClusters();
  if (info?.freeClusters === freeClusters) return;
  const text =
    info === undefined
      ? "the FSInfo sector has not its signatures"
      : `${info.freeClusters ?? "no number of"} clusters free by FSInfo, ${freeClusters} by the FAT`;
  findings.add(
    "fsinfo",
    { offset: offset + 488n, text, mending: "it is written anew" },
    async () => {
      await medium.write(offset, encodeFsInfo({ freeClusters: await free.freeClusters(), nextFree: await free.lowestFree() }));
    },
    "flag",
  );
}
