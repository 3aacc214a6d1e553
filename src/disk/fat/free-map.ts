/** Which clusters of a FAT volume are taken: a bit for each, read from the FAT once, at most 32 MiB. */
import { HiperisoError } from "../../contract/error.ts";
import type { Run } from "../content-writer.ts";
import { type FatMedium, FIRST_CLUSTER, FREE } from "./medium.ts";

/** A file in more pieces than this is refused: its list would fill the memory. */
const FRAGMENTS_MAX = 1 << 20;

export class FreeMap {
  readonly #medium: FatMedium;
  #taken: Uint8Array | undefined;
  #free = 0;
  /** No cluster below this one is free. */
  #lowestFree = FIRST_CLUSTER;

  constructor(medium: FatMedium) {
    this.#medium = medium;
  }

  async #bits(): Promise<Uint8Array> {
    if (this.#taken !== undefined) return this.#taken;
    const end = this.#medium.clusterCount + FIRST_CLUSTER;
    const bits = new Uint8Array(Math.ceil(end / 8));
    let free = 0;
    for (let cluster = FIRST_CLUSTER; cluster < end; ) {
      const piece = await this.#medium.fatPiece(cluster);
      for (; cluster < piece.first + piece.entries; cluster += 1) {
        if (piece.link(cluster) === FREE) free += 1;
        else bits[cluster >> 3] = bits[cluster >> 3]! | (1 << (cluster & 7));
      }
    }
    this.#free = free;
    this.#taken = bits;
    return bits;
  }

  async freeClusters(): Promise<number> {
    await this.#bits();
    return this.#free;
  }

  /** The lowest free cluster; undefined where there is none. */
  async lowestFree(): Promise<number | undefined> {
    for await (const { first } of this.#freeRuns(1)) return first;
    return undefined;
  }

  /**
   * Free clusters, `count` of them: in a row where there is such room, else the lowest ones. `wanted`: leaves out others as long as there are any
   * that it takes. Nothing is marked. Throws HiperisoError of kind `usage` where there is no room.
   */
  async findFree(count: number, wanted?: (cluster: number) => boolean): Promise<readonly Run[]> {
    if (count === 0) return [];
    const scattered: Run[] = [];
    let gathered = 0;
    for await (const { first, count: length } of this.#freeRuns(wanted === undefined ? count : 1)) {
      if (wanted !== undefined && !wanted(first) && this.#free > count) continue;
      if (length >= count) return [{ first, count }];
      if (gathered === count || scattered.length === FRAGMENTS_MAX) continue; // only a long run helps now
      const used = Math.min(length, count - gathered);
      scattered.push({ first, count: used });
      gathered += used;
    }
    if (gathered === count) return scattered;
    if (wanted !== undefined) return await this.findFree(count);
    const { where, clusterBytes } = this.#medium;
    const free = BigInt(this.#free) * BigInt(clusterBytes);
    throw new HiperisoError({
      what: "find room on the FAT volume",
      where,
      expected: `${BigInt(count) * BigInt(clusterBytes)} bytes free`,
      found: `${free}${this.#free >= count ? `, in more than ${FRAGMENTS_MAX} pieces` : ""}`,
      kind: "usage",
    });
  }

  /** Free clusters in rising order; a run is given as soon as it has `enough`. */
  async *#freeRuns(enough: number): AsyncGenerator<Run> {
    const bits = await this.#bits();
    const end = this.#medium.clusterCount + FIRST_CLUSTER;
    let open: { first: number; count: number } | undefined;
    let lowest = true;
    for (let cluster = this.#lowestFree; cluster < end; cluster += 1) {
      const byte = bits[cluster >> 3]!;
      if (byte === 0xff) {
        if (open !== undefined) yield open;
        open = undefined;
        cluster |= 7;
        continue;
      }
      if ((byte & (1 << (cluster & 7))) !== 0) {
        if (open !== undefined) yield open;
        open = undefined;
        continue;
      }
      if (lowest) this.#lowestFree = cluster;
      lowest = false;
      open ??= { first: cluster, count: 0 };
      open.count += 1;
      if (open.count < enough) continue;
      yield open;
      open = undefined;
    }
    if (open !== undefined) yield open;
  }

  /** What was written into the FAT. */
  async mark(runs: readonly Run[], taken: boolean): Promise<void> {
    const bits = await this.#bits();
    for (const { first, count } of runs) {
      for (let cluster = first; cluster < first + count; cluster += 1) {
        const mask = 1 << (cluster & 7);
        if (((bits[cluster >> 3]! & mask) !== 0) === taken) continue;
        bits[cluster >> 3] = bits[cluster >> 3]! ^ mask;
        this.#free += taken ? -1 : 1;
      }
      if (!taken && first < this.#lowestFree) this.#lowestFree = first;
    }
  }
}
