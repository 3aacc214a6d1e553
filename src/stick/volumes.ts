/** A stick's two volumes on the disk or image that holds them: made, filled, opened. */
import { createHash } from "node:crypto";
import { HiperisoError } from "../contract/error.ts";
import { type Job, silentProgress } from "../contract/job.ts";
import { STICK_ESP, STICK_ESP_LABEL, type StickManifest } from "../contract/stick.ts";
import { type BlockStore, windowStore } from "../disk/block-store.ts";
import { makeFat } from "../disk/fat/make.ts";
import { openFat } from "../disk/fat/volume.ts";
import type { Volume } from "../disk/volume.ts";
import { hex } from "../formats/bytes.ts";
import { utcOf } from "../host/clock.ts";
import { contentOfEspFile, type EspFile, orderedEspFiles, sizeOfEspFile } from "./esp-files.ts";
import type { StickSpan } from "./layout.ts";
import { encodeManifest } from "./manifest.ts";

export interface StickIdentity {
  readonly diskGuid: string;
  readonly data: StickSpan | Omit<StickSpan, "serial">;
  readonly esp: StickSpan;
}

export interface EspWish {
  readonly files: readonly EspFile[];
  readonly identity: StickIdentity;
  readonly timeMs: number;
  /** Of this program, for the manifest. */
  readonly version: string;
}

export const partitionStore = (
  medium: BlockStore,
  { offset, sizeBytes }: Pick<StickSpan, "offset" | "sizeBytes">,
  number: number,
): BlockStore => ({
  ...windowStore(medium, offset, sizeBytes),
  name: `${medium.name}:${number}`,
});

/** What FAT keeps for itself of the 64 MiB (150 KiB), and folders: what is left surely holds the files. */
const ESP_OVERHEAD_BYTES = 768n << 10n;
const ESP_CLUSTER_BYTES = 4096n;

/** Throws HiperisoError of kind `usage` where the files do not fit, with what each takes. */
export async function checkEspRoom(files: readonly EspFile[], espBytes: bigint): Promise<bigint> {
  const sized = await Promise.all(orderedEspFiles(files).map(async (file) => ({ path: file.path, bytes: await sizeOfEspFile(file) })));
  const needed = sized.reduce((sum, { bytes }) => sum + ((bytes + ESP_CLUSTER_BYTES - 1n) / ESP_CLUSTER_BYTES) * ESP_CLUSTER_BYTES, 0n);
  if (needed <= espBytes - ESP_OVERHEAD_BYTES) return needed;
  const largest = sized.toSorted((a, b) => (a.bytes > b.bytes ? -1 : 1)).slice(0, 5);
  throw new HiperisoError({
    what: "plan the stick's boot partition",
    expected: `files of at most ${espBytes - ESP_OVERHEAD_BYTES} bytes together`,
    found: `${needed}: ${largest.map(({ path, bytes }) => `${path} ${bytes}`).join(", ")}, …`,
    kind: "usage",
  });
}

/**
 * Makes the ESP anew on `store`: an empty volume, all files with the loader as the last, then the manifest. Cut off anywhere it is mended by
 * being made again; before the loader is there no computer starts from it.
 */
export async function makeEsp(store: BlockStore, { files, identity, timeMs, version }: EspWish, job: Job): Promise<StickManifest> {
  const { esp, data, diskGuid } = identity;
  await makeFat(store, { label: STICK_ESP_LABEL, serial: esp.serial, bits: 16, partitionOffset: esp.offset, timeMs }, quiet(job));
  await using volume = await openFat(store, {}, job);
  const ordered = orderedEspFiles(files).filter(({ path }) => path.toUpperCase() !== STICK_ESP.manifest.toUpperCase());
  const sizes = await Promise.all(ordered.map(sizeOfEspFile));
  const step = job.progress.begin("write the boot partition", sizes.reduce((sum, bytes) => sum + bytes, 0n)); // biome-ignore format: one thought
  const written: StickManifest["files"] = [];
  for (const file of ordered) {
    job.signal.throwIfAborted();
    written.push(
      await writeEspFile(volume, file, timeMs, { ...job, progress: { ...silentProgress, begin: () => ({ ...step, end: () => {} }) } }),
    );
  }
  step.end();
  const manifest: StickManifest = {
    version: 1,
    hiperiso_version: version,
    written_utc: utcOf(timeMs),
    disk_guid: diskGuid,
    data: { guid: data.guid, offset_bytes: Number(data.offset), size_bytes: Number(data.sizeBytes) },
    esp: { guid: esp.guid, offset_bytes: Number(esp.offset), size_bytes: Number(esp.sizeBytes), serial: serialText(esp.serial) },
    files: written.sort((a, b) => (a.path < b.path ? -1 : 1)),
  };
  const bytes = encodeManifest(manifest);
  await writeEspFile(volume, { path: STICK_ESP.manifest, from: bytes }, timeMs, quiet(job));
  return manifest;
}

export const serialText = (serial: number): string => hex(serial, 8).replace(/^0x/, "").toUpperCase();

const quiet = (job: Job): Job => ({ ...job, progress: silentProgress });

/** Replaces a file that is there. Gives what the manifest says of it. */
export async function writeEspFile(volume: Volume, file: EspFile, timeMs: number, job: Job): Promise<StickManifest["files"][number]> {
  const { path } = file;
  const parts = path.split("/").slice(1, -1);
  for (let depth = 1; depth <= parts.length; depth += 1) {
    const folder = `/${parts.slice(0, depth).join("/")}`;
    if ((await volume.stat(folder)) === undefined) await volume.makeDirectory(folder, timeMs);
  }
  const hash = createHash("sha256");
  const sizeBytes = await sizeOfEspFile(file);
  const content = (async function* () {
    for await (const piece of contentOfEspFile(file)) {
      hash.update(piece);
      yield piece;
    }
  })();
  await volume.write(path, content, { sizeBytes, modifiedMs: timeMs, replace: true }, job);
  return { path, size_bytes: Number(sizeBytes), sha256: hash.digest("hex"), generated: file.generated === true };
}
