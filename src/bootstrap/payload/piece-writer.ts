/** Writes a file from its start in large pieces, and fills the next piece while one is on its way to the disk. */
import type { FileHandle } from "node:fs/promises";

/** Large enough that the calls cost nothing beside the bytes, small enough for the caches of a processor. */
const PIECE_BYTES = 512 * 1024;

export class PieceWriter {
  readonly #file: FileHandle;
  readonly #signal: AbortSignal;
  readonly #advance: (bytes: number) => void;
  readonly #failed: (error: unknown) => Error;
  #filling = new Uint8Array(PIECE_BYTES);
  #spare = new Uint8Array(PIECE_BYTES);
  #fill = 0;
  #writing: Promise<Error | undefined> = Promise.resolve(undefined);

  /** `failed` makes the error that a failed write is thrown as. */
  constructor(file: FileHandle, signal: AbortSignal, advance: (bytes: number) => void, failed: (error: unknown) => Error) {
    this.#file = file;
    this.#signal = signal;
    this.#advance = advance;
    this.#failed = failed;
  }

  /** Where the next bytes may be put: at least one. `filled` says how many were. */
  async room(): Promise<Uint8Array> {
    if (this.#fill === PIECE_BYTES) await this.#send();
    return this.#filling.subarray(this.#fill);
  }

  filled(lengthBytes: number): void {
    this.#fill += lengthBytes;
  }

  async add(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const room = await this.room();
      const piece = bytes.subarray(at, at + room.length);
      room.set(piece);
      this.filled(piece.length);
      at += piece.length;
    }
  }

  /** Everything that was given is in the file when this returns. */
  async flush(): Promise<void> {
    await this.#send();
    await this.#previous();
  }

  /** Waits for a write that is under way, whatever comes of it: before the file is closed. */
  async settle(): Promise<void> {
    await this.#writing;
  }

  async #send(): Promise<void> {
    await this.#previous();
    this.#signal.throwIfAborted();
    this.#writing = this.#write(this.#filling.subarray(0, this.#fill));
    [this.#filling, this.#spare] = [this.#spare, this.#filling];
    this.#fill = 0;
  }

  async #previous(): Promise<void> {
    const error = await this.#writing;
    if (error !== undefined) throw error;
  }

  /** Never rejects: nobody may be waiting when it fails. */
  async #write(piece: Uint8Array): Promise<Error | undefined> {
    try {
      for (let at = 0; at < piece.length; ) at += (await this.#file.write(piece, at, piece.length - at)).bytesWritten;
      this.#advance(piece.length);
      return undefined;
    } catch (error) {
      return this.#failed(error);
    }
  }
}
