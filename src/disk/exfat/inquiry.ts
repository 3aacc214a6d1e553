/** What all parts of an inspection of an exFAT volume share: the volume, what was found wrong, and the clusters that somebody owns. */
import { FIRST_CLUSTER } from "../../formats/exfat-boot.ts";
import type { Allocation } from "../../formats/exfat-entries.ts";
import type { UpcaseTable } from "../../formats/exfat-upcase.ts";
import { CLUSTER_SET_PAGE_BYTES, ClusterSet } from "../cluster-set.ts";
import type { Run } from "../content-writer.ts";
import { AllocationBitmap } from "./allocation.ts";
import { Findings } from "./findings.ts";
import { followClusters, type Medium } from "./medium.ts";
import type { RootFacts } from "./open.ts";

export class Inquiry {
  readonly medium: Medium;
  readonly facts: RootFacts;
  readonly table: UpcaseTable;
  readonly bitmap: AllocationBitmap;
  readonly findings = new Findings();
  /** All clusters that somebody owns, as far as the walk has come. */
  readonly used = new ClusterSet();

  constructor(medium: Medium, facts: RootFacts) {
    this.medium = medium;
    this.facts = facts;
    this.table = facts.upcase.table;
    this.bitmap = new AllocationBitmap(medium, facts.bitmapRuns);
  }

  /** Marks clusters as used. Gives the first that was used before; those that the bitmap calls free are a problem. */
  async own(runs: readonly Run[], path: string, offset: bigint): Promise<number | undefined> {
    let crossed: number | undefined;
    for (const run of runs) {
      crossed = this.used.add(run) ?? crossed;
      const free = await firstClear(this.bitmap, run);
      if (free === undefined) continue;
      const text = `its cluster ${free} is free in the bitmap`;
      this.findings.add("bitmap-missing", { offset, path, text, mending: "its clusters are marked as taken" }, ({ bitmap }) =>
        bitmap.mark([run], true),
      );
    }
    return crossed;
  }

  /** The clusters of an allocation, as far as they can be followed. */
  async runsOf({ firstCluster, dataBytes, noFatChain }: Allocation): Promise<Run[]> {
    const runs: Run[] = [];
    if (dataBytes === 0n || dataBytes > this.medium.heapBytes) return runs;
    const clusters = this.medium.clustersOf(dataBytes);
    for await (const run of followClusters(this.medium, { first: firstCluster, noFatChain, clusters }, clusters)) runs.push(run);
    return runs;
  }
}

/** The first cluster of a run that the bitmap calls free. */
async function firstClear(bitmap: AllocationBitmap, { first, count }: Run): Promise<number | undefined> {
  const start = first - FIRST_CLUSTER;
  for (let bit = start; bit < start + count; ) {
    const at = Math.floor(bit / 8);
    const bytes = await bitmap.bytes(at, Math.min(CLUSTER_SET_PAGE_BYTES, Math.ceil((start + count) / 8) - at));
    for (; bit < start + count && Math.floor(bit / 8) - at < bytes.length; bit += 1) {
      const byte = bytes[Math.floor(bit / 8) - at]!;
      if (byte === 0xff) bit += 7 - (bit % 8);
      else if ((byte & (1 << (bit % 8))) === 0) return bit + FIRST_CLUSTER;
    }
  }
  return undefined;
}
