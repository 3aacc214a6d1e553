/**
 * Copying many bytes between files, as fast as `cat`.
 *
 * The calls are Node's synchronous ones, and a piece is small. That is not thrift. Over 3 GB in the page cache, asynchronous calls take twice the
 * time, for they hand each piece from one thread to another; and pieces of 1 MiB take two to four times as long, for they no longer fit into the
 * processor's cache between the two calls. Between stretches of a few milliseconds the event loop gets its turn, so that signals and progress are seen.
 */
import { readSync, writeSync } from "node:fs";
import { setImmediate } from "node:timers/promises";

/** For one large file: what `cat` takes for its own reads. */
const PIECE_BYTES = 128 * 1024;
/**
 * For many files, where larger pieces cost up to twice as much: the larger the piece, the larger the pages that the kernel looks for (seen with
 * 6.18, ext4), and those of files that were just removed lie in smaller parts.
 */
export const MANY_FILES_PIECE_BYTES = 32 * 1024;
const STRETCH_BYTES = 8 * 1024 * 1024;

/** Counts what is copied, tells it, and gives way to the event loop when it is time. */
export class Turns {
  readonly #signal: AbortSignal;
  readonly #advance: (bytes: number) => void;
  #sinceTurn = 0;

  constructor(signal: AbortSignal, advance: (bytes: number) => void) {
    this.#signal = signal;
    this.#advance = advance;
  }

  /** True when `give` is due. Apart from it, because an `await` for each piece costs more than its reading. */
  copied(lengthBytes: number): boolean {
    this.#sinceTurn += lengthBytes;
    return this.#sinceTurn >= STRETCH_BYTES;
  }

  /** Tells the progress, lets the event loop run, throws when the work was aborted. */
  async give(): Promise<void> {
    this.#advance(this.#sinceTurn);
    this.#sinceTurn = 0;
    await setImmediate();
    this.#signal.throwIfAborted();
  }
}

/**
 * Gathers what is given into pieces and writes them one behind the other. Errors are Node's own; their `syscall`
 * ("read", "write") says which side failed.
 */
export class PieceWriter {
  readonly #turns: Turns;
  readonly #piece: Uint8Array;
  #fd = -1;
  #fill = 0;

  constructor(turns: Turns, pieceBytes = PIECE_BYTES) {
    this.#turns = turns;
    this.#piece = new Uint8Array(pieceBytes);
  }

  /** What is given from now on goes to `fd`, from where that stands. What was not flushed before is dropped. */
  begin(fd: number): void {
    this.#fd = fd;
    this.#fill = 0;
  }

  async add(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + this.#piece.length - this.#fill);
      this.#piece.set(part, this.#fill);
      at += part.length;
      if (this.#filled(part.length)) await this.#turns.give();
    }
  }

  /** Adds `lengthBytes` bytes of a file, from where it stands or from `position`. Returns how many there were. */
  async addFrom(fd: number, lengthBytes: bigint, position?: bigint): Promise<bigint> {
    for (let done = 0n; ; ) {
      const left = lengthBytes - done;
      const room = this.#piece.length - this.#fill;
      const wanted = left < BigInt(room) ? Number(left) : room;
      const read = wanted === 0 ? 0 : readSync(fd, this.#piece, this.#fill, wanted, position === undefined ? null : position + done);
      if (read === 0) return done;
      done += BigInt(read);
      if (this.#filled(read)) await this.#turns.give();
    }
  }

  /** Writes what is left. Everything that was given is in the file when this returns. */
  flush(): void {
    for (let at = 0; at < this.#fill; ) at += writeSync(this.#fd, this.#piece, at, this.#fill - at);
    this.#fill = 0;
  }

  #filled(lengthBytes: number): boolean {
    this.#fill += lengthBytes;
    if (this.#fill < this.#piece.length) return false;
    this.flush();
    return this.#turns.copied(this.#piece.length);
  }
}
