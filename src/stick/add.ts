/** Images onto a stick: streamed, their sums kept, read back, and taken up again where a copy was cut off. */
import { createHash } from "node:crypto";
import { HiperisoError } from "../contract/error.ts";
import { type Job, type Step, silentProgress } from "../contract/job.ts";
import { STICK_DATA, type StickImage } from "../contract/stick.ts";
import { minimum } from "../disk/volume-work.ts";
import { utcOf } from "../host/clock.ts";
import { type StreamHash, sha256Stream } from "../host/stream-hash.ts";
import { makeDataFolders, type PartialFile, SEGMENT_BYTES, type StickData } from "./data.ts";
import { changedRecord, readImageRecord, writeImageRecord } from "./image-record.ts";
import type { ImageSource } from "./image-sources.ts";
import { type AddPlan, type AddWish, type DataFacts, type PlannedImage, parentsOf, planAdd, type ThereEntry } from "./plan-add.ts";
import { readSource } from "./source-reader.ts";

export interface AddOptions {
  /** Of folders and of our own files. */
  readonly nowMs: number;
  /** Each image is read back from the medium and compared. */
  readonly verify: boolean;
  /** Makes the next reads come from the medium and not from memory; the file on this computer is named where there is one. */
  readonly forget: (path: string | undefined) => Promise<void>;
  /** What is added between two moments at which a cut loses nothing: a multiple of the partition's clusters. Default `SEGMENT_BYTES`. */
  readonly segmentBytes?: bigint;
}

/** Where an unfinished copy stands. One path has one: another image for it begins anew. */
export const unfinishedPath = (to: string, folded: (path: string) => string): string =>
  `${STICK_DATA.unfinished}/${createHash("sha256").update(folded(to)).digest("hex").slice(0, 16)}.part`;

/** What of the partition matters for these images. */
export async function readDataFacts(data: StickData, images: readonly ImageSource[]): Promise<DataFacts> {
  const { tree, at } = data;
  const there = new Map<string, ThereEntry>();
  const heldBytes = new Map<string, bigint>();
  const byFolder = new Map<string, ReadonlyMap<string, ThereEntry>>();
  for (const { to } of images) {
    for (const path of [...parentsOf(to), to]) {
      const key = tree.folded(path);
      const folder = path.slice(0, path.lastIndexOf("/")) || "/";
      if (!byFolder.has(tree.folded(folder))) byFolder.set(tree.folded(folder), await entriesOf(data, folder));
      const entry = byFolder.get(tree.folded(folder))!.get(key);
      if (entry !== undefined) there.set(key, entry);
    }
    const part = await tree.stat(at(unfinishedPath(to, tree.folded)));
    if (part !== undefined) heldBytes.set(to, part.sizeBytes);
  }
  const space = await tree.space(at("/"));
  const { fileBytesMax, folded, nameFault } = tree;
  const recorded = new Set((await readImageRecord(data)).images.map(({ path }) => folded(path)));
  return { where: data.where, there, ...space, fileBytesMax, heldBytes, recorded, folded, nameFault };
}

/** By folded path; a folder that is not there has none. */
async function entriesOf({ tree, at }: StickData, folder: string): Promise<ReadonlyMap<string, ThereEntry>> {
  const entries = new Map<string, ThereEntry>();
  if ((await tree.stat(at(folder)))?.kind !== "directory") return entries;
  for await (const { name, kind, sizeBytes, modifiedMs } of tree.list(at(folder))) {
    if (name === undefined) continue;
    const path = folder === "/" ? `/${name}` : `${folder}/${name}`;
    entries.set(tree.folded(path), { kind, path, sizeBytes, modifiedMs });
  }
  return entries;
}

export const planImages = async (data: StickData, wish: AddWish): Promise<AddPlan> => planAdd(wish, await readDataFacts(data, wish.images));

/**
 * One image after the other; those that are whole stay when a later one fails. Gives what the record holds of each. Throws HiperisoError when an
 * image is another than its list of sums says, comes back otherwise from the medium, or the medium fails.
 */
export async function addImages(data: StickData, plan: AddPlan, options: AddOptions, job: Job): Promise<readonly StickImage[]> {
  const added: StickImage[] = [];
  const record = async (entry: StickImage) => {
    const before = await readImageRecord(data);
    await writeImageRecord(data, changedRecord(before.images, { added: [entry] }, data.tree.folded), options.nowMs, job);
    await data.flush();
    added.push(entry);
  };
  for (const image of plan.unrecorded) await record(recordOf(image, await sumOfSame(data, image, job)));
  if (plan.images.length === 0) return added;
  const step = job.progress.begin(plan.images.length === 1 ? "write 1 image" : `write ${plan.images.length} images`, plan.totalBytes);
  try {
    for (const image of plan.images) {
      job.signal.throwIfAborted();
      await record(recordOf(image, await addOne(data, image, options, { ...job, step })));
    }
  } finally {
    step.end();
  }
  return added;
}

/** Of an image that is on the stick already. Throws HiperisoError of kind `usage` where its bytes are others than those of its source. */
async function sumOfSame(data: StickData, image: ImageSource, job: Job): Promise<string> {
  const { tree, at } = data;
  await using hash = sha256Stream(image.sizeBytes);
  const there = { writtenBytes: image.sizeBytes, read: () => data.read(image.to, job.signal) };
  if (await sameBeginning(there, image.from, hash, job)) {
    const sha256 = await hash.digest();
    checkSum(image, sha256);
    return sha256;
  }
  throw new HiperisoError({
    what: "add the image",
    where: image.from,
    expected: `the bytes of ${tree.shown(at(image.to))}, which has its size and time`,
    found: "others",
    hint: "--force replaces the one on the stick.",
    kind: "usage",
  });
}

export const recordOf = ({ to, sizeBytes, modifiedMs, expected }: ImageSource, sha256: string): StickImage => ({
  path: to,
  size_bytes: Number(sizeBytes),
  sha256,
  modified_utc: utcOf(Math.max(modifiedMs, 0)),
  checked_against: expected === undefined ? null : expected.list,
});

type AddJob = Job & { readonly step: Step };

async function addOne(data: StickData, image: PlannedImage, options: AddOptions, job: AddJob): Promise<string> {
  const { nowMs, verify, forget, segmentBytes = SEGMENT_BYTES } = options;
  const { tree, at } = data;
  const folder = image.to.slice(0, image.to.lastIndexOf("/")) || "/";
  await makeDataFolders(data, folder, nowMs);
  await makeDataFolders(data, STICK_DATA.unfinished, nowMs);
  const part = unfinishedPath(image.to, tree.folded);
  const sha256 = await fillPart(data, part, image, segmentBytes, job);
  try {
    checkSum(image, sha256);
    if (verify) await readBack(data, part, sha256, { ...image, forget }, job);
  } catch (error) {
    if (error instanceof HiperisoError) await data.remove(part).catch(() => {}); // it would only be taken for a good beginning
    throw error;
  }
  if (image.replaces !== undefined) await data.remove(image.replaces);
  await data.rename(part, image.to);
  await tree.finishFolder(at(image.to), image.modifiedMs); // sets the time of a mounted one; a volume has it already
  return sha256;
}

/** Throws HiperisoError where the image is not the one that its list of sums names. */
export function checkSum({ from, expected }: ImageSource, sha256: string): void {
  if (expected === undefined || expected.sha256 === sha256) return;
  throw new HiperisoError({
    what: "add the image",
    where: from,
    expected: `SHA-256 ${expected.sha256}, as ${expected.list} says`,
    found: sha256,
    hint: "It is damaged, or not the image that is meant: get it again. Nothing of it is on the stick.",
    kind: "usage",
  });
}

/** The whole image under the name `part`, as far as it is not there already; gives its SHA-256. */
async function fillPart(data: StickData, part: string, image: PlannedImage, segmentBytes: bigint, job: AddJob): Promise<string> {
  const { sizeBytes, modifiedMs, from } = image;
  await using hash = sha256Stream(sizeBytes);
  const file = await data.partial(part, { sizeBytes, modifiedMs });
  if (file === undefined) {
    const there = await data.tree.stat(data.at(part));
    const content = counted(readSource(from, 0n, job.signal), hash, job.step);
    await data.tree.write(
      data.at(part),
      content,
      { sizeBytes, modifiedMs, replace: there !== undefined },
      { ...job, progress: silentProgress },
    );
    return await hash.digest();
  }
  const usable = file.writtenBytes > 0n ? await sameBeginning(file, from, hash, job) : true;
  if (!usable) {
    await data.remove(part);
    return await fillPart(data, part, image, segmentBytes, job);
  }
  if (file.writtenBytes > 0n) {
    job.progress.say(`${from}: ${file.writtenBytes} of ${sizeBytes} bytes are on the stick already`);
    job.step.advance(Number(file.writtenBytes));
  }
  const source = new Pieces(readSource(from, file.writtenBytes, job.signal));
  try {
    for (let done = file.writtenBytes; done < sizeBytes; ) {
      job.signal.throwIfAborted();
      const length = minimum(sizeBytes - done, segmentBytes);
      await file.append(counted(source.take(length), hash, job.step), length, job);
      done += length;
    }
    if (!(await source.isAtEnd())) throw changed(from);
  } finally {
    await source.close();
  }
  return await hash.digest();
}

const changed = (from: string): HiperisoError =>
  new HiperisoError({
    what: "read the image",
    where: from,
    expected: "the bytes that were there when it was looked at",
    found: "more",
    kind: "usage",
  });

/** What is on the medium is read and compared: nobody's word is taken for it. `hash` has seen those bytes then. */
async function sameBeginning(
  { writtenBytes, read }: Pick<PartialFile, "writtenBytes" | "read">,
  from: string,
  hash: StreamHash,
  { signal, progress }: Job,
): Promise<boolean> {
  const step = progress.begin(`compare what is on the stick of ${from}`, writtenBytes);
  const source = new Pieces(readSource(from, 0n, signal));
  try {
    for await (const piece of read()) {
      signal.throwIfAborted();
      const theirs = await source.exactly(piece.length);
      if (theirs === undefined || !theirs.equals(piece)) return false;
      await hash.update(piece);
      step.advance(piece.length);
    }
    return true;
  } finally {
    await source.close();
    step.end();
  }
}

/** Reads the file back from the medium. Throws HiperisoError where it is another. */
async function readBack(
  { tree, at, flush, read }: StickData,
  path: string,
  sha256: string,
  { from, sizeBytes, to, forget }: PlannedImage & Pick<AddOptions, "forget">,
  job: Job,
): Promise<void> {
  await flush();
  await forget(at(path));
  const step = job.progress.begin(`read back ${to}`, sizeBytes);
  await using hash = sha256Stream(sizeBytes);
  try {
    for await (const piece of read(path, job.signal)) {
      await hash.update(piece);
      step.advance(piece.length);
    }
  } finally {
    step.end();
  }
  const found = await hash.digest();
  if (found === sha256) return;
  throw new HiperisoError({
    what: "read back the image",
    where: tree.shown(at(to)),
    expected: `SHA-256 ${sha256}, as ${from} has`,
    found,
    hint: "The stick does not keep what is written to it: try another port, or another stick.",
  });
}

async function* counted(pieces: AsyncIterable<Uint8Array>, hash: StreamHash, step: Step): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    await hash.update(piece);
    yield piece;
    step.advance(piece.length);
  }
}

/** A stream of pieces, taken in lengths of the taker's choice. */
class Pieces {
  readonly #source: AsyncGenerator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(source: AsyncGenerator<Uint8Array>) {
    this.#source = source;
  }

  /** Ends early where the source does. */
  async *take(bytes: bigint): AsyncGenerator<Uint8Array> {
    for (let left = bytes; left > 0n; ) {
      if (this.#rest.length === 0 && !(await this.#next())) return;
      const piece = this.#rest.subarray(0, Number(left < BigInt(this.#rest.length) ? left : BigInt(this.#rest.length)));
      this.#rest = this.#rest.subarray(piece.length);
      left -= BigInt(piece.length);
      yield piece;
    }
  }

  /** Undefined where the source ends before. */
  async exactly(bytes: number): Promise<Buffer | undefined> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.take(BigInt(bytes))) pieces.push(piece.slice()); // its memory is used again
    const whole = Buffer.concat(pieces);
    return whole.length === bytes ? whole : undefined;
  }

  async isAtEnd(): Promise<boolean> {
    return this.#rest.length === 0 && !(await this.#next());
  }

  async close(): Promise<void> {
    await this.#source.return(undefined);
  }

  async #next(): Promise<boolean> {
    const next = await this.#source.next();
    this.#rest = next.done === true ? new Uint8Array() : next.value;
    return next.done !== true;
  }
}
