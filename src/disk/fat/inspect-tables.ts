/** The FATs themselves: their first two entries, where one differs from the other, clusters that are taken and nobody's. */
import { hex } from "../../formats/bytes.ts";
import { fatBytesFor } from "../../formats/fat-boot.ts";
import type { ClusterSet } from "../cluster-set.ts";
import type { Inspecting } from "./findings.ts";
import { END_OF_CHAIN, type FatMedium, FIRST_CLUSTER, FREE, freeLinks } from "./medium.ts";
import type { Mending } from "./mend.ts";

const COMPARED_BYTES = 1 << 18;

/** The first byte in which another FAT differs from the one that counts: of entries, not of what lies behind them. */
export async function firstDifference(medium: FatMedium, signal: AbortSignal): Promise<bigint | undefined> {
  const { boot, clusterCount, activeFat } = medium;
  const bytes = fatBytesFor(boot.bits, clusterCount);
  for (let at = 0; at < bytes; at += COMPARED_BYTES) {
    signal.throwIfAborted();
    const length = Math.min(COMPARED_BYTES, bytes - at);
    const first = await medium.read(medium.fatOffsetOf(0) + BigInt(at), length);
    for (let fat = 0; fat < boot.fatCount; fat += 1) {
      if (fat === activeFat) continue;
      const other = await medium.read(medium.fatOffsetOf(0, fat) + BigInt(at), length);
      const index = first.findIndex((byte, within) => byte !== other[within]);
      if (index >= 0) return medium.fatOffsetOf(0, fat) + BigInt(at + index);
    }
  }
  return undefined;
}

/** `offset`: of the first difference. The medium's FAT is the one that is kept. */
export function findDifference({ medium, findings }: Inspecting, offset: bigint): void {
  const text = `the FATs differ; number ${medium.activeFat + 1} has the better chains`;
  findings.add("fats-differ", { offset, text, mending: "it is written over the other" }, () => copyFat(medium), "fat");
}

/** Writes the FAT that counts over the others, where they differ. */
async function copyFat(medium: FatMedium): Promise<void> {
  const bytes = fatBytesFor(medium.boot.bits, medium.clusterCount);
  for (let at = 0; at < bytes; at += COMPARED_BYTES) {
    const piece = await medium.read(medium.fatOffsetOf(0) + BigInt(at), Math.min(COMPARED_BYTES, bytes - at));
    for (let fat = 0; fat < medium.boot.fatCount; fat += 1) {
      if (fat === medium.activeFat) continue;
      const there = await medium.read(medium.fatOffsetOf(0, fat) + BigInt(at), piece.length);
      if (!Buffer.from(there).equals(piece)) await medium.write(medium.fatOffsetOf(0, fat) + BigInt(at), piece);
    }
  }
}

/** The two entries that are of no cluster: they hold the medium's kind and the flags. */
export async function inspectFatHead({ medium, findings }: Inspecting): Promise<void> {
  const [zero, one] = [await medium.link(0), await medium.link(1)];
  const wanted = (END_OF_CHAIN - 0xff) | medium.boot.media;
  const mask = medium.boot.bits === 12 ? 0xfff : medium.boot.bits === 16 ? 0xffff : 0x0fff_ffff;
  if (zero === (wanted & mask) && medium.isEnd(one | medium.closedBit | medium.soundBit)) return;
  const text = `the FAT starts with ${hex(zero)} and ${hex(one)}`;
  findings.add("fat-head", { offset: medium.fatOffsetOf(0), text, mending: "both are written anew" }, async () => {
    await medium.setLinks([
      [0, wanted],
      [1, END_OF_CHAIN & ~medium.closedBit],
    ]);
  });
}

/** After the walk: `used` is all that anybody owns. */
export async function inspectLostClusters({ medium, used, findings }: Inspecting, signal: AbortSignal): Promise<void> {
  let [first, count] = [0, 0];
  for await (const { cluster } of lostClusters(medium, used, signal)) {
    if (count === 0) first = cluster;
    count += 1;
  }
  if (count === 0) return;
  const text = `${count} clusters that nobody owns, from cluster ${first} on`;
  const mending = "they are freed, or put into files where entries were lost";
  findings.add("lost-clusters", { offset: medium.fatOffsetOf(first), text, mending }, freeLost, "lost");
}

/** Clusters that are taken, not bad, and nobody's, in rising order. */
export async function* lostClusters(
  medium: FatMedium,
  used: ClusterSet,
  signal: AbortSignal,
): AsyncGenerator<{ cluster: number; link: number }> {
  for (let cluster = FIRST_CLUSTER; cluster < medium.clusterCount + FIRST_CLUSTER; ) {
    signal.throwIfAborted();
    const piece = await medium.fatPiece(cluster);
    for (; cluster < piece.first + piece.entries; cluster += 1) {
      const link = piece.link(cluster);
      if (link !== FREE && !medium.isBad(link) && !used.has(cluster)) yield { cluster, link };
    }
  }
}

const FREED_RUNS_MAX = 65_536;
const neverAborted = new AbortController().signal;

/** A repair that goes round again finds what is left of very many. */
async function freeLost({ medium, used, free }: Mending): Promise<void> {
  const runs: { first: number; count: number }[] = [];
  for await (const { cluster } of lostClusters(medium, used, neverAborted)) {
    const last = runs.at(-1);
    if (last !== undefined && last.first + last.count === cluster) last.count += 1;
    else if (runs.length === FREED_RUNS_MAX) break;
    else runs.push({ first: cluster, count: 1 });
  }
  await medium.setLinks(freeLinks(runs));
  await free.mark(runs, false);
}
