/**
 * What is wrong with an exFAT volume, and what would mend each: one walk over all of it. Check prints the first, repair does the second. It finds what
 * `fsck.exfat` 1.2 passes over too: clusters that nobody owns, two names that are one, a wrong percentage, a backup boot region that is
 * rubbish, entries behind a folder's end.
 *
 * Memory: a bit for each cluster in use, a number for each name of the folders that are open, a piece of each of these folders.
 */
import { hex, viewOf } from "../../formats/bytes.ts";
import {
  bootChecksums,
  EXFAT_FLAG,
  EXFAT_FLAGS_AT,
  EXFAT_PERCENT_AT,
  EXFAT_REGION_SECTORS,
  FIRST_CLUSTER,
  withBootChecksum,
} from "../../formats/exfat-boot.ts";
import { upcaseChecksum } from "../../formats/exfat-checksums.ts";
import {
  type Allocation,
  ATTRIBUTE,
  allocationAt,
  benignAllocation,
  ENTRY,
  ENTRY_BYTES,
  ENTRY_UNUSED,
  encodeLabelEntry,
  encodeUpcaseEntry,
  entriesOfName,
  type FileSet,
  isBenign,
  labelFault,
  mendedName,
  NO_ALLOCATION,
  nameFault,
  nameOfSet,
  salvagedSet,
  withAllocation,
  withName,
  withSums,
} from "../../formats/exfat-entries.ts";
import { encodeUpcaseTable, recommendedUpcaseTable, type UpcaseTable, upcase } from "../../formats/exfat-upcase.ts";
import type { BlockStore } from "../block-store.ts";
import { CLUSTER_SET_PAGE_BYTES, ClusterSet } from "../cluster-set.ts";
import type { Run } from "../content-writer.ts";
import { hashOf, NameHashes } from "../name-hashes.ts";
import type { VolumeProblem } from "../volume.ts";
import { AllocationBitmap } from "./allocation.ts";
import { DIRECTORY_BYTES_MAX, type Directory, readSlots, scanDirectory, slotOffset, slotsOf } from "./directory.ts";
import { BAD_CLUSTER, type ChainEnd, END_OF_CHAIN, followClusters, Medium } from "./medium.ts";
import { type BootRegion, type RootFacts, readBootRegions, readRootFacts } from "./open.ts";
import { applyEdits, clearingEdits, settingEdits } from "./slots.ts";
import { childPath, type Walked, type WalkedFile, walkVolume } from "./walk.ts";

/** What a mending may use: the medium, its bitmap as it stands, and all clusters that somebody owns. */
export interface Mending {
  readonly medium: Medium;
  readonly bitmap: AllocationBitmap;
  readonly used: ClusterSet;
  readonly table: UpcaseTable;
}

export interface Finding {
  readonly problem: VolumeProblem;
  /** Mendings of a lower stage come first, and the volume is walked again before the next: what they change decides what is left. */
  readonly stage: Stage;
  readonly mend?: (mending: Mending) => Promise<void>;
}

/**
 * `entry`: in its place. `copy`: takes free clusters, so the bitmap must be right. `leak`: clusters that nobody owns, when nothing is damaged that
 * could own them. `flag`: what says that all is well.
 */
export type Stage = "entry" | "copy" | "leak" | "flag";

export interface Inspection {
  readonly findings: readonly Finding[];
  readonly cut: boolean;
  readonly files: number;
  readonly directories: number;
  readonly mending: Mending;
  /** Clusters that are taken and that nobody owns, and that are not marked as bad: the first runs of them. */
  readonly leaked: readonly Run[];
  /** Entries or chains were damaged: what is in leaked clusters may have been theirs. */
  readonly lost: boolean;
}

/** What a check lists; a repair goes round again. */
const FINDINGS_MAX = 1000;
const LEAKED_RUNS_MAX = 65_536;

/** The boot regions' own problems, and the medium that the better of them describes. Throws where neither describes one. */
export async function inspectBoot(store: BlockStore): Promise<{ readonly medium: Medium; readonly findings: readonly Finding[] }> {
  const { main, backup } = await readBootRegions(store);
  const sound = main.fault === undefined ? main : backup !== undefined && backup.fault === undefined ? backup : main;
  if (sound.boot === undefined) throw main.fault ?? new Error("a boot region without fields and without fault");
  const medium = new Medium(store, sound.boot);
  const findings: Finding[] = [];
  const region = EXFAT_REGION_SECTORS * medium.sectorBytes;
  const write = (offset: bigint, bytes: Uint8Array) => async () => await medium.write(offset, bytes);
  if (main.fault !== undefined) {
    const text = `${main.fault.found === undefined ? main.fault.message : `the main boot region: expected ${main.fault.expected}, found ${main.fault.found}`}`;
    // With neither sum right, fields that are in their ranges are all there is to go by.
    const bytes = sound === backup ? mainFrom(backup.bytes) : withBootChecksum(main.bytes.slice());
    const mending = sound === backup ? "the backup is written over it" : "its sum is written anew";
    findings.push({
      problem: { id: "main-boot-region", offset: offsetIn(main), path: undefined, text, mending },
      stage: "entry",
      mend: write(0n, bytes),
    });
  } else if (backup?.fault !== undefined || backup === undefined || differs(main.bytes, backup.bytes)) {
    const fault = backup?.fault;
    const text =
      fault === undefined
        ? "the backup boot region differs from the main one"
        : `the backup boot region: expected ${fault.expected}, found ${fault.found}`;
    const problem = { id: "backup-boot-region", offset: BigInt(region), path: undefined, text, mending: "the main one is written over it" };
    findings.push({ problem, stage: "entry", mend: write(BigInt(region), cleanCopy(main.bytes)) });
  }
  if (main.fault === undefined) {
    const signatures = [1, 2, 3, 4, 5, 6, 7, 8].filter(
      (sector) => viewOf(main.bytes).getUint32((sector + 1) * medium.sectorBytes - 4, true) !== 0xaa55_0000,
    );
    if (signatures.length > 0) {
      const bytes = main.bytes.slice();
      for (const sector of signatures) viewOf(bytes).setUint32((sector + 1) * medium.sectorBytes - 4, 0xaa55_0000, true);
      const offset = BigInt((signatures[0]! + 1) * medium.sectorBytes - 4);
      const text = `extended boot sector ${signatures[0]} does not end in 00 00 55 AA`;
      findings.push({
        problem: { id: "boot-signature", offset, path: undefined, text, mending: "the signature is written" },
        stage: "entry",
        mend: write(0n, withBootChecksum(bytes)),
      });
    }
  }
  return { medium, findings };
}

const offsetIn = (region: BootRegion): bigint => {
  const at = /@(\d+)$/.exec(region.fault?.where ?? "");
  return at === null ? region.offset : BigInt(at[1]!);
};

/** Flags and percentage of the backup are stale (3.1): the volume is dirty until the walk is through. */
function mainFrom(backup: Uint8Array): Uint8Array {
  const bytes = backup.slice();
  viewOf(bytes).setUint16(EXFAT_FLAGS_AT, EXFAT_FLAG.dirty, true);
  bytes[EXFAT_PERCENT_AT] = 0xff;
  return bytes;
}

function cleanCopy(main: Uint8Array): Uint8Array {
  const bytes = main.slice();
  const view = viewOf(bytes);
  view.setUint16(EXFAT_FLAGS_AT, view.getUint16(EXFAT_FLAGS_AT, true) & ~EXFAT_FLAG.dirty, true);
  return bytes;
}

const STALE: ReadonlySet<number> = new Set([EXFAT_FLAGS_AT, EXFAT_FLAGS_AT + 1, EXFAT_PERCENT_AT]);
const differs = (main: Uint8Array, backup: Uint8Array): boolean =>
  bootChecksums(main).actual !== bootChecksums(backup).actual || main.some((byte, at) => byte !== backup[at] && !STALE.has(at));

/** Throws HiperisoError where the volume cannot even be opened. */
export async function inspectVolume(medium: Medium, signal: AbortSignal, onFile: () => void): Promise<Inspection> {
  const facts = await readRootFacts(medium, { lenient: true });
  const inspector = new Inspector(medium, facts);
  await inspector.tables();
  for await (const walked of walkVolume(medium, facts.root, facts.upcase.table, signal)) {
    await inspector.see(walked);
    onFile();
  }
  await inspector.doubtful();
  await inspector.nameOwners(signal);
  await inspector.compareBitmap(signal);
  await inspector.flags();
  return inspector.result();
}

/** A set that is looked at. */
interface Seen {
  readonly directory: Directory;
  readonly slot: number;
  readonly entries: Uint8Array;
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
interface Crossing {
  readonly seen: Seen;
  readonly cluster: number;
  readonly runs: readonly Run[];
}

class Inspector {
  readonly #medium: Medium;
  readonly #facts: RootFacts;
  readonly #table: UpcaseTable;
  readonly #bitmap: AllocationBitmap;
  readonly #used = new ClusterSet();
  readonly #findings: Finding[] = [];
  #cut = false;
  /** Entries or chains were damaged: clusters that nobody owns may be theirs. */
  #lost = false;
  /** Something cannot be followed at all: what looks like nobody's may be its own. */
  #blind = false;
  #files = 0;
  #directories = 1;
  readonly #names = new Map<Directory, NameHashes>();
  readonly #crossings: Crossing[] = [];
  readonly #doubtful: Seen[] = [];
  readonly #leaked: Run[] = [];

  constructor(medium: Medium, facts: RootFacts) {
    this.#medium = medium;
    this.#facts = facts;
    this.#table = facts.upcase.table;
    this.#bitmap = new AllocationBitmap(medium, facts.bitmapRuns);
  }

  result(): Inspection {
    return {
      findings: this.#findings,
      cut: this.#cut,
      files: this.#files,
      directories: this.#directories,
      leaked: this.#leaked,
      lost: this.#lost,
      mending: { medium: this.#medium, bitmap: this.#bitmap, used: this.#used, table: this.#table },
    };
  }

  #find(
    id: string,
    { offset, path, text, mending }: { offset: bigint; path?: string | undefined; text: string; mending?: string },
    mend?: Finding["mend"],
    stage: Stage = "entry",
  ): void {
    if (this.#findings.length >= FINDINGS_MAX) {
      this.#cut = true;
      return;
    }
    const problem = { id, offset, path, text, mending: mend === undefined ? undefined : mending };
    this.#findings.push(mend === undefined ? { problem, stage } : { problem, stage, mend });
  }

  // What belongs to the volume itself

  async tables(): Promise<void> {
    const { root, bitmapRuns, bitmap, upcase: table } = this.#facts;
    const head = await this.#medium.read(this.#medium.fatOffsetOf(0), 8);
    const fatHead = [viewOf(head).getUint32(0, true), viewOf(head).getUint32(4, true)] as const;
    if ((fatHead[0] | 0xff) >>> 0 !== END_OF_CHAIN || fatHead[1] !== END_OF_CHAIN) {
      const text = `the FAT starts with ${hex(fatHead[0], 8)} and ${hex(fatHead[1], 8)}`;
      this.#find("fat-head", { offset: this.#medium.fatOffsetOf(0), text, mending: "both are written anew" }, async ({ medium }) => {
        await medium.writeFatEntry(0, 0xffff_fff8);
        await medium.writeFatEntry(1, END_OF_CHAIN);
      });
    }
    await this.#own(bitmapRuns, "the allocation bitmap", bitmap.offset);
    await this.#own(root.runs, "/", this.#medium.offsetOf(root.firstCluster));
    const { end } = root;
    if (end.kind !== "whole") {
      const lastCluster = root.runs.at(-1)!;
      this.#find("root-chain", { offset: end.at, path: "/", text: end.text, mending: "the root ends there" }, async ({ medium }) => {
        await medium.writeFatEntry(lastCluster.first + lastCluster.count - 1, END_OF_CHAIN);
      });
      this.#lost = true;
    }
    await this.#checkUpcase(table);
  }

  async #checkUpcase(table: RootFacts["upcase"]): Promise<void> {
    const { allocation, offset } = table;
    const runs: Run[] = [];
    if (table.fault === undefined) {
      const clusters = this.#medium.clustersOf(allocation.dataBytes);
      for await (const run of followClusters(this.#medium, { first: allocation.firstCluster, noFatChain: false, clusters }, clusters))
        runs.push(run);
      await this.#own(runs, "the up-case table", offset);
    }
    if (table.fault === undefined && table.storedChecksum === table.actualChecksum) return;
    const recommended = encodeUpcaseTable(recommendedUpcaseTable());
    const same = table.fault === undefined && Buffer.from(encodeUpcaseTable(table.table)).equals(recommended);
    if (same) {
      const text = `the up-case table's sum is ${hex(table.storedChecksum, 8)}, its bytes give ${hex(table.actualChecksum, 8)}`;
      this.#find("upcase-checksum", { offset, text, mending: "the sum is written anew" }, async ({ medium }) => {
        await medium.write(offset, encodeUpcaseEntry(allocation, table.actualChecksum));
      });
      return;
    }
    const text =
      table.fault === undefined
        ? `the up-case table does not have its sum ${hex(table.storedChecksum, 8)}`
        : `the up-case table: expected ${table.fault.expected}, found ${table.fault.found}`;
    this.#find(
      "upcase-table",
      { offset, text, mending: "the one that the specification recommends takes its place" },
      async (mending) => {
        const clusters = mending.medium.clustersOf(BigInt(recommended.length));
        const all = await mending.bitmap.findFree(clusters);
        await writeOver(mending.medium, all, recommended);
        await mending.medium.writeChain(all);
        await mending.bitmap.mark(all, true);
        await mending.medium.flush();
        const entry = { firstCluster: all[0]!.first, dataBytes: BigInt(recommended.length), noFatChain: false };
        await mending.medium.write(offset, encodeUpcaseEntry(entry, upcaseChecksum(recommended)));
      },
      "copy",
    );
  }

  /** Marks clusters as used. Gives the first that was used before; those that the bitmap calls free are a problem. */
  async #own(runs: readonly Run[], path: string, offset: bigint): Promise<number | undefined> {
    let crossed: number | undefined;
    for (const run of runs) {
      crossed = this.#used.add(run) ?? crossed;
      const free = await firstClear(this.#bitmap, run);
      if (free === undefined) continue;
      const text = `its cluster ${free} is free in the bitmap`;
      this.#find("bitmap-missing", { offset, path, text, mending: "its clusters are marked as taken" }, ({ bitmap }) =>
        bitmap.mark([run], true),
      );
    }
    return crossed;
  }

  // What stands in folders

  async see(walked: Walked): Promise<void> {
    if (walked.kind === "left") await this.#left(walked.directory);
    else if (walked.kind === "file") await this.#file(walked);
    else await this.#otherEntry(walked.directory, walked.item);
  }

  async #otherEntry(directory: Directory, item: Extract<Walked, { kind: "other" }>["item"]): Promise<void> {
    if (item.kind === "free") return;
    if (item.kind === "end") return await this.#behindEnd(directory, item.slot);
    const offset = slotOffset(this.#medium, directory, item.slot);
    const { path } = directory;
    const clear: Finding["mend"] = async ({ medium }) => await applyEdits(medium, directory, clearingEdits(item));
    if (item.kind === "orphan") {
      if (item.entries[0] === ENTRY.stream) this.#lost = true; // a cut of ours leaves names alone: with a stream, a file's first entry was lost
      const text = `an entry of kind ${hex(item.entries[0]!)} that belongs to no file`;
      this.#find("orphan-entry", { offset, path, text, mending: "it is marked as unused" }, clear);
    } else if (item.kind === "broken") {
      const text = `${item.entries.length / ENTRY_BYTES} of the ${item.promised + 1} entries of a set`;
      await this.#brokenSet(directory, item.slot, item.entries, text);
    } else await this.#volumeEntry(directory, item.slot, item.entries, offset, clear);
  }

  /** Entries of the volume stand in the root, and there once; what is benign and not known is kept, and what it owns with it. */
  async #volumeEntry(directory: Directory, slot: number, entries: Uint8Array, offset: bigint, clear: Finding["mend"]): Promise<void> {
    const type = entries[0]!;
    const { path } = directory;
    if (isBenign(type)) {
      const own = benignAllocation(entries);
      const all = own === undefined ? [] : [own];
      for (let at = ENTRY_BYTES; at < entries.length; at += ENTRY_BYTES) {
        const extra = allocationAt(entries, at);
        if ((entries[at + 1]! & 1) !== 0 && extra.firstCluster !== 0) all.push(extra);
      }
      for (const allocation of all) await this.#own(await this.#clusters(allocation), `${path} (entry ${hex(type)})`, offset);
      return;
    }
    const expected =
      path === "/" &&
      ((type === ENTRY.label && slot === this.#facts.labelSlot) ||
        (type === ENTRY.bitmap && (offset === this.#facts.bitmap.offset || this.#medium.boot.fatCount === 2)) ||
        (type === ENTRY.upcase && offset === this.#facts.upcase.offset));
    if (!expected) {
      const known = type === ENTRY.label || type === ENTRY.bitmap || type === ENTRY.upcase;
      const text = known ? `an entry of kind ${hex(type)} more than there may be` : `an entry of the unknown critical kind ${hex(type)}`;
      this.#find("misplaced-entry", { offset, path, text, mending: "it is marked as unused" }, known ? clear : undefined);
      if (!known) this.#blind = true;
      return;
    }
    if (type === ENTRY.bitmap && offset !== this.#facts.bitmap.offset) {
      await this.#own(await this.#clusters({ ...allocationAt(entries, 0), noFatChain: false }), "the second allocation bitmap", offset);
    }
    if (type !== ENTRY.label) return;
    const fault = entries[1]! > 11 ? `${entries[1]} characters` : labelFault(this.#facts.label);
    if (fault === undefined) return;
    this.#find("label", { offset, path, text: `the label holds ${fault}`, mending: "each becomes _" }, async ({ medium }) => {
      await medium.write(offset, encodeLabelEntry(this.#facts.label.slice(0, 11).replace(/[\x00-\x1f"*/:<>?\\|]/g, "_")));
    });
  }

  async #clusters({ firstCluster, dataBytes, noFatChain }: Allocation): Promise<Run[]> {
    const runs: Run[] = [];
    if (dataBytes === 0n || dataBytes > this.#medium.heapBytes) return runs;
    const clusters = this.#medium.clustersOf(dataBytes);
    for await (const run of followClusters(this.#medium, { first: firstCluster, noFatChain, clusters }, clusters)) runs.push(run);
    return runs;
  }

  /** Sets that were cut off, or have no name: made whole from what is there, or given up. */
  async #brokenSet(directory: Directory, slot: number, entries: Uint8Array, text: string): Promise<void> {
    const salvaged = salvagedSet(entries, this.#table);
    const offset = slotOffset(this.#medium, directory, slot);
    this.#lost = true;
    if (salvaged === undefined) {
      const mending = "it is marked as unused; clusters that it may have owned are put into files";
      this.#find("broken-set", { offset, path: directory.path, text, mending }, async ({ medium }) => {
        await applyEdits(medium, directory, clearingEdits({ slot, entries }));
      });
      return;
    }
    const mending = "a set is made of what is left";
    this.#find("broken-set", { offset, path: directory.path, text, mending }, rewriting({ directory, slot, entries }, salvaged));
  }

  /** Whatever stands behind the first entry of kind 0 is not there for any reader. Whole sets were cut off by damage, all else is rubbish. */
  async #behindEnd(directory: Directory, endSlot: number): Promise<void> {
    let from: number | undefined;
    let to = 0;
    let hidden: number | undefined;
    for (let slot = await nextEntry(this.#medium, directory, endSlot + 1); slot !== undefined; ) {
      from ??= slot;
      let next = slotsOf(directory);
      for await (const item of scanDirectory(this.#medium, directory, slot)) {
        next = item.slot;
        if (item.kind === "end") break;
        to = item.slot + (item.kind === "free" ? item.count : item.entries.length / ENTRY_BYTES);
        next = to;
        if (item.kind === "file" && hidden === undefined && this.#isWhole(item.entries)) hidden = item.slot;
      }
      slot = await nextEntry(this.#medium, directory, next);
    }
    if (from === undefined) return;
    const first = from;
    const offset = slotOffset(this.#medium, directory, first);
    if (hidden !== undefined) {
      this.#lost = true;
      const until = hidden;
      const text = `whole files stand behind the folder's end, which is at slot ${endSlot}`;
      this.#find("hidden-by-end", { offset, path: directory.path, text, mending: "they are shown again" }, async ({ medium }) => {
        await fillSlots(medium, directory, endSlot, until, (type) => (type === ENTRY.end ? ENTRY_UNUSED : undefined));
      });
      return;
    }
    const text = `entries stand behind the folder's end, which is at slot ${endSlot}`;
    this.#find("behind-end", { offset, path: directory.path, text, mending: "they are cleared" }, async ({ medium }) => {
      await fillSlots(medium, directory, first, to, () => ENTRY.end);
    });
  }

  #isWhole(entries: Uint8Array): boolean {
    const name = nameOfSet(entries);
    return name !== undefined && Buffer.from(withSums(entries, this.#table)).equals(entries);
  }

  async #file({ directory, item, path, set, faults, opened }: WalkedFile): Promise<void> {
    const { slot, entries } = item;
    const at = (byte: number) => slotOffset(this.#medium, directory, slot + Math.floor(byte / ENTRY_BYTES)) + BigInt(byte % ENTRY_BYTES);
    if (set === undefined) return await this.#brokenSet(directory, slot, entries, faults.at(-1)?.text ?? "");
    const isDirectory = (set.attributes & ATTRIBUTE.directory) !== 0;
    if (isDirectory) this.#directories += 1;
    else this.#files += 1;
    const offset = at(ENTRY_BYTES + 20);
    const bad = nameFault(set.name);
    const seen: Seen = {
      directory,
      slot,
      entries,
      path,
      set,
      isDirectory,
      opened,
      offset,
      mendable: faults.length === 0 && bad === undefined,
    };
    if (faults.length > 0) {
      this.#lost = true; // the bytes that are wrong may be those of its first cluster
      const shaped = faults.some(({ id }) => id === "set-shape");
      const changed = shaped ? withName(entries, set.name, this.#table) : withSums(entries, this.#table);
      for (const { id, at: byte, text } of faults) {
        this.#find(id, { offset: at(byte), path, text, mending: "the set is written anew" }, rewriting(seen, changed));
      }
    } else if (bad !== undefined) {
      const better = mendedName(set.name);
      const changed = withName(entries, better, this.#table);
      this.#find(
        "name",
        { offset: at(2 * ENTRY_BYTES), path, text: `its name holds ${bad}`, mending: "what is forbidden becomes _" },
        rewriting(seen, changed),
      );
    }
    this.#hashesOf(directory).add(upcase(set.name, this.#table));
    await this.#allocation(seen);
    for (const extra of set.extras) await this.#own(await this.#clusters(extra), path, at(2 * ENTRY_BYTES));
  }

  #hashesOf(directory: Directory): NameHashes {
    const kept = this.#names.get(directory);
    if (kept !== undefined) return kept;
    const fresh = new NameHashes();
    this.#names.set(directory, fresh);
    return fresh;
  }

  /** A finding that is mended by other clusters, or another size, in the same set. */
  #findAllocation(
    id: string,
    seen: Seen,
    text: string,
    mending: string,
    changed: Allocation,
    validBytes: bigint,
    offset = seen.offset,
  ): void {
    const valid = seen.isDirectory || validBytes > changed.dataBytes ? changed.dataBytes : validBytes;
    const mend = rewriting(seen, withAllocation(seen.entries, changed, { validBytes: valid }));
    this.#find(id, { offset, path: seen.path, text, mending }, seen.mendable ? mend : async () => {});
  }

  /** Sets whose clusters are not certain, when all others are known. */
  async doubtful(): Promise<void> {
    for (const seen of this.#doubtful) await this.#allocation(seen, true);
  }

  /** Size, clusters and chain of a set. `late`: all that are certain have been seen. */
  async #allocation(seen: Seen, late = false): Promise<void> {
    const medium = this.#medium;
    const { path, set, isDirectory, offset, opened } = seen;
    const { allocation, validBytes } = set;
    const { firstCluster, dataBytes, noFatChain } = allocation;
    if (dataBytes === 0n) {
      if (firstCluster !== 0) {
        this.#lost = true;
        this.#findAllocation("empty-with-cluster", seen, `no bytes, but cluster ${firstCluster}`, "it has none", NO_ALLOCATION, 0n);
      } else if (noFatChain) this.#findAllocation("empty-flags", seen, "no bytes, but clusters in a row", "it has none", NO_ALLOCATION, 0n);
      else if (validBytes !== 0n)
        this.#findAllocation("valid-length", seen, `${validBytes} bytes written of none`, "none are", NO_ALLOCATION, 0n);
      return;
    }
    if (!medium.isCluster(firstCluster)) {
      this.#lost = true;
      const text = `${dataBytes} bytes from cluster ${firstCluster} on; the volume has 2 to ${medium.clusterCount + 1}`;
      this.#findAllocation("first-cluster", seen, text, "its size becomes 0", NO_ALLOCATION, 0n);
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
      await this.#own([row], path, offset);
      const text = `${end.kind === "whole" ? "" : end.text}; as many clusters are taken in a row`;
      this.#findAllocation("chain-missing", seen, text, "they are said to be in a row", { ...allocation, noFatChain: true }, validBytes);
      return;
    }
    const crossed = await this.#own(runs, path, offset);
    if (crossed !== undefined && this.#crossings.length < FINDINGS_MAX) this.#crossings.push({ seen, cluster: crossed, runs });
    const fits = BigInt(good) * BigInt(medium.clusterBytes);
    const last = runs.at(-1)!;
    const lastCluster = last.first + last.count - 1;
    if (end.kind === "long" && good === wanted) {
      this.#find("chain-long", { offset: end.at, path, text: end.text, mending: "it ends where the size says" }, async (mending) => {
        await mending.medium.writeFatEntry(lastCluster, END_OF_CHAIN);
      });
    } else if (BigInt(good) < BigInt(medium.clustersOf(dataBytes))) {
      this.#lost = true;
      const text = end.kind === "whole" ? `a size of ${dataBytes} bytes, more than there is` : end.text;
      const id = end.kind === "whole" || end.kind === "long" ? "size" : `chain-${end.kind}`;
      const where = end.kind === "whole" ? offset : end.at;
      this.#findAllocation(
        id,
        seen,
        text,
        `it is cut to the ${fits} bytes that are there`,
        { ...allocation, dataBytes: fits },
        validBytes,
        where,
      );
      if (!noFatChain) {
        this.#find(
          id,
          { offset: where, path, text: `cluster ${lastCluster} is the last that is whole`, mending: "its chain ends there" },
          async (mending) => {
            await mending.medium.writeFatEntry(lastCluster, END_OF_CHAIN);
          },
        );
      }
    } else if (isDirectory && (dataBytes !== fits || validBytes !== dataBytes)) {
      const text = `a folder of ${dataBytes} bytes, ${validBytes} of them written, in ${good} clusters`;
      this.#findAllocation("directory-size", seen, text, `both become ${fits}`, { ...allocation, dataBytes: fits }, fits);
    } else if (validBytes > dataBytes) {
      this.#findAllocation(
        "valid-length",
        seen,
        `${validBytes} bytes written of ${dataBytes}`,
        "all count as written",
        allocation,
        dataBytes,
      );
    }
  }

  /** The clusters of a set as far as they can be followed, each once. */
  async #follow({ set, isDirectory }: Seen): Promise<{ runs: Run[]; end: ChainEnd; good: number; wanted: number }> {
    const medium = this.#medium;
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
    if (first + wanted > this.#medium.clusterCount + FIRST_CLUSTER || this.#used.has(first)) return undefined;
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
    while (count < run.count && !this.#used.has(run.first + count) && (await this.#bitmap.isTaken(run.first + count))) count += 1;
    return { first: run.first, count };
  }

  #notEntered(seen: Seen, why: "again" | "too-deep"): void {
    const { offset, path, set } = seen;
    if (why === "too-deep") {
      this.#blind = true;
      this.#find("too-deep", { offset, path, text: "more folders within folders than any system can use: not looked into" });
      return;
    }
    this.#lost = true;
    const text = `its first cluster ${set.allocation.firstCluster} is that of a folder met before: left of a move that was cut, or a folder that holds itself`;
    this.#find("directory-twice", { offset, path, text, mending: "this entry goes, the other stays" }, dropping(seen));
  }

  /** Names that are there twice. */
  async #left(directory: Directory): Promise<void> {
    const twice = this.#names.get(directory)?.twice();
    this.#names.delete(directory);
    if (twice === undefined || twice.size === 0) return;
    const first = new Map<string, number>();
    for await (const item of scanDirectory(this.#medium, directory)) {
      if (item.kind !== "file") continue;
      const name = nameOfSet(item.entries);
      const key = name === undefined ? "" : upcase(name, this.#table);
      if (name === undefined || !twice.has(hashOf(key))) continue;
      const before = first.get(key);
      if (before === undefined) {
        first.set(key, item.slot);
        continue;
      }
      const path = childPath(directory.path, name);
      const text = `the same name as the entry at slot ${before} of its folder`;
      const offset = slotOffset(this.#medium, directory, item.slot);
      const { slot, entries } = item;
      this.#find(
        "duplicate-name",
        { offset, path, text, mending: "the later one gets another name" },
        async ({ medium, table }) => {
          const other = await unusedName(medium, directory, name, table);
          if (other !== undefined) await applyEdits(medium, directory, settingEdits(slot, withName(entries, other, table)));
        },
        "copy",
      );
    }
  }

  // What two own, what nobody owns

  /** Walks again, to say whose the clusters of a crossing are. */
  async nameOwners(signal: AbortSignal): Promise<void> {
    if (this.#crossings.length === 0) return;
    const owners = new Map<number, { readonly path: string; readonly set: FileSet | undefined; readonly offset: bigint }>();
    const clusters = [...new Set(this.#crossings.map(({ cluster }) => cluster))].sort((a, b) => a - b);
    const claim = (runs: readonly Run[], path: string, set: FileSet | undefined, offset: bigint): void => {
      for (const { first, count } of runs) {
        for (let index = lowerBound(clusters, first); index < clusters.length && clusters[index]! < first + count; index += 1) {
          if (!owners.has(clusters[index]!)) owners.set(clusters[index]!, { path, set, offset });
        }
      }
    };
    const { root, bitmapRuns, upcase: table } = this.#facts;
    claim(bitmapRuns, "the allocation bitmap", undefined, 0n);
    claim(root.runs, "/", undefined, 0n);
    claim(await this.#clusters(table.allocation), "the up-case table", undefined, 0n);
    for await (const walked of walkVolume(this.#medium, root, this.#table, signal)) {
      if (walked.kind !== "file" || walked.set === undefined) continue;
      const offset = slotOffset(this.#medium, walked.directory, walked.item.slot + 1) + 20n;
      for (const allocation of [walked.set.allocation, ...walked.set.extras])
        claim(await this.#clusters(allocation), walked.path, walked.set, offset);
    }
    for (const { seen, cluster, runs } of this.#crossings) {
      const owner = owners.get(cluster);
      const text = `its cluster ${cluster} belongs to ${owner?.path ?? "another entry"} too`;
      const where = { offset: seen.offset, path: seen.path, text };
      if (owner?.set !== undefined && owner.offset !== seen.offset && isTwin(owner.set, seen.set)) {
        this.#find("entry-twice", { ...where, mending: "left of a move that was cut: this entry goes, the other stays" }, dropping(seen));
      } else {
        this.#lost = true;
        const mend: Finding["mend"] = (mending) => copyApart(mending, seen, runs);
        this.#find("cross-linked", { ...where, mending: "it gets a copy of its own" }, seen.mendable ? mend : async () => {}, "copy");
      }
    }
  }

  async compareBitmap(signal: AbortSignal): Promise<void> {
    const { clusterCount } = this.#medium;
    const bytes = Math.ceil(clusterCount / 8);
    let leaked = 0;
    let open: { first: number; count: number } | undefined;
    const close = () => {
      if (open !== undefined && this.#leaked.length < LEAKED_RUNS_MAX) this.#leaked.push(open);
      open = undefined;
    };
    for (let at = 0; at < bytes; at += CLUSTER_SET_PAGE_BYTES) {
      signal.throwIfAborted();
      const length = Math.min(CLUSTER_SET_PAGE_BYTES, bytes - at);
      const taken = await this.#bitmap.bytes(at, length);
      const used = this.#used.bytes(at, length);
      for (let byte = 0; byte < length; byte += 1) {
        let bits = taken[byte]! & ~used[byte]!;
        if (at + byte === bytes - 1 && clusterCount % 8 !== 0) bits = this.#tail(bits, taken[byte]!);
        if (bits === 0) {
          close();
          continue;
        }
        for (let bit = 0; bit < 8; bit += 1) {
          const cluster = (at + byte) * 8 + bit + FIRST_CLUSTER;
          if ((bits & (1 << bit)) === 0 || (await this.#isBad(cluster))) close();
          else {
            leaked += 1;
            open ??= { first: cluster, count: 0 };
            open.count += 1;
          }
        }
      }
    }
    close();
    const [first] = this.#leaked;
    if (first === undefined) return;
    const bit = first.first - FIRST_CLUSTER;
    const offset = this.#medium.offsetOf(this.#facts.bitmapRuns[0]!.first) + BigInt(Math.floor(bit / 8));
    const text = `${leaked} clusters are taken that nobody owns, from cluster ${first.first} on`;
    const mend: Finding["mend"] = this.#blind ? undefined : ({ bitmap }) => bitmap.mark(this.#leaked, false);
    this.#find("leaked-clusters", { offset, text, mending: "they are freed, or put into files where entries were lost" }, mend, "leak");
  }

  async #isBad(cluster: number): Promise<boolean> {
    return viewOf(await this.#medium.read(this.#medium.fatOffsetOf(cluster), 4)).getUint32(0, true) === BAD_CLUSTER;
  }

  /** Bits of the last byte that stand for no cluster are reserved, and 0. */
  #tail(bits: number, taken: number): number {
    const { clusterCount } = this.#medium;
    const mask = (1 << (clusterCount % 8)) - 1;
    if ((taken & ~mask) !== 0) {
      const runs = this.#facts.bitmapRuns;
      const lastByte = Math.ceil(clusterCount / 8) - 1;
      let left = lastByte;
      let offset = 0n;
      for (const { first, count } of runs) {
        const held = count * this.#medium.clusterBytes;
        if (left < held) offset = this.#medium.offsetOf(first) + BigInt(left);
        if (left < held) break;
        left -= held;
      }
      const text = `the bitmap's last byte is ${hex(taken)}: bits that stand for no cluster are set`;
      this.#find("bitmap-tail", { offset, text, mending: "they are cleared" }, async ({ medium }) => {
        const [now] = await medium.read(offset, 1);
        await medium.write(offset, Uint8Array.of(now! & mask));
      });
    }
    return bits & mask;
  }

  async flags(): Promise<void> {
    const sector = await this.#medium.read(0n, this.#medium.sectorBytes);
    const flags = viewOf(sector).getUint16(EXFAT_FLAGS_AT, true);
    const percent = sector[EXFAT_PERCENT_AT]!;
    const actual = await this.#bitmap.percentInUse();
    if ((flags & EXFAT_FLAG.mediaFailure) !== 0) {
      this.#find("media-failure", {
        offset: BigInt(EXFAT_FLAGS_AT),
        text: "the volume says that its medium failed: copy what matters off it",
      });
    }
    if ((flags & EXFAT_FLAG.dirty) !== 0) {
      const offset = BigInt(EXFAT_FLAGS_AT);
      this.#find(
        "dirty",
        { offset, text: "the volume was not closed properly", mending: "the flag is cleared" },
        async ({ medium }) => {
          const now = await medium.read(offset, 2);
          now[0] = now[0]! & ~EXFAT_FLAG.dirty;
          await medium.write(offset, now);
        },
        "flag",
      );
    }
    if (percent !== actual && percent !== 0xff) {
      const text = `${percent} percent in use by the boot sector, ${actual} by the bitmap`;
      const offset = BigInt(EXFAT_PERCENT_AT);
      this.#find(
        "percent-in-use",
        { offset, text, mending: "it is written anew" },
        ({ medium }) => medium.write(offset, Uint8Array.of(actual)),
        "flag",
      );
    }
  }
}

// Mendings

/** Other bytes for a set, in its place; what it gets shorter is marked as unused. */
const rewriting =
  ({ directory, slot, entries }: Pick<Seen, "directory" | "slot" | "entries">, changed: Uint8Array) =>
  async ({ medium }: Mending): Promise<void> =>
    await applyEdits(medium, directory, [
      ...clearingEdits({ slot: slot + changed.length / ENTRY_BYTES, entries: entries.subarray(changed.length) }),
      ...settingEdits(slot, changed),
    ]);

const dropping =
  ({ directory, slot, entries }: Seen) =>
  async ({ medium }: Mending): Promise<void> =>
    await applyEdits(medium, directory, clearingEdits({ slot, entries }));

/** Both names of a move that was cut say the same of everything but the name. */
const isTwin = (a: FileSet, b: FileSet): boolean =>
  a.allocation.firstCluster === b.allocation.firstCluster &&
  a.allocation.dataBytes === b.allocation.dataBytes &&
  a.attributes === b.attributes &&
  a.createdMs === b.createdMs;

/** Gives a set clusters of its own, with what its clusters hold. */
async function copyApart({ medium, bitmap }: Mending, seen: Seen, runs: readonly Run[]): Promise<void> {
  const count = runs.reduce((sum, run) => sum + run.count, 0);
  const fresh = await bitmap.findFree(count);
  const source = clustersIn(runs);
  for (const cluster of clustersIn(fresh)) {
    const from = source.next().value;
    if (from === undefined) break;
    for (let done = 0; done < medium.clusterBytes; done += COPY_BYTES) {
      const length = Math.min(COPY_BYTES, medium.clusterBytes - done);
      await medium.write(medium.offsetOf(cluster) + BigInt(done), await medium.read(medium.offsetOf(from) + BigInt(done), length));
    }
  }
  if (fresh.length > 1) await medium.writeChain(fresh);
  await bitmap.mark(fresh, true);
  await medium.flush();
  const { dataBytes } = seen.set.allocation;
  const held = BigInt(count) * BigInt(medium.clusterBytes);
  const allocation = { firstCluster: fresh[0]!.first, dataBytes: smaller(dataBytes, held), noFatChain: fresh.length === 1 };
  const validBytes = smaller(seen.set.validBytes, allocation.dataBytes);
  await applyEdits(medium, seen.directory, settingEdits(seen.slot, withAllocation(seen.entries, allocation, { validBytes })));
}

const COPY_BYTES = 1 << 20;

function* clustersIn(runs: readonly Run[]): Generator<number> {
  for (const { first, count } of runs) for (let index = 0; index < count; index += 1) yield first + index;
}

/** A name like `name` that nobody in the folder has, and that takes no more entries. */
async function unusedName(medium: Medium, directory: Directory, name: string, table: UpcaseTable): Promise<string | undefined> {
  const unitsMax = Math.min((entriesOfName(name.length) - 2) * 15, 255);
  const dot = name.lastIndexOf(".");
  const [stem, extension] = dot > 0 && name.length - dot < 8 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  const unitsMin = entriesOfName(name.length) > 3 ? unitsMax - 14 : 1;
  const taken = new Set<string>();
  for (let number = 2; number < 1000; number += 1) {
    const tail = `~${number}${extension}`;
    const candidate = `${stem.slice(0, Math.max(0, unitsMax - tail.length))}${tail}`;
    if (candidate.length < unitsMin) continue;
    if (taken.size === 0) {
      for await (const item of scanDirectory(medium, directory)) {
        const other = item.kind === "file" ? nameOfSet(item.entries) : undefined;
        if (other?.includes("~") === true) taken.add(upcase(other, table));
      }
    }
    if (!taken.has(upcase(candidate, table))) return candidate;
  }
  return undefined;
}

/** The first slot from `slot` on whose kind is not 0. */
async function nextEntry(medium: Medium, directory: Directory, slot: number): Promise<number | undefined> {
  for (let at = slot; at < slotsOf(directory); ) {
    const entries = await readSlots(medium, directory, at, 1024);
    for (let byte = 0; byte < entries.length; byte += ENTRY_BYTES) if (entries[byte] !== ENTRY.end) return at + byte / ENTRY_BYTES;
    at += 1024;
  }
  return undefined;
}

/** Gives the kind byte of slots `from` to `to` another value where `kind` says one. */
async function fillSlots(
  medium: Medium,
  directory: Directory,
  from: number,
  to: number,
  kind: (type: number) => number | undefined,
): Promise<void> {
  for (let slot = from; slot < to; slot += 1) {
    const entry = await medium.read(slotOffset(medium, directory, slot), ENTRY_BYTES);
    const becomes = kind(entry[0]!);
    if (becomes === undefined) continue;
    const bytes = new Uint8Array(ENTRY_BYTES);
    bytes[0] = becomes;
    await applyEdits(medium, directory, [{ slot, bytes }]);
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

function lowerBound(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

async function writeOver(medium: Medium, runs: readonly Run[], bytes: Uint8Array): Promise<void> {
  let done = 0;
  for (const { first, count } of runs) {
    const piece = bytes.subarray(done, done + count * medium.clusterBytes);
    await medium.write(medium.offsetOf(first), piece);
    done += piece.length;
  }
}

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
