/** What is on a stick: its images, as they are and as they were added. */
import { HiperisoError } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { STICK_DATA, type StickImage } from "../contract/stick.ts";
import type { IMAGE_STATES } from "../contract/stick-answers.ts";
import type { StickData } from "./data.ts";
import { readImageRecord } from "./image-record.ts";
import { isImageName } from "./image-sources.ts";

export interface ListedImage {
  readonly path: string;
  readonly sizeBytes: bigint;
  readonly modifiedMs: number | null;
  /**
   * `added`: by hiperiso, with its sum kept. `copied`: by hand, nobody knows its sum. `changed`: it has another size than was added.
   * `missing`: it was added, and is gone.
   */
  readonly state: (typeof IMAGE_STATES)[number];
  readonly sha256: string | undefined;
}

export interface StickList {
  /** By path. */
  readonly images: readonly ListedImage[];
  readonly freeBytes: bigint;
  /** Bytes that copies which were cut off hold. */
  readonly unfinishedBytes: bigint;
  /** Why the record cannot be used; undefined where it can. */
  readonly recordDamage: string | undefined;
}

/** As a boot menu looks: deeper folders, and what comes after so many, are left out. */
const DEPTH_MAX = 8;
const IMAGES_MAX = 10_000;

/** `folders`: where images are looked for, with what is below; of those that were added all are listed, wherever they are. */
export async function listStick(data: StickData, job: Job, folders: readonly string[] = [STICK_DATA.images]): Promise<StickList> {
  const { tree, at } = data;
  const { images: recorded, damage } = await readImageRecord(data);
  const byPath = new Map(recorded.map((image) => [tree.folded(image.path), image]));
  const listed = new Map<string, ListedImage>();
  for (const folder of folders) {
    for await (const { path, sizeBytes, modifiedMs } of imagesBelow(data, folder, job)) {
      listed.set(tree.folded(path), { path, sizeBytes, modifiedMs, ...stateOf(byPath.get(tree.folded(path)), sizeBytes) });
      if (listed.size >= IMAGES_MAX) break;
    }
  }
  for (const image of recorded) {
    if (listed.has(tree.folded(image.path))) continue;
    const there = await tree.stat(at(image.path));
    const { path, sha256 } = image;
    listed.set(
      tree.folded(path),
      there?.kind === "file"
        ? { path, sizeBytes: there.sizeBytes, modifiedMs: there.modifiedMs, ...stateOf(image, there.sizeBytes) }
        : { path, sizeBytes: BigInt(image.size_bytes), modifiedMs: Date.parse(image.modified_utc), state: "missing", sha256 },
    );
  }
  let unfinishedBytes = 0n;
  if ((await tree.stat(at(STICK_DATA.unfinished)))?.kind === "directory")
    for await (const { sizeBytes, kind } of tree.list(at(STICK_DATA.unfinished))) if (kind === "file") unfinishedBytes += sizeBytes;
  const { freeBytes } = await tree.space(at("/"));
  const images = [...listed.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  return { images, freeBytes, unfinishedBytes, recordDamage: damage };
}

function stateOf(image: StickImage | undefined, sizeBytes: bigint): Pick<ListedImage, "state" | "sha256"> {
  if (image === undefined) return { state: "copied", sha256: undefined };
  return { state: BigInt(image.size_bytes) === sizeBytes ? "added" : "changed", sha256: image.sha256 };
}

async function* imagesBelow(
  data: StickData,
  folder: string,
  job: Job,
  depth = 0,
): AsyncGenerator<{ readonly path: string; readonly sizeBytes: bigint; readonly modifiedMs: number | null }> {
  const { tree, at } = data;
  job.signal.throwIfAborted();
  if (depth > DEPTH_MAX || (await tree.stat(at(folder)))?.kind !== "directory") return;
  const entries = [];
  for await (const entry of tree.list(at(folder))) entries.push(entry);
  for (const { name, kind, sizeBytes, modifiedMs } of entries.sort((a, b) => ((a.name ?? "") < (b.name ?? "") ? -1 : 1))) {
    if (name === undefined || name.startsWith(".")) continue;
    const path = folder === "/" ? `/${name}` : `${folder}/${name}`;
    if (kind === "directory") yield* imagesBelow(data, path, job, depth + 1);
    else if (kind === "file" && isImageName(name)) yield { path, sizeBytes, modifiedMs };
  }
}

/**
 * The image that a person means: a path on the stick, or the end of just one. Throws HiperisoError of kind `usage` where there is none, or more
 * than one.
 */
export function chosenImage(images: readonly ListedImage[], name: string, where: string, folded: (path: string) => string): ListedImage {
  const wanted = folded(name);
  const exact = images.find(({ path }) => folded(path) === wanted);
  if (exact !== undefined) return exact;
  const matching = images.filter(({ path }) => folded(path).endsWith(`/${wanted}`));
  const [only] = matching;
  if (only !== undefined && matching.length === 1) return only;
  throw new HiperisoError({
    what: "find the image on the stick",
    where,
    expected: name,
    found: matching.length === 0 ? "no image of that name" : matching.map(({ path }) => path).join(", "),
    hint: matching.length === 0 ? "`hiperiso stick list` shows what is on it." : "Name the one that you mean, from the first / on.",
    kind: "usage",
  });
}
