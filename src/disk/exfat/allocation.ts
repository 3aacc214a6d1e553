/** The allocation bitmap of an exFAT volume (specification 7.1.5): which clusters are taken. Bit 0 is cluster 2. */
import { HiperisoError } from "../../contract/error.ts";
import { FIRST_CLUSTER } from "../../formats/exfat-boot.ts";
import { setBits } from "../cluster-set.ts";
import type { Run } from "../content-writer.ts";
import type { Medium } from "./medium.ts";

/** Bytes of the bitmap that are looked at together. */
const PIECE_BYTES = 32_768;
/** A file in more pieces than this is refused: its list would fill the memory, and reading it would take for ever. */
const FRAGMENTS_MAX = 1 << 20;

export class AllocationBitmap {
  readonly #medium: Medium;
  /** Where the bitmap itself lies, in order. */
  readonly #runs: readonly Run[];
  readonly #bytes: number;
  #taken: number | undefined;
  /** No cluster below this one is free. */
  #lowestFree = FIRST_CLUSTER;

  constructor(medium: Medium, runs: readonly Run[]) {
    this.#medium = medium;
    this.#runs = runs;
    this.#bytes = Math.ceil(medium.clusterCount / 8);
  }

  /** Clusters that are taken; counted once, then kept. */
  async taken(): Promise<number> {
    if (this.#taken === undefined) {
      let taken = 0;
      for (let at = 0; at < this.#bytes; at += PIECE_BYTES) taken += bitsIn(await this.#piece(at));
      this.#taken = taken;
    }
    return this.#taken;
  }

  async percentInUse(): Promise<number> {
    return Math.floor(((await this.taken()) * 100) / this.#medium.clusterCount);
  }

  async isTaken(cluster: number): Promise<boolean> {
    const bit = cluster - FIRST_CLUSTER;
    const [byte] = await this.bytes(Math.floor(bit / 8), 1);
    return ((byte! >> (bit % 8)) & 1) !== 0;
  }

  /** `bytes` of the bitmap from `at` on: bits behind the last cluster as they are. */
  async bytes(at: number, bytes: number): Promise<Uint8Array> {
    const result = new Uint8Array(bytes);
    for (const { offset, from, length } of this.#places(at, bytes)) result.set(await this.#medium.read(offset, length), from - at);
    return result;
  }

  /** Where bytes `at` to `at + bytes` of the bitmap lie on the medium. */
  *#places(at: number, bytes: number): Generator<{ offset: bigint; from: number; length: number }> {
    let runStart = 0;
    for (const { first, count } of this.#runs) {
      const runEnd = runStart + count * this.#medium.clusterBytes;
      const from = Math.max(at, runStart);
      const to = Math.min(at + bytes, runEnd);
      if (from < to) yield { offset: this.#medium.offsetOf(first) + BigInt(from - runStart), from, length: to - from };
      runStart = runEnd;
    }
  }

  /** With the bits behind the last cluster as zero. */
  async #piece(at: number): Promise<Uint8Array> {
    const piece = await this.bytes(at, Math.min(PIECE_BYTES, this.#bytes - at));
    const tail = this.#medium.clusterCount % 8;
    if (tail !== 0 && at + piece.length === this.#bytes) piece[piece.length - 1] = piece[piece.length - 1]! & ((1 << tail) - 1);
    return piece;
  }

  /**
   * Free clusters, `count` of them: `after` where one is wanted and that is free, else in a row where there is such room, else the lowest free
   * ones. Nothing is marked. Throws HiperisoError of kind `usage` where there is no room.
   */
  async findFree(count: number, after?: number): Promise<readonly Run[]> {
    if (count === 0) return [];
    if (after !== undefined && count === 1 && this.#medium.isCluster(after) && !(await this.isTaken(after)))
      return [{ first: after, count }];
    const scattered: Run[] = [];
    let gathered = 0;
    let lowest: number | undefined;
    for await (const { first, count: length } of this.#freeRuns(this.#lowestFree, count)) {
      if (lowest === undefined) {
        lowest = first;
        this.#lowestFree = first;
      }
      if (length >= count) return [{ first, count }];
      if (gathered === count || scattered.length === FRAGMENTS_MAX) continue; // only a long run helps now
      const used = Math.min(length, count - gathered);
      scattered.push({ first, count: used });
      gathered += used;
    }
    if (gathered < count) throw await this.#noRoom(count, gathered);
    return scattered;
  }

  /** Free clusters from `from` on; a run is given as soon as it has `enough`. */
  async *#freeRuns(from: number, enough: number): AsyncGenerator<Run> {
    let open: { first: number; count: number } | undefined;
    for (let at = Math.floor((from - FIRST_CLUSTER) / 8); at < this.#bytes; at += PIECE_BYTES) {
      const piece = await this.#piece(at);
      const bits = Math.min(piece.length * 8, this.#medium.clusterCount - at * 8);
      for (let bit = 0; bit < bits; ) {
        const byte = piece[bit >> 3]!;
        const whole = (bit & 7) === 0 && bit + 8 <= bits && (byte === 0 || byte === 0xff);
        const length = whole ? 8 : 1;
        if ((byte & (1 << (bit & 7))) === 0) {
          open ??= { first: at * 8 + bit + FIRST_CLUSTER, count: 0 };
          open.count += length;
          if (open.count >= enough) {
            yield open;
            open = undefined;
          }
        } else if (open !== undefined) {
          yield open;
          open = undefined;
        }
        bit += length;
      }
    }
    if (open !== undefined) yield open;
  }

  async #noRoom(count: number, gathered: number): Promise<HiperisoError> {
    const clusterBytes = BigInt(this.#medium.clusterBytes);
    const free = BigInt(this.#medium.clusterCount - (await this.taken()));
    const cause = free >= BigInt(count) ? `, in pieces of which ${FRAGMENTS_MAX} hold only ${BigInt(gathered) * clusterBytes}` : "";
    return new HiperisoError({
      what: "find room on the exFAT volume",
      where: this.#medium.where,
      expected: `${BigInt(count) * clusterBytes} bytes free`,
      found: `${free * clusterBytes}${cause}`,
      kind: "usage",
    });
  }

  /** Marks runs taken or free, each with one write a MiB of bitmap at most. */
  async mark(runs: readonly Run[], taken: boolean): Promise<void> {
    for (const group of neighbouring(runs)) await this.#markGroup(group, taken);
  }

  async #markGroup(runs: readonly Run[], taken: boolean): Promise<void> {
    const start = Math.floor((runs[0]!.first - FIRST_CLUSTER) / 8);
    const last = runs[runs.length - 1]!;
    const end = Math.floor((last.first + last.count - 1 - FIRST_CLUSTER) / 8) + 1;
    const bytes = await this.bytes(start, end - start);
    const before = bitsIn(bytes);
    for (const { first, count } of runs) setBits(bytes, first - FIRST_CLUSTER - start * 8, count, taken);
    for (const { offset, from, length } of this.#places(start, bytes.length)) {
      await this.#medium.write(offset, bytes.subarray(from - start, from - start + length));
    }
    if (this.#taken !== undefined) this.#taken += bitsIn(bytes) - before;
    if (!taken) this.#lowestFree = Math.min(this.#lowestFree, runs[0]!.first);
    else if (runs[0]!.first === this.#lowestFree) this.#lowestFree = runs[0]!.first + runs[0]!.count;
  }
}

const GROUP_BITS = 1 << 18;

/** Runs in rising order, those that stand close in the bitmap together, none too long to be written at once. */
function* neighbouring(runs: readonly Run[]): Generator<readonly Run[]> {
  let group: Run[] = [];
  const sorted = [...runs].sort((a, b) => a.first - b.first);
  for (const run of sorted) {
    for (let done = 0; done < run.count; done += GROUP_BITS) {
      const piece = { first: run.first + done, count: Math.min(GROUP_BITS, run.count - done) };
      if (group.length > 0 && piece.first + piece.count - group[0]!.first > GROUP_BITS) {
        yield group;
        group = [];
      }
      group.push(piece);
    }
  }
  if (group.length > 0) yield group;
}

const BITS_OF_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

export function bitsIn(bytes: Uint8Array): number {
  let bits = 0;
  for (const byte of bytes) bits += BITS_OF_BYTE[byte]!;
  return bits;
}
