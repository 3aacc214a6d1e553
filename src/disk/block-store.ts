/**
 * Bytes that can be written: what file systems and partition tables are made and changed on. A file, a device, a partition of
 * either, memory; and around any of them a store that a test can cut off.
 */
import { fdatasync, write } from "node:fs";
import { constants, type FileHandle, open } from "node:fs/promises";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { DirectFile } from "../host/direct-file.ts";
import { type BlockSource, openImage } from "../image/block-source.ts";

export interface BlockStore extends BlockSource {
  /** Of a logical sector: what reads and writes of metadata are aligned to, and what the medium writes whole or not at all. */
  readonly sectorBytes: number;
  /**
   * Writes all of `bytes` at `offset`. Writes reach the medium in the order in which they were asked for as far as a reader of the
   * store can see; across a power cut only `flush` keeps order. Throws HiperisoError where the medium fails or ends.
   */
  write(offset: bigint, bytes: Uint8Array): Promise<void>;
  /** Resolves when all that was written before is on the medium. */
  flush(): Promise<void>;
}

const DEFAULT_SECTOR_BYTES = 512;

/** A file that is there, opened for reading and writing. Throws HiperisoError of kind `usage` where it cannot be written. */
export async function openFileStore(path: string, sectorBytes = DEFAULT_SECTOR_BYTES): Promise<BlockStore> {
  const source = await openImage(path);
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (cause) {
    await source[Symbol.asyncDispose]();
    throw new HiperisoError({ what: "open the image for writing", where: path, found: reasonOf(cause), kind: "usage", cause });
  }
  const direct = new DirectFile(handle.fd, "read and write");
  return {
    name: path,
    sizeBytes: source.sizeBytes,
    sectorBytes,
    read: (offset, lengthBytes) => source.read(offset, lengthBytes),
    ...(source.readInto !== undefined && { readInto: source.readInto }),
    write: async (offset, bytes) => {
      refuseOutside(path, offset, bytes.length, source.sizeBytes);
      await writeAll(path, handle.fd, direct, bytes, offset);
    },
    flush: () => syncData(path, handle.fd),
    [Symbol.asyncDispose]: async () => {
      await source[Symbol.asyncDispose]();
      await direct[Symbol.asyncDispose]();
      await handle.close();
    },
  };
}

/** A store in memory: what is read is what `bytes` holds, also after the caller changed it. */
export function memoryStore(bytes: Uint8Array, sectorBytes = DEFAULT_SECTOR_BYTES, name = "memory"): BlockStore {
  const size = BigInt(bytes.length);
  return {
    name,
    sizeBytes: size,
    sectorBytes,
    read: async (offset, lengthBytes) => {
      const { start, length } = clamp(offset, lengthBytes, size);
      return bytes.slice(Number(start), Number(start) + length);
    },
    write: async (offset, written) => {
      refuseOutside(name, offset, written.length, size);
      bytes.set(written, Number(offset));
    },
    flush: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

const PAGE_BYTES = 65_536;

/** Zeros of any size, of which only what was written is kept; in front of `below` where that is given, which stays as it is. */
export function sparseStore(
  sizeBytes: bigint,
  { below, sectorBytes = DEFAULT_SECTOR_BYTES, name = "sparse" }: SparseOptions = {},
): BlockStore {
  const pages = new Map<bigint, Uint8Array>();

  async function page(index: bigint): Promise<Uint8Array> {
    const kept = pages.get(index);
    if (kept !== undefined) return kept;
    const fresh = new Uint8Array(PAGE_BYTES);
    if (below !== undefined) fresh.set(await below.read(index * BigInt(PAGE_BYTES), PAGE_BYTES));
    return fresh;
  }

  async function eachPage(
    offset: bigint,
    lengthBytes: number,
    use: (index: bigint, within: number, done: number, bytes: number) => Promise<void>,
  ): Promise<void> {
    for (let done = 0; done < lengthBytes; ) {
      const at = offset + BigInt(done);
      const within = Number(at % BigInt(PAGE_BYTES));
      const bytes = Math.min(PAGE_BYTES - within, lengthBytes - done);
      await use(at / BigInt(PAGE_BYTES), within, done, bytes);
      done += bytes;
    }
  }

  return {
    name,
    sizeBytes,
    sectorBytes,
    read: async (offset, lengthBytes) => {
      const { start, length } = clamp(offset, lengthBytes, sizeBytes);
      const result = new Uint8Array(length);
      await eachPage(start, length, async (index, within, done, bytes) => {
        if (pages.has(index) || below !== undefined) result.set((await page(index)).subarray(within, within + bytes), done);
      });
      return result;
    },
    write: async (offset, written) => {
      refuseOutside(name, offset, written.length, sizeBytes);
      await eachPage(offset, written.length, async (index, within, done, bytes) => {
        const target = await page(index);
        target.set(written.subarray(done, done + bytes), within);
        pages.set(index, target);
      });
    },
    flush: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

export interface SparseOptions {
  readonly below?: BlockSource;
  readonly sectorBytes?: number;
  readonly name?: string;
}

/** `sizeBytes` bytes of `store` from `offset` (a partition), as a store of their own. Does not own `store`. */
export function windowStore(store: BlockStore, offset: bigint, sizeBytes: bigint): BlockStore {
  const name = `${store.name}@${offset}`;
  refuseOutside(store.name, offset, 0, store.sizeBytes);
  const left = store.sizeBytes - offset;
  const size = sizeBytes < left ? sizeBytes : left;
  const { readInto } = store;
  const windowed = readInto && {
    readInto: async (inside: bigint, into: Uint8Array) => {
      const { start, length } = clamp(inside, into.length, size);
      return await readInto(offset + start, into.subarray(0, length));
    },
  };
  return {
    ...windowed,
    name,
    sizeBytes: size,
    sectorBytes: store.sectorBytes,
    read: async (inside, lengthBytes) => {
      const { start, length } = clamp(inside, lengthBytes, size);
      return await store.read(offset + start, length);
    },
    write: async (inside, bytes) => {
      refuseOutside(name, inside, bytes.length, size);
      await store.write(offset + inside, bytes);
    },
    flush: () => store.flush(),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** What `cutStore` throws: the power is gone. */
export class PowerCut extends Error {
  override readonly name = "PowerCut";
}

/** Lets `writes` writes through and fails each one after, as if the power had gone: for tests of what a cut leaves behind. */
export function cutStore(store: BlockStore, writes: number): BlockStore & { readonly written: number } {
  let written = 0;
  const gone = () => written >= writes;
  return {
    ...store,
    get written() {
      return written;
    },
    write: async (offset, bytes) => {
      if (gone()) throw new PowerCut(`cut before write ${written + 1}`);
      await store.write(offset, bytes);
      written += 1;
    },
    flush: async () => {
      if (gone()) throw new PowerCut(`cut before a flush after write ${written}`);
      await store.flush();
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** What of a wanted range lies inside `sizeBytes`. */
function clamp(offset: bigint, lengthBytes: number, sizeBytes: bigint): { readonly start: bigint; readonly length: number } {
  if (offset < 0n || offset >= sizeBytes) return { start: sizeBytes, length: 0 };
  const left = sizeBytes - offset;
  return { start: offset, length: left < BigInt(lengthBytes) ? Number(left) : lengthBytes };
}

function refuseOutside(name: string, offset: bigint, lengthBytes: number, sizeBytes: bigint): void {
  if (offset >= 0n && offset + BigInt(lengthBytes) <= sizeBytes) return;
  throw new HiperisoError({
    what: "write to a disk",
    where: `${name}@${offset}`,
    expected: `an end at byte ${sizeBytes} or before it`,
    found: `${lengthBytes} bytes to write`,
  });
}

async function writeAll(path: string, fd: number, direct: DirectFile, bytes: Uint8Array, offset: bigint): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const position = offset + BigInt(done);
    try {
      done += (await direct.write(bytes.subarray(done), position)) ?? (await writeAt(fd, bytes, done, position));
    } catch (cause) {
      throw new HiperisoError({ what: "write to a disk", where: `${path}@${position}`, found: reasonOf(cause), cause });
    }
  }
}

/** Positions beyond 2^53 do not occur: a file of that size is beyond what Linux takes. */
const writeAt = (fd: number, bytes: Uint8Array, from: number, position: bigint): Promise<number> =>
  new Promise((resolve, reject) => {
    write(fd, bytes, from, bytes.length - from, Number(position), (error, written) => (error === null ? resolve(written) : reject(error)));
  });

const syncData = (path: string, fd: number): Promise<void> =>
  new Promise((resolve, reject) => {
    fdatasync(fd, (cause) => {
      if (cause === null) resolve();
      else reject(new HiperisoError({ what: "bring what was written onto the disk", where: path, found: reasonOf(cause), cause }));
    });
  });
