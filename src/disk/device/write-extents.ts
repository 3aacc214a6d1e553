/**
 * Writes a layout to a disk so that what is told is true: progress counts what is on the medium, an error says how far the disk can be
 * trusted, and what was written is read back from the medium and compared.
 */
import { createHash, type Hash } from "node:crypto";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import type { BlockStore } from "../block-store.ts";

/** Bytes and their place; in the order of their places, none over another. */
export interface PlacedPiece {
  readonly offset: bigint;
  readonly bytes: Uint8Array;
}

/** A run on the disk and the sum of what was written there. */
export interface WrittenRun {
  readonly offset: bigint;
  readonly bytes: bigint;
  readonly sha256: string;
}

export interface Written {
  readonly runs: readonly WrittenRun[];
  readonly bytes: bigint;
}

/** Between two flushes. With more, a progress bar tells of memory and not of the disk; with less, a stick is slower. */
const FLUSH_EVERY_BYTES = 32 << 20;
/** One sum for so much: an error of the comparison names its place as exactly. */
const RUN_BYTES_MAX = 64n << 20n;
const READ_BYTES = 4 << 20;

/** A write that did not come to its end. */
export class DeviceWriteError extends HiperisoError {
  /** Everything before it is on the medium; what lies behind is undefined. */
  readonly trustedBytes: bigint;
  readonly failedAt: bigint;

  constructor(store: BlockStore, failedAt: bigint, trustedBytes: bigint, cause: unknown) {
    super({
      what: "write the disk",
      where: `${store.name}@${failedAt}`,
      found: cause instanceof HiperisoError ? (cause.found ?? cause.message) : reasonOf(cause),
      hint:
        trustedBytes === 0n
          ? "Nothing on it can be trusted. Try again, on another port or with another disk."
          : `The first ${trustedBytes} bytes are on it, nothing behind them can be trusted. Try again, on another port or with another disk.`,
      cause,
    });
    this.trustedBytes = trustedBytes;
    this.failedAt = failedAt;
  }
}

/**
 * Writes `pieces` and flushes. `total`: their bytes together, for the progress. Throws DeviceWriteError when the disk fails, with the
 * place: of the write that failed, or the start of what was not flushed yet. Throws the signal's reason when it was aborted: the
 * disk is incomplete then, and what was there before is gone.
 */
export async function writePieces(
  store: BlockStore,
  pieces: AsyncIterable<PlacedPiece> | Iterable<PlacedPiece>,
  total: bigint,
  job: Job,
): Promise<Written> {
  const step = job.progress.begin(`write ${store.name}`, total);
  const runs = new RunSums();
  let unflushed = 0;
  let bytes = 0n;
  let end = 0n;
  let trusted = 0n;
  /** What the disk does wrong is told with how far it can be trusted; what the source of the pieces throws stays its own. */
  const onDisk = async (work: Promise<void>, at: bigint) => {
    try {
      await work;
    } catch (cause) {
      throw new DeviceWriteError(store, at, trusted, cause);
    }
  };
  const flush = async () => {
    await onDisk(store.flush(), trusted);
    trusted = end;
    step.advance(unflushed);
    unflushed = 0;
  };
  try {
    for await (const piece of pieces) {
      job.signal.throwIfAborted();
      if (piece.offset < end) throw new RangeError(`a piece at ${piece.offset}, behind one that ends at ${end}`);
      await onDisk(store.write(piece.offset, piece.bytes), piece.offset);
      runs.add(piece);
      end = piece.offset + BigInt(piece.bytes.length);
      bytes += BigInt(piece.bytes.length);
      unflushed += piece.bytes.length;
      if (unflushed >= FLUSH_EVERY_BYTES) await flush();
    }
    await flush();
  } finally {
    step.end();
  }
  return { runs: runs.end(), bytes };
}

/** Sums of neighbouring pieces together. */
class RunSums {
  readonly #runs: WrittenRun[] = [];
  #hash: Hash | undefined;
  #offset = 0n;
  #bytes = 0n;

  add({ offset, bytes }: PlacedPiece): void {
    if (this.#hash === undefined || offset !== this.#offset + this.#bytes || this.#bytes >= RUN_BYTES_MAX) this.#begin(offset);
    this.#hash!.update(bytes);
    this.#bytes += BigInt(bytes.length);
  }

  end(): readonly WrittenRun[] {
    this.#close();
    return this.#runs;
  }

  #begin(offset: bigint): void {
    this.#close();
    this.#hash = createHash("sha256");
    this.#offset = offset;
    this.#bytes = 0n;
  }

  #close(): void {
    if (this.#hash !== undefined) this.#runs.push({ offset: this.#offset, bytes: this.#bytes, sha256: this.#hash.digest("hex") });
    this.#hash = undefined;
  }
}

/**
 * Reads what was written back and compares. The caller has seen to it that reads come from the medium (`forgetCache`). Throws
 * DeviceWriteError with the first run that differs, or that cannot be read.
 */
export async function verifyWritten(store: BlockStore, { runs, bytes }: Written, job: Job): Promise<void> {
  const step = job.progress.begin(`read back ${store.name}`, bytes);
  let trusted = 0n;
  try {
    for (const run of runs) {
      const hash = createHash("sha256");
      for (let done = 0n; done < run.bytes; ) {
        job.signal.throwIfAborted();
        const left = run.bytes - done;
        const piece = await readOrFail(store, run.offset + done, left < BigInt(READ_BYTES) ? Number(left) : READ_BYTES, trusted);
        hash.update(piece);
        done += BigInt(piece.length);
        step.advance(piece.length);
      }
      if (hash.digest("hex") !== run.sha256) {
        const found = `other bytes than were written, in the ${run.bytes} from there on`;
        throw new DeviceWriteError(store, run.offset, trusted, new HiperisoError({ what: "compare the disk", found }));
      }
      trusted = run.offset + run.bytes;
    }
  } finally {
    step.end();
  }
}

async function readOrFail(store: BlockStore, offset: bigint, lengthBytes: number, trusted: bigint): Promise<Uint8Array> {
  let piece: Uint8Array;
  try {
    piece = await store.read(offset, lengthBytes);
  } catch (cause) {
    throw new DeviceWriteError(store, offset, trusted, cause);
  }
  if (piece.length > 0) return piece;
  throw new DeviceWriteError(store, offset, trusted, new HiperisoError({ what: "read the disk", found: "its end" }));
}

const OLD_METADATA_BYTES = 1n << 20n;

/**
 * Where old metadata may stand that a sparse write would leave: both ends of the disk (GPT and its backup, RAID and LVM), and the start and end
 * of each new partition. In order, without overlaps; what is written anyway need not be zeroed, but may.
 */
export function staleRanges(
  sizeBytes: bigint,
  partitions: readonly { readonly offset: bigint; readonly bytes: bigint }[],
): readonly { readonly offset: bigint; readonly bytes: bigint }[] {
  const wholes = [{ offset: 0n, bytes: sizeBytes }, ...partitions];
  const ranges = wholes.flatMap(({ offset, bytes }) => {
    const end = offset + bytes < sizeBytes ? offset + bytes : sizeBytes;
    const head = offset + OLD_METADATA_BYTES < end ? offset + OLD_METADATA_BYTES : end;
    const tail = end - OLD_METADATA_BYTES > head ? end - OLD_METADATA_BYTES : head;
    return [
      [offset, head],
      [tail, end],
    ] as const;
  });
  const merged: [bigint, bigint][] = [];
  for (const [from, to] of ranges.filter(([from, to]) => to > from).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))) {
    const last = merged.at(-1);
    if (last === undefined || from > last[1]) merged.push([from, to]);
    else if (to > last[1]) last[1] = to;
  }
  return merged.map(([from, to]) => ({ offset: from, bytes: to - from }));
}

const ZERO_PIECE = new Uint8Array(1 << 20);

/** Zeros for such ranges, as pieces to be written. */
export function* zeroPieces(ranges: readonly { readonly offset: bigint; readonly bytes: bigint }[]): Generator<PlacedPiece> {
  for (const { offset, bytes } of ranges) {
    for (let done = 0n; done < bytes; ) {
      const left = bytes - done;
      const piece = left < BigInt(ZERO_PIECE.length) ? ZERO_PIECE.subarray(0, Number(left)) : ZERO_PIECE;
      yield { offset: offset + done, bytes: piece };
      done += BigInt(piece.length);
    }
  }
}
