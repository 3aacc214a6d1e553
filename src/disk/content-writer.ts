/** Writing a file's bytes into the clusters that wait for them. */
import { ALIGNED_BYTES_MAX, giveBack, takeAligned } from "../host/direct-file.ts";

/** Clusters in a row. */
export interface Run {
  readonly first: number;
  readonly count: number;
}

/** What of a volume the writer needs. */
export interface ClusterMedium {
  readonly sectorBytes: number;
  readonly clusterBytes: number;
  offsetOf(cluster: number): bigint;
  writeData(offset: bigint, bytes: Uint8Array): Promise<void>;
}

const PIECE_BYTES = ALIGNED_BYTES_MAX;
/** Up to here one write does it, and ordinary memory: most files are small. */
const SMALL_BYTES = 256 << 10;

/** Collects a file's bytes and writes them in large pieces, one piece on its way to the medium while the next is filled. */
export class ContentWriter {
  readonly #medium: ClusterMedium;
  readonly #runs: readonly Run[];
  #run = 0;
  #withinRun = 0n;
  readonly #buffers: readonly [Uint8Array, Uint8Array];
  #filling = 0;
  #filled = 0;
  #writing: Promise<void> = Promise.resolve();

  /** `runs`: room for `sizeBytes` at least. */
  constructor(medium: ClusterMedium, runs: readonly Run[], sizeBytes: bigint) {
    this.#medium = medium;
    this.#runs = runs;
    if (sizeBytes <= BigInt(SMALL_BYTES)) {
      const sectors = Math.ceil(Number(sizeBytes) / medium.sectorBytes);
      this.#buffers = [new Uint8Array(sectors * medium.sectorBytes), new Uint8Array()];
    } else this.#buffers = [takeAligned(PIECE_BYTES), takeAligned(PIECE_BYTES)];
  }

  async add(chunk: Uint8Array): Promise<void> {
    for (let done = 0; done < chunk.length; ) {
      const buffer = this.#buffers[this.#filling]!;
      const piece = chunk.subarray(done, done + buffer.length - this.#filled);
      buffer.set(piece, this.#filled);
      this.#filled += piece.length;
      done += piece.length;
      if (this.#filled === buffer.length) await this.#send();
    }
  }

  async #send(): Promise<void> {
    await this.#writing;
    const buffer = this.#buffers[this.#filling]!;
    const sectorBytes = this.#medium.sectorBytes;
    const whole = Math.ceil(this.#filled / sectorBytes) * sectorBytes;
    buffer.fill(0, this.#filled, whole); // the last sector is written whole: no old bytes beside the new
    this.#writing = this.#writeOut(buffer.subarray(0, whole));
    this.#writing.catch(() => {}); // awaited before the next piece, or at the end
    this.#filling = 1 - this.#filling;
    this.#filled = 0;
  }

  async #writeOut(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { first, count } = this.#runs[this.#run]!;
      const left = BigInt(count) * BigInt(this.#medium.clusterBytes) - this.#withinRun;
      const length = Number(minimum(left, BigInt(bytes.length - done)));
      await this.#medium.writeData(this.#medium.offsetOf(first) + this.#withinRun, bytes.subarray(done, done + length));
      this.#withinRun += BigInt(length);
      done += length;
      if (this.#withinRun === BigInt(count) * BigInt(this.#medium.clusterBytes)) {
        this.#run += 1;
        this.#withinRun = 0n;
      }
    }
  }

  /** Nothing may be added after it. */
  async end(): Promise<void> {
    try {
      if (this.#filled > 0) await this.#send();
      await this.#writing;
    } finally {
      for (const buffer of this.#buffers) giveBack(buffer);
    }
  }
}

const minimum = (a: bigint, b: bigint): bigint => (a < b ? a : b);
