/**
 * What is wrong with a FAT volume, and what would mend each: one walk over all of it. Check prints the first, repair does the second. It finds what
 * `fsck.fat` 4.2 does not look at too: names that are one but for their case, long names with forbidden characters, folders beyond the limit.
 *
 * Memory: two bits for each cluster, two numbers for each name of the folders that are open, a piece of each of these folders.
 */
import type { HiperisoError } from "../../contract/error.ts";
import { hex } from "../../formats/bytes.ts";
import { shortNameChecksum } from "../../formats/fat.ts";
import {
  decodeFatBoot,
  decodeFsInfo,
  encodeFsInfo,
  FAT_BOOT_BYTES,
  FAT_FLAG,
  FAT32_CLUSTERS,
  fatBytesFor,
  flagsAt,
  labelAt,
} from "../../formats/fat-boot.ts";
import {
  ATTRIBUTE,
  ENTRY_BYTES,
  encodeDotEntries,
  encodeLongEntries,
  encodeShortEntry,
  FIRST_BYTE,
  firstClusterOf,
  hasLongNameFields,
  isDirectoryEntry,
  isWholeLongName,
  longEntriesOf,
  longNameOf,
  withChecksumOf,
  withData,
  withShortName,
} from "../../formats/fat-entries.ts";
import {
  type CodePage,
  couldBeShortOf,
  decodeFatLabel,
  encodeFatLabel,
  longNameFault,
  mendedFatLabel,
  mendedLongName,
  NO_NAME,
  SHORT_NAME_BYTES,
  shortNameFault,
  shortNameFor,
  shortNameText,
} from "../../formats/fat-names.ts";
import type { BlockStore } from "../block-store.ts";
import { ClusterSet } from "../cluster-set.ts";
import type { Run } from "../content-writer.ts";
import { hashOf, NameHashes } from "../name-hashes.ts";
import type { VolumeProblem } from "../volume.ts";
import {
  countOf,
  DIRECTORY_BYTES_MAX,
  type Directory,
  type DirectoryItem,
  type FileItem,
  isRoot,
  openRoot,
  readSlots,
  type SetPlace,
  scanDirectory,
  shortEntryOf,
  slotOffset,
  slotsOf,
} from "./directory.ts";
import { FreeMap } from "./free-map.ts";
import { DEFAULT_CODE_PAGE } from "./layout.ts";
import { type ChainEnd, END_OF_CHAIN, FatMedium, FIRST_CLUSTER, FREE, followChain, freeLinks } from "./medium.ts";
import { readBootSectors } from "./open.ts";
import { addSet, applyEdits, type Changing, clearingEdits, keysOf, nameKey, type SlotEdit, Surveys, settingEdits } from "./slots.ts";
import { childPath, type Owner, readDots, type Walked, type WalkedFile, walkVolume } from "./walk.ts";

/** What a mending may use: the medium, which of its clusters are free, and all that somebody owns. */
export interface Mending extends Changing {
  readonly free: FreeMap;
  readonly names: FolderNames;
  readonly used: ClusterSet;
}

export interface Finding {
  readonly problem: VolumeProblem;
  /** Mendings of a lower stage come first, and the volume is walked again before the next: what they change decides what is left. */
  readonly stage: Stage;
  readonly mend?: (mending: Mending) => Promise<void>;
}

/**
 * `fat`: which FAT is right. `entry`: in its place. `copy`: takes free clusters or names, so both must be known. `lost`: clusters that nobody owns, when nothing is
 * damaged that could own them. `flag`: what says that all is well.
 */
export type Stage = "fat" | "entry" | "copy" | "lost" | "flag";

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
/** Names that are there twice, of one folder. */
const DUPLICATES_MAX = 10_000;

/** `findingsMax`: how many are kept, in memory. Throws HiperisoError where there is no volume. */
export async function inspectFat(
  store: BlockStore,
  signal: AbortSignal,
  onFile: () => void,
  findingsMax = FINDINGS_MAX,
): Promise<Inspection> {
  const { boot, fault, backupOffset } = await readBootSectors(store);
  const active = boot.onlyFat ?? 0;
  const medium = new FatMedium(store, boot, active);
  const difference = boot.onlyFat === undefined ? await firstDifference(medium, signal) : undefined;
  let chosen = await inspectWith(medium, findingsMax, signal, onFile);
  for (let fat = 0; fat < boot.fatCount && difference !== undefined; fat += 1) {
    if (fat === active) continue;
    const other = await inspectWith(new FatMedium(store, boot, fat), findingsMax, signal, () => {});
    if (other.trouble < chosen.trouble) chosen = other;
  }
  const inspector = chosen;
  await inspector.bootSectors(fault, backupOffset);
  if (difference !== undefined) inspector.fatsDiffer(difference);
  await inspector.finish(signal);
  return inspector.result();
}

async function inspectWith(medium: FatMedium, findingsMax: number, signal: AbortSignal, onFile: () => void): Promise<Inspector> {
  const inspector = new Inspector(medium, findingsMax);
  for await (const walked of walkVolume(medium, inspector.codePage, (cluster) => inspector.claim(cluster), signal)) {
    await inspector.see(walked);
    onFile();
  }
  return inspector;
}

const COMPARED_BYTES = 1 << 18;

/** The first byte in which another FAT differs from the one that counts: of entries, not of what lies behind them. */
async function firstDifference(medium: FatMedium, signal: AbortSignal): Promise<bigint | undefined> {
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

/** All names of the folder in which one was mended last: the next one is often there too. */
export class FolderNames {
  #directory: Directory | undefined;
  #keys = new Set<string>();
  readonly #numbers = new Map<string, number>();

  async of({ medium, codePage }: Pick<Mending, "medium" | "codePage">, directory: Directory): Promise<Set<string>> {
    if (this.#directory === directory) return this.#keys;
    this.#directory = directory;
    this.#keys = new Set();
    this.#numbers.clear();
    for await (const item of scanDirectory(medium, directory, codePage)) {
      if (item.kind === "file") for (const key of keysOf(item, codePage)) this.#keys.add(key);
    }
    return this.#keys;
  }

  /** The number to try next after names that start alike. */
  numberFor(stem: string): number {
    const number = (this.#numbers.get(stem) ?? 1) + 1;
    this.#numbers.set(stem, number);
    return number;
  }
}

/** A file or folder whose chain runs into clusters of another, or of itself. */
interface Crossing {
  readonly walked: WalkedFile;
  readonly end: Exclude<ChainEnd, { kind: "whole" }>;
}

/** Long entries without a file, and where. */
interface Orphan {
  readonly directory: Directory;
  readonly item: Extract<DirectoryItem, { kind: "orphan" }>;
}

class Inspector {
  readonly codePage: CodePage = DEFAULT_CODE_PAGE;
  readonly #medium: FatMedium;
  readonly #used = new ClusterSet();
  readonly #findings: Finding[] = [];
  readonly #findingsMax: number;
  #cut = false;
  #complete = true;
  /** Chains that are broken, by which one of two FATs is the better. */
  trouble = 0;
  #files = 0;
  #directories = 0;
  readonly #names = new Map<Directory, NameHashes>();
  readonly #crossings: Crossing[] = [];
  /** Folders in which something stands behind the end. */
  readonly #behindEnds: { readonly directory: Directory; readonly endSlot: number; readonly from: number }[] = [];
  #labels = 0;
  /** 11 bytes, as they are. */
  #rootLabel: Uint8Array | undefined;
  /** Of the item before this one. */
  #orphan: Orphan | undefined;
  readonly #mending: Mending;

  constructor(medium: FatMedium, findingsMax: number) {
    this.#medium = medium;
    this.#findingsMax = findingsMax;
    const free = new FreeMap(medium);
    const takeChain = async (count: number): Promise<readonly Run[]> => {
      const runs = await free.findFree(count);
      await medium.writeChain(runs);
      await free.mark(runs, true);
      return runs;
    };
    this.#mending = {
      medium,
      codePage: this.codePage,
      surveys: new Surveys(medium, this.codePage),
      free,
      names: new FolderNames(),
      used: this.#used,
      takeChain,
    };
  }

  result(): Inspection {
    return {
      findings: this.#findings,
      cut: this.#cut,
      files: this.#files,
      directories: this.#directories,
      complete: this.#complete,
      mending: this.#mending,
    };
  }

  claim(cluster: number): boolean {
    return this.#used.add({ first: cluster, count: 1 }) === undefined;
  }

  #find(
    id: string,
    { offset, path, text, mending }: { offset: bigint; path?: string | undefined; text: string; mending?: string },
    mend?: Finding["mend"],
    stage: Stage = "entry",
  ): void {
    if (this.#findings.length >= this.#findingsMax) {
      this.#cut = true;
      return;
    }
    const problem = { id, offset, path, text, mending: mend === undefined ? undefined : mending };
    this.#findings.push(mend === undefined ? { problem, stage } : { problem, stage, mend });
  }

  // What belongs to the volume itself

  async bootSectors(fault: HiperisoError | undefined, backupOffset: bigint | undefined): Promise<void> {
    const { boot } = this.#medium;
    if (fault !== undefined && backupOffset !== undefined) {
      const text = fault.found === undefined ? fault.message : `the boot sector: expected ${fault.expected}, found ${fault.found}`;
      this.#find("boot-sector", { offset: 0n, text, mending: "its copy is written over it" }, async ({ medium }) => {
        const copy = await medium.read(backupOffset, FAT_BOOT_BYTES);
        copy[flagsAt(32)] = copy[flagsAt(32)]! | FAT_FLAG.dirty; // until the walk is through
        await medium.write(0n, copy);
      });
      return;
    }
    const sector = await this.#medium.read(0n, FAT_BOOT_BYTES);
    if (sector[510] !== 0x55 || sector[511] !== 0xaa) {
      const text = `the boot sector ends in ${hex(sector[510]!)} ${hex(sector[511]!)}`;
      this.#find("boot-signature", { offset: 510n, text, mending: "0x55 0xAA is written" }, async ({ medium }) => {
        await medium.write(510n, Uint8Array.of(0x55, 0xaa));
      });
    }
    if (boot.bits === 32 && this.#medium.clusterCount < FAT32_CLUSTERS) {
      const text = `${this.#medium.clusterCount} clusters: by Microsoft's paper that is no FAT32, by all known systems it is`;
      this.#find("few-clusters", { offset: 32n, text });
    }
    if (boot.backupSector !== 0) await this.#backupSector(sector);
  }

  async #backupSector(sector: Uint8Array): Promise<void> {
    const offset = this.#medium.sectorOffset(this.#medium.boot.backupSector);
    const backup = await this.#medium.read(offset, FAT_BOOT_BYTES);
    const at = sector.findIndex((byte, index) => byte !== backup[index] && index !== flagsAt(32));
    if (at < 0) return;
    const text = `the copy of the boot sector differs from byte ${at} on`;
    this.#find(
      "backup-boot-sector",
      { offset: offset + BigInt(at), text, mending: "the boot sector is written over it" },
      async ({ medium }) => {
        const copy = await medium.read(0n, FAT_BOOT_BYTES);
        decodeFatBoot(copy, medium.where); // never a bad one over the only good one
        copy[flagsAt(32)] = copy[flagsAt(32)]! & ~FAT_FLAG.dirty;
        await medium.write(offset, copy);
      },
    );
  }

  fatsDiffer(offset: bigint): void {
    const { activeFat } = this.#medium;
    const text = `the FATs differ; number ${activeFat + 1} has the better chains`;
    this.#find(
      "fats-differ",
      { offset, text, mending: `it is written over the other` },
      async ({ medium }) => {
        const bytes = fatBytesFor(medium.boot.bits, medium.clusterCount);
        for (let at = 0; at < bytes; at += COMPARED_BYTES) {
          const piece = await medium.read(medium.fatOffsetOf(0) + BigInt(at), Math.min(COMPARED_BYTES, bytes - at));
          for (let fat = 0; fat < medium.boot.fatCount; fat += 1) {
            if (fat === medium.activeFat) continue;
            const there = await medium.read(medium.fatOffsetOf(0, fat) + BigInt(at), piece.length);
            if (!Buffer.from(there).equals(piece)) await medium.write(medium.fatOffsetOf(0, fat) + BigInt(at), piece);
          }
        }
      },
      "fat",
    );
  }

  /** What can be said when all entries were seen. */
  async finish(signal: AbortSignal): Promise<void> {
    await this.#fatHead();
    await this.#label();
    await this.#nameOwners(signal);
    for (const behind of this.#behindEnds) await this.#behindEnd(behind);
    await this.#lostClusters(signal);
    await this.#flags();
  }

  async #fatHead(): Promise<void> {
    const medium = this.#medium;
    const [zero, one] = [await medium.link(0), await medium.link(1)];
    const wanted = (END_OF_CHAIN - 0xff) | medium.boot.media;
    const mask = medium.boot.bits === 12 ? 0xfff : medium.boot.bits === 16 ? 0xffff : 0x0fff_ffff;
    if (zero === (wanted & mask) && medium.isEnd(one | medium.closedBit | medium.soundBit)) return;
    const text = `the FAT starts with ${hex(zero)} and ${hex(one)}`;
    this.#find("fat-head", { offset: medium.fatOffsetOf(0), text, mending: "both are written anew" }, async () => {
      await medium.setLinks([
        [0, wanted],
        [1, END_OF_CHAIN & ~medium.closedBit],
      ]);
    });
  }

  async #label(): Promise<void> {
    const { boot } = this.#medium;
    if (boot.label === undefined) return;
    const inBoot = decodeFatLabel(boot.label, this.codePage);
    const offset = BigInt(labelAt(boot.bits));
    const bytes = this.#rootLabel;
    const root = bytes === undefined ? undefined : decodeFatLabel(bytes, this.codePage);
    if (root === inBoot || (root === undefined && inBoot === "")) return;
    if (bytes === undefined) {
      const text = `the label ${JSON.stringify(inBoot)} of the boot sector is not in the root, where systems look for it`;
      this.#find(
        "label",
        { offset, text, mending: "it is put into the root" },
        async (mending) => {
          const name = encodeFatLabel(inBoot, this.codePage);
          const entry = encodeShortEntry({ name, attributes: ATTRIBUTE.label, firstCluster: 0, sizeBytes: 0, timeMs: 0 });
          await addSet(mending, await openRoot(mending.medium), "", entry);
        },
        "copy",
      );
      return;
    }
    const text = `the boot sector has the label ${JSON.stringify(inBoot)}, the root ${JSON.stringify(root)}`;
    this.#find("label", { offset, text, mending: "the boot sector gets that of the root" }, async ({ medium }) => {
      const name = root === "" ? encodeFatLabel(NO_NAME, this.codePage) : bytes;
      await medium.write(offset, name);
      if (boot.backupSector !== 0) await medium.write(medium.sectorOffset(boot.backupSector) + offset, name);
    });
  }

  // What stands in folders

  async see(walked: Walked): Promise<void> {
    const orphan = this.#orphan;
    this.#orphan = undefined;
    if (orphan !== undefined && !(await this.#namedByOrphan(orphan, walked))) this.#orphanEntries(orphan.directory, orphan.item);
    if (walked.kind === "entered") await this.#entered(walked.directory);
    else if (walked.kind === "left") await this.#left(walked.directory);
    else if (walked.kind === "other") await this.#otherEntry(walked.directory, walked.item);
    else await this.#file(walked);
  }

  async #entered(directory: Directory): Promise<void> {
    this.#directories += 1;
    this.#names.set(directory, new NameHashes());
    if (directory.bytes > DIRECTORY_BYTES_MAX) {
      const offset = slotOffset(this.#medium, directory, 0);
      this.#find("large-directory", { offset, path: directory.path, text: `${slotsOf(directory)} entries, more than 65,536` });
    }
    if (!isRoot(directory)) return await this.#dots(directory);
    if (directory.end.kind === "whole") return;
    this.trouble += 1;
    this.#complete = false;
    const { end } = directory;
    this.#find("root-chain", { offset: end.at, path: "/", text: end.text, mending: "the root ends there" }, ({ medium }) =>
      medium.setLinks([[end.last, END_OF_CHAIN]]),
    );
  }

  /** A folder starts with `.` and `..`. */
  async #dots(directory: Directory): Promise<void> {
    const { medium } = this.#mending;
    const dots = await readDots(medium, directory);
    const wrong = dots.findIndex(({ right }) => !right);
    if (wrong < 0) return;
    const { path } = directory;
    const offset = slotOffset(medium, directory, wrong);
    const text = `its entry ${wrong === 0 ? "." : ".."} is not what it must be`;
    this.#find("dot-entries", { offset, path, text, mending: "it is written anew" }, async () => {
      const bytes = encodeDotEntries(directory.firstCluster, dots[1]!.cluster, 0);
      for (const [slot, { entry, cluster, named, right }] of dots.entries()) {
        if (right) continue;
        const fresh = named ? withData(entry, cluster, 0) : bytes.slice(slot * ENTRY_BYTES, (slot + 1) * ENTRY_BYTES);
        fresh[11] = ATTRIBUTE.directory;
        await applyEdits(medium, directory, [{ slot, bytes: fresh }]);
      }
    });
  }

  #notFolder({ path, entry, end }: WalkedFile, place: SetPlace): void {
    this.trouble += 1;
    this.#complete = false;
    const offset = slotOffset(this.#medium, place.directory, place.slot + countOf(place) - 1) + 11n;
    const text = "its entry says that it is a folder, and its clusters hold none";
    this.#find("not-a-directory", { offset, path, text, mending: "it becomes a file with all that is in them" }, async ({ medium }) => {
      const size = BigInt(end.clusters) * BigInt(medium.clusterBytes);
      const changed = withData(shortEntryOf(place.entries), entry.firstCluster, Number(size > 0xffff_ffffn ? 0xffff_ffffn : size));
      changed[11] = (changed[11]! & ~ATTRIBUTE.directory) | ATTRIBUTE.archive;
      await rewriteShort(medium, place, changed);
    });
  }

  #pointsTo(entry: Uint8Array, cluster: number): boolean {
    return firstClusterOf(entry, this.#medium.boot.bits) === cluster;
  }

  async #otherEntry(directory: Directory, item: Exclude<DirectoryItem, { kind: "file" }>): Promise<void> {
    if (item.kind === "free") return;
    if (item.kind === "end") {
      const from = await nextUsed(this.#medium, directory, item.slot + 1);
      if (from !== undefined && this.#behindEnds.length < this.#findingsMax) this.#behindEnds.push({ directory, endSlot: item.slot, from });
    } else if (item.kind === "orphan") this.#orphan = { directory, item };
    else if (item.kind === "label") this.#labelEntry(directory, item);
    else if (isRoot(directory) || item.slot > 1) {
      const text = "an entry . or .. that is not at its folder's start";
      this.#dropped("misplaced-dot", directory, item, text);
    }
  }

  #labelEntry(directory: Directory, item: Extract<DirectoryItem, { kind: "label" | "dot" }>): void {
    if (isRoot(directory) && this.#labels === 0) {
      this.#labels = 1;
      this.#labelFields(directory, item);
      this.#rootLabel = item.entries.slice(0, SHORT_NAME_BYTES);
      return;
    }
    this.#dropped("extra-label", directory, item, isRoot(directory) ? "a second label" : "a volume's label that is not in the root");
  }

  #labelFields(directory: Directory, { slot, entries }: Extract<DirectoryItem, { kind: "label" | "dot" }>): void {
    const name = entries.subarray(0, SHORT_NAME_BYTES);
    const better = mendedFatLabel(name);
    const data = [...entries.subarray(20, 22), ...entries.subarray(26)].some((byte) => byte !== 0);
    if (!data && Buffer.from(better).equals(name)) return;
    const offset = slotOffset(this.#medium, directory, slot);
    const text = data ? "the label has a size or clusters" : "the label holds what no label may";
    this.#find("label-entry", { offset, path: "/", text, mending: "it is written anew" }, async ({ medium }) => {
      const entry = withData(entries, 0, 0);
      entry.set(better);
      await applyEdits(medium, directory, [{ slot, bytes: entry }]);
    });
  }

  #dropped(id: string, directory: Directory, item: { readonly slot: number; readonly entries: Uint8Array }, text: string): void {
    const offset = slotOffset(this.#medium, directory, item.slot);
    this.#find(id, { offset, path: directory.path, text, mending: "it is marked as deleted" }, ({ medium }) =>
      applyEdits(medium, directory, clearingEdits(item)),
    );
  }

  #orphanEntries(directory: Directory, item: { readonly slot: number; readonly entries: Uint8Array }): void {
    this.#dropped("orphan-long-name", directory, item, "parts of a long name that belong to no file");
  }

  /** Long entries that are a whole name but for their sum, in front of an 8.3 entry for which that may be the name. */
  async #namedByOrphan(orphan: Orphan, walked: Walked): Promise<boolean> {
    const { directory, item } = orphan;
    if (walked.kind !== "file" || walked.directory !== directory || walked.item.long || walked.item.slot !== item.slot + countOf(item))
      return false;
    if (!isWholeLongName(item.entries)) return false;
    const short = walked.item.entries.subarray(0, SHORT_NAME_BYTES);
    const checksum = shortNameChecksum(short);
    const some = settingEdits(0, item.entries).some(({ bytes }) => bytes[13] === checksum);
    if (!some && !couldBeShortOf(short, longNameOf(item.entries))) return false;
    const offset = slotOffset(this.#medium, directory, item.slot) + 13n;
    const text = `its long name has another sum than its 8.3 name, ${hex(checksum)}`;
    this.#find("long-name-checksum", { offset, path: walked.path, text, mending: "the sum is written anew" }, ({ medium }) =>
      applyEdits(medium, directory, settingEdits(item.slot, withChecksumOf(item.entries, short))),
    );
    return true;
  }

  async #file(walked: WalkedFile): Promise<void> {
    const { directory, item, path, entry, inner } = walked;
    if (inner === undefined) this.#files += 1;
    const short = shortEntryOf(item.entries);
    const shortSlot = item.slot + countOf(item) - 1;
    const at = (byte: number) => slotOffset(this.#medium, directory, shortSlot) + BigInt(byte);
    const hashes = this.#names.get(directory);
    for (const key of keysOf(item, this.codePage)) hashes?.add(key);

    if ((entry.attributes & ATTRIBUTE.label) !== 0) {
      const text = "its attributes say that it is a folder and a label";
      this.#find("attributes", { offset: at(11), path, text, mending: "it is a folder" }, ({ medium }) => {
        const changed = short.slice();
        changed[11] = changed[11]! & ~ATTRIBUTE.label;
        return rewriteShort(medium, { directory, ...item }, changed);
      });
    }
    this.#nameOf(walked, shortSlot);
    if (inner !== undefined) this.#folder(walked, inner, at);
    else await this.#chain(walked, at);
  }

  #nameOf({ directory, item, path }: WalkedFile, shortSlot: number): void {
    const short = shortEntryOf(item.entries);
    const bad = shortNameFault(short);
    if (bad !== undefined) {
      const offset = slotOffset(this.#medium, directory, shortSlot) + BigInt(bad);
      const text = `its 8.3 name holds ${hex(short[bad]!)}`;
      const name = item.long ? item.name : mendedLongName(item.name);
      this.#find(
        "short-name",
        { offset, path, text, mending: "it gets another" },
        (mending) => renameShort(mending, directory, item, name),
        "copy",
      );
      return;
    }
    const fault = item.long ? longNameFault(item.name) : undefined;
    const offset = slotOffset(this.#medium, directory, item.slot);
    if (fault === undefined) {
      const long = item.entries.subarray(0, item.entries.length - ENTRY_BYTES);
      if (hasLongNameFields(long)) return;
      const text = "fields of its long name that have one value alone have another";
      this.#find("long-name-fields", { offset, path, text, mending: "it is written anew" }, async ({ medium }) => {
        await rewriteLong(medium, directory, item, encodeLongEntries(item.name, short.subarray(0, SHORT_NAME_BYTES)));
      });
      return;
    }
    const better = mendedLongName(item.name);
    const mending = item.name === "" ? "its 8.3 name is all that it keeps" : "what is forbidden becomes _";
    this.#find("long-name", { offset, path, text: `its name holds ${fault}`, mending }, async ({ medium }) => {
      const long = item.name === "" ? new Uint8Array() : encodeLongEntries(better, short.subarray(0, SHORT_NAME_BYTES));
      await rewriteLong(medium, directory, item, long);
    });
  }

  #folder(walked: WalkedFile, inner: Directory, at: (byte: number) => bigint): void {
    const { directory, item, path, entry, end, tooDeep, plausible } = walked;
    const place = { directory, ...item };
    const short = shortEntryOf(item.entries);
    if (tooDeep) {
      this.#complete = false;
      this.#find("too-deep", { offset: at(26), path, text: "more folders within folders than any system can use: not looked into" });
      return;
    }
    if (!plausible) {
      this.#notFolder(walked, place);
      return;
    }
    if (entry.sizeBytes !== 0) {
      const text = `a folder of ${entry.sizeBytes} bytes: folders have 0`;
      this.#find("directory-size", { offset: at(28), path, text, mending: "0 is written" }, ({ medium }) =>
        rewriteShort(medium, place, withData(short, entry.firstCluster, 0)),
      );
    }
    if (end.kind === "whole") return;
    this.trouble += 1;
    this.#complete = false;
    if (end.kind === "claimed") {
      this.#crossing(walked, end);
      return;
    }
    if (end.kind === "long") return; // read as far as anybody could want; `large-directory` says it
    if (inner.bytes > 0) {
      this.#find("chain", { offset: end.at, path, text: end.text, mending: "the folder ends there" }, ({ medium }) =>
        medium.setLinks([[end.last, END_OF_CHAIN]]),
      );
      return;
    }
    const text = end.text;
    this.#find(
      "no-clusters",
      { offset: at(26), path, text, mending: "it becomes an empty folder" },
      async (mending) => {
        const [run] = await mending.takeChain(1);
        const bytes = new Uint8Array(mending.medium.clusterBytes);
        bytes.set(encodeDotEntries(run!.first, isRoot(directory) ? 0 : directory.firstCluster, 0));
        await mending.medium.write(mending.medium.offsetOf(run!.first), bytes);
        await mending.medium.flush();
        await rewriteShort(mending.medium, place, withData(short, run!.first, 0));
      },
      "copy",
    );
  }

  #crossing(walked: WalkedFile, end: Crossing["end"]): void {
    if (this.#crossings.length < this.#findingsMax) this.#crossings.push({ walked, end });
    else this.#cut = true;
  }

  async #chain(walked: WalkedFile, at: (byte: number) => bigint): Promise<void> {
    const { directory, item, path, entry, end } = walked;
    const place = { directory, ...item };
    const short = shortEntryOf(item.entries);
    const wanted = this.#medium.clustersOf(BigInt(entry.sizeBytes));
    if (end.kind === "claimed" && end.clusters < wanted) {
      this.trouble += 1;
      this.#complete = false;
      this.#crossing(walked, end);
      return;
    }
    if (wanted === 0 && entry.firstCluster !== 0) {
      this.#complete = false;
      const text = `it has 0 bytes and clusters from ${entry.firstCluster} on`;
      this.#find("size-zero", { offset: at(26), path, text, mending: "they become a file of their own" }, ({ medium }) =>
        rewriteShort(medium, place, withData(short, 0, 0)),
      );
      return;
    }
    if (end.clusters < wanted) {
      this.trouble += 1;
      this.#complete = false;
      const text = end.kind === "whole" ? `its chain has ${end.clusters} of the ${wanted} clusters of ${entry.sizeBytes} bytes` : end.text;
      const offset = end.kind === "whole" ? at(28) : end.at;
      this.#find("chain", { offset, path, text, mending: "the file ends there" }, async ({ medium }) => {
        if (end.kind !== "whole" && end.clusters > 0) await medium.setLinks([[end.last, END_OF_CHAIN]]);
        await rewriteShort(medium, place, withData(short, end.clusters === 0 ? 0 : entry.firstCluster, end.clusters * medium.clusterBytes));
      });
      return;
    }
    if (end.clusters === wanted && end.kind === "whole") return;
    this.#complete = false;
    const text =
      end.clusters === wanted && end.kind !== "whole"
        ? end.text
        : `its chain goes on behind the ${wanted} clusters of ${entry.sizeBytes} bytes`;
    this.#find("chain-long", { offset: at(28), path, text, mending: "the chain ends with the file" }, async ({ medium }) => {
      const last = await clusterOfChain(medium, entry.firstCluster, wanted);
      if (last !== undefined) await medium.setLinks([[last, END_OF_CHAIN]]);
    });
  }

  /** Names that are there twice. */
  async #left(directory: Directory): Promise<void> {
    const twice = this.#names.get(directory)?.twice();
    this.#names.delete(directory);
    if (twice === undefined || twice.size === 0) return;
    const first = new Map<string, { readonly slot: number; readonly name: string; readonly short: Uint8Array }>();
    for await (const item of scanDirectory(this.#medium, directory, this.codePage)) {
      if (this.#cut) return;
      if (item.kind !== "file") continue;
      const keys = keysOf(item, this.codePage).filter((key) => twice.has(hashOf(key)));
      const before = keys.map((key) => first.get(key)).find((other) => other !== undefined);
      if (before !== undefined) this.#duplicate(directory, item, before);
      else if (first.size > DUPLICATES_MAX) this.#cut = true;
      else for (const key of keys) first.set(key, { slot: item.slot, name: item.name, short: shortEntryOf(item.entries).slice() });
    }
  }

  #duplicate(
    directory: Directory,
    item: FileItem,
    before: { readonly slot: number; readonly name: string; readonly short: Uint8Array },
  ): void {
    const short = shortEntryOf(item.entries);
    if (isTwin(short, before.short) && firstClusterOf(short, this.#medium.boot.bits) === 0) {
      this.#dropped("entry-twice", directory, item, "the same empty file as another entry, left of a rename that was cut");
      return;
    }
    const path = childPath(directory.path, item.name);
    const offset = slotOffset(this.#medium, directory, item.slot);
    const text = `the same name as the entry at slot ${before.slot} of its folder`;
    const sameLong = nameKey(item.name) === nameKey(before.name);
    const mend: Finding["mend"] = async (mending) =>
      await renameShort(mending, directory, item, sameLong ? await unusedName(mending, directory, item) : item.name);
    const canBe = directory.bytes <= DIRECTORY_BYTES_MAX;
    this.#find("duplicate-name", { offset, path, text, mending: "the later one gets another name" }, canBe ? mend : undefined, "copy");
  }

  // What two own, what nobody owns

  /** Walks again, to say whose the clusters of a crossing are. */
  async #nameOwners(signal: AbortSignal): Promise<void> {
    if (this.#crossings.length === 0) return;
    const wanted = new Set(this.#crossings.map(({ end }) => end.cluster));
    const owners = new Map<number, Owner>();
    const used = new ClusterSet();
    const claim = (cluster: number, owner: Owner): boolean => {
      const mine = used.add({ first: cluster, count: 1 }) === undefined;
      if (mine && wanted.has(cluster)) owners.set(cluster, owner);
      return mine;
    };
    for await (const _ of walkVolume(this.#medium, this.codePage, claim, signal));
    for (const { walked, end } of this.#crossings) this.#crossed(walked, end, owners.get(end.cluster));
  }

  #crossed({ directory, item, path, entry, inner }: WalkedFile, end: Crossing["end"], owner: Owner | undefined): void {
    const short = shortEntryOf(item.entries);
    const place = { directory, ...item };
    const offset = end.clusters === 0 ? slotOffset(this.#medium, directory, item.slot + countOf(item) - 1) + 26n : end.at;
    const ownerEntry = owner?.shortEntry;
    if (end.clusters > 0 && owner?.path === path && ownerEntry !== undefined && Buffer.from(ownerEntry).equals(short)) {
      const text = `its chain comes back to cluster ${end.cluster}`;
      this.#find("chain", { offset, path, text, mending: "it ends there" }, async ({ medium }) => {
        await medium.setLinks([[end.last, END_OF_CHAIN]]);
        const size = inner === undefined ? Math.min(entry.sizeBytes, end.clusters * medium.clusterBytes) : 0;
        await rewriteShort(medium, place, withData(short, entry.firstCluster, size));
      });
      return;
    }
    const text = `its cluster ${end.cluster} belongs to ${owner?.path ?? "another entry"} too`;
    const isOtherFolder = ownerEntry === undefined || (isDirectoryEntry(ownerEntry) && this.#pointsTo(ownerEntry, entry.firstCluster));
    const again = inner !== undefined && end.clusters === 0 && isOtherFolder;
    if (again || (ownerEntry !== undefined && isTwin(short, ownerEntry))) {
      const mending = "left of a move that was cut, or a folder that holds itself: this entry goes, the other stays";
      this.#find("entry-twice", { offset, path, text, mending }, ({ medium }) => applyEdits(medium, directory, clearingEdits(item)));
      return;
    }
    this.#find(
      "cross-linked",
      { offset, path, text, mending: "it gets a copy of its own" },
      (mending) => copyApart(mending, place, entry.firstCluster),
      "copy",
    );
  }

  /** Whatever stands behind the first entry that starts with 0 is not there for any reader. Files with clusters that nobody else has were cut off by damage. */
  async #behindEnd({ directory, endSlot, from }: { directory: Directory; endSlot: number; from: number }): Promise<void> {
    let hidden: number | undefined;
    let to = from;
    for (let slot: number | undefined = from; slot !== undefined; slot = await nextUsed(this.#medium, directory, to)) {
      let orphan = -1;
      for await (const item of scanDirectory(this.#medium, directory, this.codePage, slot)) {
        if (item.kind === "end") {
          to = item.slot;
          break;
        }
        const slots = item.kind === "free" ? item.count : countOf(item);
        to = item.slot + slots;
        if (item.kind === "orphan") orphan = to;
        if (item.kind === "file" && orphan !== item.slot && hidden === undefined && (await this.#couldBeFile(item))) hidden = item.slot;
      }
      if (to >= slotsOf(directory)) break;
    }
    const offset = slotOffset(this.#medium, directory, from);
    const last = to;
    if (hidden !== undefined) {
      this.#complete = false;
      const until = hidden;
      const text = `files stand behind the folder's end, which is at slot ${endSlot}`;
      this.#find("hidden-by-end", { offset, path: directory.path, text, mending: "they are shown again" }, async ({ medium }) => {
        await fillSlots(medium, directory, endSlot, until, (byte) => (byte === FIRST_BYTE.end ? FIRST_BYTE.deleted : undefined));
      });
      return;
    }
    const text = `entries stand behind the folder's end, which is at slot ${endSlot}`;
    this.#find("behind-end", { offset, path: directory.path, text, mending: "they are cleared" }, async ({ medium }) => {
      await fillSlots(medium, directory, from, last, () => FIRST_BYTE.end);
    });
  }

  async #couldBeFile({ entries }: FileItem): Promise<boolean> {
    const short = shortEntryOf(entries);
    const cluster = firstClusterOf(short, this.#medium.boot.bits);
    if (shortNameFault(short) !== undefined || (short[11]! & 0xc8) !== 0 || !this.#medium.isCluster(cluster)) return false;
    return !this.#used.has(cluster) && (await this.#medium.link(cluster)) !== FREE;
  }

  async #lostClusters(signal: AbortSignal): Promise<void> {
    const lost = await firstLost(this.#medium, this.#used, signal);
    if (lost.count === 0) return;
    const text = `${lost.count} clusters that nobody owns, from cluster ${lost.first} on`;
    const mending = "they are freed, or put into files where entries were lost";
    this.#find("lost-clusters", { offset: this.#medium.fatOffsetOf(lost.first), text, mending }, freeLost, "lost");
  }

  async #flags(): Promise<void> {
    const medium = this.#medium;
    const one = await medium.link(1);
    const flags = await medium.bootFlags();
    const flagOffset = BigInt(flagsAt(medium.boot.bits));
    if ((one & medium.soundBit) !== medium.soundBit || (flags & FAT_FLAG.surfaceTest) !== 0) {
      const text = "the volume says that its medium failed: copy what matters off it";
      this.#find("media-failure", { offset: medium.fatOffsetOf(1), text });
    }
    if ((flags & FAT_FLAG.dirty) !== 0 || (one & medium.closedBit) !== medium.closedBit) {
      const offset = (flags & FAT_FLAG.dirty) !== 0 ? flagOffset : medium.fatOffsetOf(1);
      this.#find(
        "dirty",
        { offset, text: "the volume was not closed properly", mending: "the flags are cleared" },
        () => clearDirty(medium),
        "flag",
      );
    }
    if (medium.boot.fsInfoSector === 0) return;
    const offset = medium.sectorOffset(medium.boot.fsInfoSector);
    const info = decodeFsInfo(await medium.read(offset, FAT_BOOT_BYTES));
    const free = await this.#mending.free.freeClusters();
    if (info?.freeClusters === free) return;
    const text =
      info === undefined
        ? "the FSInfo sector has not its signatures"
        : `${info.freeClusters ?? "no number of"} clusters free by FSInfo, ${free} by the FAT`;
    this.#find(
      "fsinfo",
      { offset: offset + 488n, text, mending: "it is written anew" },
      async (mending) => {
        const freeClusters = await mending.free.freeClusters();
        await medium.write(offset, encodeFsInfo({ freeClusters, nextFree: await mending.free.lowestFree() }));
      },
      "flag",
    );
  }
}

/** Both entries of a move that was cut say the same of everything but the name. */
const isTwin = (a: Uint8Array, b: Uint8Array): boolean => a[11] === b[11] && Buffer.from(a.subarray(13)).equals(b.subarray(13));

// Mendings

export async function clearDirty(medium: FatMedium): Promise<void> {
  await medium.markClosed(true);
  await medium.writeBootFlags((await medium.bootFlags()) & ~FAT_FLAG.dirty);
}

/** Another 8.3 entry in the place of one. */
async function rewriteShort(medium: FatMedium, place: SetPlace, shortEntry: Uint8Array): Promise<void> {
  await applyEdits(medium, place.directory, [{ slot: place.slot + countOf(place) - 1, bytes: shortEntry }]);
}

/** Other long entries, no more than before, in front of the same 8.3 entry. */
async function rewriteLong(medium: FatMedium, directory: Directory, item: FileItem, long: Uint8Array): Promise<void> {
  const before = countOf(item) - 1;
  const count = long.length / ENTRY_BYTES;
  const slot = item.slot + before - count;
  const edits: SlotEdit[] = clearingEdits({ slot: item.slot, entries: item.entries.subarray(0, (before - count) * ENTRY_BYTES) });
  await applyEdits(medium, directory, [...edits, ...settingEdits(slot, long)]);
}

/** Gives a file another 8.3 name that nobody has, and a long name that takes no more entries than before; without long entries the 8.3 name alone. */
async function renameShort(mending: Mending, directory: Directory, item: FileItem, name: string): Promise<void> {
  const { medium, codePage } = mending;
  const taken = await mending.names.of(mending, directory);
  const short = shortNameFor(name, (candidate) => taken.has(nameKey(candidate)), `${item.slot}`);
  const entry = withShortName(shortEntryOf(item.entries), short);
  taken.add(nameKey(shortNameText(short, 0, codePage)));
  if (!item.long) return await rewriteShort(medium, { directory, ...item }, entry);
  taken.add(nameKey(name));
  const long = encodeLongEntries(name, short);
  const clear = countOf(item) - 1 - long.length / ENTRY_BYTES;
  await applyEdits(medium, directory, [
    ...clearingEdits({ slot: item.slot, entries: item.entries.subarray(0, clear * ENTRY_BYTES) }),
    ...settingEdits(item.slot + clear, long),
    { slot: item.slot + countOf(item) - 1, bytes: entry },
  ]);
}

/** A name like the file's that nobody in the folder has, and that takes no more entries. */
async function unusedName(mending: Mending, directory: Directory, { name, long }: FileItem): Promise<string> {
  if (!long) return name; // its 8.3 name is made another
  const taken = await mending.names.of(mending, directory);
  const unitsMax = Math.min(longEntriesOf(name) * 13, 255);
  const dot = name.lastIndexOf(".");
  const [stem, extension] = dot > 0 && name.length - dot < 8 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  for (;;) {
    const tail = `~${mending.names.numberFor(nameKey(name))}${extension}`;
    const candidate = `${stem.slice(0, Math.max(0, unitsMax - tail.length))}${tail}`;
    if (!taken.has(nameKey(candidate))) return candidate;
  }
}

const COPY_BYTES = 1 << 20;

/** Gives a file or folder clusters of its own, with what its clusters hold. */
async function copyApart({ medium, takeChain, free }: Mending, place: SetPlace, firstCluster: number): Promise<void> {
  const short = shortEntryOf(place.entries);
  const size = isDirectoryEntry(short) ? undefined : BigInt(new DataView(short.buffer, short.byteOffset).getUint32(28, true));
  const clustersMax = size === undefined ? Math.max(1, DIRECTORY_BYTES_MAX / medium.clusterBytes) : medium.clustersOf(size);
  const source: number[] = [];
  const runs: Run[] = [];
  const following = followChain(medium, firstCluster, Math.min(clustersMax, (await free.freeClusters()) + 1));
  for (let next = await following.next(); next.done !== true; next = await following.next()) runs.push(next.value);
  for (const { first, count } of runs) for (let index = 0; index < count; index += 1) source.push(first + index);
  const fresh = await takeChain(source.length);
  let index = 0;
  for (const { first, count } of fresh) {
    for (let cluster = first; cluster < first + count; cluster += 1, index += 1) {
      for (let done = 0; done < medium.clusterBytes; done += COPY_BYTES) {
        const length = Math.min(COPY_BYTES, medium.clusterBytes - done);
        await medium.write(
          medium.offsetOf(cluster) + BigInt(done),
          await medium.read(medium.offsetOf(source[index]!) + BigInt(done), length),
        );
      }
    }
  }
  await medium.flush();
  const held = BigInt(source.length) * BigInt(medium.clusterBytes);
  await rewriteShort(medium, place, withData(short, fresh[0]?.first ?? 0, size === undefined ? 0 : Number(size < held ? size : held)));
}

async function clusterOfChain(medium: FatMedium, first: number, number: number): Promise<number | undefined> {
  let left = number;
  for await (const run of followChain(medium, first, number)) {
    if (left <= run.count) return run.first + left - 1;
    left -= run.count;
  }
  return undefined;
}

/** The first slot from `slot` on that does not start with 0. */
async function nextUsed(medium: FatMedium, directory: Directory, slot: number): Promise<number | undefined> {
  for (let at = slot; at < slotsOf(directory); ) {
    const entries = await readSlots(medium, directory, at, 1024);
    for (let byte = 0; byte < entries.length; byte += ENTRY_BYTES) if (entries[byte] !== FIRST_BYTE.end) return at + byte / ENTRY_BYTES;
    at += 1024;
  }
  return undefined;
}

/** Entries of slots `from` to `to` become empty ones with this first byte, where `becomes` says one. */
async function fillSlots(
  medium: FatMedium,
  directory: Directory,
  from: number,
  to: number,
  becomes: (byte: number) => number | undefined,
): Promise<void> {
  for (let slot = from; slot < to; slot += 1) {
    const entry = await readSlots(medium, directory, slot, 1);
    const first = becomes(entry[0]!);
    if (first === undefined) continue;
    const bytes = new Uint8Array(ENTRY_BYTES);
    bytes[0] = first;
    await applyEdits(medium, directory, [{ slot, bytes }]);
  }
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

async function firstLost(
  medium: FatMedium,
  used: ClusterSet,
  signal: AbortSignal,
): Promise<{ readonly first: number; readonly count: number }> {
  let [first, count] = [0, 0];
  for await (const { cluster } of lostClusters(medium, used, signal)) {
    if (count === 0) first = cluster;
    count += 1;
  }
  return { first, count };
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
