/** Making an empty exFAT volume: the same bytes for the same options. */
import type { Job } from "../../contract/job.ts";
import { viewOf } from "../../formats/bytes.ts";
import { EXFAT_REGION_SECTORS, encodeExfatBootRegion } from "../../formats/exfat-boot.ts";
import { upcaseChecksum } from "../../formats/exfat-checksums.ts";
import { ENTRY_BYTES, encodeBitmapEntry, encodeLabelEntry, encodeUpcaseEntry } from "../../formats/exfat-entries.ts";
import { encodeUpcaseTable, recommendedUpcaseTable } from "../../formats/exfat-upcase.ts";
import type { BlockStore } from "../block-store.ts";
import { type ExfatLayout, type ExfatOptions, planExfat } from "./layout.ts";

const PIECE_BYTES = 1 << 20;
const END_OF_CHAIN = 0xffff_ffff;

/**
 * Makes all of `store` an empty exFAT volume. What was there before is gone: no boot sector stands while the rest is written, so that a cut
 * leaves no volume rather than half a one. Throws HiperisoError of kind `usage` where exFAT has no such volume.
 */
export async function makeExfat(store: BlockStore, options: ExfatOptions, job: Job): Promise<void> {
  const upcase = encodeUpcaseTable(recommendedUpcaseTable());
  const layout = planExfat(store.sizeBytes, store.sectorBytes, upcase.length, options);
  const { boot } = layout;
  const sectorBytes = 1 << boot.sectorShift;
  const clusterBytes = sectorBytes << boot.clusterShift;
  const region = encodeExfatBootRegion(boot);
  const offsetOf = (cluster: number) => BigInt(boot.heapSector) * BigInt(sectorBytes) + BigInt(cluster - 2) * BigInt(clusterBytes);
  const fatOffset = BigInt(boot.fatSector) * BigInt(sectorBytes);
  const fatBytes = BigInt(boot.fatSectors) * BigInt(sectorBytes);
  const tables = [offsetOf(2), BigInt(boot.rootCluster - 1) * BigInt(clusterBytes)] as const;

  const step = job.progress.begin("make an exFAT volume", fatBytes + tables[1]);
  await store.write(0n, new Uint8Array(2 * EXFAT_REGION_SECTORS * sectorBytes));
  await store.flush();
  await clear(store, fatOffset, fatBytes, job, step.advance);
  await clear(store, tables[0], tables[1], job, step.advance);
  await store.write(fatOffset, wholeSectors(firstFat(layout), sectorBytes));
  await writeBitmap(store, offsetOf(2), layout, sectorBytes);
  await store.write(offsetOf(layout.upcaseCluster), wholeSectors(upcase, sectorBytes));
  await store.write(offsetOf(boot.rootCluster), wholeSectors(rootEntries(layout, upcase, options.label ?? ""), sectorBytes));
  await store.flush();
  await store.write(BigInt(region.length), region);
  await store.flush();
  await store.write(0n, region);
  await store.flush();
  step.end();
}

/** Zeros, written only where something else is: a fresh image stays sparse. */
async function clear(store: BlockStore, offset: bigint, bytes: bigint, job: Job, advance: (bytes: number) => void): Promise<void> {
  const zeros = Buffer.alloc(PIECE_BYTES);
  for (let done = 0n; done < bytes; ) {
    job.signal.throwIfAborted();
    const length = Number(bytes - done < BigInt(PIECE_BYTES) ? bytes - done : BigInt(PIECE_BYTES));
    const there = await store.read(offset + done, length);
    if (zeros.compare(there, 0, there.length, 0, there.length) !== 0) await store.write(offset + done, zeros.subarray(0, length));
    done += BigInt(length);
    advance(length);
  }
}

/** The media byte, the entry without a meaning, and a chain each for bitmap, up-case table and root (4.1). */
function firstFat({ boot, bitmapClusters, upcaseClusters }: ExfatLayout): Uint8Array {
  const entries = [0xffff_fff8, END_OF_CHAIN];
  for (const clusters of [bitmapClusters, upcaseClusters, 1]) {
    for (let index = 1; index < clusters; index += 1) entries.push(entries.length + 1);
    entries.push(END_OF_CHAIN);
  }
  const bytes = new Uint8Array(entries.length * 4);
  const view = viewOf(bytes);
  entries.forEach((entry, index) => {
    view.setUint32(index * 4, entry, true);
  });
  return bytes.subarray(0, Math.min(bytes.length, (boot.clusterCount + 2) * 4));
}

/** Only its head holds ones, for the clusters in front of the first file. */
async function writeBitmap(store: BlockStore, offset: bigint, { boot }: ExfatLayout, sectorBytes: number): Promise<void> {
  const used = boot.rootCluster - 1;
  const head = new Uint8Array(Math.ceil(used / 8)).fill(0xff);
  if (used % 8 !== 0) head[head.length - 1] = (1 << (used % 8)) - 1;
  await store.write(offset, wholeSectors(head, sectorBytes));
}

function rootEntries(layout: ExfatLayout, upcase: Uint8Array, label: string): Uint8Array {
  const entries = [
    encodeLabelEntry(label),
    encodeBitmapEntry({ firstCluster: 2, dataBytes: layout.bitmapBytes, noFatChain: false }),
    encodeUpcaseEntry({ firstCluster: layout.upcaseCluster, dataBytes: BigInt(upcase.length), noFatChain: false }, upcaseChecksum(upcase)),
  ];
  const bytes = new Uint8Array(entries.length * ENTRY_BYTES);
  entries.forEach((entry, index) => {
    bytes.set(entry, index * ENTRY_BYTES);
  });
  return bytes;
}

function wholeSectors(bytes: Uint8Array, sectorBytes: number): Uint8Array {
  const padded = new Uint8Array(Math.ceil(bytes.length / sectorBytes) * sectorBytes);
  padded.set(bytes);
  return padded;
}
