/** What must be known before anything on an exFAT volume can be read: its boot region, bitmap, up-case table and label. */
import { HiperisoError } from "../../contract/error.ts";
import { hex, viewOf } from "../../formats/bytes.ts";
import { bootChecksums, decodeExfatBootSector, EXFAT_BOOT_BYTES, EXFAT_REGION_SECTORS, type ExfatBoot } from "../../formats/exfat-boot.ts";
import { upcaseChecksum } from "../../formats/exfat-checksums.ts";
import { type Allocation, allocationAt, decodeLabelEntry, ENTRY, isBenign } from "../../formats/exfat-entries.ts";
import { decodeUpcaseTable, recommendedUpcaseTable, UPCASE_BYTES_MAX, type UpcaseTable } from "../../formats/exfat-upcase.ts";
import type { BlockStore } from "../block-store.ts";
import type { Run } from "../content-writer.ts";
import { type Directory, openRoot, scanDirectory, slotOffset } from "./directory.ts";
import { followClusters, type Medium } from "./medium.ts";

export interface BootRegion {
  readonly offset: bigint;
  readonly bytes: Uint8Array;
  /** Undefined where a field is out of its range. */
  readonly boot: ExfatBoot | undefined;
  /** Why it is not to be trusted; undefined where all is well. */
  readonly fault: HiperisoError | undefined;
}

/** The main boot region, and the backup where the main one says how long a sector is, or else where one is found. */
export async function readBootRegions(store: BlockStore): Promise<{ readonly main: BootRegion; readonly backup: BootRegion | undefined }> {
  const main = await readRegion(store, 0n, undefined);
  if (main.boot !== undefined) return { main, backup: await readRegion(store, BigInt(main.bytes.length), main.boot.sectorShift) };
  for (const shift of [9, 12, 10, 11]) {
    const backup = await readRegion(store, BigInt(EXFAT_REGION_SECTORS << shift), shift);
    if (backup.fault === undefined) return { main, backup };
  }
  return { main, backup: undefined };
}

/** `shift`: of the sector that it must have; undefined: whichever it says. */
async function readRegion(store: BlockStore, offset: bigint, shift: number | undefined): Promise<BootRegion> {
  const sector = await store.read(offset, EXFAT_BOOT_BYTES);
  const bad = (at: number, expected: string, found: string) =>
    new HiperisoError({ what: "read the exFAT boot region", where: `${store.name}@${offset + BigInt(at)}`, expected, found });
  let boot: ExfatBoot;
  try {
    boot = decodeExfatBootSector(sector, store.name, offset);
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return { offset, bytes: sector, boot: undefined, fault: error };
  }
  const sectorBytes = 1 << boot.sectorShift;
  const bytes = await store.read(offset, EXFAT_REGION_SECTORS * sectorBytes);
  const region = { offset, bytes, boot };
  if (shift !== undefined && boot.sectorShift !== shift)
    return { ...region, boot: undefined, fault: bad(108, `2^${shift}`, `2^${boot.sectorShift}`) };
  if (bytes.length < EXFAT_REGION_SECTORS * sectorBytes)
    return { ...region, boot: undefined, fault: bad(bytes.length, "12 sectors", "the end of the medium") };
  const heapEnd = (BigInt(boot.heapSector) + (BigInt(boot.clusterCount) << BigInt(boot.clusterShift))) << BigInt(boot.sectorShift);
  if (heapEnd > store.sizeBytes) {
    return {
      ...region,
      boot: undefined,
      fault: bad(92, `clusters that end at byte ${store.sizeBytes} or before it`, `an end at ${heapEnd}`),
    };
  }
  const { actual, stored } = bootChecksums(bytes);
  if (actual === stored) return { ...region, fault: undefined };
  const found = stored === undefined ? "words that differ" : hex(stored, 8);
  return { ...region, fault: bad(11 * sectorBytes, `the sum ${hex(actual, 8)}`, found) };
}

export interface RootEntry {
  readonly allocation: Allocation;
  readonly offset: bigint;
}

export interface RootFacts {
  readonly root: Directory;
  /** That of the FAT in force. */
  readonly bitmap: RootEntry;
  readonly bitmapRuns: readonly Run[];
  readonly upcase: RootEntry & {
    readonly table: UpcaseTable;
    readonly storedChecksum: number;
    readonly actualChecksum: number;
    /** Where a lenient caller was given the recommended table, because the volume's own cannot be read. */
    readonly fault: HiperisoError | undefined;
  };
  readonly label: string;
  readonly labelSlot: number | undefined;
  /** A critical entry that revision 1.00 does not know: the volume is not to be used (8.2). */
  readonly unknownCritical: number | undefined;
}

/**
 * `lenient`: an up-case table that cannot be read becomes the recommended one, and a fault. Throws HiperisoError with an offset where the root cannot be
 * followed, or has no bitmap or up-case table that can be read.
 */
export async function readRootFacts(medium: Medium, { lenient = false }: { readonly lenient?: boolean } = {}): Promise<RootFacts> {
  const bad = (offset: bigint, expected: string, found: string) =>
    new HiperisoError({ what: "read the exFAT root directory", where: `${medium.where}@${offset}`, expected, found });
  const root = await openRoot(medium);
  const rootOffset = medium.offsetOf(root.firstCluster);
  if (root.runs.length === 0) throw bad(rootOffset, "clusters of the root", root.end.kind === "whole" ? "none" : root.end.text);
  const found: Partial<Record<"bitmap" | "upcase", RootEntry & { readonly storedChecksum: number }>> = {};
  let label = "";
  let labelSlot: number | undefined;
  let unknownCritical: number | undefined;
  for await (const item of scanDirectory(medium, root)) {
    if (item.kind !== "other") continue;
    const type = item.entries[0]!;
    const offset = slotOffset(medium, root, item.slot);
    const storedChecksum = viewOf(item.entries).getUint32(4, true);
    const entry = { allocation: { ...allocationAt(item.entries, 0), noFatChain: false }, offset, storedChecksum };
    if (type === ENTRY.bitmap) {
      if ((item.entries[1]! & 1) === (medium.boot.flags & 1)) found.bitmap ??= entry;
    } else if (type === ENTRY.upcase) found.upcase ??= entry;
    else if (type === ENTRY.label) {
      if (labelSlot === undefined) label = decodeLabelEntry(item.entries);
      labelSlot ??= item.slot;
    } else if (!isBenign(type)) unknownCritical ??= type;
  }
  const { bitmap, upcase } = found;
  if (bitmap === undefined) throw bad(rootOffset, "an entry of the allocation bitmap", "none");
  if (upcase === undefined) throw bad(rootOffset, "an entry of the up-case table", "none");
  const bitmapBytes = BigInt(Math.ceil(medium.clusterCount / 8));
  if (bitmap.allocation.dataBytes < bitmapBytes)
    throw bad(bitmap.offset + 24n, `a bitmap of ${bitmapBytes} bytes`, `${bitmap.allocation.dataBytes}`);
  const bitmapRuns = await wholeRuns(medium, { ...bitmap.allocation, dataBytes: bitmapBytes }, "the allocation bitmap");
  let table: UpcaseTable;
  let actualChecksum = upcase.storedChecksum;
  let fault: HiperisoError | undefined;
  try {
    if (upcase.allocation.dataBytes > BigInt(UPCASE_BYTES_MAX) || upcase.allocation.dataBytes === 0n) {
      throw bad(upcase.offset + 24n, `an up-case table of 1 to ${UPCASE_BYTES_MAX} bytes`, `${upcase.allocation.dataBytes}`);
    }
    const bytes = await readAll(medium, upcase.allocation, "the up-case table");
    actualChecksum = upcaseChecksum(bytes);
    table = decodeUpcaseTable(bytes, medium.where, medium.offsetOf(upcase.allocation.firstCluster));
  } catch (error) {
    if (!lenient || !(error instanceof HiperisoError)) throw error;
    table = recommendedUpcaseTable();
    fault = error;
  }
  return {
    root,
    bitmap,
    bitmapRuns,
    upcase: { ...upcase, table, actualChecksum, fault },
    label,
    labelSlot,
    unknownCritical,
  };
}

/** The clusters of an allocation; throws where they are not all there. A chain that goes on behind its size is taken as far as the size goes. */
export async function wholeRuns(
  medium: Medium,
  { firstCluster, dataBytes, noFatChain }: Allocation,
  path: string,
): Promise<readonly Run[]> {
  const runs: Run[] = [];
  for await (const run of eachRun(medium, { firstCluster, dataBytes, noFatChain }, path)) runs.push(run);
  return runs;
}

/** The same, a run at a time: for files in a million pieces. */
export async function* eachRun(medium: Medium, { firstCluster, dataBytes, noFatChain }: Allocation, path: string): AsyncGenerator<Run> {
  if (dataBytes === 0n) return;
  const broken = (at: bigint, found: string) =>
    new HiperisoError({
      what: "follow the clusters of an exFAT file",
      where: `${medium.where}@${at}`,
      expected: `whole clusters of ${path}`,
      found,
    });
  if (dataBytes > medium.heapBytes) throw broken(medium.offsetOf(2), `a size of ${dataBytes} bytes on a volume of ${medium.heapBytes}`);
  const clusters = medium.clustersOf(dataBytes);
  const end = yield* followClusters(medium, { first: firstCluster, noFatChain, clusters }, clusters);
  if (end.kind !== "whole" && end.kind !== "long") throw broken(end.at, end.text);
}

async function readAll(medium: Medium, allocation: Allocation, path: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(Number(allocation.dataBytes));
  let done = 0;
  for await (const { first, count } of eachRun(medium, allocation, path)) {
    const length = Math.min(bytes.length - done, count * medium.clusterBytes);
    bytes.set(await medium.read(medium.offsetOf(first), length), done);
    done += length;
  }
  return bytes;
}
