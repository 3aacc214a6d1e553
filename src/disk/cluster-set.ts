/** A set of clusters, kept as bits in pages that exist only where something is in them: what a walk over a volume has seen. */
import type { Run } from "./content-writer.ts";

/** Of FAT and exFAT alike. */
const FIRST_CLUSTER = 2;
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

/** Sets or clears `count` bits from `bit` on, lowest bit of a byte first. */
export function setBits(bytes: Uint8Array, bit: number, count: number, value: boolean): void {
  for (let at = bit; at < bit + count; ) {
    if ((at & 7) === 0 && at + 8 <= bit + count) {
      const whole = (bit + count - at) >> 3;
      bytes.fill(value ? 0xff : 0, at >> 3, (at >> 3) + whole);
      at += whole * 8;
    } else {
      const mask = 1 << (at & 7);
      bytes[at >> 3] = value ? bytes[at >> 3]! | mask : bytes[at >> 3]! & ~mask;
      at += 1;
    }
  }
}
