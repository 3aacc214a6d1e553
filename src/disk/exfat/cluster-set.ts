/** A set of clusters, kept as bits in pages that exist only where something is in them: what a walk over a volume has seen. */
import { FIRST_CLUSTER } from "../../formats/exfat-boot.ts";
import { setBits } from "./allocation.ts";
import type { Run } from "./medium.ts";

const PAGE_BYTES = 8192;
const PAGE_BITS = PAGE_BYTES * 8;

export class ClusterSet {
  readonly #pages = new Map<number, Uint8Array>();

  has(cluster: number): boolean {
    const bit = cluster - FIRST_CLUSTER;
    const within = bit % PAGE_BITS;
    const page = this.#pages.get((bit - within) / PAGE_BITS);
    return page !== undefined && (page[within >> 3]! & (1 << (within & 7))) !== 0;
  }

  /** Adds a run, and gives the first of its clusters that was in the set before; undefined where none was. */
  add({ first, count }: Run): number | undefined {
    let seen: number | undefined;
    for (let bit = first - FIRST_CLUSTER; bit < first - FIRST_CLUSTER + count; ) {
      const within = bit % PAGE_BITS;
      const index = (bit - within) / PAGE_BITS;
      const length = Math.min(PAGE_BITS - within, first - FIRST_CLUSTER + count - bit);
      let page = this.#pages.get(index);
      if (page === undefined) {
        page = new Uint8Array(PAGE_BYTES);
        this.#pages.set(index, page);
      } else seen ??= firstSet(page, within, length, index * PAGE_BITS + FIRST_CLUSTER);
      setBits(page, within, length, true);
      bit += length;
    }
    return seen;
  }

  /** The set as a bitmap, bytes `at` to `at + bytes`; at most a page's, and within one. */
  bytes(at: number, bytes: number): Uint8Array {
    const within = at % PAGE_BYTES;
    return this.#pages.get((at - within) / PAGE_BYTES)?.subarray(within, within + bytes) ?? new Uint8Array(bytes);
  }
}

/** How the bytes of a bitmap are best asked for. */
export const CLUSTER_SET_PAGE_BYTES = PAGE_BYTES;

function firstSet(page: Uint8Array, bit: number, count: number, base: number): number | undefined {
  for (let at = bit; at < bit + count; at += 1) {
    const byte = page[at >> 3]!;
    if (byte === 0) at |= 7;
    else if ((byte & (1 << (at & 7))) !== 0) return base + at;
  }
  return undefined;
}
