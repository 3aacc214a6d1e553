/**
 * Bytes at offsets: the one thing that everything in this folder reads from. A file, a block device, a piece of memory,
 * a window into another source (a partition); and a cache in front of any of them.
 */
import { read } from "node:fs";
import { constants, type FileHandle, open, readFile } from "node:fs/promises";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { DirectFile } from "../host/direct-file.ts";
import { mendableReason } from "../host/file-reason.ts";

export interface BlockSource extends AsyncDisposable {
  /** For messages: the path as the person wrote it, not escaped. */
  readonly name: string;
  readonly sizeBytes: bigint;
  /**
   * The bytes from `offset`, as many as asked for or as there are before the end: none at all from the end on.
   * Throws HiperisoError where the medium fails. The array is the caller's own.
   */
  read(offset: bigint, lengthBytes: number): Promise<Uint8Array>;
  /**
   * The same into memory that is there, and how many bytes it was: for much data, where new memory for each piece costs as much as reading. Into
   * memory of `takeAligned` a file or disk is read from the medium, past what the computer keeps of it, where the file system can do that.
   */
  readonly readInto?: (offset: bigint, into: Uint8Array) => Promise<number>;
}

/**
 * Opens a file or a block device, read-only. Throws HiperisoError of kind `usage` when there is nothing there to read: it is missing,
 * empty, a directory or something else than a file or disk, or may not be read.
 */
export async function openImage(path: string): Promise<BlockSource> {
  const handle = await openReadOnly(path);
  try {
    return fileSource(path, handle, await sizeOf(path, handle));
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * A disk made of blocks that lie somewhere else, each read by `readFrom` and never across its end: what that does not give (undefined, or fewer bytes) is zeros.
 * Owns nothing.
 */
export function blockwiseSource(
  name: string,
  sizeBytes: bigint,
  blockBytes: number,
  readFrom: (block: bigint, within: number, lengthBytes: number) => Promise<Uint8Array | undefined>,
): BlockSource {
  return {
    name,
    sizeBytes,
    read: async (offset, lengthBytes) => {
      const { start, length } = clamp(offset, lengthBytes, sizeBytes);
      const result = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const at = start + BigInt(done);
        const within = Number(at % BigInt(blockBytes));
        const count = Math.min(blockBytes - within, length - done);
        const bytes = await readFrom(at / BigInt(blockBytes), within, count);
        if (bytes !== undefined) result.set(bytes, done);
        done += count;
      }
      return result;
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** A source in memory. */
export function memorySource(bytes: Uint8Array, name = "memory"): BlockSource {
  return {
    name,
    sizeBytes: BigInt(bytes.length),
    read: async (offset, lengthBytes) => {
      const { start, length } = clamp(offset, lengthBytes, BigInt(bytes.length));
      return new Uint8Array(bytes.subarray(Number(start), Number(start) + length));
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/**
 * `sizeBytes` bytes of `source` from `offset`, as a source of their own; what lies beyond the end of `source` is not there.
 * Does not own `source`: disposing of the window leaves it open.
 */
export function windowSource(source: BlockSource, offset: bigint, sizeBytes: bigint): BlockSource {
  const { start } = clamp(offset, 0, source.sizeBytes);
  const size = min(sizeBytes, source.sizeBytes - start);
  return {
    name: `${source.name}@${start}`,
    sizeBytes: size,
    read: async (inside, lengthBytes) => {
      const wanted = clamp(inside, lengthBytes, size);
      return await source.read(start + wanted.start, wanted.length);
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** 2 MiB together, whatever the size of the image. */
const PAGE_BYTES = 16_384;
const PAGES_MAX = 128;

/**
 * Keeps the last pages that were read: directories and tables are read in small pieces that lie close together. Reads longer than
 * a page go past the cache. Each miss first looks whether `signal` was aborted. Does not own `source`.
 */
export function cachedSource(source: BlockSource, signal: AbortSignal): BlockSource {
  const pages = new Map<bigint, Uint8Array>(); // oldest use first

  async function page(index: bigint): Promise<Uint8Array> {
    const kept = pages.get(index);
    if (kept !== undefined) {
      pages.delete(index);
      pages.set(index, kept);
      return kept;
    }
    signal.throwIfAborted();
    const bytes = await source.read(index * BigInt(PAGE_BYTES), PAGE_BYTES);
    pages.set(index, bytes);
    if (pages.size > PAGES_MAX) pages.delete(pages.keys().next().value as bigint);
    return bytes;
  }

  return {
    name: source.name,
    sizeBytes: source.sizeBytes,
    read: async (offset, lengthBytes) => {
      const { start, length } = clamp(offset, lengthBytes, source.sizeBytes);
      if (length > PAGE_BYTES) {
        signal.throwIfAborted();
        return await source.read(start, length);
      }
      const result = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const at = start + BigInt(done);
        const within = Number(at % BigInt(PAGE_BYTES));
        const piece = (await page(at / BigInt(PAGE_BYTES))).subarray(within, within + length - done);
        if (piece.length === 0) return result.subarray(0, done); // the file shrank under us
        result.set(piece, done);
        done += piece.length;
      }
      return result;
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** What of a wanted range lies inside a source of `sizeBytes`. */
function clamp(offset: bigint, lengthBytes: number, sizeBytes: bigint): { start: bigint; length: number } {
  const start = offset < 0n ? 0n : min(offset, sizeBytes);
  return { start, length: Number(min(BigInt(lengthBytes), sizeBytes - start)) };
}

/** The read of a FileHandle does not know bigint positions: it takes them for none, and reads on where it stands. */
const readAt = (fd: number, into: Uint8Array, at: number, lengthBytes: number, position: bigint): Promise<number> =>
  new Promise((resolve, reject) => {
    read(fd, into, at, lengthBytes, position, (error, bytesRead) => (error === null ? resolve(bytesRead) : reject(error)));
  });

function fileSource(path: string, handle: FileHandle, sizeBytes: bigint): BlockSource {
  const direct = new DirectFile(handle.fd, "read");
  const readInto = async (offset: bigint, into: Uint8Array): Promise<number> => {
    const { start, length } = clamp(offset, into.length, sizeBytes);
    let done = 0;
    while (done < length) {
      const position = start + BigInt(done);
      let bytesRead: number;
      try {
        bytesRead =
          (await direct.read(into.subarray(done, length), position)) ?? (await readAt(handle.fd, into, done, length - done, position));
      } catch (cause) {
        throw new HiperisoError({ what: "read the image", where: `${path}@${position}`, found: reasonOf(cause), cause });
      }
      if (bytesRead === 0) return done; // the file shrank under us
      done += bytesRead;
    }
    return done;
  };
  return {
    name: path,
    sizeBytes,
    read: async (offset, lengthBytes) => {
      const bytes = new Uint8Array(clamp(offset, lengthBytes, sizeBytes).length);
      return bytes.subarray(0, await readInto(offset, bytes));
    },
    readInto,
    [Symbol.asyncDispose]: async () => {
      await direct[Symbol.asyncDispose]();
      await handle.close();
    },
  };
}

async function openReadOnly(path: string): Promise<FileHandle> {
  try {
    // O_NONBLOCK: the open of a FIFO would wait for a writer before we could see that it is one.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    const found = mendableReason(cause);
    throw new HiperisoError({
      what: "open the image",
      where: path,
      found: found ?? reasonOf(cause),
      kind: found === undefined ? "failure" : "usage",
      cause,
    });
  }
}

async function sizeOf(path: string, handle: FileHandle): Promise<bigint> {
  const unusable = (found: string) =>
    new HiperisoError({ what: "open the image", where: path, expected: "a file or a disk", found, kind: "usage" });
  const stat = await handle.stat({ bigint: true });
  if (stat.isDirectory()) throw unusable("a directory");
  const size = stat.isFile() ? stat.size : stat.isBlockDevice() ? await blockDeviceSize(stat.rdev) : undefined;
  if (size === undefined) throw unusable(stat.isFIFO() ? "a pipe" : "a special file");
  if (size === 0n) throw unusable(stat.isFile() ? "an empty file" : "a drive without a medium");
  return size;
}

/** Linux gives a block device no size in stat(2); sysfs counts it in units of 512 bytes whatever the device's sector is. */
async function blockDeviceSize(device: bigint): Promise<bigint> {
  // dev_t as glibc packs it: 12 + 20 bits of major, 8 + 24 of minor, interleaved.
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return BigInt((await readFile(`/sys/dev/block/${major}:${minor}/size`, "latin1")).trim()) * 512n;
}
