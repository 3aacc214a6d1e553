/** Size, clusters and chain of each set of an exFAT volume. */
import { FIRST_CLUSTER } from "../../formats/exfat-boot.ts";
import { type Allocation, type FileSet, NO_ALLOCATION, withAllocation } from "../../formats/exfat-entries.ts";
import { ClusterSet } from "../cluster-set.ts";
import type { Run } from "../content-writer.ts";
import { DIRECTORY_BYTES_MAX, type SetPlace, slotOffset } from "./directory.ts";
import { FINDINGS_MAX } from "./findings.ts";
import type { Inquiry } from "./inquiry.ts";
import { type ChainEnd, followClusters } from "./medium.ts";
import { dropping, endingChain, rewriting } from "./mend.ts";
import type { WalkedFile } from "./walk.ts";

/** A set that is looked at. */
export interface Seen extends SetPlace {
  readonly path: string;
  readonly set: FileSet;
  readonly isDirectory: boolean;
  readonly opened: WalkedFile["opened"];
  /** Of the field that names its first cluster. */
  readonly offset: bigint;
  /** False where another mending of the same set comes first. */
  readonly mendable: boolean;
}

/** A set with clusters that an earlier one has too. */
export interface Crossing {
  readonly seen: Seen;
  readonly cluster: number;
  readonly runs: readonly Run[];
}

/** How far the clusters of a set can be followed: `good` of the `wanted` ones. */
interface Followed {
  readonly runs: readonly Run[];
  readonly end: ChainEnd;
  readonly good: number;
  readonly wanted: number;
}

/** Compares sets with their clusters, one by one, and keeps those that only others can explain. */
export class Allocations {
  readonly #inquiry: Inquiry;
  readonly #crossings: Crossing[] = [];
  readonly #doubtful: Seen[] = [];

  constructor(inquiry: Inquiry) {
    this.#inquiry = inquiry;
  }

  /** Complete when the doubtful sets have been seen too. */
  get crossings(): readonly Crossing[] {
    return this.#crossings;
  }

  async see(seen: Seen): Promise<void> {
    await this.#inspect(seen);
    for (const extra of seen.set.extras) {
      const offset = slotOffset(this.#inquiry.medium, seen.directory, seen.slot + 2);
      await this.#inquiry.own(await this.#inquiry.runsOf(extra), seen.path, offset);
    }
  }

  /** Sets whose clusters are not certain, when all others are known. */
  async seeDoubtful(): Promise<void> {
    for (const seen of this.#doubtful) await this.#inspect(seen, true);
  }

  /** `late`: all that are certain have been seen. */
  async #inspect(seen: Seen, late = false): Promise<void> {
    const { medium, findings } = this.#inquiry;
    const { path, set, offset, opened } = seen;
    const { allocation, validBytes } = set;
    const { firstCluster, dataBytes, noFatChain } = allocation;
    if (dataBytes === 0n) return this.#inspectEmpty(seen);
    if (!medium.isCluster(firstCluster)) {
      findings.lost = true;
      const text = `${dataBytes} bytes from cluster ${firstCluster} on; the volume has 2 to ${medium.clusterCount + 1}`;
      this.#find("first-cluster", seen, text, "its size becomes 0", NO_ALLOCATION, 0n);
      return;
    }
    if (opened !== undefined && opened.then !== "enter") return this.#notEntered(seen, opened.then);

    const followed = await this.#follow(seen);
    const { runs, end, good, wanted } = followed;
    // A row whose size lies would own all behind it, and so would one that is only thought to be a row.
    const torn = end.kind === "outside" && runs.length === 1 && good < wanted;
    if (!late && (torn || (noFatChain && BigInt(good) < BigInt(medium.clustersOf(dataBytes)))) && this.#doubtful.length < FINDINGS_MAX) {
      this.#doubtful.push(seen);
      return;
    }
    const row = torn && !noFatChain ? await this.#rowOf(firstCluster, wanted) : undefined;
    if (row !== undefined) {
      await this.#inquiry.own([row], path, offset);
      const text = `${end.kind === "whole" ? "" : end.text}; as many clusters are taken in a row`;
      this.#find("chain-missing", seen, text, "they are said to be in a row", { ...allocation, noFatChain: true }, validBytes);
      return;
    }
    const crossed = await this.#inquiry.own(runs, path, offset);
    if (crossed !== undefined && this.#crossings.length < FINDINGS_MAX) this.#crossings.push({ seen, cluster: crossed, runs });
    this.#compareSize(seen, followed);
  }

  #inspectEmpty(seen: Seen): void {
    const { allocation, validBytes } = seen.set;
    const { firstCluster, noFatChain } = allocation;
    if (firstCluster !== 0) {
      this.#inquiry.findings.lost = true;
      this.#find("empty-with-cluster", seen, `no bytes, but cluster ${firstCluster}`, "it has none", NO_ALLOCATION, 0n);
    } else if (noFatChain) this.#find("empty-flags", seen, "no bytes, but clusters in a row", "it has none", NO_ALLOCATION, 0n);
    else if (validBytes !== 0n) this.#find("valid-length", seen, `${validBytes} bytes written of none`, "none are", NO_ALLOCATION, 0n);
  }

  #notEntered(seen: Seen, why: "again" | "too-deep"): void {
    const { findings } = this.#inquiry;
    const { offset, path, set } = seen;
    if (why === "too-deep") {
      findings.blind = true;
      findings.add("too-deep", { offset, path, text: "more folders within folders than any system can use: not looked into" });
      return;
    }
    findings.lost = true;
    const text = `its first cluster ${set.allocation.firstCluster} is that of a folder met before: left of a move that was cut, or a folder that holds itself`;
    findings.add("directory-twice", { offset, path, text, mending: "this entry goes, the other stays" }, dropping(seen));
  }

  /** The clusters of a set as far as they can be followed, each once. */
  async #follow({ set, isDirectory }: Seen): Promise<Followed> {
    const medium = this.#inquiry.medium;
    const { firstCluster, dataBytes, noFatChain } = set.allocation;
    const limit = isDirectory ? BigInt(DIRECTORY_BYTES_MAX) : medium.heapBytes;
    const lies = dataBytes > limit;
    const wanted = Math.max(1, medium.clustersOf(lies ? limit : dataBytes));
    const own = new ClusterSet();
    const runs: Run[] = [];
    let good = 0;
    const following = followClusters(medium, { first: firstCluster, noFatChain, clusters: wanted }, wanted);
    for (let next = await following.next(); ; next = await following.next()) {
      if (next.done === true) {
        if (!noFatChain || (next.value.kind === "whole" && !lies)) return { runs, end: next.value, good, wanted };
        // A row whose size lies would own all to the end of the volume: believe the bitmap, and those who are there.
        const held = await this.#plausible(runs[0]!);
        return { runs: [held], end: next.value, good: held.count, wanted };
      }
      const seen = own.add(next.value);
      if (seen !== undefined) {
        const count = await this.#untilRepeated(runs, next.value);
        if (count > 0) runs.push({ first: next.value.first, count });
        const end = {
          kind: "loop" as const,
          clusters: good,
          at: medium.fatOffsetOf(seen),
          text: `its chain comes back to cluster ${seen}`,
        };
        return { runs, end, good: good + count, wanted };
      }
      runs.push(next.value);
      good += next.value.count;
    }
  }

  /** The clusters of a file in a row that lost the word that says so: the FAT knows nothing of them, the bitmap has them all, and nobody else does. */
  async #rowOf(first: number, wanted: number): Promise<Run | undefined> {
    if (first + wanted > this.#inquiry.medium.clusterCount + FIRST_CLUSTER || this.#inquiry.used.has(first)) return undefined;
    const row = await this.#plausible({ first, count: wanted });
    return row.count === wanted ? row : undefined;
  }

  /** Clusters of `run` in front of the first that `runs` hold. */
  async #untilRepeated(runs: readonly Run[], run: Run): Promise<number> {
    const before = new ClusterSet();
    for (const earlier of runs) before.add(earlier);
    let count = 0;
    while (count < run.count && !before.has(run.first + count)) count += 1;
    return count;
  }

  async #plausible(run: Run): Promise<Run> {
    let count = 1;
    while (count < run.count && !this.#inquiry.used.has(run.first + count) && (await this.#inquiry.bitmap.isTaken(run.first + count)))
      count += 1;
    return { first: run.first, count };
  }

  /** What a set says of its size, against the clusters that it has. */
  #compareSize(seen: Seen, { runs, end, good, wanted }: Followed): void {
    const { medium, findings } = this.#inquiry;
    const { path, isDirectory, offset } = seen;
    const { allocation, validBytes } = seen.set;
    const { dataBytes, noFatChain } = allocation;
    const fits = BigInt(good) * BigInt(medium.clusterBytes);
    const last = runs.at(-1)!;
    if (end.kind === "long" && good === wanted) {
      findings.add("chain-long", { offset: end.at, path, text: end.text, mending: "it ends where the size says" }, endingChain(last));
    } else if (BigInt(good) < BigInt(medium.clustersOf(dataBytes))) {
      findings.lost = true;
      const text = end.kind === "whole" ? `a size of ${dataBytes} bytes, more than there is` : end.text;
      const id = end.kind === "whole" || end.kind === "long" ? "size" : `chain-${end.kind}`;
      const where = end.kind === "whole" ? offset : end.at;
      const mending = `it is cut to the ${fits} bytes that are there`;
      this.#find(id, seen, text, mending, { ...allocation, dataBytes: fits }, validBytes, where);
      if (!noFatChain) {
        const chainText = `cluster ${last.first + last.count - 1} is the last that is whole`;
        findings.add(id, { offset: where, path, text: chainText, mending: "its chain ends there" }, endingChain(last));
      }
    } else if (isDirectory && (dataBytes !== fits || validBytes !== dataBytes)) {
      const text = `a folder of ${dataBytes} bytes, ${validBytes} of them written, in ${good} clusters`;
      this.#find("directory-size", seen, text, `both become ${fits}`, { ...allocation, dataBytes: fits }, fits);
    } else if (validBytes > dataBytes) {
      const text = `${validBytes} bytes written of ${dataBytes}`;
      this.#find("valid-length", seen, text, "all count as written", allocation, dataBytes);
    }
  }

  /** A finding that is mended by other clusters, or another size, in the same set. */
  #find(id: string, seen: Seen, text: string, mending: string, changed: Allocation, validBytes: bigint, offset = seen.offset): void {
    const valid = seen.isDirectory || validBytes > changed.dataBytes ? changed.dataBytes : validBytes;
    const mend = rewriting(seen, withAllocation(seen.entries, changed, { validBytes: valid }));
    this.#inquiry.findings.add(id, { offset, path: seen.path, text, mending }, seen.mendable ? mend : async () => {});
  }
}
