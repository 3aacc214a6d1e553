/**
 * A cache in front of a block store for everything that is not file data. Writes go through it to the store at once, in whole sectors of the medium, in the
 * order in which they are asked for.
 */
import { HiperisoError } from "../contract/error.ts";
import type { BlockStore } from "./block-store.ts";

/** 8 MiB together: the bitmap of an exFAT of 2 TiB, the FAT of a stick, and the folders that are in use. */
const PAGE_BYTES = 32_768;
const PAGES_MAX = 256;

export class StoreCache {
  readonly store: BlockStore;
  /** What the medium writes whole or not at all. */
  readonly sectorBytes: number;
  /** Set when the store refused a write: what stands on it is then not known. */
  failed = false;
  readonly #pages = new Map<number, Promise<Uint8Array>>(); // oldest use first

  /** `sectorBytes`: what a write changes at least. */
  constructor(store: BlockStore, sectorBytes = store.sectorBytes) {
    this.store = store;
    this.sectorBytes = sectorBytes;
  }

  get where(): string {
    return this.store.name;
  }

  /** Through the cache. Throws where the medium ends before: metadata is whole or worthless. */
  async read(offset: bigint, lengthBytes: number): Promise<Uint8Array> {
    const result = new Uint8Array(lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      const at = offset + BigInt(done);
      const within = Number(at % BigInt(PAGE_BYTES));
      const page = await this.#page(Number(at / BigInt(PAGE_BYTES)));
      const piece = page.subarray(within, within + lengthBytes - done);
      if (piece.length === 0) {
        throw new HiperisoError({
          what: "read the volume",
          where: `${this.where}@${at}`,
          expected: "more bytes",
          found: "the end of the medium",
        });
      }
      result.set(piece, done);
      done += piece.length;
    }
    return result;
  }

  /** As soon as one is asked for it is there for all: two who read at once share it. */
  #page(index: number): Promise<Uint8Array> {
    const kept = this.#pages.get(index);
    if (kept !== undefined) {
      this.#pages.delete(index);
      this.#pages.set(index, kept);
      return kept;
    }
    const page = this.store.read(BigInt(index) * BigInt(PAGE_BYTES), PAGE_BYTES);
    this.#pages.set(index, page);
    page.catch(() => this.#pages.delete(index));
    if (this.#pages.size > PAGES_MAX) this.#pages.delete(this.#pages.keys().next().value as number);
    return page;
  }

  /** Writes `bytes` with what stands around them in their first and last sector, as one write. */
  async write(offset: bigint, bytes: Uint8Array): Promise<void> {
    const sector = BigInt(this.sectorBytes);
    const start = (offset / sector) * sector;
    const end = ((offset + BigInt(bytes.length) + sector - 1n) / sector) * sector;
    let whole = bytes;
    if (start !== offset || end !== offset + BigInt(bytes.length)) {
      whole = await this.read(start, Number(end - start));
      whole.set(bytes, Number(offset - start));
    }
    await this.writeData(start, whole);
    await this.#patch(start, whole);
  }

  /** Whole sectors of a file, past the cache. */
  async writeData(offset: bigint, bytes: Uint8Array): Promise<void> {
    try {
      await this.store.write(offset, bytes);
    } catch (error) {
      this.failed = true;
      throw error;
    }
  }

  async flush(): Promise<void> {
    try {
      await this.store.flush();
    } catch (error) {
      this.failed = true;
      throw error;
    }
  }

  /** What was written is what the cache holds, page by page. */
  async #patch(offset: bigint, bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const at = offset + BigInt(done);
      const within = Number(at % BigInt(PAGE_BYTES));
      const piece = bytes.subarray(done, done + PAGE_BYTES - within);
      const page = await this.#pages.get(Number(at / BigInt(PAGE_BYTES)));
      page?.set(piece.subarray(0, page.length - within), within);
      done += piece.length;
    }
  }

  /** Zeros over a range, in pieces. */
  async writeZeros(offset: bigint, lengthBytes: bigint): Promise<void> {
    const piece = new Uint8Array(Number(lengthBytes < 1_048_576n ? lengthBytes : 1_048_576n));
    for (let done = 0n; done < lengthBytes; done += BigInt(piece.length)) {
      await this.write(offset + done, lengthBytes - done < BigInt(piece.length) ? piece.subarray(0, Number(lengthBytes - done)) : piece);
    }
  }
}
