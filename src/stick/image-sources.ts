/** The images that a person names, on this computer: files, and what is in folders; each looked into before anything is written. */
import { readdir, stat } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { checkGpt } from "../disk/partitions/gpt-check.ts";
import { type BlockSource, openImage } from "../image/block-source.ts";
import { readIsoVolume } from "../image/iso-tree.ts";
import { type ExpectedSum, sumBeside, sumFromList } from "./sha256sums.ts";

export interface ImageSource {
  /** Path on this computer. */
  readonly from: string;
  /** On the stick. */
  readonly to: string;
  readonly sizeBytes: bigint;
  readonly modifiedMs: number;
  readonly expected: ExpectedSum | undefined;
  /** Why it is not whole; undefined where nothing says so. */
  readonly damage: string | undefined;
}

export interface SourceWish {
  /** Files, or folders of which all images are taken, with their sub-folders. */
  readonly names: readonly string[];
  /** Folder on the stick. */
  readonly into: string;
  /** A list of sums in which all of them must be. */
  readonly sums: string | undefined;
}

/** What is an image in a folder; a file that is named itself may be called anything. */
export const IMAGE_EXTENSIONS = ["iso", "img", "raw", "qcow2", "vmdk", "vdi", "vhdx", "vhd"] as const;
const IMAGE_NAME = new RegExp(`\\.(?:${IMAGE_EXTENSIONS.join("|")})$`, "i");
export const isImageName = (name: string): boolean => IMAGE_NAME.test(name) && !name.startsWith("._");

const IMAGES_MAX = 10_000;
const DEPTH_MAX = 16;

/** Sorted by their paths on the stick. Throws HiperisoError of kind `usage`. */
export async function readImageSources({ names, into, sums }: SourceWish, signal: AbortSignal): Promise<readonly ImageSource[]> {
  const folder = into === "/" ? "" : into.replace(/\/+$/, "");
  const found: { readonly from: string; readonly to: string }[] = [];
  for (const name of names) {
    const there = await stat(name).catch((cause: unknown) => {
      throw bad(name, "a file or folder", reasonOf(cause), cause);
    });
    if (there.isDirectory()) {
      const before = found.length;
      for (const path of await imagesIn(name, signal)) found.push({ from: path, to: `${folder}/${relative(name, path)}` });
      if (found.length === before)
        throw bad(name, `images in it (${IMAGE_EXTENSIONS.map((extension) => `.${extension}`).join(", ")})`, "none");
    } else if (there.isFile()) found.push({ from: name, to: `${folder}/${basename(name)}` });
    else throw bad(name, "a file or folder", "something else");
    if (found.length > IMAGES_MAX) throw bad(name, `at most ${IMAGES_MAX} images`, "more");
  }
  const sources: ImageSource[] = [];
  for (const { from, to } of found) {
    signal.throwIfAborted();
    const { size, mtimeNs } = await stat(from, { bigint: true });
    const expected = sums === undefined ? await sumBeside(from) : await sumFromList(from, sums);
    const damage = size === 0n ? "it is empty" : await damageOf(from);
    sources.push({ from, to, sizeBytes: size, modifiedMs: Number(mtimeNs / 1_000_000n), expected, damage });
  }
  return sources.sort((a, b) => (a.to < b.to ? -1 : a.to > b.to ? 1 : 0));
}

const bad = (where: string, expected: string, found: string, cause?: unknown): HiperisoError =>
  new HiperisoError({ what: "find the image", where, expected, found, kind: "usage", cause });

async function imagesIn(folder: string, signal: AbortSignal, depth = 0): Promise<readonly string[]> {
  signal.throwIfAborted();
  if (depth > DEPTH_MAX) throw bad(folder, `at most ${DEPTH_MAX} folders in each other`, "more");
  const items = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw bad(folder, "a folder that can be read", reasonOf(cause), cause);
  });
  const found: string[] = [];
  for (const item of items.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, item.name);
    if (item.isDirectory()) found.push(...(await imagesIn(path, signal, depth + 1)));
    // A link is taken for what it leads to where that is a file; a folder behind one may be a circle.
    else if (isImageName(item.name) && (item.isFile() || (await stat(path).catch(() => undefined))?.isFile() === true)) found.push(path);
  }
  return found;
}

async function damageOf(path: string): Promise<string | undefined> {
  await using source = await openImage(path);
  return await truncationOf(source);
}

/** What an ISO 9660 volume, or the partition table of a disk image, says of its own size, against what is there. */
export async function truncationOf(source: BlockSource): Promise<string | undefined> {
  const cutOff = (bytes: bigint, of: string) => `it is cut off: ${source.sizeBytes} of the ${bytes} bytes of its ${of} are there`;
  const iso = await readIsoVolume(source, () => {});
  if (iso !== undefined) return iso.primary.volumeBytes <= source.sizeBytes ? undefined : cutOff(iso.primary.volumeBytes, "volume");
  const gpt = await checkGpt(source);
  const ends = gpt?.primary?.partitions.map(({ lastLba }) => (lastLba + 1n) * BigInt(gpt.sectorBytes)) ?? [];
  const outside = ends.find((end) => end > source.sizeBytes);
  return outside === undefined ? undefined : cutOff(outside, "partitions");
}
