/** What FAT and exFAT do alike, whatever their tables look like: paths, turns, reading ahead, taking in a file's content. */
import { HiperisoError } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { Extent } from "../image/volume-tree.ts";
import type { BlockStore } from "./block-store.ts";
import { type ClusterMedium, ContentWriter, type Run } from "./content-writer.ts";
import type { ByteRange } from "./volume.ts";

/** Data is read in pieces of this size, one on its way while the next is made. */
const PIECE_BYTES = 1 << 20;
/** Folders within folders: a path longer than Windows, or anyone, can use. */
export const DEPTH_MAX = 4096;
/** Clusters in a row that are freed together. */
export const FREED_RUNS_MAX = 65_536;

export const partsOf = (path: string): string[] => path.split("/").filter((part) => part !== "");

/** What was asked for cannot be, on the volume at `where`. */
export const volumeUsage = (where: string, what: string, path: string, expected: string, found: string): HiperisoError =>
  new HiperisoError({ what, where: `${where}:${path}`, expected, found, kind: "usage" });

export interface Span {
  readonly start: bigint;
  readonly end: bigint;
}

/** What of a file of `sizeBytes` a range means: what lies behind the end is left out. Throws (`usage`) where it starts before 0. */
export function spanOf(range: ByteRange | undefined, sizeBytes: bigint, where: string, path: string): Span {
  if (range === undefined) return { start: 0n, end: sizeBytes };
  const start = minimum(range.offset, sizeBytes);
  const end = minimum(start + range.lengthBytes, sizeBytes);
  if (start >= 0n && end >= start) return { start, end };
  throw volumeUsage(where, "read a file", path, "a range that starts at 0 or later", `${range.offset} and ${range.lengthBytes} bytes`);
}

/** The bytes of these extents, in pieces of at most 1 MiB. Throws where the store ends before. */
export async function* readExtents(store: BlockStore, extents: AsyncIterable<Extent>): AsyncGenerator<Uint8Array> {
  let ahead: Promise<Uint8Array> | undefined;
  for await (const { offset, bytes } of extents) {
    for (let done = 0n; done < bytes; done += BigInt(PIECE_BYTES)) {
      const next = readPiece(store, offset + done, Number(minimum(bytes - done, BigInt(PIECE_BYTES))));
      next.catch(() => {}); // it is awaited below; until then nobody listens
      if (ahead !== undefined) yield await ahead;
      ahead = next;
    }
  }
  if (ahead !== undefined) yield await ahead;
}

async function readPiece(store: BlockStore, offset: bigint, bytes: number): Promise<Uint8Array> {
  const piece = await store.read(offset, bytes);
  if (piece.length === bytes) return piece;
  const where = `${store.name}@${offset + BigInt(piece.length)}`;
  throw new HiperisoError({ what: "read a file", where, expected: `${bytes} bytes`, found: `the end after ${piece.length}` });
}

/** As many zeros, in such pieces. */
export function* zeros(bytes: bigint): Generator<Uint8Array> {
  for (let done = 0n; done < bytes; done += BigInt(PIECE_BYTES)) yield new Uint8Array(Number(minimum(bytes - done, BigInt(PIECE_BYTES))));
}

/** A file that is to be written. */
export interface Incoming {
  readonly path: string;
  readonly content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** As announced. */
  readonly sizeBytes: bigint;
}

/** Writes the content into `runs`, which have room for it. Throws (`usage`) when it is not as long as announced. */
export async function writeContent(
  medium: ClusterMedium & { readonly where: string },
  runs: readonly Run[],
  { path, content, sizeBytes }: Incoming,
  job: Job,
): Promise<void> {
  const step = job.progress.begin(`write ${path}`, sizeBytes);
  const writer = new ContentWriter(medium, runs, sizeBytes);
  let bytes = 0n;
  const wrong = () => {
    const found = bytes > sizeBytes ? "more" : `${bytes}`;
    return volumeUsage(medium.where, "write a file", path, `${sizeBytes} bytes of content, as announced`, found);
  };
  try {
    for await (const chunk of content) {
      job.signal.throwIfAborted();
      bytes += BigInt(chunk.length);
      if (bytes > sizeBytes) throw wrong();
      await writer.add(chunk);
      step.advance(chunk.length);
    }
    if (bytes !== sizeBytes) throw wrong();
  } finally {
    await writer.end();
  }
  step.end();
}

/** Lets one piece of work run after another, in the order in which they were asked for, whatever becomes of those before. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  async take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return await turn;
  }
}

export const minimum = (a: bigint, b: bigint): bigint => (a < b ? a : b);
