/**
 * An exFAT volume that is read and changed without mounting. The order of writes (specification 8.1, made stricter): data into free clusters,
 * then FAT and bitmap, then a flush, then the entry that makes them a file. What goes loses its entry first and its clusters after; clusters
 * that were freed are not given away again before a flush. So a cut leaves each file that was there before whole, and at worst clusters
 * that nobody owns, a folder's entry in two places, or the dirty flag: what `check.ts` finds.
 */
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { hex, viewOf } from "../../formats/bytes.ts";
import { EXFAT_FLAG, EXFAT_FLAGS_AT, EXFAT_PERCENT_AT } from "../../formats/exfat-boot.ts";
import { nameHash } from "../../formats/exfat-checksums.ts";
import {
  type Allocation,
  ATTRIBUTE,
  allocationAt,
  benignAllocation,
  decodeFileSet,
  ENTRY_BYTES,
  encodeFileSet,
  encodeLabelEntry,
  type FileSet,
  fitsInSet,
  labelFault,
  NO_ALLOCATION,
  nameFault,
  nameOfSet,
  withAllocation,
  withName,
} from "../../formats/exfat-entries.ts";
import { type UpcaseTable, upcase } from "../../formats/exfat-upcase.ts";
import type { Extent } from "../../image/volume-tree.ts";
import type { BlockStore } from "../block-store.ts";
import type { Run } from "../content-writer.ts";
import type { ByteRange, GrowingFiles, NewFile, Volume, VolumeEntry, VolumeSpace } from "../volume.ts";
import {
  DEPTH_MAX,
  FREED_RUNS_MAX,
  minimum,
  partsOf,
  readExtents,
  spanOf,
  Turns,
  volumeUsage,
  writeContent,
  zeros,
} from "../volume-work.ts";
import { AllocationBitmap } from "./allocation.ts";
import { brokenChain, type Directory, openDirectory, openRoot, readSlots, type SetPlace, scanDirectory, slotOffset } from "./directory.ts";
import { Medium } from "./medium.ts";
import { eachRun, type RootFacts, readBootRegions, readRootFacts } from "./open.ts";
import {
  addSet,
  applyEdits,
  type Changing,
  clearingEdits,
  findRoom,
  inOneSector,
  removeSet,
  replaceSet,
  Surveys,
  settingEdits,
} from "./slots.ts";

export interface OpenExfatOptions {
  /** Nothing is written, not even the dirty flag. */
  readonly readOnly?: boolean;
}

/**
 * Opens the volume that fills `store`. What is odd but bearable is told to `job.progress`: a main boot region that is damaged (the backup is used), the
 * dirty flag, damaged entries as a listing meets them. `store` stays the caller's. Throws HiperisoError with an offset where there is no
 * exFAT volume, or its boot regions, root, bitmap or up-case table cannot be read.
 */
export async function openExfat(store: BlockStore, options: OpenExfatOptions, job: Job): Promise<Volume> {
  const { main, backup } = await readBootRegions(store);
  const region = main.fault === undefined ? main : backup?.fault === undefined && backup !== undefined ? backup : main;
  if (region.boot === undefined) throw main.fault ?? new Error("a boot region without fields and without fault");
  if (main.fault !== undefined) job.progress.warn(main.fault.message);
  // Flags of the backup are stale by definition (3.1): of them only the FAT that is in force is of use here.
  const medium = new Medium(store, region.boot);
  const facts = await readRootFacts(medium);
  const { boot } = medium;
  const readOnlyBecause =
    options.readOnly === true
      ? "it was opened for reading only"
      : main.fault !== undefined
        ? "its main boot region is damaged: repair it first"
        : boot.fatCount !== 1
          ? "it is a TexFAT volume, with two FATs that are changed in turns, and how is not published"
          : facts.unknownCritical !== undefined
            ? `its root holds an entry of the unknown critical kind ${hex(facts.unknownCritical)}`
            : medium.sectorBytes < store.sectorBytes
              ? `its sectors of ${medium.sectorBytes} bytes are smaller than those of the disk, ${store.sectorBytes}`
              : undefined;
  if (facts.upcase.storedChecksum !== facts.upcase.actualChecksum) {
    job.progress.warn(`${store.name}@${facts.upcase.offset}: the up-case table does not have the sum that its entry says`);
  }
  if ((boot.flags & EXFAT_FLAG.dirty) !== 0) job.progress.warn(`${store.name}: the exFAT volume was not closed properly; check it`);
  if ((boot.flags & EXFAT_FLAG.mediaFailure) !== 0)
    job.progress.warn(`${store.name}: the exFAT volume says that its medium has failed before`);
  return new ExfatVolume(medium, facts, readOnlyBecause, job);
}

interface Found {
  readonly place: SetPlace;
  readonly set: FileSet;
}

class ExfatVolume implements Volume, Changing {
  readonly format = "exfat";
  readonly where: string;
  readonly readOnlyBecause: string | undefined;
  readonly medium: Medium;
  readonly bitmap: AllocationBitmap;
  readonly surveys: Surveys;
  readonly #table: UpcaseTable;
  readonly #job: Job;
  #label: string;
  #labelSlot: number | undefined;
  readonly #dirtyBefore: boolean;
  #dirty = false;
  /** Clusters were freed since the last flush: a cut could still bring their old owner back. */
  #freed = false;
  readonly #turns = new Turns();
  #changed = false;

  constructor(medium: Medium, facts: RootFacts, readOnlyBecause: string | undefined, job: Job) {
    this.medium = medium;
    this.where = medium.where;
    this.readOnlyBecause = readOnlyBecause;
    this.bitmap = new AllocationBitmap(medium, facts.bitmapRuns);
    this.surveys = new Surveys(medium, facts.upcase.table);
    this.#table = facts.upcase.table;
    this.#job = job;
    this.#label = facts.label;
    this.#labelSlot = facts.labelSlot;
    this.#dirtyBefore = (medium.boot.flags & EXFAT_FLAG.dirty) !== 0;
  }

  get label(): string {
    return this.#label;
  }

  // Reading

  async *list(path: string): AsyncGenerator<VolumeEntry> {
    const directory = await this.#directory(path, "list a folder");
    for await (const item of scanDirectory(this.medium, directory)) {
      if (item.kind === "file") {
        const { set, faults } = decodeFileSet(item.entries, this.#table);
        if (set !== undefined && faults.length === 0) yield entryOf(set);
        else this.#job.progress.warn(this.#damage(directory, item.slot, faults[0]?.at ?? 0, faults[0]?.text ?? "").message);
      } else if (item.kind === "broken") {
        const text = `${item.entries.length / ENTRY_BYTES} of the ${item.promised + 1} entries of a set`;
        this.#job.progress.warn(this.#damage(directory, item.slot, 0, text).message);
      }
    }
    if (directory.end.kind !== "whole" && directory.end.kind !== "long") {
      throw brokenChain(this.medium, "list a folder", directory.path, directory.end);
    }
  }

  async stat(path: string): Promise<VolumeEntry | undefined> {
    const parts = partsOf(path);
    if (parts.length === 0) {
      const root = await openRoot(this.medium);
      return {
        name: "",
        kind: "directory",
        sizeBytes: BigInt(root.bytes),
        modifiedMs: null,
        readOnly: false,
        hidden: false,
        system: false,
      };
    }
    const found = await this.#lookUp(parts);
    return found === undefined ? undefined : entryOf(found.set);
  }

  async *read(path: string, range?: ByteRange): AsyncGenerator<Uint8Array> {
    const { set } = await this.#file(path, "read a file");
    const { start, end } = spanOf(range, set.allocation.dataBytes, this.where, path);
    const written = minimum(end, set.validBytes);
    yield* readExtents(this.medium.store, this.#extentsOf(set.allocation, path, start, written));
    yield* zeros(start < written ? end - written : end - start); // never written (7.6.5)
  }

  async *extents(path: string): AsyncGenerator<Extent> {
    const { set } = await this.#file(path, "find a file's extents");
    let open: { offset: bigint; bytes: bigint } | undefined;
    for await (const { offset, bytes } of this.#extentsOf(set.allocation, path, 0n, minimum(set.validBytes, set.allocation.dataBytes))) {
      if (open !== undefined && open.offset + open.bytes === offset) open.bytes += bytes;
      else {
        if (open !== undefined) yield open;
        open = { offset, bytes };
      }
    }
    if (open !== undefined) yield open;
  }

  /** Bytes `start` to `end` of a file as they lie on the medium. */
  async *#extentsOf(allocation: Allocation, path: string, start: bigint, end: bigint): AsyncGenerator<Extent> {
    if (start >= end) return;
    let position = 0n;
    for await (const { first, count } of eachRun(this.medium, allocation, path)) {
      const bytes = BigInt(count) * BigInt(this.medium.clusterBytes);
      const from = position > start ? position : start;
      const to = minimum(position + bytes, end);
      if (from < to) yield { offset: this.medium.offsetOf(first) + (from - position), bytes: to - from };
      position += bytes;
      if (position >= end) return;
    }
  }

  async space(): Promise<VolumeSpace> {
    const { clusterBytes, clusterCount } = this.medium;
    const free = clusterCount - (await this.bitmap.taken());
    return { totalBytes: this.medium.heapBytes, freeBytes: BigInt(free) * BigInt(clusterBytes), clusterBytes };
  }

  // Finding

  async #directory(path: string, what: string): Promise<Directory> {
    return await this.#walk(partsOf(path), what);
  }

  /** The folder that these parts lead to. */
  async #walk(parts: readonly string[], what: string): Promise<Directory> {
    if (parts.length > DEPTH_MAX) throw this.#usage(what, "", `a path of ${DEPTH_MAX} folders at most`, `${parts.length}`);
    let directory = await openRoot(this.medium);
    for (const [index, part] of parts.entries()) {
      const found = await this.#find(directory, part);
      const path = `/${parts.slice(0, index + 1).join("/")}`;
      if (found === undefined) throw this.#usage(what, path, "a folder", "nothing of that name");
      if ((found.set.attributes & ATTRIBUTE.directory) === 0) throw this.#usage(what, path, "a folder", "a file");
      directory = await openDirectory(this.medium, path, found.set.allocation, found.place);
    }
    return directory;
  }

  async #lookUp(parts: readonly string[]): Promise<Found | undefined> {
    let directory = await openRoot(this.medium);
    for (const [index, part] of parts.entries()) {
      const found = await this.#find(directory, part);
      if (found === undefined || index === parts.length - 1) return found;
      if ((found.set.attributes & ATTRIBUTE.directory) === 0) return undefined;
      directory = await openDirectory(this.medium, `/${parts.slice(0, index + 1).join("/")}`, found.set.allocation, found.place);
    }
    return undefined;
  }

  async #file(path: string, what: string): Promise<Found> {
    const parts = partsOf(path);
    const found = parts.length === 0 ? undefined : await this.#lookUp(parts);
    if (parts.length === 0 || (found !== undefined && (found.set.attributes & ATTRIBUTE.directory) !== 0)) {
      throw this.#usage(what, path, "a file", "a folder");
    }
    if (found === undefined) throw this.#usage(what, path, "a file", "nothing of that name");
    const { unknownCritical } = found.set;
    if (unknownCritical !== undefined) {
      throw this.#damage(found.place.directory, found.place.slot, 0, `an entry of the unknown critical kind ${hex(unknownCritical)}`);
    }
    return found;
  }

  /** Throws where a set of that name is there and damaged. */
  async #find(directory: Directory, name: string): Promise<Found | undefined> {
    const wanted = upcase(name, this.#table);
    const survey = await this.surveys.of(directory);
    const slot = survey.names === undefined ? await this.#search(directory, wanted) : survey.names.get(wanted);
    if (slot === undefined) {
      if (directory.end.kind === "whole" || directory.end.kind === "long") return undefined;
      throw brokenChain(this.medium, "look into a folder", directory.path, directory.end); // it may stand in what is lost
    }
    const primary = await readSlots(this.medium, directory, slot, 1);
    const entries = await readSlots(this.medium, directory, slot, 1 + primary[1]!);
    const { set, faults } = decodeFileSet(entries, this.#table);
    if (set === undefined || faults.length > 0) throw this.#damage(directory, slot, faults[0]?.at ?? 0, faults[0]?.text ?? "");
    return { place: { directory, slot, entries }, set };
  }

  /** In a folder with more names than are kept. */
  async #search(directory: Directory, wanted: string): Promise<number | undefined> {
    const hash = nameHash(wanted);
    for await (const item of scanDirectory(this.medium, directory)) {
      if (item.kind !== "file" || viewOf(item.entries).getUint16(Math.min(ENTRY_BYTES + 4, item.entries.length - 2), true) !== hash)
        continue;
      const name = nameOfSet(item.entries);
      if (name !== undefined && upcase(name, this.#table) === wanted) return item.slot;
    }
    return undefined;
  }

  #usage(what: string, path: string, expected: string, found: string): HiperisoError {
    return volumeUsage(this.where, what, path, expected, found);
  }

  #damage(directory: Directory, slot: number, at: number, text: string): HiperisoError {
    const offset = slotOffset(this.medium, directory, slot) + BigInt(at);
    const hint = "Check the volume and repair it.";
    return new HiperisoError({
      what: "use an entry",
      where: `${this.where}@${offset}`,
      expected: `whole entries in ${directory.path}`,
      found: text,
      hint,
    });
  }

  // Changing

  /** One change after another, the volume marked as dirty before the first. */
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
    await this.#writeBoot(true);
    await this.medium.flush();
    this.#dirty = true;
  }

  async #writeBoot(dirty: boolean): Promise<void> {
    const sector = await this.medium.read(0n, this.medium.sectorBytes);
    const view = viewOf(sector);
    const flags = view.getUint16(EXFAT_FLAGS_AT, true) & ~(EXFAT_FLAG.dirty | EXFAT_FLAG.clearToZero);
    view.setUint16(EXFAT_FLAGS_AT, flags | (dirty || this.#dirtyBefore ? EXFAT_FLAG.dirty : 0), true);
    if (!dirty) sector[EXFAT_PERCENT_AT] = await this.bitmap.percentInUse();
    await this.medium.write(0n, sector);
  }

  async allocate(count: number, after?: number): Promise<readonly Run[]> {
    if (this.#freed) {
      await this.medium.flush();
      this.#freed = false;
    }
    return await this.bitmap.findFree(count, after);
  }

  async #free(runs: readonly Run[]): Promise<void> {
    if (runs.length === 0) return;
    this.#freed = true;
    await this.bitmap.mark(runs, false);
  }

  async write(path: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, file: NewFile, job: Job): Promise<void> {
    const what = "write a file";
    await this.#change(what, path, async () => {
      const { parent, name } = await this.#target(path, what);
      const old = await this.#find(parent, name);
      if (old !== undefined && (old.set.attributes & ATTRIBUTE.directory) !== 0)
        throw this.#usage(what, path, "no folder of that name", "one");
      if (old !== undefined && file.replace !== true) throw this.#usage(what, path, "no file of that name", "one");
      if (old?.set.unknownCritical !== undefined)
        throw this.#usage(what, path, "a file whose entries are known", `one of kind ${hex(old.set.unknownCritical)}`);
      if (file.sizeBytes < 0n) throw this.#usage(what, path, "a size of 0 or more", `${file.sizeBytes}`);
      if (file.sizeBytes > this.medium.heapBytes)
        throw this.#usage(what, path, `at most ${this.medium.heapBytes} bytes`, `${file.sizeBytes}`);
      const freed = old === undefined ? [] : await this.#runsOf(old.set.allocation, path);
      const runs = await this.allocate(this.medium.clustersOf(file.sizeBytes));
      await this.#begin();
      await writeContent(this.medium, runs, { path, content, sizeBytes: file.sizeBytes }, job);
      const noFatChain = runs.length === 1;
      const allocation: Allocation =
        runs.length === 0 ? NO_ALLOCATION : { firstCluster: runs[0]!.first, dataBytes: file.sizeBytes, noFatChain };
      if (runs.length > 1) await this.medium.writeChain(runs);
      if (runs.length > 0) {
        await this.bitmap.mark(runs, true);
        await this.medium.flush();
      }
      await this.#orFree(runs, async () => {
        if (old === undefined) {
          await addSet(this, parent, name, encodeFileSet({ name, directory: false, timeMs: file.modifiedMs, allocation }, this.#table));
        } else await replaceSet(this, old.place, withAllocation(old.place.entries, allocation, { modifiedMs: file.modifiedMs }));
      });
      await this.#free(freed);
    });
  }

  readonly growing: GrowingFiles = {
    reserve: (path, file) => this.#reserve(path, file),
    writtenBytes: async (path) => {
      const { set } = await this.#file(path, "read a file");
      return minimum(set.validBytes, set.allocation.dataBytes);
    },
    extend: (path, content, lengthBytes, job) => this.#extend(path, content, lengthBytes, job),
  };

  async #reserve(path: string, { sizeBytes, modifiedMs }: Omit<NewFile, "replace">): Promise<void> {
    const what = "make room for a file";
    await this.#change(what, path, async () => {
      const { parent, name } = await this.#target(path, what);
      if ((await this.#find(parent, name)) !== undefined) throw this.#usage(what, path, "nothing of that name", "something");
      if (sizeBytes < 0n || sizeBytes > this.medium.heapBytes)
        throw this.#usage(what, path, `0 to ${this.medium.heapBytes} bytes`, `${sizeBytes}`);
      const runs = await this.allocate(this.medium.clustersOf(sizeBytes));
      await this.#begin();
      const [first] = runs;
      const allocation =
        first === undefined ? NO_ALLOCATION : { firstCluster: first.first, dataBytes: sizeBytes, noFatChain: runs.length === 1 };
      if (runs.length > 1) await this.medium.writeChain(runs);
      if (runs.length > 0) {
        await this.bitmap.mark(runs, true);
        await this.medium.flush();
      }
      const entries = encodeFileSet({ name, directory: false, timeMs: modifiedMs, allocation }, this.#table);
      await this.#orFree(
        runs,
        async () => void (await addSet(this, parent, name, withAllocation(entries, allocation, { validBytes: 0n }))),
      );
    });
  }

  async #extend(path: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, lengthBytes: bigint, job: Job): Promise<void> {
    const what = "add to a file";
    await this.#change(what, path, async () => {
      const { place, set } = await this.#file(path, what);
      const { allocation, validBytes } = set;
      const end = validBytes + lengthBytes;
      if (lengthBytes < 0n || end > allocation.dataBytes)
        throw this.#usage(what, path, `at most ${allocation.dataBytes - validBytes} bytes more`, `${lengthBytes}`);
      if (lengthBytes === 0n) return;
      if (validBytes % BigInt(this.medium.clusterBytes) !== 0n)
        throw this.#usage(what, path, `data that ends at a multiple of ${this.medium.clusterBytes} bytes`, `${validBytes} bytes`);
      this.#refuseDamaged(place.directory, what);
      const runs = await this.#runsFrom(allocation, path, this.medium.clustersOf(validBytes));
      await this.#begin();
      await writeContent(this.medium, runs, { path, content, sizeBytes: lengthBytes }, job);
      await this.medium.flush();
      await replaceSet(this, place, withAllocation(place.entries, allocation, { validBytes: end }));
    });
  }

  /** Without the first `skipped` clusters. */
  async #runsFrom(allocation: Allocation, path: string, skipped: number): Promise<readonly Run[]> {
    const runs: Run[] = [];
    let left = skipped;
    for await (const { first, count } of eachRun(this.medium, allocation, path)) {
      if (count > left) runs.push({ first: first + left, count: count - left });
      left = Math.max(left - count, 0);
    }
    return runs;
  }

  /** Gives back clusters whose entry finds no room in its folder. */
  async #orFree(runs: readonly Run[], addEntry: () => Promise<void>): Promise<void> {
    try {
      await addEntry();
    } catch (error) {
      if (error instanceof HiperisoError && error.kind === "usage" && !this.medium.failed) await this.#free(runs);
      throw error;
    }
  }

  async makeDirectory(path: string, modifiedMs: number): Promise<void> {
    const what = "make a folder";
    await this.#change(what, path, async () => {
      const { parent, name } = await this.#target(path, what);
      if ((await this.#find(parent, name)) !== undefined) throw this.#usage(what, path, "nothing of that name", "something");
      const runs = await this.allocate(1);
      await this.#begin();
      await this.medium.zero(runs[0]!.first, 1);
      await this.bitmap.mark(runs, true);
      await this.medium.flush();
      const allocation = { firstCluster: runs[0]!.first, dataBytes: BigInt(this.medium.clusterBytes), noFatChain: true };
      const entries = encodeFileSet({ name, directory: true, timeMs: modifiedMs, allocation }, this.#table);
      await this.#orFree(runs, async () => void (await addSet(this, parent, name, entries)));
    });
  }

  /** The folder and the name that a path gives something new. */
  async #target(path: string, what: string): Promise<{ readonly parent: Directory; readonly name: string }> {
    const parts = partsOf(path);
    const name = parts.pop();
    if (name === undefined) throw this.#usage(what, path, "a path below the root", "the root");
    const fault = nameFault(name);
    if (fault !== undefined) throw this.#usage(what, path, "a name that exFAT can hold", fault);
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
      if (source.set.unknownCritical !== undefined) {
        throw this.#usage(what, from, "entries that are known", `one of kind ${hex(source.set.unknownCritical)}`);
      }
      this.#refuseDamaged(source.place.directory, what);
      const { parent, name } = await this.#target(to, what);
      const there = await this.#find(parent, name);
      const itself = there !== undefined && there.place.slot === source.place.slot && sameDirectory(parent, source.place.directory);
      if (there !== undefined && !itself) throw this.#usage(what, to, "nothing of that name", "something");
      if ((source.set.attributes & ATTRIBUTE.directory) !== 0) this.#refuseInto(source, parent, to);
      if (!fitsInSet(source.place.entries, name.length))
        throw this.#usage(what, to, "room for the name beside the vendor's entries", "none");
      if (source.set.name === name && itself) return;
      const entries = withName(source.place.entries, name, this.#table);
      await this.#begin();
      if (sameDirectory(parent, source.place.directory) && (await this.#renameInPlace(source, entries))) return;
      const moved = await addSet(this, parent, name, entries);
      await this.medium.flush();
      // The folder that holds the old set may be the one that grew.
      const directory = sameDirectory(moved.directory, source.place.directory) ? moved.directory : source.place.directory;
      await removeSet(this, { ...source.place, directory });
    });
  }

  #refuseInto(source: Found, parent: Directory, to: string): void {
    for (let place = parent.place, at: Directory = parent; place !== undefined; at = place.directory, place = at.place) {
      if (place.slot === source.place.slot && sameDirectory(place.directory, source.place.directory)) {
        throw this.#usage("rename", to, "a place outside the folder that is moved", "one inside it");
      }
    }
  }

  /** Where the new set has the old one's length, or both lie in one sector, and one write does it. False: nothing was written. */
  async #renameInPlace({ place }: Found, entries: Uint8Array): Promise<boolean> {
    const oldName = nameOfSet(place.entries) ?? "";
    const { directory, slot } = place;
    const count = entries.length / ENTRY_BYTES;
    const before = place.entries.length / ENTRY_BYTES;
    if (count > before) return false;
    const edits = [
      ...clearingEdits({ slot: slot + count, entries: place.entries.subarray(entries.length) }),
      ...settingEdits(slot, entries),
    ].filter((edit) => {
      const at = (edit.slot - slot) * ENTRY_BYTES;
      return !Buffer.from(edit.bytes).equals(place.entries.subarray(at, at + ENTRY_BYTES));
    });
    if (!inOneSector(this.medium, edits)) return false;
    await applyEdits(this.medium, directory, edits);
    this.surveys.removed(directory, oldName, slot, before);
    this.surveys.added(directory, nameOfSet(entries) ?? "", slot, count);
    return true;
  }

  async remove(path: string, options: { readonly recursive?: boolean } = {}): Promise<void> {
    const what = "remove";
    await this.#change(what, path, async () => {
      const parts = partsOf(path);
      const found = parts.length === 0 ? undefined : await this.#lookUp(parts);
      if (found === undefined) throw this.#usage(what, path, "a file or folder", parts.length === 0 ? "the root" : "nothing of that name");
      this.#refuseDamaged(found.place.directory, what);
      if ((found.set.attributes & ATTRIBUTE.directory) !== 0 && options.recursive !== true) {
        const directory = await openDirectory(this.medium, path, found.set.allocation, found.place);
        for await (const item of scanDirectory(this.medium, directory)) {
          if (item.kind === "file" || item.kind === "broken") throw this.#usage(what, path, "an empty folder", "one that holds something");
        }
      }
      const top: Owned[] = [{ set: found.set, path }];
      const following = this.#owned(top);
      while ((await following.next()).done !== true); // all of it can be followed, before any of it goes
      await this.#begin();
      await removeSet(this, found.place);
      let freed: Run[] = [];
      for await (const run of this.#owned(top)) {
        freed.push(run);
        if (freed.length < FREED_RUNS_MAX) continue;
        await this.#free(freed);
        freed = [];
      }
      await this.#free(freed);
      if ((found.set.attributes & ATTRIBUTE.directory) !== 0) this.surveys.forgetAll(); // also of folders that are gone
    });
  }

  async #runsOf(allocation: Allocation, path: string): Promise<readonly Run[]> {
    const runs: Run[] = [];
    for await (const run of eachRun(this.medium, allocation, path)) runs.push(run);
    return runs;
  }

  /** All clusters of files and folders and of what is below them, bytes of unknown entries too. Throws where something is damaged. */
  async *#owned(top: readonly Owned[]): AsyncGenerator<Run> {
    const entered = new Set<number>();
    const waiting = [...top];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { set, path } = next;
      for (const extra of set.extras) yield* eachRun(this.medium, extra, path);
      if ((set.attributes & ATTRIBUTE.directory) === 0) {
        yield* eachRun(this.medium, set.allocation, path);
        continue;
      }
      const directory = await openDirectory(this.medium, path, set.allocation, undefined);
      if (directory.end.kind !== "whole") throw brokenChain(this.medium, "remove a folder", path, directory.end);
      if (entered.has(directory.firstCluster)) {
        throw this.#usage("remove", path, "a folder of its own", `the clusters of another one, from ${directory.firstCluster} on`);
      }
      if (directory.firstCluster !== 0) entered.add(directory.firstCluster);
      for await (const item of scanDirectory(this.medium, directory)) {
        if (item.kind === "other") {
          const own = benignAllocation(item.entries);
          if (own !== undefined) yield* eachRun(this.medium, own, path);
          for (let at = ENTRY_BYTES; at < item.entries.length; at += ENTRY_BYTES) {
            if ((item.entries[at + 1]! & 1) !== 0) yield* eachRun(this.medium, allocationAt(item.entries, at), path);
          }
        } else if (item.kind === "file") {
          const { set: inner, faults } = decodeFileSet(item.entries, this.#table);
          if (inner === undefined || faults.length > 0) throw this.#damage(directory, item.slot, faults[0]?.at ?? 0, faults[0]?.text ?? "");
          if ((inner.attributes & ATTRIBUTE.directory) !== 0) waiting.push({ set: inner, path: `${path}/${inner.name}` });
          else yield* this.#owned([{ set: inner, path: `${path}/${inner.name}` }]);
        } else if (item.kind === "broken")
          throw this.#damage(directory, item.slot, 0, `a set of ${item.promised + 1} entries that is not whole`);
      }
      yield* directory.runs;
    }
  }

  async setLabel(label: string): Promise<void> {
    const what = "set the label";
    await this.#change(what, "/", async () => {
      const fault = labelFault(label);
      if (fault !== undefined) throw this.#usage(what, "/", "at most 11 characters that exFAT can hold", fault);
      const root = await openRoot(this.medium);
      this.#refuseDamaged(root, what);
      await this.#begin();
      const bytes = encodeLabelEntry(label);
      if (this.#labelSlot === undefined) {
        const room = await findRoom(this, root, 1);
        await applyEdits(this.medium, room.directory, [...room.edits, { slot: room.slot, bytes }]);
        this.#labelSlot = room.slot;
        this.surveys.forgetAll();
      } else await applyEdits(this.medium, root, [{ slot: this.#labelSlot, bytes }]);
      this.#label = label;
    });
  }

  async flush(): Promise<void> {
    await this.#turns.take(async () => {
      if (!this.#changed || this.medium.failed) return;
      await this.medium.flush();
      this.#freed = false;
      await this.#writeBoot(false);
      await this.medium.flush();
      this.#dirty = false;
      this.#changed = false;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
  }
}

interface Owned {
  readonly set: FileSet;
  readonly path: string;
}

const sameDirectory = (a: Directory, b: Directory): boolean =>
  a.path === "/" || b.path === "/" ? a.path === b.path : a.firstCluster === b.firstCluster;

function entryOf({ name, attributes, allocation, modifiedMs }: FileSet): VolumeEntry {
  return {
    name,
    kind: (attributes & ATTRIBUTE.directory) !== 0 ? "directory" : "file",
    sizeBytes: allocation.dataBytes,
    modifiedMs,
    readOnly: (attributes & ATTRIBUTE.readOnly) !== 0,
    hidden: (attributes & ATTRIBUTE.hidden) !== 0,
    system: (attributes & ATTRIBUTE.system) !== 0,
  };
}
