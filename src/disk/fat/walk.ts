/** All folders of a FAT volume, entry by entry, each cluster once: what check and repair see. Damage is what they look for, so nothing here throws over it. */
import {
  DOT_DOT_NAME,
  DOT_NAME,
  decodeShortEntry,
  ENTRY_BYTES,
  FIRST_BYTE,
  firstClusterOf,
  isDirectoryEntry,
  type ShortEntry,
} from "../../formats/fat-entries.ts";
import { type CodePage, SHORT_NAME_BYTES } from "../../formats/fat-names.ts";
import {
  type Directory,
  type DirectoryItem,
  type FileItem,
  isRoot,
  openDirectory,
  openRoot,
  readSlots,
  scanDirectory,
  shortEntryOf,
} from "./directory.ts";
import { type ChainEnd, type FatMedium, followChain } from "./medium.ts";

/** Deeper than any path that a person can use; each level keeps a piece of its folder in memory. */
const DEPTH_MAX = 512;

export interface WalkedFile {
  readonly kind: "file";
  readonly directory: Directory;
  readonly item: FileItem;
  readonly path: string;
  readonly entry: ShortEntry;
  /** Of all its clusters, as far as nobody had claimed them. */
  readonly end: ChainEnd;
  /** Set for a folder. */
  readonly inner: Directory | undefined;
  /** Of a folder: false where its clusters hold none. It is not entered. */
  readonly plausible: boolean;
  readonly tooDeep: boolean;
}

export type Walked =
  | WalkedFile
  | { readonly kind: "other"; readonly directory: Directory; readonly item: Exclude<DirectoryItem, { kind: "file" }> }
  /** Before a folder's first entry, and after its last and all below it. */
  | { readonly kind: "entered"; readonly directory: Directory }
  | { readonly kind: "left"; readonly directory: Directory };

/** Who claims a cluster; the root has no entry. */
export interface Owner {
  readonly path: string;
  readonly shortEntry: Uint8Array | undefined;
}

/** False where the cluster is another's: its chain is not followed on. So each cluster is looked at once, however many chains lead to it. */
export type Claim = (cluster: number, owner: Owner) => boolean;

export async function* walkVolume(medium: FatMedium, codePage: CodePage, claim: Claim, signal: AbortSignal): AsyncGenerator<Walked> {
  const rootOwner: Owner = { path: "/", shortEntry: undefined };
  const root = await openRoot(medium, (cluster) => claim(cluster, rootOwner));
  const frames = [{ directory: root, items: scanDirectory(medium, root, codePage) }];
  yield { kind: "entered", directory: root };
  for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
    signal.throwIfAborted();
    const { directory, items } = frame;
    const next = await items.next();
    if (next.done === true) {
      frames.pop();
      yield { kind: "left", directory };
      continue;
    }
    const item = next.value;
    if (item.kind !== "file") {
      yield { kind: "other", directory, item };
      continue;
    }
    const shortEntry = shortEntryOf(item.entries);
    const entry = decodeShortEntry(shortEntry, medium.boot.bits);
    const path = childPath(directory.path, item.name);
    const owner: Owner = { path, shortEntry };
    const mine = (cluster: number) => claim(cluster, owner);
    const found = { kind: "file", directory, item, path, entry } as const;
    if (!isDirectoryEntry(shortEntry)) {
      yield { ...found, end: await endOfFile(medium, entry, mine), inner: undefined, plausible: true, tooDeep: false };
      continue;
    }
    const inner = await openDirectory(medium, path, entry.firstCluster, { directory, slot: item.slot, entries: item.entries }, mine);
    const tooDeep = frames.length >= DEPTH_MAX;
    const plausible = inner.bytes === 0 || (await isPlausible(medium, inner));
    yield { ...found, end: inner.end, inner, plausible, tooDeep };
    if (tooDeep || !plausible || inner.bytes === 0) continue;
    yield { kind: "entered", directory: inner };
    frames.push({ directory: inner, items: scanDirectory(medium, inner, codePage) });
  }
}

async function endOfFile(medium: FatMedium, { firstCluster }: ShortEntry, claim: (cluster: number) => boolean): Promise<ChainEnd> {
  if (firstCluster === 0) return { kind: "whole", clusters: 0 };
  const following = followChain(medium, firstCluster, medium.clusterCount, claim);
  for (let next = await following.next(); ; next = await following.next()) if (next.done === true) return next.value;
}

/** One of the two entries with which a folder starts. */
export interface Dot {
  readonly entry: Uint8Array;
  /** The cluster that it must name. */
  readonly cluster: number;
  readonly named: boolean;
  readonly right: boolean;
}

/** `.` and `..` of a folder below the root, as they are. */
export async function readDots(medium: FatMedium, directory: Directory): Promise<readonly Dot[]> {
  const parent = directory.place?.directory;
  const head = await readSlots(medium, directory, 0, 2);
  const wanted = [
    { name: DOT_NAME, cluster: directory.firstCluster },
    { name: DOT_DOT_NAME, cluster: parent === undefined || isRoot(parent) ? 0 : parent.firstCluster },
  ];
  return wanted.map(({ name, cluster }, slot) => {
    const entry = head.slice(slot * ENTRY_BYTES, (slot + 1) * ENTRY_BYTES);
    const named = Buffer.from(name).equals(entry.subarray(0, SHORT_NAME_BYTES));
    return { entry, cluster, named, right: named && isDirectoryEntry(entry) && firstClusterOf(entry, medium.boot.bits) === cluster };
  });
}

/** One of the two is known by its name, or nothing else stands where they should. */
async function isPlausible(medium: FatMedium, directory: Directory): Promise<boolean> {
  const dots = await readDots(medium, directory);
  const isFree = (entry: Uint8Array) => entry[0] === FIRST_BYTE.end || entry[0] === FIRST_BYTE.deleted;
  return dots.some(({ named }) => named) || dots.every(({ entry }) => isFree(entry));
}

export const childPath = (folder: string, name: string): string => (folder === "/" ? `/${name}` : `${folder}/${name}`);
