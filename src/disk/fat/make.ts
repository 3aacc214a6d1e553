/** Making an empty FAT volume: the same bytes for the same options. */
import type { Job } from "../../contract/job.ts";
import { viewOf } from "../../formats/bytes.ts";
import { encodeFatBoot, encodeFsInfo, type FatBoot, fatPlaces } from "../../formats/fat-boot.ts";
import { ATTRIBUTE, encodeShortEntry } from "../../formats/fat-entries.ts";
import type { BlockStore } from "../block-store.ts";
import { type FatOptions, planFat } from "./layout.ts";

const PIECE_BYTES = 1 << 20;

/**
 * Makes all of `store` an empty FAT volume. What was there before is gone: no boot sector stands while the rest is written, so that a cut
 * leaves no volume rather than half a one. Throws HiperisoError of kind `usage` where FAT has no such volume.
 */
export async function makeFat(store: BlockStore, options: FatOptions, job: Job): Promise<void> {
  const boot = planFat(store.sizeBytes, store.sectorBytes, options);
  const { dataSector, clusterCount } = fatPlaces(boot);
  const offsetOf = (sector: number) => BigInt(sector) * BigInt(boot.sectorBytes);
  const isFat32 = boot.bits === 32;
  const tablesEnd = offsetOf(dataSector + (isFat32 ? boot.clusterSectors : 0)); // FAT32 has its root in the first cluster

  const step = job.progress.begin("make a FAT volume", tablesEnd);
  await clear(store, tablesEnd, job, step.advance);
  await store.flush();
  const head = wholeSector(fatHead(boot), boot.sectorBytes);
  for (let copy = 0; copy < boot.fatCount; copy += 1) await store.write(offsetOf(boot.reservedSectors + copy * boot.fatSectors), head);
  if (boot.label !== undefined) {
    const label = encodeShortEntry({
      name: boot.label,
      attributes: ATTRIBUTE.label,
      firstCluster: 0,
      sizeBytes: 0,
      timeMs: options.timeMs ?? 0,
    });
    await store.write(offsetOf(isFat32 ? dataSector : fatPlaces(boot).rootSector), wholeSector(label, boot.sectorBytes));
  }
  const bootSector = wholeSector(encodeFatBoot(boot), boot.sectorBytes);
  if (isFat32) {
    const info = wholeSector(encodeFsInfo({ freeClusters: clusterCount - 1, nextFree: 3 }), boot.sectorBytes);
    for (const sector of [boot.fsInfoSector, boot.backupSector + boot.fsInfoSector]) await store.write(offsetOf(sector), info);
    await store.write(offsetOf(boot.backupSector), bootSector);
  }
  await store.flush();
  await store.write(0n, bootSector);
  await store.flush();
  step.end();
}

/** Zeros up to `end`, written only where something else is: a fresh image stays sparse. */
async function clear(store: BlockStore, end: bigint, job: Job, advance: (bytes: number) => void): Promise<void> {
  const zeros = Buffer.alloc(PIECE_BYTES);
  for (let at = 0n; at < end; ) {
    job.signal.throwIfAborted();
    const length = Number(end - at < BigInt(PIECE_BYTES) ? end - at : BigInt(PIECE_BYTES));
    const there = await store.read(at, length);
    if (zeros.compare(there, 0, there.length, 0, there.length) !== 0) await store.write(at, zeros.subarray(0, length));
    at += BigInt(length);
    advance(length);
  }
}

/** The medium, the entry that says that all is well, and on FAT32 the root's chain of one ("FAT Data Structure"). */
function fatHead({ bits, media }: FatBoot): Uint8Array {
  if (bits === 12) return Uint8Array.of(media, 0xff, 0xff);
  if (bits === 16) return Uint8Array.of(media, 0xff, 0xff, 0xff);
  const bytes = new Uint8Array(12);
  [0x0fff_ff00 | media, 0x0fff_ffff, 0x0fff_ffff].forEach((entry, index) => {
    viewOf(bytes).setUint32(index * 4, entry, true);
  });
  return bytes;
}

function wholeSector(bytes: Uint8Array, sectorBytes: number): Uint8Array {
  const padded = new Uint8Array(sectorBytes);
  padded.set(bytes);
  return padded;
}
