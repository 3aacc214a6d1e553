/** Clusters of an exFAT volume that two sets have: whose they are, and which of the two gives way. */
import type { FileSet } from "../../formats/exfat-entries.ts";
import type { Run } from "../content-writer.ts";
import { slotOffset } from "./directory.ts";
import type { Finding } from "./findings.ts";
import type { Inquiry } from "./inquiry.ts";
import type { Crossing } from "./inspect-allocation.ts";
import { copyApart, dropping } from "./mend.ts";
import { walkVolume } from "./walk.ts";

/** Walks again, to say whose the clusters of a crossing are. */
export async function inspectCrossings(inquiry: Inquiry, crossings: readonly Crossing[], signal: AbortSignal): Promise<void> {
  if (crossings.length === 0) return;
  const { findings } = inquiry;
  const owners = await ownersOf(inquiry, [...new Set(crossings.map(({ cluster }) => cluster))], signal);
  for (const { seen, cluster, runs } of crossings) {
    const owner = owners.get(cluster);
    const text = `its cluster ${cluster} belongs to ${owner?.path ?? "another entry"} too`;
    const where = { offset: seen.offset, path: seen.path, text };
    if (owner?.set !== undefined && owner.offset !== seen.offset && isTwin(owner.set, seen.set)) {
      findings.add("entry-twice", { ...where, mending: "left of a move that was cut: this entry goes, the other stays" }, dropping(seen));
    } else {
      findings.lost = true;
      const mend: Finding["mend"] = (mending) => copyApart(mending, seen, runs);
      findings.add("cross-linked", { ...where, mending: "it gets a copy of its own" }, seen.mendable ? mend : async () => {}, "copy");
    }
  }
}

interface Owner {
  readonly path: string;
  /** Undefined for what belongs to the volume itself. */
  readonly set: FileSet | undefined;
  /** Of the field that names its first cluster. */
  readonly offset: bigint;
}

/** Who has each of `clusters` first. */
async function ownersOf(inquiry: Inquiry, clusters: readonly number[], signal: AbortSignal): Promise<ReadonlyMap<number, Owner>> {
  const owners = new Map<number, Owner>();
  const sorted = [...clusters].sort((a, b) => a - b);
  const claim = (runs: readonly Run[], path: string, set: FileSet | undefined, offset: bigint): void => {
    for (const { first, count } of runs) {
      for (let index = lowerBound(sorted, first); index < sorted.length && sorted[index]! < first + count; index += 1) {
        if (!owners.has(sorted[index]!)) owners.set(sorted[index]!, { path, set, offset });
      }
    }
  };
  const { medium, table } = inquiry;
  const { root, bitmapRuns, upcase } = inquiry.facts;
  claim(bitmapRuns, "the allocation bitmap", undefined, 0n);
  claim(root.runs, "/", undefined, 0n);
  claim(await inquiry.runsOf(upcase.allocation), "the up-case table", undefined, 0n);
  for await (const walked of walkVolume(medium, root, table, signal)) {
    if (walked.kind !== "file" || walked.set === undefined) continue;
    const offset = slotOffset(medium, walked.directory, walked.item.slot + 1) + 20n;
    for (const allocation of [walked.set.allocation, ...walked.set.extras])
      claim(await inquiry.runsOf(allocation), walked.path, walked.set, offset);
  }
  return owners;
}

/** Both names of a move that was cut say the same of everything but the name. */
const isTwin = (a: FileSet, b: FileSet): boolean =>
  a.allocation.firstCluster === b.allocation.firstCluster &&
  a.allocation.dataBytes === b.allocation.dataBytes &&
  a.attributes === b.attributes &&
  a.createdMs === b.createdMs;

function lowerBound(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
