/** `/hiperiso/images.json`: what was put onto the stick, with its SHA-256. */
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { STICK_DATA, type StickImage, stickImagesSchema } from "../contract/stick.ts";
import { makeDataFolders, readDataFile, type StickData, writeDataFile } from "./data.ts";

/** Twenty thousand images. */
const RECORD_BYTES_MAX = 8 << 20;

export interface ImageRecord {
  readonly images: readonly StickImage[];
  /** Why the file that is there cannot be used; undefined where it can, or there is none. */
  readonly damage: string | undefined;
}

export async function readImageRecord(data: StickData): Promise<ImageRecord> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await readDataFile(data, STICK_DATA.record, RECORD_BYTES_MAX);
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return { images: [], damage: error.message };
  }
  return bytes === undefined ? { images: [], damage: undefined } : decodeImageRecord(bytes);
}

/** Never throws: whatever stands there, the images themselves are still on the stick. */
export function decodeImageRecord(bytes: Uint8Array): ImageRecord {
  try {
    const parsed = stickImagesSchema.safeParse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
    if (parsed.success) return { images: parsed.data.images, damage: undefined };
    const [issue] = parsed.error.issues;
    return { images: [], damage: issue === undefined ? "it is no record" : `${issue.path.join(".")}: ${issue.message}` };
  } catch (error) {
    return { images: [], damage: reasonOf(error) };
  }
}

export function encodeImageRecord(images: readonly StickImage[]): Uint8Array {
  const sorted = [...images].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  return new TextEncoder().encode(`${JSON.stringify({ version: 1, images: sorted }, null, 2)}\n`);
}

/** The same images with these in place of those that the partition takes for the same name, and without `removed`. */
export function changedRecord(
  images: readonly StickImage[],
  { added = [], removed = [] }: { readonly added?: readonly StickImage[]; readonly removed?: readonly string[] },
  folded: (path: string) => string,
): readonly StickImage[] {
  const gone = new Set([...removed, ...added.map(({ path }) => path)].map(folded));
  return [...images.filter(({ path }) => !gone.has(folded(path))), ...added];
}

export async function writeImageRecord(data: StickData, images: readonly StickImage[], nowMs: number, job: Job): Promise<void> {
  await makeDataFolders(data, STICK_DATA.folder, nowMs);
  await writeDataFile(data, STICK_DATA.record, encodeImageRecord(images), nowMs, job);
}
