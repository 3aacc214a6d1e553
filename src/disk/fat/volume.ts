/**
 * A FAT volume that is read and changed without mounting. The order of writes: data into free clusters, then their chain into both FATs, then a flush, then the
 * entry that makes them a file. What goes loses its entry first; its clusters are freed when that is on the medium. So a cut leaves each file that was there
 * before whole, and at worst clusters that nobody owns, two FATs that differ, an entry in two places, or the dirty flags: what `check.ts` finds.
 */
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { decodeFsInfo, encodeFsInfo, FAT_BOOT_BYTES, FAT_FLAG, labelAt } from "../../formats/fat-boot.ts";
import {
  ATTRIBUTE,
  decodeShortEntry,
  ENTRY_BYTES,
  encodeDotEntries,
  encodeShortEntry,
  FIRST_BYTE,
  isDirectoryEntry,
  type ShortEntry,
  withData,
} from "../../formats/fat-entries.ts";
import { type CodePage, decodeFatLabel, encodeFatLabel, fatLabelFault, longNameFault, NO_NAME } from "../../formats/fat-names.ts";
import type { Extent } from "../../image/volume-tree.ts";
import type { BlockStore } from "../block-store.ts";
import { ClusterSet } from "../cluster-set.ts";
import type { Run } from "../content-writer.ts";
import type { ByteRange, NewFile, Volume, VolumeEntry, VolumeFormat, VolumeSpace } from "../volume.ts";
import { DEPTH_MAX, FREED_RUNS_MAX, minimum, partsOf, readExtents, spanOf, Turns, volumeUsage, writeContent } from "../volume-work.ts";
import {
  brokenChain,
  DIRECTORY_BYTES_MAX,
  type Directory,
  type FileItem,
  isRoot,
  openDirectory,
  openRoot,
  readFileAt,
  readSlots,
  scanDirectory,
  shortEntryOf,
  slotOffset,
} from "./directory.ts";
import { FreeMap } from "./free-map.ts";
import { DEFAULT_CODE_PAGE } from "./layout.ts";
import { type ChainEnd, FatMedium, followChain, freeLinks } from "./medium.ts";
import { readBootSectors } from "./open.ts";
import {
  addSet,
  applyEdits,
  type Changing,
  chooseShortName,
  clearingEdits,
  entriesFor,
  inOneSector,
  keysOf,
  nameKey,
  removeSet,
  replaceShortEntry,
  Surveys,
  settingEdits,
} from "./slots.ts";

export interface OpenFatOptions {
  /** Nothing is written, not even the dirty flags. */
  readonly readOnly?: boolean;
  /** Of 8.3 names with bytes from 0x80 on, and of the label. Undefined: 437, as Linux takes it. */
  readonly codePage?: CodePage;
}

export const FILE_BYTES_MAX = 0xffff_ffffn;

/**
 * Opens the volume that fills `store`. What is odd but bearable is told to `job.progress`: a boot sector that is damaged (FAT32: its copy is used), dirty
 * flags, damaged entries as a listing meets them. `store` stays the caller's. Throws HiperisoError with an offset where there is no FAT volume.
 */
export async function openFat(store: BlockStore, options: OpenFatOptions, job: Job): Promise<Volume> {
  const { boot, fault } = await readBootSectors(store);
  if (fault !== undefined) job.progress.warn(fault.message);
  const medium = new FatMedium(store, boot);
  const readOnlyBecause =
    options.readOnly === true
      ? "it was opened for reading only"
      : fault !== undefined
        ? "its boot sector is damaged: repair it first"
        : boot.sectorBytes < store.sectorBytes
          ? `its sectors of ${boot.sectorBytes} bytes are smaller than those of the disk, ${store.sectorBytes}`
          : undefined;
  const codePage = options.codePage ?? DEFAULT_CODE_PAGE;
  const head = await medium.link(1);
  const flags = await medium.bootFlags();
  const dirty = (flags & FAT_FLAG.dirty) !== 0 || (head & medium.closedBit) !== medium.closedBit;
  if (dirty) job.progress.warn(`${store.name}: the FAT volume was not closed properly; check it`);
  if ((head & medium.soundBit) !== medium.soundBit)
    job.progress.warn(`${store.name}: the FAT volume says that its medium has failed before`);
  const root = await openRoot(medium);
  let label: string | undefined;
  let labelSlot: number | undefined;
  for await (const item of scanDirectory(medium, root, codePage)) {
    if (item.kind !== "label") continue;
    label = decodeFatLabel(item.entries, codePage);
    labelSlot = item.slot;
    break;
  }
  label ??= boot.label === undefined ? "" : decodeFatLabel(boot.label, codePage);
  return new FatVolume(medium, { codePage, label, labelSlot, dirty, readOnlyBecause, job });
}

interface Found {
  readonly directory: Directory;
  readonly item: FileItem;
  readonly entry: ShortEntry;
}

interface VolumeFacts {
  readonly codePage: CodePage;
  readonly label: string;
  readonly labelSlot: number | undefined;
  readonly dirty: boolean;
  readonly readOnlyBecause: string | undefined;
  readonly job: Job;
}

class FatVolume implements Volume, Changing {
  readonly format: VolumeFormat;
  readonly where: string;
  readonly readOnlyBecause: string | undefined;
  readonly medium: FatMedium;
  readonly codePage: CodePage;
  readonly surveys: Surveys;
  readonly #free: FreeMap;
  readonly #job: Job;
  #label: string;
  #labelSlot: number | undefined;
  readonly #dirtyBefore: boolean;
  #dirty = false;
  #changed = false;
  /** Clusters whose owner is gone but may still be on the medium: they are freed after a flush. */
  #waiting: Run[] = [];
  readonly #turns = new Turns();

  constructor(medium: FatMedium, { codePage, label, labelSlot, dirty, readOnlyBecause, job }: VolumeFacts) {
    this.medium = medium;
    this.format = `fat${medium.boot.bits}`;
    this.where = medium.where;
    this.readOnlyBecause = readOnlyBecause;
    this.codePage = codePage;
    this.surveys = new Surveys(medium, codePage);
    this.#free = new FreeMap(medium);
    this.#job = job;
    this.#label = label;
    this.#labelSlot = labelSlot;
    this.#dirtyBefore = dirty;
  }

  get label(): string {
    return this.#label;
  }

  // Reading

  async *list(path: string): AsyncGenerator<VolumeEntry> {
    const directory = await this.#walk(partsOf(path), "list a folder");
    for await (const item of scanDirectory(this.medium, directory, this.codePage)) {
      if (item.kind === "file") yield await this.#entryOf(item);
      else if (item.kind === "orphan") {
        this.#job.progress.warn(this.#damage(directory, item.slot, "parts of a long name that belong to no file").message);
      }
    }
    if (directory.end.kind !== "whole") throw brokenChain(this.medium, "list a folder", directory.path, directory.end);
  }

  async stat(path: string): Promise<VolumeEntry | undefined> {
    const parts = partsOf(path);
    if (parts.length === 0) {
      const root = await openRoot(this.medium);
      const none = { readOnly: false, hidden: false, system: false, modifiedMs: null };
      return { name: "", kind: "directory", sizeBytes: BigInt(root.bytes), ...none };
    }
    const found = await this.#lookUp(parts);
    return found === undefined ? undefined : await this.#entryOf(found.item);
  }

  async #entryOf({ entries, name }: FileItem): Promise<VolumeEntry> {
    const { attributes, firstCluster, sizeBytes, modifiedMs } = decodeShortEntry(shortEntryOf(entries), this.medium.boot.bits);
    const isDirectory = (attributes & ATTRIBUTE.directory) !== 0;
    return {
      name,
      kind: isDirectory ? "directory" : "file",
      sizeBytes: isDirectory ? BigInt(await this.#clustersIn(firstCluster)) * BigInt(this.medium.clusterBytes) : BigInt(sizeBytes),
      modifiedMs,
      readOnly: (attributes & ATTRIBUTE.readOnly) !== 0,
      hidden: (attributes & ATTRIBUTE.hidden) !== 0,
      system: (attributes & ATTRIBUTE.system) !== 0,
    };
  }

  /** Of a folder, which says nowhere how large it is. */
  async #clustersIn(firstCluster: number): Promise<number> {
    const following = followChain(this.medium, firstCluster, Math.max(1, DIRECTORY_BYTES_MAX / this.medium.clusterBytes));
    for (let next = await following.next(); ; next = await following.next()) if (next.done === true) return next.value.clusters;
  }

  async *read(path: string, range?: ByteRange): AsyncGenerator<Uint8Array> {
    const { entry } = await this.#file(path, "read a file");
    const { start, end } = spanOf(range, BigInt(entry.sizeBytes), this.where, path);
    yield* readExtents(this.medium.store, this.#extentsOf(entry, path, start, end));
  }

  async *extents(path: string): AsyncGenerator<Extent> {
    const { entry } = await this.#file(path, "find a file's extents");
    yield* this.#extentsOf(entry, path, 0n, BigInt(entry.sizeBytes));
  }

  /** Bytes `start` to `end` of a file as they lie on the medium, neighbours together. Throws where its chain ends before. */
  async *#extentsOf(entry: ShortEntry, path: string, start: bigint, end: bigint): AsyncGenerator<Extent> {
    if (start >= end) return;
    let position = 0n;
    for await (const { first, count } of this.#runs(entry.firstCluster, end, path)) {
      const bytes = BigInt(count) * BigInt(this.medium.clusterBytes);
      const from = position > start ? position : start;
      const to = minimum(position + bytes, end);
      if (from < to) yield { offset: this.medium.offsetOf(first) + (from - position), bytes: to - from };
      position += bytes;
    }
  }

  /** The clusters of a file's first `bytes` bytes. Throws where there are fewer. */
  async *#runs(firstCluster: number, bytes: bigint, path: string): AsyncGenerator<Run> {
    const clusters = this.medium.clustersOf(bytes);
    const following = followChain(this.medium, firstCluster, clusters);
    for (let next = await following.next(); ; next = await following.next()) {
      if (next.done !== true) {
        yield next.value;
        continue;
      }
      if (next.value.clusters >= clusters) return;
      const { end, at } = shortChain(this.medium, next.value, firstCluster, clusters);
      throw brokenChain(this.medium, "follow a file's clusters", path, { ...end, at });
    }
  }

  async space(): Promise<VolumeSpace> {
    const waiting = this.#waiting.reduce((sum, { count }) => sum + count, 0);
    const free = (await this.#free.freeClusters()) + waiting;
    const { clusterBytes, heapBytes } = this.medium;
    return { totalBytes: heapBytes, freeBytes: BigInt(free) * BigInt(clusterBytes), clusterBytes };
  }

  // Finding

  /** The folder that these parts lead to. */
  async #walk(parts: readonly string[], what: string): Promise<Directory> {
    if (parts.length > DEPTH_MAX) throw this.#usage(what, "", `a path of ${DEPTH_MAX} folders at most`, `${parts.length}`);
    let directory = await openRoot(this.medium);
    for (const [index, part] of parts.entries()) {
      const found = await this.#find(directory, part);
      const path = `/${parts.slice(0, index + 1).join("/")}`;
      if (found === undefined) throw this.#usage(what, path, "a folder", "nothing of that name");
      if ((found.entry.attributes & ATTRIBUTE.directory) === 0) throw this.#usage(what, path, "a folder", "a file");
      directory = await this.#open(found, path);
    }
    return directory;
  }

  async #open({ directory, item, entry }: Found, path: string): Promise<Directory> {
    return await openDirectory(this.medium, path, entry.firstCluster, { directory, slot: item.slot, entries: item.entries });
  }

  async #lookUp(parts: readonly string[]): Promise<Found | undefined> {
    if (parts.length > DEPTH_MAX) return undefined;
    let directory = await openRoot(this.medium);
    for (const [index, part] of parts.entries()) {
      const found = await this.#find(directory, part);
      if (found === undefined || index === parts.length - 1) return found;
      if ((found.entry.attributes & ATTRIBUTE.directory) === 0) return undefined;
      directory = await this.#open(found, `/${parts.slice(0, index + 1).join("/")}`);
    }
    return undefined;
  }

  async #file(path: string, what: string): Promise<Found> {
    const parts = partsOf(path);
    const found = parts.length === 0 ? undefined : await this.#lookUp(parts);
    if (parts.length === 0 || (found !== undefined && (found.entry.attributes & ATTRIBUTE.directory) !== 0)) {
      throw this.#usage(what, path, "a file", "a folder");
    }
    if (found === undefined) throw this.#usage(what, path, "a file", "nothing of that name");
    return found;
  }

  /** By its long name or its 8.3 name. */
  async #find(directory: Directory, name: string): Promise<Found | undefined> {
    const wanted = nameKey(name);
    const { names } = await this.surveys.of(directory);
    const slot = names === undefined ? await this.#search(directory, wanted) : names.get(wanted);
    const item = slot === undefined ? undefined : await readFileAt(this.medium, directory, slot, this.codePage);
    if (item !== undefined) return { directory, item, entry: decodeShortEntry(shortEntryOf(item.entries), this.medium.boot.bits) };
    if (directory.end.kind === "whole") return undefined;
    throw brokenChain(this.medium, "look into a folder", directory.path, directory.end); // it may stand in what is lost
  }

  /** In a folder with more names than are kept. */
  async #search(directory: Directory, wanted: string): Promise<number | undefined> {
    for await (const item of scanDirectory(this.medium, directory, this.codePage)) {
      if (item.kind === "file" && keysOf(item, this.codePage).includes(wanted)) return item.slot;
    }
    return undefined;
  }

  #usage(what: string, path: string, expected: string, found: string): HiperisoError {
    return volumeUsage(this.where, what, path, expected, found);
  }

  #damage(directory: Directory, slot: number, text: string): HiperisoError {
    const where = `${this.where}@${slotOffset(this.medium, directory, slot)}`;
    const hint = "Check the volume and repair it.";
    return new HiperisoError({ what: "use an entry", where, expected: `whole entries in ${directory.path}`, found: text, hint });
  }

  // Changing

  /** One change after another. */
  async #change<T>(what: string, path: string, change: () => Promise<T>): Promise<T> {
    return await this.#turns.take(async () => {
      if (this.readOnlyBecause !== undefined) throw this.#usage(what, path, "a volume that can be written", this.readOnlyBecause);
      if (this.medium.failed) throw this.#usage(what, path, "a volume whose last write succeeded", "one that failed: open it again");
      try {
        return await change();
      } catch (error) {
        this.surveys.forgetAll();
        throw error;
      }
    });
  }

  /** Before the first write of a change: from here on a cut shows. */
  async #begin(): Promise<void> {
    this.#changed = true;
    if (this.#dirty) return;
    await this.medium.writeBootFlags((await this.medium.bootFlags()) | FAT_FLAG.dirty);
    await this.medium.markClosed(false);
    await this.#writeFsInfo(undefined);
    await this.medium.flush();
    this.#dirty = true;
  }

  /** Undefined: the number of free clusters is not known while it changes. */
  async #writeFsInfo(freeClusters: number | undefined): Promise<void> {
    const { fsInfoSector } = this.medium.boot;
    if (fsInfoSector === 0) return;
    const offset = this.medium.sectorOffset(fsInfoSector);
    if (decodeFsInfo(await this.medium.read(offset, FAT_BOOT_BYTES)) === undefined) return; // somebody else's sector: the check mends it
    await this.medium.write(offset, encodeFsInfo({ freeClusters, nextFree: await this.#free.lowestFree() }));
  }

  async takeChain(count: number, wanted?: (cluster: number) => boolean): Promise<readonly Run[]> {
    if (count > (await this.#free.freeClusters())) await this.#freeWaiting();
    const runs = await this.#free.findFree(count, wanted);
    await this.#begin();
    if (count === 0) return runs;
    await this.medium.writeChain(runs);
    await this.#free.mark(runs, true);
    return runs;
  }

  /** Room for a file, before anything is written: not yet in the FAT. */
  async #findRoom(count: number): Promise<readonly Run[]> {
    if (count > (await this.#free.freeClusters())) await this.#freeWaiting();
    return await this.#free.findFree(count);
  }

  /** Frees what lost its owner, when that is on the medium. */
  async #freeWaiting(): Promise<void> {
    if (this.#waiting.length === 0) return;
    await this.medium.flush();
    const runs = this.#waiting.sort((a, b) => a.first - b.first);
    this.#waiting = [];
    await this.medium.setLinks(freeLinks(runs));
    await this.#free.mark(runs, false);
  }

  async #freeLater(runs: readonly Run[]): Promise<void> {
    for (const run of runs) this.#waiting.push(run);
    if (this.#waiting.length > FREED_RUNS_MAX) await this.#freeWaiting();
  }

  async write(path: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, file: NewFile, job: Job): Promise<void> {
    const what = "write a file";
    await this.#change(what, path, async () => {
      const { parent, name } = await this.#target(path, what);
      const old = await this.#find(parent, name);
      if (old !== undefined && (old.entry.attributes & ATTRIBUTE.directory) !== 0)
        throw this.#usage(what, path, "no folder of that name", "one");
      if (old !== undefined && file.replace !== true) throw this.#usage(what, path, "no file of that name", "one");
      if (file.sizeBytes < 0n) throw this.#usage(what, path, "a size of 0 or more", `${file.sizeBytes}`);
      if (file.sizeBytes > FILE_BYTES_MAX)
        throw this.#usage(what, path, `at most ${FILE_BYTES_MAX} bytes (4 GiB - 1), as FAT can say of a file`, `${file.sizeBytes}`);
      const freed = old === undefined ? [] : await this.#allRuns(old.entry, path);
      const runs = await this.#findRoom(this.medium.clustersOf(file.sizeBytes));
      const shortName = old === undefined ? await chooseShortName(this, parent, name) : old.entry.name;
      await this.#begin();
      await writeContent(this.medium, runs, { path, content, sizeBytes: file.sizeBytes }, job);
      if (runs.length > 0) {
        await this.medium.writeChain(runs);
        await this.#free.mark(runs, true);
        await this.medium.flush();
      }
      const data = { firstCluster: runs[0]?.first ?? 0, sizeBytes: Number(file.sizeBytes) };
      if (old === undefined) {
        const entry = encodeShortEntry({ name: shortName, attributes: ATTRIBUTE.archive, ...data, timeMs: file.modifiedMs });
        await this.#orFree(runs, async () => void (await addSet(this, parent, name, entriesFor(name, shortName, entry))));
      } else {
        const entry = withData(shortEntryOf(old.item.entries), data.firstCluster, data.sizeBytes, file.modifiedMs);
        await replaceShortEntry(this, { directory: old.directory, ...old.item }, entry);
        await this.#freeLater(freed);
      }
    });
  }

  /** Gives back clusters whose entry finds no room in its folder. */
  async #orFree(runs: readonly Run[], addEntry: () => Promise<void>): Promise<void> {
    try {
      await addEntry();
    } catch (error) {
      if (error instanceof HiperisoError && error.kind === "usage" && !this.medium.failed) await this.#freeLater(runs);
      throw error;
    }
  }

  async makeDirectory(path: string, modifiedMs: number): Promise<void> {
    const what = "make a folder";
    await this.#change(what, path, async () => {
      const { parent, name } = await this.#target(path, what);
      if ((await this.#find(parent, name)) !== undefined) throw this.#usage(what, path, "nothing of that name", "something");
      const shortName = await chooseShortName(this, parent, name);
      const [run] = await this.takeChain(1, (cluster) => !this.medium.straddles(cluster));
      const firstCluster = run!.first;
      const { clusterBytes } = this.medium;
      const bytes = new Uint8Array(clusterBytes);
      bytes.set(encodeDotEntries(firstCluster, isRoot(parent) ? 0 : parent.firstCluster, modifiedMs));
      await this.medium.write(this.medium.offsetOf(firstCluster), bytes);
      await this.medium.flush();
      const entry = encodeShortEntry({ name: shortName, attributes: ATTRIBUTE.directory, firstCluster, sizeBytes: 0, timeMs: modifiedMs });
      await this.#orFree([run!], async () => void (await addSet(this, parent, name, entriesFor(name, shortName, entry))));
    });
  }

  /** The folder and the name that a path gives something new. */
  async #target(path: string, what: string): Promise<{ readonly parent: Directory; readonly name: string }> {
    const parts = partsOf(path);
    const name = parts.pop();
    if (name === undefined) throw this.#usage(what, path, "a path below the root", "the root");
    const fault = longNameFault(name);
    if (fault !== undefined) throw this.#usage(what, path, "a name that FAT can hold", fault);
    const parent = await this.#walk(parts, what);
    this.#refuseDamaged(parent, what);
    return { parent, name };
  }

  #refuseDamaged(directory: Directory, what: string): void {
    if (directory.end.kind !== "whole") throw brokenChain(this.medium, what, directory.path, directory.end);
  }

  async rename(from: string, to: string): Promise<void> {
    const what = "rename";
    await this.#change(what, from, async () => {
      const parts = partsOf(from);
      const source = parts.length === 0 ? undefined : await this.#lookUp(parts);
      if (source === undefined) throw this.#usage(what, from, "a file or folder", parts.length === 0 ? "the root" : "nothing of that name");
      this.#refuseDamaged(source.directory, what);
      const { parent, name } = await this.#target(to, what);
      const there = await this.#find(parent, name);
      const stays = sameDirectory(parent, source.directory);
      const itself = there !== undefined && stays && there.item.slot === source.item.slot;
      if (there !== undefined && !itself) throw this.#usage(what, to, "nothing of that name", "something");
      const isDirectory = (source.entry.attributes & ATTRIBUTE.directory) !== 0;
      if (isDirectory) this.#refuseInto(source, parent, to);
      if (itself && source.item.name === name) return;
      const shortName = await chooseShortName(this, parent, name, stays ? source.item : undefined);
      const entries = entriesFor(name, shortName, shortEntryOf(source.item.entries));
      const moved = isDirectory && !stays ? await this.#open(source, from) : undefined;
      if (moved !== undefined) this.#refuseDamaged(moved, what);
      await this.#begin();
      if (stays && (await this.#renameInPlace(source, entries))) return;
      const added = await addSet(this, parent, name, entries);
      await this.medium.flush();
      if (moved !== undefined) await this.#pointUp(moved, isRoot(parent) ? 0 : parent.firstCluster);
      // The folder that holds the old entries may be the one that grew.
      await removeSet(this, sameDirectory(added.directory, source.directory) ? added.directory : source.directory, source.item);
      // Both had the same 8.3 name, maybe.
      this.surveys.forget(source.directory.firstCluster);
    });
  }

  #refuseInto(source: Found, parent: Directory, to: string): void {
    for (let at: Directory | undefined = parent; at !== undefined; at = at.place?.directory) {
      if (!isRoot(at) && at.firstCluster === source.entry.firstCluster) {
        throw this.#usage("rename", to, "a place outside the folder that is moved", "one inside it");
      }
    }
  }

  /** The new `..` of a folder that moves. A cut before leaves one that the check mends; nobody reads it to find a file. */
  async #pointUp(directory: Directory, parentCluster: number): Promise<void> {
    const entry = await readSlots(this.medium, directory, 1, 1);
    if (entry[0] !== 0x2e || entry[1] !== 0x2e) return;
    await applyEdits(this.medium, directory, [{ slot: 1, bytes: withData(entry, parentCluster, 0) }]);
  }

  /** Where the new entries are no more than the old ones and all lie in one sector one write does it. False: nothing was written. */
  async #renameInPlace({ directory, item }: Found, entries: Uint8Array): Promise<boolean> {
    const before = item.entries.length / ENTRY_BYTES;
    const count = entries.length / ENTRY_BYTES;
    if (count > before) return false;
    // At the end of the old place, so that what becomes free lies in front.
    const slot = item.slot + before - count;
    const edits = [
      ...clearingEdits({ slot: item.slot, entries: item.entries.subarray(0, (before - count) * ENTRY_BYTES) }),
      ...settingEdits(slot, entries),
    ];
    if (!inOneSector(this.medium, edits)) return false;
    await applyEdits(this.medium, directory, edits);
    this.surveys.removed(directory, item);
    this.surveys.forget(directory.firstCluster);
    return true;
  }

  async remove(path: string, options: { readonly recursive?: boolean } = {}): Promise<void> {
    const what = "remove";
    await this.#change(what, path, async () => {
      const parts = partsOf(path);
      const found = parts.length === 0 ? undefined : await this.#lookUp(parts);
      if (found === undefined) throw this.#usage(what, path, "a file or folder", parts.length === 0 ? "the root" : "nothing of that name");
      this.#refuseDamaged(found.directory, what);
      const isDirectory = (found.entry.attributes & ATTRIBUTE.directory) !== 0;
      if (isDirectory && options.recursive !== true) {
        for await (const item of scanDirectory(this.medium, await this.#open(found, path), this.codePage)) {
          if (item.kind === "file") throw this.#usage(what, path, "an empty folder", "one that holds something");
        }
      }
      const following = this.#owned(found.entry, path);
      while ((await following.next()).done !== true); // all of it can be followed, before any of it goes
      await this.#begin();
      await removeSet(this, found.directory, found.item);
      for await (const run of this.#owned(found.entry, path)) await this.#freeLater([run]);
      if (isDirectory) this.surveys.forgetAll(); // also of folders that are gone
    });
  }

  /** All clusters of a file's chain, also those behind its size: they are its own. */
  async #allRuns(entry: ShortEntry, path: string): Promise<readonly Run[]> {
    const runs: Run[] = [];
    for await (const run of this.#owned(entry, path)) runs.push(run);
    return runs;
  }

  /** All clusters of a file or folder and of what is below it. Throws where something is damaged, or two own the same. */
  async *#owned(top: ShortEntry, topPath: string): AsyncGenerator<Run> {
    const seen = new ClusterSet();
    const claim = (cluster: number) => seen.add({ first: cluster, count: 1 }) === undefined;
    const waiting = [{ entry: top, path: topPath }];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { entry, path } = next;
      if ((entry.attributes & ATTRIBUTE.directory) === 0) {
        if (entry.firstCluster !== 0) yield* this.#wholeChain(entry.firstCluster, path, claim);
        continue;
      }
      const directory = await openDirectory(this.medium, path, entry.firstCluster, undefined, claim);
      if (directory.end.kind !== "whole") throw brokenChain(this.medium, "remove a folder", path, directory.end);
      for await (const item of scanDirectory(this.medium, directory, this.codePage)) {
        if (item.kind !== "file") continue;
        const inner = { entry: decodeShortEntry(shortEntryOf(item.entries), this.medium.boot.bits), path: `${path}/${item.name}` };
        if (isDirectoryEntry(shortEntryOf(item.entries))) waiting.push(inner);
        else if (inner.entry.firstCluster !== 0) yield* this.#wholeChain(inner.entry.firstCluster, inner.path, claim);
      }
      yield* directory.runs;
    }
  }

  async *#wholeChain(firstCluster: number, path: string, claim: (cluster: number) => boolean): AsyncGenerator<Run> {
    const following = followChain(this.medium, firstCluster, this.medium.clusterCount, claim);
    for (let next = await following.next(); ; next = await following.next()) {
      if (next.done !== true) yield next.value;
      else if (next.value.kind === "whole") return;
      else throw brokenChain(this.medium, "follow a file's clusters", path, next.value);
    }
  }

  async setLabel(label: string): Promise<void> {
    const what = "set the label";
    await this.#change(what, "/", async () => {
      const fault = fatLabelFault(label, this.codePage);
      if (fault !== undefined) throw this.#usage(what, "/", "at most 11 characters that a FAT label can hold", fault);
      const root = await openRoot(this.medium);
      this.#refuseDamaged(root, what);
      const bytes = encodeFatLabel(label === "" ? NO_NAME : label, this.codePage);
      await this.#begin();
      await this.#writeLabelEntry(root, label === "" ? undefined : bytes);
      const { boot } = this.medium;
      if (boot.label !== undefined) {
        await this.medium.write(BigInt(labelAt(boot.bits)), bytes);
        if (boot.backupSector !== 0)
          await this.medium.write(this.medium.sectorOffset(boot.backupSector) + BigInt(labelAt(boot.bits)), bytes);
      }
      this.#label = decodeFatLabel(bytes, this.codePage);
    });
  }

  async #writeLabelEntry(root: Directory, name: Uint8Array | undefined): Promise<void> {
    if (this.#labelSlot !== undefined) {
      const entry = await readSlots(this.medium, root, this.#labelSlot, 1);
      if (name === undefined) entry[0] = FIRST_BYTE.deleted;
      else entry.set(name);
      await applyEdits(this.medium, root, [{ slot: this.#labelSlot, bytes: entry }]);
      if (name === undefined) this.#labelSlot = undefined;
    } else if (name !== undefined) {
      const entry = encodeShortEntry({ name, attributes: ATTRIBUTE.label, firstCluster: 0, sizeBytes: 0, timeMs: 0 });
      this.#labelSlot = (await addSet(this, root, "", entry)).slot;
    }
    this.surveys.forget(root.firstCluster);
  }

  async flush(): Promise<void> {
    await this.#turns.take(async () => {
      if (!this.#changed || this.medium.failed) return;
      await this.#freeWaiting();
      await this.#writeFsInfo(await this.#free.freeClusters());
      await this.medium.flush();
      if (!this.#dirtyBefore) {
        await this.medium.markClosed(true);
        await this.medium.writeBootFlags((await this.medium.bootFlags()) & ~FAT_FLAG.dirty);
        await this.medium.flush();
      }
      this.#dirty = false;
      this.#changed = false;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
  }
}

/** A chain that ended in order, but too early, as an error. */
function shortChain(
  medium: FatMedium,
  end: ChainEnd,
  firstCluster: number,
  clusters: number,
): { readonly end: Exclude<ChainEnd, { kind: "whole" }>; readonly at: bigint } {
  if (end.kind !== "whole") return { end, at: end.at };
  const text = `its chain ends after ${end.clusters} of ${clusters} clusters`;
  const at = medium.fatOffsetOf(firstCluster);
  return { end: { kind: "outside", clusters: end.clusters, at, text, cluster: firstCluster, last: 0 }, at };
}

const sameDirectory = (a: Directory, b: Directory): boolean => a.firstCluster === b.firstCluster;
