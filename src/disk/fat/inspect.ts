/**
 * What is wrong with a FAT volume, and what would mend each: one walk over all of it. Check prints the first, repair does the second. It finds what
 * `fsck.fat` 4.2 does not look at too: names that are one but for their case, long names with forbidden characters, folders beyond the limit.
 * What each part looks for is in the `inspect-*.ts` beside this file; here is the order in which they look.
 *
 * Memory: two bits for each cluster, two numbers for each name of the folders that are open, a piece of each of these folders.
 */
import type { BlockStore } from "../block-store.ts";
import { type Directory, type DirectoryItem, isRoot } from "./directory.ts";
import { type Finding, Findings, type Inspecting } from "./findings.ts";
import { inspectBootSectors, inspectFlags, inspectFsInfo } from "./inspect-boot.ts";
import { inspectFileChain, inspectFolderChain, inspectRootChain } from "./inspect-chains.ts";
import { Crossings } from "./inspect-crossings.ts";
import { FolderEnds } from "./inspect-ends.ts";
import {
  findNoFolder,
  findTooDeep,
  inspectAttributes,
  inspectDotEntry,
  inspectDots,
  inspectEntryCount,
  inspectFolderSize,
} from "./inspect-entries.ts";
import { Labels } from "./inspect-labels.ts";
import { DuplicateNames, inspectName, OrphanNames } from "./inspect-names.ts";
import { findDifference, firstDifference, inspectFatHead, inspectLostClusters } from "./inspect-tables.ts";
import { DEFAULT_CODE_PAGE } from "./layout.ts";
import { FatMedium } from "./medium.ts";
import { type Mending, prepareMending } from "./mend.ts";
import { type BootSectors, readBootSectors } from "./open.ts";
import { type Walked, type WalkedFile, walkVolume } from "./walk.ts";

export interface Inspection {
  readonly findings: readonly Finding[];
  readonly cut: boolean;
  readonly files: number;
  readonly directories: number;
  readonly mending: Mending;
  /** False where something could not be followed: its clusters look like nobody's. */
  readonly complete: boolean;
}

/** What a check lists. */
export const FINDINGS_MAX = 1000;

/** `findingsMax`: how many are kept, in memory. Throws HiperisoError where there is no volume. */
export async function inspectFat(
  store: BlockStore,
  signal: AbortSignal,
  onFile: () => void,
  findingsMax = FINDINGS_MAX,
): Promise<Inspection> {
  const sectors = await readBootSectors(store);
  const { boot } = sectors;
  const active = boot.onlyFat ?? 0;
  const medium = new FatMedium(store, boot, active);
  const difference = boot.onlyFat === undefined ? await firstDifference(medium, signal) : undefined;
  let chosen = await inspectWith(medium, findingsMax, signal, onFile);
  for (let fat = 0; fat < boot.fatCount && difference !== undefined; fat += 1) {
    if (fat === active) continue;
    const other = await inspectWith(new FatMedium(store, boot, fat), findingsMax, signal, () => {});
    if (other.brokenChains < chosen.brokenChains) chosen = other;
  }
  return await chosen.finish(sectors, difference, signal);
}

async function inspectWith(medium: FatMedium, findingsMax: number, signal: AbortSignal, onFile: () => void): Promise<Inspector> {
  const inspector = new Inspector(medium, findingsMax);
  for await (const walked of walkVolume(medium, DEFAULT_CODE_PAGE, (cluster) => inspector.claim(cluster), signal)) {
    await inspector.see(walked);
    onFile();
  }
  return inspector;
}

/** One walk by one of the FATs: shows each part what it is to see, in turn, and counts. */
class Inspector {
  readonly #mending: Mending;
  readonly #inspecting: Inspecting;
  readonly #labels: Labels;
  readonly #orphans: OrphanNames;
  readonly #duplicates: DuplicateNames;
  readonly #crossings: Crossings;
  readonly #ends: FolderEnds;
  #files = 0;
  #directories = 0;

  constructor(medium: FatMedium, findingsMax: number) {
    this.#mending = prepareMending(medium, DEFAULT_CODE_PAGE);
    const { codePage, used, free } = this.#mending;
    this.#inspecting = { medium, codePage, used, free, findings: new Findings(findingsMax) };
    this.#labels = new Labels(this.#inspecting);
    this.#orphans = new OrphanNames(this.#inspecting);
    this.#duplicates = new DuplicateNames(this.#inspecting);
    this.#crossings = new Crossings(this.#inspecting);
    this.#ends = new FolderEnds(this.#inspecting);
  }

  get brokenChains(): number {
    return this.#inspecting.findings.brokenChains;
  }

  claim(cluster: number): boolean {
    return this.#inspecting.used.add({ first: cluster, count: 1 }) === undefined;
  }

  async see(walked: Walked): Promise<void> {
    this.#orphans.settle(walked);
    if (walked.kind === "entered") await this.#entered(walked.directory);
    else if (walked.kind === "left") await this.#duplicates.leave(walked.directory);
    else if (walked.kind === "other") await this.#otherEntry(walked.directory, walked.item);
    else this.#file(walked);
  }

  async #entered(directory: Directory): Promise<void> {
    this.#directories += 1;
    this.#duplicates.enter(directory);
    inspectEntryCount(this.#inspecting, directory);
    if (isRoot(directory)) inspectRootChain(this.#inspecting, directory);
    else await inspectDots(this.#inspecting, directory);
  }

  async #otherEntry(directory: Directory, item: Exclude<DirectoryItem, { kind: "file" }>): Promise<void> {
    if (item.kind === "end") await this.#ends.see(directory, item.slot);
    else if (item.kind === "orphan") this.#orphans.see(directory, item);
    else if (item.kind === "label") this.#labels.see(directory, item);
    else if (item.kind === "dot") inspectDotEntry(this.#inspecting, directory, item);
  }

  #file(walked: WalkedFile): void {
    const inspecting = this.#inspecting;
    if (walked.inner === undefined) this.#files += 1;
    this.#duplicates.see(walked);
    inspectAttributes(inspecting, walked);
    inspectName(inspecting, walked);
    if (walked.inner === undefined) inspectFileChain(inspecting, this.#crossings, walked);
    else if (walked.tooDeep) findTooDeep(inspecting, walked);
    else if (!walked.plausible) findNoFolder(inspecting, walked);
    else {
      inspectFolderSize(inspecting, walked);
      inspectFolderChain(inspecting, this.#crossings, walked, walked.inner);
    }
  }

  /** What can be said when all entries were seen. `difference`: where the FATs begin to differ. */
  async finish(sectors: BootSectors, difference: bigint | undefined, signal: AbortSignal): Promise<Inspection> {
    const inspecting = this.#inspecting;
    await inspectBootSectors(inspecting, sectors);
    if (difference !== undefined) findDifference(inspecting, difference);
    await inspectFatHead(inspecting);
    this.#labels.finish();
    await this.#crossings.finish(signal);
    await this.#ends.finish();
    await inspectLostClusters(inspecting, signal);
    await inspectFlags(inspecting);
    await inspectFsInfo(inspecting);
    const { list, cut, complete } = inspecting.findings;
    return { findings: list, cut, complete, files: this.#files, directories: this.#directories, mending: this.#mending };
  }
}
