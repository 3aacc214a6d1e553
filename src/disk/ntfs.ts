/** An NTFS volume, read by us and never written: Windows and ntfs-3g keep a journal that a foreign change would contradict. */
import { HiperisoError } from "../contract/error.ts";
import {
  ATTRIBUTE,
  DOS_NAME_SPACE,
  decodeIndexNode,
  decodeNtfsBoot,
  decodeNtfsRecord,
  hasNtfsName,
  isCoded,
  isFault,
  mendedRecord,
  type NtfsAttribute,
  type NtfsBoot,
  type NtfsFault,
  type NtfsIndexEntry,
  type NtfsRecord,
  ntfsTimeMs,
  recordNumber,
} from "../formats/ntfs.ts";
import type { BlockSource } from "../image/block-source.ts";
import type { Extent } from "../image/volume-tree.ts";
import type { ByteRange, Volume, VolumeEntry } from "./volume.ts";

/** Numbers of the files that every volume has. */
const SYSTEM = { mft: 0n, volume: 3n, root: 5n, bitmap: 6n, upCase: 10n, firstOther: 24n } as const;
const INDEX_NAME = "$I30";
const PIECE_BYTES = 1 << 20;
const UP_CASE_BYTES = 131_072;
/** Beyond these a volume lies: sixteen million files, and an attribute in as many pieces as a file system may have. */
const ATTRIBUTE_LIST_BYTES_MAX = 1 << 20;
const INDEX_BITMAP_BYTES_MAX = 1 << 20;
const VOLUME_DIRTY = 1;

const ATTRIBUTE_BITS = { readOnly: 1, hidden: 2, system: 4 } as const;

export async function isNtfs(source: BlockSource): Promise<boolean> {
  return hasNtfsName(await source.read(0n, 512));
}

/** Throws HiperisoError where the boot sector, the file table or the volume's own record cannot be read. Does not own `source`. */
export async function openNtfs(source: BlockSource): Promise<Volume & { readonly dirty: boolean }> {
  const boot = decodeNtfsBoot(await source.read(0n, 512));
  if (isFault(boot)) throw faulty("read an NTFS boot sector", source, 0n, boot);
  const reader = new NtfsReader(source, boot);
  await reader.findTable();
  const attributes = await reader.attributesOf(SYSTEM.volume);
  const label = attributes.find(({ type }) => type === ATTRIBUTE.volumeName)?.value ?? new Uint8Array();
  const information = attributes.find(({ type }) => type === ATTRIBUTE.volumeInformation)?.value;
  const dirty = information !== undefined && information.length >= 12 && ((information[10] ?? 0) & VOLUME_DIRTY) !== 0;
  return new NtfsVolume(reader, Buffer.from(label).toString("utf16le"), dirty);
}

const faulty = (what: string, source: BlockSource, offset: bigint, { at, expected, found }: NtfsFault): HiperisoError =>
  new HiperisoError({
    what,
    where: `${source.name}@${offset + BigInt(at)}`,
    expected,
    found,
    hint: "Let Windows check it: chkdsk /f. hiperiso does not write NTFS.",
  });

/** Records and attributes. */
class NtfsReader {
  readonly source: BlockSource;
  readonly boot: NtfsBoot;
  #table: NtfsAttribute | undefined;

  constructor(source: BlockSource, boot: NtfsBoot) {
    this.source = source;
    this.boot = boot;
  }

  /** The file table is a file of itself: its first record stands where the boot sector says. */
  async findTable(): Promise<void> {
    const { mftCluster, clusterBytes } = this.boot;
    const first = await this.#recordAt(mftCluster * BigInt(clusterBytes));
    this.#table = first.attributes.find(({ type, name }) => type === ATTRIBUTE.data && name === "");
    if (this.#table === undefined) throw this.#fault(mftCluster * BigInt(clusterBytes), "the file table's own data", "none");
    // A table in many pieces says of the later ones in records that the earlier ones hold.
    this.#table = (await this.attributesOf(SYSTEM.mft)).find(({ type, name }) => type === ATTRIBUTE.data && name === "") ?? this.#table;
  }

  /** Of a file, those in other records too; the pieces of an attribute joined. */
  async attributesOf(number: bigint): Promise<readonly NtfsAttribute[]> {
    const base = await this.record(number);
    const list = base.attributes.find(({ type }) => type === ATTRIBUTE.attributeList);
    if (list === undefined) return base.attributes;
    const others = new Set((await this.#listedRecords(list)).filter((other) => other !== number));
    const all = [...base.attributes];
    for (const other of others) {
      const extension = await this.record(other);
      if (extension.baseRecord === number) all.push(...extension.attributes);
    }
    return joined(all);
  }

  async record(number: bigint): Promise<NtfsRecord> {
    const size = BigInt(this.boot.recordBytes);
    const within = number * size;
    for (const { offset, at, bytes } of this.placesOf(this.#table!)) {
      if (within >= at && within + size <= at + bytes && offset !== undefined) return await this.#recordAt(offset + within - at);
    }
    throw this.#fault(0n, `file record ${number} inside the file table`, "no such place");
  }

  /** Where the data lies: `at` in the attribute, `offset` on the volume, undefined for a hole. */
  *placesOf({ runs }: NtfsAttribute): Generator<{ readonly at: bigint; readonly offset: bigint | undefined; readonly bytes: bigint }> {
    const clusterBytes = BigInt(this.boot.clusterBytes);
    let at = 0n;
    for (const { cluster, clusters } of runs) {
      const bytes = clusters * clusterBytes;
      const offset = cluster === undefined ? undefined : cluster * clusterBytes;
      if (offset !== undefined && offset + bytes > this.source.sizeBytes)
        throw this.#fault(0n, "clusters inside the volume", `${clusters} from cluster ${cluster}`);
      yield { at, offset, bytes };
      at += bytes;
    }
  }

  /** The bytes of an attribute; holes and what was never written as zeros. */
  async *bytesOf(attribute: NtfsAttribute, range?: ByteRange): AsyncGenerator<Uint8Array> {
    const from = range?.offset ?? 0n;
    const end = smallest(attribute.sizeBytes, range === undefined ? attribute.sizeBytes : range.offset + range.lengthBytes);
    if (attribute.value !== undefined) {
      if (from < end) yield attribute.value.slice(Number(from), Number(end));
      return;
    }
    let done = from;
    for (const { at, offset, bytes } of this.placesOf(attribute)) {
      while (done >= at && done < at + bytes && done < end) {
        const stop = smallest(at + bytes, end, done + BigInt(PIECE_BYTES));
        const written = offset === undefined || done >= attribute.initialisedBytes ? 0n : smallest(stop, attribute.initialisedBytes) - done;
        const piece = new Uint8Array(Number(stop - done));
        if (written > 0n) piece.set(await this.source.read(offset! + done - at, Number(written)));
        yield piece;
        done = stop;
      }
    }
    if (done < end) throw this.#fault(0n, `${end} bytes of data`, `clusters for ${done}`);
  }

  async whole(attribute: NtfsAttribute, bytesMax: number): Promise<Uint8Array> {
    if (attribute.sizeBytes > BigInt(bytesMax)) throw this.#fault(0n, `at most ${bytesMax} bytes`, `${attribute.sizeBytes}`);
    const pieces: Uint8Array[] = [];
    for await (const piece of this.bytesOf(attribute)) pieces.push(piece);
    return new Uint8Array(Buffer.concat(pieces));
  }

  async #recordAt(offset: bigint): Promise<NtfsRecord> {
    const bytes = await this.source.read(offset, this.boot.recordBytes);
    const mended =
      bytes.length < this.boot.recordBytes
        ? { at: 0, expected: "a file record", found: "the end of the volume" }
        : mendedRecord(bytes, "FILE");
    const record = isFault(mended) ? mended : decodeNtfsRecord(mended);
    if (isFault(record)) throw faulty("read a file record", this.source, offset, record);
    return record;
  }

  async #listedRecords(list: NtfsAttribute): Promise<readonly bigint[]> {
    const bytes = await this.whole(list, ATTRIBUTE_LIST_BYTES_MAX);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const numbers: bigint[] = [];
    for (let at = 0; at + 26 <= bytes.length; ) {
      numbers.push(recordNumber(view.getBigUint64(at + 16, true)));
      const length = view.getUint16(at + 4, true);
      if (length < 26) throw this.#fault(0n, "an entry of an attribute list", `${length} bytes`);
      at += length;
    }
    return numbers;
  }

  #fault(offset: bigint, expected: string, found: string): HiperisoError {
    return faulty("read an NTFS volume", this.source, offset, { at: 0, expected, found });
  }
}

function smallest(...values: readonly [bigint, ...bigint[]]): bigint {
  let [least] = values;
  for (const value of values) if (value < least) least = value;
  return least;
}

/** The pieces of one attribute say in turn where they go on; its size stands in the first. */
function joined(attributes: readonly NtfsAttribute[]): readonly NtfsAttribute[] {
  const byKey = new Map<string, NtfsAttribute[]>();
  for (const attribute of attributes) {
    const key = `${attribute.type} ${attribute.name}`;
    byKey.set(key, [...(byKey.get(key) ?? []), attribute]);
  }
  return [...byKey.values()].flatMap((pieces) => {
    const [first] = pieces;
    if (first === undefined || first.value !== undefined || pieces.length === 1) return pieces;
    const sorted = [...pieces].sort((a, b) => (a.firstVcn < b.firstVcn ? -1 : 1));
    return [{ ...sorted[0]!, runs: sorted.flatMap(({ runs }) => runs) }];
  });
}

interface Found {
  readonly record: bigint;
  readonly entry: NtfsIndexEntry | undefined;
}

class NtfsVolume implements Volume {
  readonly format = "ntfs";
  readonly readOnlyBecause = "hiperiso does not write NTFS";
  readonly label: string;
  readonly dirty: boolean;
  readonly #reader: NtfsReader;
  #upCase: Uint16Array | undefined;

  constructor(reader: NtfsReader, label: string, dirty: boolean) {
    this.#reader = reader;
    this.label = label;
    this.dirty = dirty;
  }

  get where(): string {
    return this.#reader.source.name;
  }

  async *list(path: string): AsyncGenerator<VolumeEntry> {
    const found = await this.#found(path);
    for await (const entry of this.#entries(found.record, path)) yield entryOf(entry);
  }

  async stat(path: string): Promise<VolumeEntry | undefined> {
    const found = await this.#find(path);
    if (found === undefined) return undefined;
    if (found.entry === undefined)
      return { name: "", kind: "directory", sizeBytes: 0n, modifiedMs: null, readOnly: false, hidden: false, system: false };
    const entry = entryOf(found.entry);
    // The folder's copy of the size is brought up to date late; the file's own counts.
    return entry.kind === "directory" ? entry : { ...entry, sizeBytes: (await this.#data(found))?.sizeBytes ?? 0n };
  }

  async *read(path: string, range?: ByteRange): AsyncGenerator<Uint8Array> {
    const data = await this.#plainData(path);
    if (data !== undefined) yield* this.#reader.bytesOf(data, range);
  }

  async *extents(path: string): AsyncGenerator<Extent> {
    const data = await this.#plainData(path);
    if (data === undefined || data.value !== undefined) return;
    for (const { at, offset, bytes } of this.#reader.placesOf(data)) {
      const end = smallest(at + bytes, data.initialisedBytes, data.sizeBytes);
      if (offset !== undefined && end > at) yield { offset, bytes: end - at };
    }
  }

  async space() {
    const { clusterBytes, totalSectors, sectorBytes } = this.#reader.boot;
    const totalClusters = (totalSectors * BigInt(sectorBytes)) / BigInt(clusterBytes);
    const bitmap = (await this.#reader.attributesOf(SYSTEM.bitmap)).find(({ type, name }) => type === ATTRIBUTE.data && name === "");
    let free = 0n;
    let left = totalClusters;
    if (bitmap !== undefined) {
      for await (const piece of this.#reader.bytesOf(bitmap)) {
        const bits = left < BigInt(piece.length * 8) ? Number(left) : piece.length * 8;
        free += BigInt(zeroBits(piece, bits));
        left -= BigInt(bits);
      }
    }
    return { totalBytes: totalClusters * BigInt(clusterBytes), freeBytes: free * BigInt(clusterBytes), clusterBytes };
  }

  write = (path: string): Promise<void> => this.#refuse(path);
  makeDirectory = (path: string): Promise<void> => this.#refuse(path);
  rename = (path: string): Promise<void> => this.#refuse(path);
  remove = (path: string): Promise<void> => this.#refuse(path);
  setLabel = (): Promise<void> => this.#refuse("/");
  async flush(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}

  async #refuse(path: string): Promise<never> {
    throw new HiperisoError({
      what: "change an NTFS volume",
      where: `${this.where}:${path}`,
      found: this.readOnlyBecause,
      hint: "Mount it, and change it there.",
      kind: "usage",
    });
  }

  async #plainData(path: string): Promise<NtfsAttribute | undefined> {
    const found = await this.#found(path);
    const bad = (expected: string, was: string, hint?: string) =>
      new HiperisoError({
        what: "read a file",
        where: `${this.where}:${path}`,
        expected,
        found: was,
        kind: "usage",
        ...(hint && { hint }),
      });
    if (found.entry === undefined || found.entry.directory) throw bad("a file", "a folder");
    const data = await this.#data(found);
    if (data !== undefined && isCoded(data.flags))
      throw bad("a file as it is", "a compressed or encrypted one", "ntfscat of the package ntfs-3g reads compressed ones.");
    return data;
  }

  async #data({ record }: Found): Promise<NtfsAttribute | undefined> {
    return (await this.#reader.attributesOf(record)).find(({ type, name }) => type === ATTRIBUTE.data && name === "");
  }

  async #found(path: string): Promise<Found> {
    const found = await this.#find(path);
    if (found !== undefined) return found;
    throw new HiperisoError({ what: "find a file", where: `${this.where}:${path}`, found: "nothing of that name", kind: "usage" });
  }

  async #find(path: string): Promise<Found | undefined> {
    let found: Found = { record: SYSTEM.root, entry: undefined };
    let above = "";
    for (const part of path.split("/").filter((name) => name !== "")) {
      if (found.entry !== undefined && !found.entry.directory) return undefined;
      const entry: NtfsIndexEntry | undefined = await this.#child(found.record, above, part);
      if (entry === undefined) return undefined;
      found = { record: entry.record, entry };
      above += `/${part}`;
    }
    return found;
  }

  /** A name as it is written goes before one that differs in case alone: Windows can be told to tell them apart. */
  async #child(directory: bigint, path: string, name: string): Promise<NtfsIndexEntry | undefined> {
    const wanted = await this.#upper(name);
    let alike: NtfsIndexEntry | undefined;
    for await (const entry of this.#entries(directory, path)) {
      if (entry.name === name) return entry;
      if (alike === undefined && entry.name.length === name.length && (await this.#upper(entry.name)) === wanted) alike = entry;
    }
    return alike;
  }

  async #upper(name: string): Promise<string> {
    if (this.#upCase === undefined) {
      const data = (await this.#reader.attributesOf(SYSTEM.upCase)).find(({ type, name: of }) => type === ATTRIBUTE.data && of === "");
      const bytes = data === undefined ? new Uint8Array() : await this.#reader.whole(data, UP_CASE_BYTES);
      this.#upCase = new Uint16Array(bytes.slice(0, bytes.length & ~1).buffer);
    }
    let upper = "";
    for (let unit = 0; unit < name.length; unit += 1) {
      const code = name.charCodeAt(unit);
      upper += String.fromCharCode(this.#upCase[code] ?? code);
    }
    return upper;
  }

  /** Without the names for DOS, and without the files that make up the volume. */
  async *#entries(directory: bigint, path: string): AsyncGenerator<NtfsIndexEntry> {
    const attributes = await this.#reader.attributesOf(directory);
    const root = attributes.find(({ type, name }) => type === ATTRIBUTE.indexRoot && name === INDEX_NAME)?.value;
    if (root === undefined) {
      const found = "something else";
      throw new HiperisoError({ what: "list a folder", where: `${this.where}:${path}`, expected: "a folder", found, kind: "usage" });
    }
    const shown = ({ nameSpace, record }: NtfsIndexEntry) => nameSpace !== DOS_NAME_SPACE && record >= SYSTEM.firstOther;
    yield* this.#node(root.subarray(16), path).filter(shown);
    const allocation = attributes.find(({ type, name }) => type === ATTRIBUTE.indexAllocation && name === INDEX_NAME);
    if (allocation === undefined) return;
    const inUse = attributes.find(({ type, name }) => type === ATTRIBUTE.bitmap && name === INDEX_NAME);
    const bitmap = inUse === undefined ? new Uint8Array() : await this.#reader.whole(inUse, INDEX_BITMAP_BYTES_MAX);
    const { indexBytes } = this.#reader.boot;
    const nodes = Number(allocation.sizeBytes / BigInt(indexBytes));
    for (let node = 0; node < nodes; node += 1) {
      // A node that was given up still holds the names that once were in it.
      if ((((bitmap[node >> 3] ?? 0) >> (node & 7)) & 1) === 0) continue;
      const at = BigInt(node) * BigInt(indexBytes);
      const pieces: Uint8Array[] = [];
      for await (const piece of this.#reader.bytesOf(allocation, { offset: at, lengthBytes: BigInt(indexBytes) })) pieces.push(piece);
      const record = new Uint8Array(Buffer.concat(pieces));
      const mended = mendedRecord(record, "INDX");
      if (isFault(mended)) throw faulty(`list the folder ${path}/`, this.#reader.source, 0n, mended);
      yield* this.#node(mended.subarray(24), path).filter(shown);
    }
  }

  #node(bytes: Uint8Array, path: string): readonly NtfsIndexEntry[] {
    const entries = decodeIndexNode(bytes);
    if (isFault(entries)) throw faulty(`list the folder ${path}/`, this.#reader.source, 0n, entries);
    return entries;
  }
}

const entryOf = ({ name, directory, sizeBytes, modified, attributes }: NtfsIndexEntry): VolumeEntry => ({
  name,
  kind: directory ? "directory" : "file",
  sizeBytes: directory ? 0n : sizeBytes,
  modifiedMs: ntfsTimeMs(modified),
  readOnly: (attributes & ATTRIBUTE_BITS.readOnly) !== 0,
  hidden: (attributes & ATTRIBUTE_BITS.hidden) !== 0,
  system: (attributes & ATTRIBUTE_BITS.system) !== 0,
});

function zeroBits(bytes: Uint8Array, bits: number): number {
  let zeros = 0;
  for (let bit = 0; bit < bits; bit += 1) if (((bytes[bit >> 3]! >> (bit & 7)) & 1) === 0) zeros += 1;
  return zeros;
}
