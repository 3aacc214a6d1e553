/** An exFAT volume as clusters: where each lies, and the FAT behind them. */
import { viewOf } from "../../formats/bytes.ts";
import { type ExfatBoot, FIRST_CLUSTER } from "../../formats/exfat-boot.ts";
import type { BlockStore } from "../block-store.ts";
import type { Run } from "../content-writer.ts";
import { StoreCache } from "../store-cache.ts";

export const END_OF_CHAIN = 0xffff_ffff;
export const BAD_CLUSTER = 0xffff_fff7;

/** Entries of the FAT from `first` on. */
export interface FatPiece {
  readonly first: number;
  readonly entries: number;
  readonly view: DataView;
}

const FAT_PIECE_ENTRIES = 1024;

/** Entries of the FAT that are written together. */
const CHAIN_PIECE_ENTRIES = 8192;

export class Medium extends StoreCache {
  readonly boot: ExfatBoot;
  readonly clusterBytes: number;
  readonly clusterCount: number;
  readonly #heapOffset: bigint;
  readonly #fatOffset: bigint;

  constructor(store: BlockStore, boot: ExfatBoot) {
    super(store, 1 << boot.sectorShift);
    this.boot = boot;
    this.clusterBytes = this.sectorBytes << boot.clusterShift;
    this.clusterCount = boot.clusterCount;
    this.#heapOffset = BigInt(boot.heapSector) * BigInt(this.sectorBytes);
    const active = boot.flags & 1;
    this.#fatOffset = BigInt(boot.fatSector + active * boot.fatSectors) * BigInt(this.sectorBytes);
  }

  /** Bytes of all clusters. */
  get heapBytes(): bigint {
    return BigInt(this.clusterCount) * BigInt(this.clusterBytes);
  }

  isCluster(cluster: number): boolean {
    return cluster >= FIRST_CLUSTER && cluster <= this.clusterCount + 1;
  }

  offsetOf(cluster: number): bigint {
    return this.#heapOffset + BigInt(cluster - FIRST_CLUSTER) * BigInt(this.clusterBytes);
  }

  /** Of the FAT's entry for a cluster. */
  fatOffsetOf(cluster: number): bigint {
    return this.#fatOffset + BigInt(cluster) * 4n;
  }

  clustersOf(bytes: bigint): number {
    return Number((bytes + BigInt(this.clusterBytes - 1)) / BigInt(this.clusterBytes));
  }

  /** Zeros over whole clusters: a folder's next one must hold none of what was there. */
  async zero(first: number, count: number): Promise<void> {
    await this.writeZeros(this.offsetOf(first), BigInt(this.clusterBytes) * BigInt(count));
  }

  /** Some of the FAT around a cluster's entry: whoever follows a chain finds most of the next ones in it. */
  async fatPiece(cluster: number): Promise<FatPiece> {
    const first = cluster - (cluster % FAT_PIECE_ENTRIES);
    const entries = Math.min(FAT_PIECE_ENTRIES, this.clusterCount + FIRST_CLUSTER - first);
    return { first, entries, view: viewOf(await this.read(this.fatOffsetOf(first), entries * 4)) };
  }

  async writeFatEntry(cluster: number, value: number): Promise<void> {
    const bytes = new Uint8Array(4);
    viewOf(bytes).setUint32(0, value, true);
    await this.write(this.fatOffsetOf(cluster), bytes);
  }

  /**
   * Links `runs` to one chain, with its end. Entries of neighbouring clusters are written together. Nothing else may
   * depend on the order: the chain is not yet, or already, what an entry points to.
   */
  async writeChain(runs: readonly Run[]): Promise<void> {
    const pieceEntries = CHAIN_PIECE_ENTRIES;
    let firstEntry = 0; // of the piece that is being filled; 0: none
    let piece = new Uint8Array();
    const flush = async () => {
      if (firstEntry !== 0) await this.write(this.fatOffsetOf(firstEntry), piece);
      firstEntry = 0;
    };
    for (let index = 0; index < runs.length; index += 1) {
      const { first, count } = runs[index]!;
      const after = runs[index + 1]?.first ?? END_OF_CHAIN;
      for (let done = 0; done < count; ) {
        const cluster = first + done;
        const within = firstEntry === 0 || cluster < firstEntry || cluster >= firstEntry + pieceEntries ? undefined : cluster - firstEntry;
        if (within === undefined) {
          await flush();
          firstEntry = cluster;
          piece = new Uint8Array();
          continue;
        }
        const length = Math.min(count - done, pieceEntries - within);
        piece = await this.#extended(piece, firstEntry, within + length);
        const view = viewOf(piece);
        for (let step = 0; step < length; step += 1) {
          view.setUint32((within + step) * 4, done + step + 1 < count ? cluster + step + 1 : after, true);
        }
        done += length;
      }
    }
    await flush();
  }

  /** `piece`, the FAT from `firstEntry` on, made `entries` long with what the FAT holds. */
  async #extended(piece: Uint8Array<ArrayBuffer>, firstEntry: number, entries: number): Promise<Uint8Array<ArrayBuffer>> {
    const have = piece.length / 4;
    if (have >= entries) return piece;
    const longer = new Uint8Array(entries * 4);
    longer.set(piece);
    longer.set(await this.read(this.fatOffsetOf(firstEntry + have), (entries - have) * 4), piece.length);
    return longer;
  }
}

/** How a chain ended. `clusters`: how many were good; `at`: the entry of the FAT that says so. */
export type ChainEnd =
  | { readonly kind: "whole" }
  | { readonly kind: "short" | "long" | "loop" | "outside" | "bad"; readonly clusters: number; readonly at: bigint; readonly text: string };

/**
 * The clusters of an allocation, in order, neighbours as one run. `clusters`: how many it should have, undefined for the root, whose chain
 * alone says so. A chain is followed to `clustersMax` at most.
 */
export async function* followClusters(
  medium: Medium,
  { first, noFatChain, clusters }: { readonly first: number; readonly noFatChain: boolean; readonly clusters: number | undefined },
  clustersMax: number,
): AsyncGenerator<Run, ChainEnd> {
  const ended = (kind: Exclude<ChainEnd["kind"], "whole">, good: number, cluster: number, text: string): ChainEnd => ({
    kind,
    clusters: good,
    at: medium.fatOffsetOf(cluster),
    text,
  });
  if (clusters === 0) return { kind: "whole" };
  if (!medium.isCluster(first))
    return ended("outside", 0, 0, `its first cluster is ${first}, the volume has 2 to ${medium.clusterCount + 1}`);
  if (noFatChain) {
    const wanted = clusters ?? 1;
    const left = medium.clusterCount + FIRST_CLUSTER - first;
    yield { first, count: Math.min(wanted, left) };
    return wanted <= left
      ? { kind: "whole" }
      : ended("outside", left, first, `${wanted} clusters in a row from ${first} run past the last one`);
  }
  const limit = clusters ?? clustersMax;
  let run = { first, count: 1 };
  let good = 1;
  // Brent's way of finding a circle: a mark that waits twice as long each time.
  let mark = first;
  let power = 1;
  let since = 0;
  let piece: FatPiece | undefined;
  for (let cluster = first; ; ) {
    if (piece === undefined || cluster < piece.first || cluster >= piece.first + piece.entries) piece = await medium.fatPiece(cluster);
    const next = piece.view.getUint32((cluster - piece.first) * 4, true);
    if (next === END_OF_CHAIN) {
      yield run;
      if (clusters === undefined || good === clusters) return { kind: "whole" };
      return ended("short", good, cluster, `its chain ends after ${good} of ${clusters} clusters`);
    }
    if (good === limit) {
      yield run;
      return ended("long", good, cluster, `its chain goes on behind its ${good} clusters`);
    }
    if (!medium.isCluster(next)) {
      yield run;
      if (next === BAD_CLUSTER) return ended("bad", good, cluster, `its chain runs into a bad cluster after ${good}`);
      return ended("outside", good, cluster, `its chain goes to cluster ${next} after ${good}`);
    }
    if (next === mark) {
      yield run;
      return ended("loop", good, cluster, `its chain comes back to cluster ${next}`);
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
