/** Archives and layers as they come: packed in one of a few ways, which their first bytes tell and their names do not. */
import type { Readable } from "node:stream";
import { Readable as ReadableStream } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import { endProcessGroup, startGuarded } from "../../host/guarded-process.ts";
import { findTool } from "../../host/tools.ts";
import type { Environment } from "../../host/xdg.ts";

export type Compression = "none" | "gzip" | "zstd" | "xz" | "bzip2";

const MAGICS: readonly (readonly [Compression, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["bzip2", [0x42, 0x5a, 0x68]],
];
const MAGIC_BYTES_MAX = 6;

/** `start`: the first 6 bytes, or all where there are fewer. No tar archive begins with any of these. */
export function compressionOf(start: Uint8Array): Compression {
  const found = MAGICS.find(([, magic]) => magic.every((byte, index) => start[index] === byte));
  return found?.[0] ?? "none";
}

export interface DecompressOptions {
  /** Named in errors. */
  readonly where: string;
  readonly env: Environment;
  readonly signal: AbortSignal;
}

/**
 * The bytes inside, whatever they are packed in. gzip needs nothing; zstd, xz and bzip2 need the program of that name. Throws where the data is
 * damaged or cut, and with what to install where the program is missing.
 */
export async function* decompressed(source: AsyncIterable<Uint8Array>, options: DecompressOptions): AsyncGenerator<Uint8Array> {
  const pieces = source[Symbol.asyncIterator]();
  const start: Uint8Array[] = [];
  let startBytes = 0;
  while (startBytes < MAGIC_BYTES_MAX) {
    const { done, value } = await pieces.next();
    if (done === true) break;
    start.push(value);
    startBytes += value.length;
  }
  async function* whole(): AsyncGenerator<Uint8Array> {
    try {
      yield* start;
      for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value;
    } finally {
      await pieces.return?.();
    }
  }
  const compression = compressionOf(Buffer.concat(start));
  switch (compression) {
    case "none":
      yield* whole();
      return;
    case "gzip":
      yield* gunzipped(whole(), options);
      return;
    default:
      yield* unpackedBy(compression, whole(), options);
  }
}

async function* gunzipped(source: AsyncIterable<Uint8Array>, { where, signal }: DecompressOptions): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  const fed = pipeline(ReadableStream.from(source, { objectMode: true }), gunzip, { signal });
  // Whoever reads the stream is told of the error below; here it only must not go unheard.
  fed.catch(() => {});
  try {
    for await (const piece of gunzip) yield piece as Uint8Array;
    await fed;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof HiperisoError) throw error;
    throw new HiperisoError({ what: "unpack gzip", where, found: reasonOf(error), cause: error });
  } finally {
    gunzip.destroy();
  }
}

async function* unpackedBy(
  program: "zstd" | "xz" | "bzip2",
  source: AsyncIterable<Uint8Array>,
  { where, env, signal }: DecompressOptions,
): AsyncGenerator<Uint8Array> {
  const path = await findTool(program, env);
  const started = startGuarded(path, ["-dc"], {
    cwd: "/",
    env: { PATH: env["PATH"], LC_ALL: "C.UTF-8" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  const { child, ended } = started;
  let stderr = "";
  (child.stderr as Readable).on("data", (piece: Buffer) => {
    stderr = (stderr + piece.toString("utf8")).slice(-1000);
  });
  let failure: unknown;
  const fed = pipeline(ReadableStream.from(source, { objectMode: true }), child.stdin!, { signal }).catch((error: unknown) => {
    // A program that found damage, or never ran, has closed the pipe: how it ended is what counts.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EPIPE" && code !== "ERR_STREAM_PREMATURE_CLOSE") failure = error;
  });
  try {
    for await (const piece of child.stdout as Readable) yield piece as Uint8Array;
    await fed;
    const { code, error } = await ended;
    signal.throwIfAborted();
    if (failure !== undefined) throw failure;
    if (code !== 0 || error !== undefined)
      throw new HiperisoError({ what: `unpack ${program}`, where, found: error?.message ?? stderr.trim() });
  } finally {
    await endProcessGroup(started, 0);
    await fed;
  }
}
