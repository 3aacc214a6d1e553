/**
 * A FAT volume as clusters: where each lies, and the FAT behind them ("FAT Data Structure" in Microsoft's paper). Reading takes the FAT that is
 * in force; what is written goes into that one first, then into the others.
 */
import { hex, viewOf } from "../../formats/bytes.ts";
import { type FatBoot, fatPlaces, flagsAt } from "../../formats/fat-boot.ts";
import type { BlockStore } from "../block-store.ts";
import type { Run } from "../content-writer.ts";
import { StoreCache } from "../store-cache.ts";

export const FIRST_CLUSTER = 2;
export const FREE = 0;
/** What ends a chain that we write; all values from 0x..F8 on do. Stands for any width: cut to the FAT's own when written. */
export const END_OF_CHAIN = 0x0fff_ffff;

/** Clusters whose entries are read and written together: 32 KiB of a FAT32. */
const PIECE_ENTRIES = 8192;

/** Some of a FAT. */
export interface FatPiece {
  readonly first: number;
  readonly entries: number;
  link(cluster: number): number;
}

export class FatMedium extends StoreCache {
  readonly boot: FatBoot;
  readonly clusterBytes: number;
  readonly clusterCount: number;
  /** The FAT that counts. */
  readonly activeFat: number;
  readonly #dataOffset: bigint;

  /** `activeFat`: for a look at what the volume is by another of its FATs. */
  constructor(store: BlockStore, boot: FatBoot, activeFat = boot.onlyFat ?? 0) {
    super(store);
    const { dataSector, clusterCount } = fatPlaces(boot);
    this.boot = boot;
    this.clusterBytes = boot.clusterSectors * boot.sectorBytes;
    this.clusterCount = clusterCount;
    this.activeFat = activeFat;
    this.#dataOffset = this.sectorOffset(dataSector);
  }

  sectorOffset(sector: number): bigint {
    return BigInt(sector) * BigInt(this.boot.sectorBytes);
  }

  get rootOffset(): bigint {
    return this.sectorOffset(fatPlaces(this.boot).rootSector);
  }

  get heapBytes(): bigint {
    return BigInt(this.clusterCount) * BigInt(this.clusterBytes);
  }

  isCluster(cluster: number): boolean {
    return cluster >= FIRST_CLUSTER && cluster <= this.clusterCount + 1;
  }

  offsetOf(cluster: number): bigint {
    return this.#dataOffset + BigInt(cluster - FIRST_CLUSTER) * BigInt(this.clusterBytes);
  }

  clustersOf(bytes: bigint): number {
    return Number((bytes + BigInt(this.clusterBytes - 1)) / BigInt(this.clusterBytes));
  }

  // The FAT

  /** Of the first byte in which the entry of a cluster stands. */
  fatOffsetOf(cluster: number, fat = this.activeFat): bigint {
    return this.sectorOffset(this.boot.reservedSectors + fat * this.boot.fatSectors) + BigInt(this.#within(cluster));
  }

  /** Bytes of the FAT in front of a cluster's entry; entries of 12 bits share one with a neighbour. */
  #within(cluster: number): number {
    return this.boot.bits === 12 ? cluster + (cluster >> 1) : cluster * (this.boot.bits / 8);
  }

  /** True where a cluster's entry lies in two sectors, so that a cut can leave half of it: 12 bits only. */
  straddles(cluster: number): boolean {
    return this.boot.bits === 12 && this.#within(cluster) % this.sectorBytes === this.sectorBytes - 1;
  }

  isEnd(link: number): boolean {
    return link >= (this.boot.bits === 12 ? 0xff8 : this.boot.bits === 16 ? 0xfff8 : 0x0fff_fff8);
  }

  isBad(link: number): boolean {
    return link === (this.boot.bits === 12 ? 0xff7 : this.boot.bits === 16 ? 0xfff7 : 0x0fff_fff7);
  }

  linkText(link: number): string {
    return this.isBad(link) ? "a bad cluster" : link === FREE ? "a free entry" : hex(link, this.boot.bits / 4);
  }

  /** The entries around a cluster's: whoever follows a chain finds most of the next ones in it. */
  async fatPiece(cluster: number, fat = this.activeFat): Promise<FatPiece> {
    const first = cluster - (cluster % PIECE_ENTRIES);
    const entries = Math.min(PIECE_ENTRIES, this.clusterCount + FIRST_CLUSTER - first);
    const start = this.#within(first);
    const bytes = await this.read(this.fatOffsetOf(first, fat), this.#end(first + entries - 1) - start);
    return { first, entries, link: (wanted) => decodeLink(viewOf(bytes), this.#within(wanted) - start, wanted, this.boot.bits) };
  }

  /** The byte behind a cluster's entry. */
  #end(cluster: number): number {
    return this.#within(cluster) + (this.boot.bits === 32 ? 4 : 2);
  }

  async link(cluster: number): Promise<number> {
    const bytes = await this.read(this.fatOffsetOf(cluster), this.boot.bits === 32 ? 4 : 2);
    return decodeLink(viewOf(bytes), 0, cluster, this.boot.bits);
  }

  /** FATs that are written, the one that counts first. */
  get #fats(): readonly number[] {
    const others = Array.from({ length: this.boot.fatCount }, (_, fat) => fat).filter((fat) => fat !== this.activeFat);
    return [this.activeFat, ...(this.boot.onlyFat === undefined ? others : [])];
  }

  /**
   * Gives clusters' entries other values, those that stand close in one write to each FAT. Nothing else may depend on the
   * order: what links them is not yet, or no more, what an entry of a folder points to; or there is one alone.
   */
  async setLinks(links: Iterable<readonly [cluster: number, link: number]>): Promise<void> {
    let piece: FatEdit | undefined;
    for (const [cluster, link] of links) {
      const index = Math.floor(cluster / PIECE_ENTRIES);
      if (piece !== undefined && piece.index !== index) {
        await this.#writePiece(piece);
        piece = undefined;
      }
      piece ??= await this.#edit(index);
      encodeLink(piece.view, this.#within(cluster) - piece.start, cluster, link, this.boot.bits);
      piece.from = Math.min(piece.from, this.#within(cluster));
      piece.to = Math.max(piece.to, this.#end(cluster));
    }
    if (piece !== undefined) await this.#writePiece(piece);
  }

  async #edit(index: number): Promise<FatEdit> {
    const first = index * PIECE_ENTRIES;
    const start = this.#within(first);
    const last = Math.min(first + PIECE_ENTRIES, this.clusterCount + FIRST_CLUSTER) - 1;
    const bytes = await this.read(this.fatOffsetOf(first), this.#end(last) - start);
    return { index, start, bytes, view: viewOf(bytes), from: Number.MAX_SAFE_INTEGER, to: 0 };
  }

  async #writePiece({ start, bytes, from, to }: FatEdit): Promise<void> {
    for (const fat of this.#fats) {
      const base = this.sectorOffset(this.boot.reservedSectors + fat * this.boot.fatSectors);
      await this.write(base + BigInt(from), bytes.subarray(from - start, to - start));
    }
  }

  /** Links runs to one chain, with its end. */
  async writeChain(runs: readonly Run[]): Promise<void> {
    await this.setLinks(chainLinks(runs));
  }

  /** Entry 1 with other bits 15 and 14 (FAT16), 27 and 26 (FAT32): whether the volume was closed, and whether its medium failed. FAT12 has none. */
  async markClosed(closed: boolean): Promise<void> {
    const bit = this.closedBit;
    if (bit === 0) return;
    const link = await this.link(1);
    await this.setLinks([[1, closed ? link | bit : link & ~bit]]);
  }

  get closedBit(): number {
    return this.boot.bits === 12 ? 0 : this.boot.bits === 16 ? 0x8000 : 0x0800_0000;
  }

  get soundBit(): number {
    return this.closedBit >> 1;
  }

  async bootFlags(): Promise<number> {
    return (await this.read(BigInt(flagsAt(this.boot.bits)), 1))[0]!;
  }

  async writeBootFlags(flags: number): Promise<void> {
    await this.write(BigInt(flagsAt(this.boot.bits)), Uint8Array.of(flags));
  }
}

interface FatEdit {
  readonly index: number;
  /** Byte of the FAT at which `bytes` start. */
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  from: number;
  to: number;
}

function decodeLink(view: DataView, at: number, cluster: number, bits: number): number {
  if (bits === 32) return view.getUint32(at, true) & 0x0fff_ffff;
  const raw = view.getUint16(at, true);
  if (bits === 16) return raw;
  return cluster % 2 === 0 ? raw & 0xfff : raw >> 4;
}

/** The four high bits of a FAT32 entry are reserved and stay as they are. */
function encodeLink(view: DataView, at: number, cluster: number, link: number, bits: number): void {
  if (bits === 32) view.setUint32(at, ((view.getUint32(at, true) & 0xf000_0000) | (link & 0x0fff_ffff)) >>> 0, true);
  else if (bits === 16) view.setUint16(at, link & 0xffff, true);
  else {
    const raw = view.getUint16(at, true);
    const twelve = link & 0xfff;
    view.setUint16(at, cluster % 2 === 0 ? (raw & 0xf000) | twelve : (raw & 0x000f) | (twelve << 4), true);
  }
}

function* chainLinks(runs: readonly Run[]): Generator<readonly [number, number]> {
  for (const [index, { first, count }] of runs.entries()) {
    for (let cluster = first; cluster < first + count - 1; cluster += 1) yield [cluster, cluster + 1];
    yield [first + count - 1, runs[index + 1]?.first ?? END_OF_CHAIN];
  }
}

/** Entries that free all clusters of runs. */
export function* freeLinks(runs: Iterable<Run>): Generator<readonly [number, number]> {
  for (const { first, count } of runs) for (let cluster = first; cluster < first + count; cluster += 1) yield [cluster, FREE];
}

/** How a chain ended. `clusters`: how many were good; `at`: the entry of the FAT that says so. */
export type ChainEnd =
  | { readonly kind: "whole"; readonly clusters: number }
  | {
      readonly kind: "long" | "loop" | "outside" | "bad" | "free" | "claimed";
      readonly clusters: number;
      readonly at: bigint;
      readonly text: string;
      /** Where it would have gone on. */
      readonly cluster: number;
      /** The last good one, 0 where there is none. */
      readonly last: number;
    };

/**
 * The clusters of a chain, in order, neighbours as one run, `clustersMax` of them at most: where it goes on behind them it is `long`. `claim` is asked for
 * each cluster; where it says no the chain ends in front of it.
 */
export async function* followChain(
  medium: FatMedium,
  first: number,
  clustersMax: number,
  claim: (cluster: number) => boolean = () => true,
): AsyncGenerator<Run, ChainEnd> {
  let good = 0;
  let from = 0; // whose entry is read
  const ended = (kind: Exclude<ChainEnd["kind"], "whole">, cluster: number, text: string): ChainEnd => ({
    kind,
    clusters: good,
    at: medium.fatOffsetOf(from),
    text,
    cluster,
    last: from,
  });
  if (clustersMax === 0) return { kind: "whole", clusters: 0 };
  if (!medium.isCluster(first))
    return ended("outside", first, `its first cluster is ${first}, the volume has 2 to ${medium.clusterCount + 1}`);
  if (!claim(first)) return ended("claimed", first, `its first cluster ${first} belongs to another`);
  let run = { first, count: 1 };
  good = 1;
  // Brent's way of finding a circle: a mark that waits twice as long each time.
  let mark = first;
  let power = 1;
  let since = 0;
  let piece: FatPiece | undefined;
  for (let cluster = first; ; ) {
    if (piece === undefined || cluster < piece.first || cluster >= piece.first + piece.entries) piece = await medium.fatPiece(cluster);
    const next = piece.link(cluster);
    from = cluster;
    const stop = medium.isEnd(next)
      ? ({ kind: "whole", clusters: good } as const)
      : good === clustersMax && medium.isCluster(next)
        ? ended("long", next, `its chain goes on behind its ${good} clusters`)
        : next === FREE || medium.isBad(next) || !medium.isCluster(next)
          ? ended(
              next === FREE ? "free" : medium.isBad(next) ? "bad" : "outside",
              next,
              `its chain leads to ${medium.linkText(next)} after ${good} clusters`,
            )
          : next === mark
            ? ended("loop", next, `its chain comes back to cluster ${next}`)
            : claim(next)
              ? undefined
              : ended("claimed", next, `its cluster ${next} belongs to another`);
    if (stop !== undefined) {
      yield run;
      return stop;
    }
    since += 1;
    if (since === power) {
      mark = next;
      power *= 2;
      since = 0;
    }
    if (next === run.first + run.count) run.count += 1;
    else {
      yield run;
      run = { first: next, count: 1 };
    }
    good += 1;
    cluster = next;
  }
}
