/** Making a stick: planned as a value, written, read back. */
import { HiperisoError } from "../contract/error.ts";
import { type Job, silentProgress } from "../contract/job.ts";
import { STICK_DATA, STICK_DATA_LABEL, type StickImage } from "../contract/stick.ts";
import { type BlockStore, sparseStore } from "../disk/block-store.ts";
import { makeExfat } from "../disk/exfat/make.ts";
import { openExfat } from "../disk/exfat/volume.ts";
import type { Ids } from "../disk/ids.ts";
import { eraseEnds } from "../disk/partitions/erase.ts";
import type { SectorBytes } from "../disk/partitions/gpt-layout.ts";
import { writeGpt } from "../disk/partitions/gpt-writer.ts";
import { sha256Stream } from "../host/stream-hash.ts";
import { addImages, checkSum, readDataFacts, recordOf } from "./add.ts";
import { makeDataFolders, type StickData, volumeData, writeDataFile } from "./data.ts";
import type { EspFile } from "./esp-files.ts";
import { encodeImageRecord } from "./image-record.ts";
import type { ImageSource } from "./image-sources.ts";
import { planStick, type StickLayout, type StickSize } from "./layout.ts";
import { type AddPlan, planAdd } from "./plan-add.ts";
import { readSource } from "./source-reader.ts";
import { checkEspRoom, makeEsp, partitionStore, type StickIdentity } from "./volumes.ts";

export interface StickWish extends StickSize {
  readonly ids: Ids;
  readonly images: readonly ImageSource[];
  readonly allowDamaged: boolean;
  readonly espFiles: readonly EspFile[];
  /** Those that name the disk. */
  readonly menu?: (diskGuid: string) => readonly EspFile[];
  /** `hiperiso.json` as it shall stand on the stick. */
  readonly config: Uint8Array;
  /** Of all files but the images, and of folders: milliseconds since 1970. */
  readonly timeMs: number;
  /** Images get this time, too, and not their own: the same bytes whenever their files were made. */
  readonly fixedTimes: boolean;
  readonly version: string;
}

export interface StickPlan {
  readonly wish: StickWish;
  readonly layout: StickLayout;
  readonly images: AddPlan;
  readonly espFiles: readonly EspFile[];
  /** Of the ESP's files, in whole clusters. */
  readonly espUsedBytes: bigint;
  /** On the data partition, when all images are there. */
  readonly freeBytes: bigint;
}

/** What the stick will be. Nothing is written. Throws HiperisoError of kind `usage` with all that stands against it. */
export async function planNewStick(wish: StickWish, job: Job): Promise<StickPlan> {
  const layout = planStick(wish, wish.ids);
  const espFiles = [...wish.espFiles, ...(wish.menu?.(layout.table.diskGuid) ?? [])];
  const espUsedBytes = await checkEspRoom(espFiles, layout.esp.sizeBytes);
  // The volume is made in memory, where it is empty and takes none: what it says of its room is what there will be.
  const store = sparseStore(layout.data.sizeBytes, { sectorBytes: wish.sectorBytes, name: "the stick" });
  const quiet: Job = { ...job, progress: silentProgress };
  await makeEmptyData(store, wish, layout, quiet);
  await using volume = await openExfat(store, {}, quiet);
  const images = wish.images.map((image) => (wish.fixedTimes ? { ...image, modifiedMs: wish.timeMs } : image));
  const facts = await readDataFacts(volumeData(volume, store), images);
  const plan = planAdd({ images, replace: false, allowDamaged: wish.allowDamaged }, facts);
  const cluster = BigInt(facts.clusterBytes);
  const used = plan.images.reduce((sum, { sizeBytes }) => sum + ((sizeBytes + cluster - 1n) / cluster) * cluster, 0n);
  return { wish, layout, images: plan, espFiles, espUsedBytes, freeBytes: facts.freeBytes - used };
}

async function makeEmptyData(store: BlockStore, { config, timeMs }: StickWish, { data }: StickLayout, job: Job): Promise<void> {
  await makeExfat(store, { label: STICK_DATA_LABEL, serial: data.serial, partitionOffset: data.offset }, job);
  await using volume = await openExfat(store, {}, job);
  const opened = volumeData(volume, store);
  for (const folder of [STICK_DATA.images, STICK_DATA.folder, STICK_DATA.logs]) await makeDataFolders(opened, folder, timeMs);
  await writeDataFile(opened, STICK_DATA.config, config, timeMs, job);
}

export interface WrittenStick {
  readonly images: readonly StickImage[];
  readonly identity: StickIdentity;
}

/**
 * Writes the plan to all of `medium`: what was there is gone. The partition table comes last, so that a cut leaves no stick rather than half a
 * one. `isDevice`: the images go in steps that are on the medium before the next begins, so that what is told of the progress is true.
 */
export async function writeStick(
  medium: BlockStore,
  plan: StickPlan,
  { isDevice }: { readonly isDevice: boolean },
  job: Job,
): Promise<WrittenStick> {
  const { wish, layout, espFiles: files } = plan;
  await eraseEnds(medium);
  const quiet: Job = { ...job, progress: silentProgress };
  const data = partitionStore(medium, layout.data, 1);
  await makeEmptyData(data, wish, layout, quiet);
  const images = await writeImages(data, plan, isDevice, job);
  const identity = { diskGuid: layout.table.diskGuid, data: layout.data, esp: layout.esp };
  const { timeMs, version } = wish;
  await makeEsp(partitionStore(medium, layout.esp, 2), { files, identity, timeMs, version }, job);
  await medium.flush();
  await writeGpt(medium, layout.table, NO_BOOT_CODE);
  return { images, identity };
}

/** Not what a stick before this one started with. */
const NO_BOOT_CODE = new Uint8Array(440);

async function writeImages(
  store: BlockStore,
  { images: plan, wish }: StickPlan,
  isDevice: boolean,
  job: Job,
): Promise<readonly StickImage[]> {
  await using volume = await openExfat(store, {}, job);
  const data = volumeData(volume, store);
  if (isDevice) return await addImages(data, plan, { nowMs: wish.timeMs, verify: false, forget: async () => {} }, job);
  return await streamImages({ data, store }, plan, wish.timeMs, job);
}

/** Between two times at which the disk is asked to write what it was given: it works while the next sums are reckoned. */
const FLUSH_EVERY_BYTES = 128 << 20;

/** Into a new image file, of which nobody sees anything before it is whole: nothing has to be taken up again. */
async function streamImages(
  { data, store }: { readonly data: StickData; readonly store: BlockStore },
  { images, totalBytes }: AddPlan,
  timeMs: number,
  job: Job,
): Promise<readonly StickImage[]> {
  const step = job.progress.begin(images.length === 1 ? "write 1 image" : `write ${images.length} images`, totalBytes);
  const quiet: Job = { ...job, progress: silentProgress };
  const added: StickImage[] = [];
  let unflushed = 0;
  let flushing: Promise<void> = Promise.resolve();
  const written = async (bytes: number) => {
    step.advance(bytes);
    unflushed += bytes;
    if (unflushed < FLUSH_EVERY_BYTES) return;
    unflushed = 0;
    await flushing;
    flushing = store.flush();
    flushing.catch(() => {}); // awaited before the next one, or at the end
  };
  try {
    for (const image of images) {
      await makeDataFolders(data, image.to.slice(0, image.to.lastIndexOf("/")) || "/", timeMs);
      await using hash = sha256Stream(image.sizeBytes);
      const content = (async function* () {
        for await (const piece of readSource(image.from, 0n, job.signal)) {
          await hash.update(piece);
          yield piece;
          await written(piece.length);
        }
      })();
      await data.tree.write(image.to, content, { sizeBytes: image.sizeBytes, modifiedMs: image.modifiedMs }, quiet);
      const sha256 = await hash.digest();
      checkSum(image, sha256);
      added.push(recordOf(image, sha256));
    }
    await flushing;
  } finally {
    step.end();
    await Promise.allSettled([flushing]);
  }
  await writeDataFile(data, STICK_DATA.record, encodeImageRecord(added), timeMs, quiet);
  return added;
}

export const sectorBytesOf = (store: Pick<BlockStore, "sectorBytes">): SectorBytes => (store.sectorBytes === 4096 ? 4096 : 512);

/** Says what went wrong where the file system below an image file is full, whatever wrote last. */
export function explainFullDisk(error: unknown, path: string): unknown {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (!["ENOSPC", "EDQUOT"].includes((cause as NodeJS.ErrnoException).code ?? "")) continue;
    return new HiperisoError({
      what: "write the stick's image",
      where: path,
      found: "the file system that it lies on is full",
      hint: "Make room there, or put the image somewhere else.",
      cause: error,
    });
  }
  return error;
}
