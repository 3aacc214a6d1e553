/**
 * Reading much from one end to the other as fast as it comes: the next pieces are on their way while one is used, and their memory is used again,
 * because new memory for each costs as much as reading.
 */
import { read } from "node:fs";
import { open } from "node:fs/promises";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { BlockStore } from "../disk/block-store.ts";
import type { Volume } from "../disk/volume.ts";
import { giveBack, takeAligned } from "../host/direct-file.ts";

const PIECE_BYTES = 1 << 20;
/** One that is used, and those that are read meanwhile. */
const PIECES = 3;

/**
 * A file of this computer, from `start` to its end. A piece is the caller's until it asks for the next one. Throws HiperisoError, or the
 * signal's reason.
 */
export async function* readSource(path: string, start: bigint, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const failed = (cause: unknown) => new HiperisoError({ what: "read the image", where: path, found: reasonOf(cause), cause });
  const file = await open(path, "r").catch((cause: unknown) => {
    throw failed(cause);
  });
  try {
    let position = Number(start); // beyond 2^53 no file system has files
    const next = (): Reading => {
      const from = position;
      position += PIECE_BYTES;
      return {
        bytes: PIECE_BYTES,
        into: async (buffer) => {
          try {
            return await readWhole(file.fd, buffer, from);
          } catch (cause) {
            throw failed(cause);
          }
        },
      };
    };
    yield* ahead(next, signal);
  } finally {
    await file.close();
  }
}

/** A file of a volume on `store`: as `volume.read`, but a piece is the caller's only until it asks for the next one. */
export async function* readVolumeFile(volume: Volume, store: BlockStore, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const { readInto } = store;
  const sizeBytes = (await volume.stat(path))?.sizeBytes;
  const extents: { readonly offset: bigint; readonly bytes: bigint }[] = [];
  for await (const extent of volume.extents(path)) extents.push(extent);
  // Where data was never written there are holes, which the volume knows to fill.
  if (readInto === undefined || extents.reduce((sum, { bytes }) => sum + bytes, 0n) !== sizeBytes) {
    yield* volume.read(path);
    return;
  }
  let index = 0;
  let within = 0n;
  const next = (): Reading | undefined => {
    const extent = extents[index];
    if (extent === undefined) return undefined;
    const offset = extent.offset + within;
    const left = extent.bytes - within;
    const bytes = left < BigInt(PIECE_BYTES) ? Number(left) : PIECE_BYTES;
    within += BigInt(bytes);
    if (within === extent.bytes) {
      index += 1;
      within = 0n;
    }
    const into = async (buffer: Uint8Array): Promise<number> => {
      const count = await readInto(offset, buffer);
      if (count === bytes) return count;
      const where = `${store.name}@${offset + BigInt(count)}`;
      throw new HiperisoError({ what: "read a file", where, expected: `${bytes} bytes of ${path}`, found: `the end after ${count}` });
    };
    return { bytes, into };
  };
  yield* ahead(next, signal);
}

/** A read that waits for memory. */
interface Reading {
  readonly bytes: number;
  /** Fills the buffer, of `bytes` bytes; fewer only at the end of all. */
  readonly into: (buffer: Uint8Array) => Promise<number>;
}

async function* ahead(next: () => Reading | undefined, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reading: { readonly buffer: Uint8Array; readonly wanted: number; readonly done: Promise<number> }[] = [];
  const begin = (buffer: Uint8Array): void => {
    const wanted = next();
    if (wanted === undefined) return;
    const done = wanted.into(buffer.subarray(0, wanted.bytes));
    done.catch(() => {}); // awaited below; until then nobody listens
    reading.push({ buffer, wanted: wanted.bytes, done });
  };
  const buffers = Array.from({ length: PIECES }, () => takeAligned(PIECE_BYTES));
  try {
    for (const buffer of buffers) begin(buffer);
    for (let first = reading.shift(); first !== undefined; first = reading.shift()) {
      const count = await first.done;
      signal.throwIfAborted();
      if (count > 0) yield first.buffer.subarray(0, count);
      if (count < first.wanted) return;
      begin(first.buffer);
    }
  } finally {
    await Promise.allSettled(reading.map(({ done }) => done));
    for (const buffer of buffers) giveBack(buffer);
  }
}

/** As many bytes as there are before the end. */
async function readWhole(fd: number, buffer: Uint8Array, position: number): Promise<number> {
  for (let done = 0; done < buffer.length; ) {
    const count = await readAt(fd, buffer, done, position + done);
    if (count === 0) return done;
    done += count;
  }
  return buffer.length;
}

const readAt = (fd: number, into: Uint8Array, from: number, position: number): Promise<number> =>
  new Promise((resolve, reject) => {
    read(fd, into, from, into.length - from, position, (error, count) => (error === null ? resolve(count) : reject(error)));
  });
