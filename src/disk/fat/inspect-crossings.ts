/** Clusters that two own: what becomes of chains that run into another's, or into themselves. */
import { firstClusterOf, isDirectoryEntry, withData } from "../../formats/fat-entries.ts";
import { ClusterSet } from "../cluster-set.ts";
import { shortEntryOf } from "./directory.ts";
import type { Inspecting } from "./findings.ts";
import { isTwin, placeOf, shortEntryOffset } from "./inspect-entries.ts";
import { type ChainEnd, END_OF_CHAIN } from "./medium.ts";
import { copyApart, rewriteShort } from "./mend.ts";
import { applyEdits, clearingEdits } from "./slots.ts";
import { type Owner, type WalkedFile, walkVolume } from "./walk.ts";

/** A file or folder whose chain runs into clusters of another, or of itself. */
interface Crossing {
  readonly walked: WalkedFile;
  readonly end: Exclude<ChainEnd, { kind: "whole" }>;
}

export class Crossings {
  readonly #inspecting: Inspecting;
  readonly #crossings: Crossing[] = [];

  constructor(inspecting: Inspecting) {
    this.#inspecting = inspecting;
  }

  see(walked: WalkedFile, end: Crossing["end"]): void {
    const { findings } = this.#inspecting;
    if (this.#crossings.length < findings.max) this.#crossings.push({ walked, end });
    else findings.noteCut();
  }

  /** Walks again, to say whose the clusters of a crossing are. */
  async finish(signal: AbortSignal): Promise<void> {
    if (this.#crossings.length === 0) return;
    const { medium, codePage } = this.#inspecting;
    const wanted = new Set(this.#crossings.map(({ end }) => end.cluster));
    const owners = new Map<number, Owner>();
    const used = new ClusterSet();
    const claim = (cluster: number, owner: Owner): boolean => {
      const mine = used.add({ first: cluster, count: 1 }) === undefined;
      if (mine && wanted.has(cluster)) owners.set(cluster, owner);
      return mine;
    };
    for await (const _ of walkVolume(medium, codePage, claim, signal));
    for (const crossing of this.#crossings) findCrossing(this.#inspecting, crossing, owners.get(crossing.end.cluster));
  }
}

function findCrossing({ medium, findings }: Inspecting, { walked, end }: Crossing, owner: Owner | undefined): void {
  const { directory, item, path, entry, inner } = walked;
  const short = shortEntryOf(item.entries);
  const place = placeOf(walked);
  const offset = end.clusters === 0 ? shortEntryOffset(medium, walked, 26) : end.at;
  const ownerEntry = owner?.shortEntry;
  if (end.clusters > 0 && owner?.path === path && ownerEntry !== undefined && Buffer.from(ownerEntry).equals(short)) {
    const text = `its chain comes back to cluster ${end.cluster}`;
    findings.add("chain", { offset, path, text, mending: "it ends there" }, async () => {
      await medium.setLinks([[end.last, END_OF_CHAIN]]);
      const size = inner === undefined ? Math.min(entry.sizeBytes, end.clusters * medium.clusterBytes) : 0;
      await rewriteShort(medium, place, withData(short, entry.firstCluster, size));
    });
    return;
  }
  const text = `its cluster ${end.cluster} belongs to ${owner?.path ?? "another entry"} too`;
  const startsThere = (other: Uint8Array): boolean => firstClusterOf(other, medium.boot.bits) === entry.firstCluster;
  const isOtherFolder = ownerEntry === undefined || (isDirectoryEntry(ownerEntry) && startsThere(ownerEntry));
  const again = inner !== undefined && end.clusters === 0 && isOtherFolder;
  if (again || (ownerEntry !== undefined && isTwin(short, ownerEntry))) {
    const mending = "left of a move that was cut, or a folder that holds itself: this entry goes, the other stays";
    findings.add("entry-twice", { offset, path, text, mending }, () => applyEdits(medium, directory, clearingEdits(item)));
    return;
  }
  findings.add(
    "cross-linked",
    { offset, path, text, mending: "it gets a copy of its own" },
    (mending) => copyApart(mending, place, entry.firstCluster),
    "copy",
  );
}
