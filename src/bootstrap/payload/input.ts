/** Where a container is read from: a file, a disk, or a pipe. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { type ByteFeed, streamFeed } from "../../formats/lbpayld1.ts";
import { type BlockSource, cachedSource, openImage } from "../../image/block-source.ts";

export interface PayloadInput extends AsyncDisposable {
  /** For messages. */
  readonly name: string;
  /** From the first byte. */
  readonly feed: ByteFeed;
  /** Undefined where only the end will tell. */
  readonly sizeBytes: bigint | undefined;
}

/** One that can be read at any place. */
export interface PayloadFile extends PayloadInput {
  readonly fd: number;
  readonly sizeBytes: bigint;
}

/** Opens a file or a block device. Throws as `openImage` does. */
export async function openPayload(path: string, { signal }: Pick<Job, "signal">): Promise<PayloadFile> {
  // It says of a path what is wrong with it, and knows the size of a device.
  await using image = await openImage(path);
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const found = fstatSync(fd, { bigint: true });
  const sizeBytes = found.isFile() ? found.size : image.sizeBytes;
  const source: BlockSource = {
    name: path,
    sizeBytes,
    read: async (offset, lengthBytes) => readAt(fd, path, offset, lengthBytes),
    [Symbol.asyncDispose]: async () => closeSync(fd),
  };
  return { name: path, fd, sizeBytes, feed: sourceFeed(source, signal), [Symbol.asyncDispose]: () => source[Symbol.asyncDispose]() };
}

function readAt(fd: number, path: string, offset: bigint, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  for (let done = 0; ; ) {
    let read: number;
    try {
      read = done === lengthBytes ? 0 : readSync(fd, bytes, done, lengthBytes - done, offset + BigInt(done));
    } catch (cause) {
      throw readFailed(path, offset + BigInt(done), cause);
    }
    if (read === 0) return bytes.subarray(0, done);
    done += read;
  }
}

export const readFailed = (path: string, offset: bigint, cause: unknown): HiperisoError =>
  new HiperisoError({ what: "read the payload container", where: `${path}@${offset}`, found: reasonOf(cause), cause });

/** What comes through a pipe; `name` is for messages. */
export function pipedPayload(chunks: AsyncIterable<Uint8Array>, name: string): PayloadInput {
  return { name, feed: streamFeed(chunks), sizeBytes: undefined, [Symbol.asyncDispose]: async () => {} };
}

/** The bytes of `source` in their order. Files are passed over without being read. Headers lie close together where files are small: a cache helps. */
export function sourceFeed(source: BlockSource, signal: AbortSignal): ByteFeed {
  const cached = cachedSource(source, signal);
  let offset = 0n;
  return {
    get offset() {
      return offset;
    },
    async take(lengthBytes) {
      const bytes = await cached.read(offset, lengthBytes);
      offset += BigInt(bytes.length);
      return bytes;
    },
    async skip(lengthBytes) {
      const left = source.sizeBytes - offset;
      if (lengthBytes > left) {
        offset = source.sizeBytes;
        return left;
      }
      offset += lengthBytes;
      return lengthBytes;
    },
  };
}
