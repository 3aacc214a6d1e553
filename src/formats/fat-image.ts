/**
 * FAT12 and FAT16 volumes, writing: a whole volume from a tree of files, the same bytes for the same tree
 * (Microsoft, "FAT: General Overview of On-Disk Format" 1.03; long names: its section 7). Little-endian.
 *
 * A boot sector (`fat-boot.ts`), both FATs, the root, the clusters from number 2 on; entries as in `fat-entries.ts`. The number of clusters alone decides how wide a FAT entry is.
 */
import { HiperisoError } from "../contract/error.ts";
import { encodeFatBoot } from "./fat-boot.ts";
import { encodeLongEntries, longEntriesOf } from "./fat-entries.ts";
import { completeTree, type TreeEntry } from "./file-tree.ts";

export interface FatImageOptions {
  /** A whole number of 512-byte sectors. Undefined: the smallest number of MiB that holds the tree with a tenth to spare. */
  readonly volumeBytes?: number;
  /** At most 11 characters of A-Z, 0-9, space, `-` and `_`. */
  readonly label: string;
  /** Volume serial number, 32 bits. */
  readonly serial: number;
  /** Of every entry, seconds since 1970; from 1980 to 2107, in steps of 2 s, as UTC. */
  readonly mtimeS: number;
  /** Sectors before the volume on its disk. */
  readonly hiddenSectors?: number;
}

const SECTOR = 512;
const ENTRY = 32;
const ROOT_ENTRIES = 512;
const RESERVED_SECTORS = 1;
const FATS = 2;
/**
 * Below 4,085 clusters a volume is FAT12, below 65,525 FAT16. Drivers are known that are off by up to 16 there, so volumes keep
 * that distance (the paper's own advice).
 */
const CLUSTERS = { 12: { min: 1, max: 4085 - 17 }, 16: { min: 4085 + 16, max: 65_525 - 17 } } as const;
/** What a volume has at most where the tree fits: a FAT that is short and quick to read. */
const CLUSTERS_PREFERRED = 32_768;
const MEBIBYTE = 1024 * 1024;
/** What 65,508 clusters of 64 sectors come to. */
const VOLUME_MEBIBYTES_MAX = 2047;

const ATTRIBUTE = { label: 0x08, directory: 0x10, file: 0x20 } as const;

/** The volume's bytes. Throws when the tree does not fit, holds a link or device, or two names that FAT takes for one. */
export function encodeFatImage(entries: Iterable<TreeEntry>, options: FatImageOptions): Uint8Array {
  const root = directoryOf(entries);
  const layout = options.volumeBytes === undefined ? smallestLayout(root) : layoutOf(options.volumeBytes, needOf(root));
  const volume = new Uint8Array(layout.volumeSectors * SECTOR);
  volume.set(bootSector(layout, options));
  const clusters = new Clusters(volume, layout);
  const stamp = dosTime(options.mtimeS);
  const labelEntry = shortEntry(labelBytes(options.label), { attributes: ATTRIBUTE.label, cluster: 0, bytes: 0, stamp });
  const rootBytes = encodeDirectory(root, { clusters, stamp, head: [labelEntry], own: 0 });
  if (rootBytes.length > ROOT_ENTRIES * ENTRY) throw bad("/", `at most ${ROOT_ENTRIES} entries in the root`, `${rootBytes.length / ENTRY}`);
  volume.set(rootBytes, layout.rootSector * SECTOR);
  clusters.writeFats();
  return volume;
}

const bad = (where: string, expected: string, found: string): HiperisoError =>
  new HiperisoError({ what: "make a FAT volume", where, expected, found });

// The tree

interface Directory {
  readonly kind: "directory";
  readonly children: { readonly name: string; readonly node: Directory | File }[];
}
interface File {
  readonly kind: "file";
  readonly content: Uint8Array;
}

function directoryOf(entries: Iterable<TreeEntry>): Directory {
  const root: Directory = { kind: "directory", children: [] };
  const byPath = new Map<string, Directory>([["", root]]);
  for (const entry of completeTree(entries)) {
    if (entry.kind !== "directory" && entry.kind !== "file") throw bad(entry.path, "files and folders", `a ${entry.kind}`);
    const slash = entry.path.lastIndexOf("/");
    const name = entry.path.slice(slash + 1);
    const parent = byPath.get(entry.path.slice(0, Math.max(slash, 0)))!;
    if (parent.children.some((other) => other.name.toUpperCase() === name.toUpperCase())) {
      throw bad(entry.path, "names that differ in more than case", "another of that name");
    }
    const node: Directory | File = entry.kind === "file" ? { kind: "file", content: entry.content } : { kind: "directory", children: [] };
    parent.children.push({ name, node });
    if (node.kind === "directory") byPath.set(entry.path, node);
  }
  return root;
}

// How large

interface Layout {
  readonly volumeSectors: number;
  readonly clusterSectors: number;
  readonly fatSectors: number;
  readonly rootSector: number;
  readonly dataSector: number;
  readonly clusterCount: number;
  readonly bits: 12 | 16;
}

/** Clusters that the tree fills, for a cluster size in bytes. */
type Need = (clusterBytes: number) => number;

function needOf(root: Directory): Need {
  return (clusterBytes) => {
    const visit = (node: Directory | File, isRoot: boolean): number => {
      if (node.kind === "file") return Math.ceil(node.content.length / clusterBytes);
      const own = isRoot ? 0 : Math.ceil(((2 + entriesOf(node)) * ENTRY) / clusterBytes);
      return node.children.reduce((sum, child) => sum + visit(child.node, false), own);
    };
    return visit(root, true);
  };
}

const entriesOf = (directory: Directory): number => directory.children.reduce((sum, { name }) => sum + 1 + longNameParts(name), 0);

function smallestLayout(root: Directory): Layout {
  const need = needOf(root);
  const contentBytes = need(SECTOR) * SECTOR;
  const start = Math.max(1, Math.ceil((contentBytes * 1.1) / MEBIBYTE));
  for (let mebibytes = start; mebibytes <= VOLUME_MEBIBYTES_MAX; mebibytes += 1) {
    const layout = tryLayout(mebibytes * MEBIBYTE, need);
    if (layout !== undefined) return layout;
  }
  throw bad("/", "a tree that FAT16 holds", `${contentBytes} bytes of files`);
}

function layoutOf(volumeBytes: number, need: Need): Layout {
  if (!Number.isInteger(volumeBytes / SECTOR)) throw bad("/", "a volume of whole sectors of 512 bytes", `${volumeBytes} bytes`);
  const layout = tryLayout(volumeBytes, need);
  if (layout === undefined)
    throw bad("/", `a tree that fits into ${volumeBytes} bytes`, `${need(SECTOR) * SECTOR} bytes of files and folders`);
  return layout;
}

/** The smallest cluster with which FAT12 or FAT16 covers the volume and the tree fits. */
function tryLayout(volumeBytes: number, need: Need): Layout | undefined {
  for (const clustersMax of [CLUSTERS_PREFERRED, CLUSTERS[16].max]) {
    for (let clusterSectors = 1; clusterSectors <= 64; clusterSectors *= 2) {
      const layout = layoutWith(volumeBytes / SECTOR, clusterSectors);
      if (layout === undefined || layout.clusterCount > clustersMax) continue;
      if (need(clusterSectors * SECTOR) <= layout.clusterCount) return layout;
    }
  }
  return undefined;
}

function layoutWith(volumeSectors: number, clusterSectors: number): Layout | undefined {
  for (const bits of [12, 16] as const) {
    const layout = layoutOfWidth(bits, volumeSectors, clusterSectors);
    if (layout.clusterCount >= CLUSTERS[bits].min && layout.clusterCount <= CLUSTERS[bits].max) return layout;
  }
  return undefined;
}

/** The FAT takes room from the clusters that it counts: it grows until both agree. */
function layoutOfWidth(bits: 12 | 16, volumeSectors: number, clusterSectors: number): Layout {
  for (let fatSectors = 1; ; fatSectors += 1) {
    const rootSector = RESERVED_SECTORS + FATS * fatSectors;
    const dataSector = rootSector + (ROOT_ENTRIES * ENTRY) / SECTOR;
    const clusterCount = Math.floor((volumeSectors - dataSector) / clusterSectors);
    if (Math.ceil(((clusterCount + 2) * bits) / 8 / SECTOR) <= fatSectors) {
      return { volumeSectors, clusterSectors, fatSectors, rootSector, dataSector, clusterCount, bits };
    }
  }
}

function bootSector(
  { volumeSectors, clusterSectors, fatSectors, bits }: Layout,
  { label, serial, hiddenSectors = 0 }: FatImageOptions,
): Uint8Array {
  return encodeFatBoot({
    bits,
    sectorBytes: SECTOR,
    clusterSectors,
    reservedSectors: RESERVED_SECTORS,
    fatCount: FATS,
    rootEntries: ROOT_ENTRIES,
    sectors: volumeSectors,
    media: 0xf8,
    fatSectors,
    trackSectors: 63, // sectors in a track, heads: nobody has used them for decades, everybody checks them
    heads: 255,
    hiddenSectors,
    rootCluster: 0,
    fsInfoSector: 0,
    backupSector: 0,
    onlyFat: undefined,
    flags: 0,
    serial,
    label: labelBytes(label),
  });
}

function labelBytes(label: string): Uint8Array {
  if (!/^[A-Z0-9 _-]{1,11}$/.test(label)) throw bad("its label", "1 to 11 characters of A-Z, 0-9, space, - and _", JSON.stringify(label));
  return ascii(label.padEnd(11));
}

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

// Clusters

class Clusters {
  readonly #volume: Uint8Array;
  readonly #layout: Layout;
  /** Value of each entry of the FAT. */
  readonly #fat: number[] = [];
  readonly #last: number;

  constructor(volume: Uint8Array, layout: Layout) {
    this.#volume = volume;
    this.#layout = layout;
    this.#last = layout.bits === 12 ? 0xfff : 0xffff;
    this.#fat.push(layout.bits === 12 ? 0xff8 : 0xfff8, this.#last);
  }

  /** Takes as many clusters in a row as `bytes` need. 0 where that is none. */
  take(bytes: number): number {
    const { clusterSectors, clusterCount } = this.#layout;
    const count = Math.ceil(bytes / (clusterSectors * SECTOR));
    if (count === 0) return 0;
    const first = this.#fat.length;
    if (first + count > clusterCount + 2) throw bad("/", `at most ${clusterCount} clusters`, `${first + count - 2}`);
    for (let index = 1; index < count; index += 1) this.#fat.push(first + index);
    this.#fat.push(this.#last);
    return first;
  }

  write(first: number, content: Uint8Array): void {
    if (content.length > 0) this.#volume.set(content, (this.#layout.dataSector + (first - 2) * this.#layout.clusterSectors) * SECTOR);
  }

  writeFats(): void {
    const { bits, fatSectors } = this.#layout;
    const fat = new Uint8Array(fatSectors * SECTOR);
    this.#fat.forEach((value, index) => {
      if (bits === 16) fat.set([value & 0xff, value >> 8], index * 2);
      else {
        // Two entries share three bytes, the even one in the low bits.
        const at = index + (index >> 1);
        const shifted = index % 2 === 0 ? value : value << 4;
        fat[at] = fat[at]! | (shifted & 0xff);
        fat[at + 1] = fat[at + 1]! | (shifted >> 8);
      }
    });
    for (let copy = 0; copy < FATS; copy += 1) this.#volume.set(fat, (RESERVED_SECTORS + copy * fatSectors) * SECTOR);
  }
}

// Directories

interface Stamp {
  readonly time: number;
  readonly date: number;
}

interface DirectoryPlace {
  readonly clusters: Clusters;
  readonly stamp: Stamp;
  /** Entries that stand first: the label, or `.` and `..`. */
  readonly head: readonly Uint8Array[];
  /** Its own first cluster; 0 for the root, as `..` of its children wants it. */
  readonly own: number;
}

function encodeDirectory(directory: Directory, { clusters, stamp, head, own }: DirectoryPlace): Uint8Array {
  const shortNames = shortNamesOf(directory);
  const blocks: Uint8Array[] = [...head];
  for (const { name, node } of directory.children) {
    const short = shortNames.get(name)!;
    const bytes = node.kind === "file" ? node.content.length : (2 + entriesOf(node)) * ENTRY;
    const cluster = clusters.take(bytes);
    const attributes = node.kind === "file" ? ATTRIBUTE.file : ATTRIBUTE.directory;
    blocks.push(
      ...longNameEntries(name, short),
      shortEntry(short, { attributes, cluster, bytes: node.kind === "file" ? bytes : 0, stamp }),
    );
    if (node.kind === "file") clusters.write(cluster, node.content);
    else {
      const dots = [".", ".."].map((dot, index) =>
        shortEntry(ascii(dot.padEnd(11)), { attributes: ATTRIBUTE.directory, cluster: index === 0 ? cluster : own, bytes: 0, stamp }),
      );
      clusters.write(cluster, encodeDirectory(node, { clusters, stamp, head: dots, own: cluster }));
    }
  }
  const out = new Uint8Array(blocks.length * ENTRY);
  blocks.forEach((block, index) => {
    out.set(block, index * ENTRY);
  });
  return out;
}

interface EntryFacts {
  readonly attributes: number;
  readonly cluster: number;
  readonly bytes: number;
  readonly stamp: Stamp;
}

function shortEntry(name: Uint8Array, { attributes, cluster, bytes, stamp }: EntryFacts): Uint8Array {
  const entry = new Uint8Array(ENTRY);
  const view = new DataView(entry.buffer);
  entry.set(name);
  entry[11] = attributes;
  view.setUint16(14, stamp.time, true);
  view.setUint16(16, stamp.date, true);
  view.setUint16(18, stamp.date, true);
  view.setUint16(22, stamp.time, true);
  view.setUint16(24, stamp.date, true);
  view.setUint16(26, cluster, true);
  view.setUint32(28, bytes, true);
  return entry;
}

function dosTime(seconds: number): Stamp {
  const at = new Date(seconds * 1000);
  const year = at.getUTCFullYear();
  if (!(year >= 1980 && year <= 2107)) throw bad("its time", "a year from 1980 to 2107", `${year}`);
  return {
    time: (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1),
    date: ((year - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate(),
  };
}

const isShort = (name: string): boolean => /^[A-Z0-9!#$%&'()@^_`{}~-]{1,8}(\.[A-Z0-9!#$%&'()@^_`{}~-]{1,3})?$/.test(name);

/** Entries that the long name takes; none where the short one says it all. */
const longNameParts = (name: string): number => (isShort(name) ? 0 : longEntriesOf(name));

/** 11 bytes for each name of a folder, no two alike. Names that are 8.3 keep theirs; the others get `~1`, `~2`… */
function shortNamesOf({ children }: Directory): ReadonlyMap<string, Uint8Array> {
  const fields = (base: string, extension: string): string => base.padEnd(8) + extension.padEnd(3);
  const clean = (text: string): string =>
    text
      .toUpperCase()
      .replace(/[ .]/g, "")
      .replace(/[^A-Z0-9!#$%&'()@^_`{}~-]/g, "_");
  const chosen = new Map<string, string>();
  const taken = new Set<string>();
  for (const { name } of [...children.filter((child) => isShort(child.name)), ...children.filter((child) => !isShort(child.name))]) {
    const dot = name.lastIndexOf(".");
    const base = clean(dot > 0 ? name.slice(0, dot) : name);
    const extension = dot > 0 ? clean(name.slice(dot + 1)).slice(0, 3) : "";
    let short = isShort(name) ? fields(base, extension) : undefined;
    for (let count = 1; short === undefined || taken.has(short); count += 1) {
      short = fields(`${base.slice(0, 7 - `${count}`.length)}~${count}`, extension);
    }
    taken.add(short);
    chosen.set(name, short);
  }
  return new Map([...chosen].map(([name, short]) => [name, ascii(short)]));
}

function longNameEntries(name: string, short: Uint8Array): Uint8Array[] {
  if (name.length > 255 || /[\0-\x1f"*/:<>?\\|]/.test(name) || /[ .]$/.test(name)) {
    throw bad(
      name,
      'a name of at most 255 characters without " * / : < > ? \\ | and without a blank or dot at its end',
      JSON.stringify(name),
    );
  }
  const entries = isShort(name) ? new Uint8Array() : encodeLongEntries(name, short);
  return Array.from({ length: entries.length / ENTRY }, (_, index) => entries.subarray(index * ENTRY, (index + 1) * ENTRY));
}
