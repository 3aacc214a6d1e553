/**
 * A folder of an exFAT volume as entries in its clusters: where each slot lies, what sets stand there, where there is room. Nothing is believed:
 * a set that its primary entry promises and that is not there is said to be broken, and what stands behind the end is not read.
 */
import { HiperisoError } from "../../contract/error.ts";
import { ENTRY, ENTRY_BYTES, isBenign, isInUse, isSecondary } from "../../formats/exfat-entries.ts";
import type { Run } from "../content-writer.ts";
import { type ChainEnd, followClusters, type Medium } from "./medium.ts";

/** Specification 7.6.7. */
export const DIRECTORY_BYTES_MAX = 256 * 1024 * 1024;
const PIECE_BYTES = 32_768;

export interface Directory {
  /** From the root, `/` alone for the root. */
  readonly path: string;
  readonly firstCluster: number;
  readonly runs: readonly Run[];
  readonly noFatChain: boolean;
  readonly bytes: number;
  /** How its chain ended; other than `whole` it is read as far as it goes, and not written. */
  readonly end: ChainEnd;
  /** Where its own set stands; undefined for the root, which has none. */
  readonly place: SetPlace | undefined;
}

/** A set in a folder: its slot, counted from 0, and its bytes. */
export interface SetPlace {
  readonly directory: Directory;
  readonly slot: number;
  readonly entries: Uint8Array;
}

export type DirectoryItem =
  /** A file's set, whole by its kinds; its sums and fields are not looked at. */
  | { readonly kind: "file"; readonly slot: number; readonly entries: Uint8Array }
  /** Another primary entry: of the volume, or of a kind that is not known. With its secondary entries where it is benign. */
  | { readonly kind: "other"; readonly slot: number; readonly entries: Uint8Array }
  /** A primary entry whose secondary ones are not all there, with those that are. */
  | { readonly kind: "broken"; readonly slot: number; readonly entries: Uint8Array; readonly promised: number }
  /** A secondary entry without a primary one. */
  | { readonly kind: "orphan"; readonly slot: number; readonly entries: Uint8Array }
  | { readonly kind: "free"; readonly slot: number; readonly count: number }
  /** The first entry of kind 0: all from here to the last slot is free. */
  | { readonly kind: "end"; readonly slot: number };

export const slotsOf = (directory: Directory): number => directory.bytes / ENTRY_BYTES;

/** The clusters of the root: its chain alone says how many. */
export async function openRoot(medium: Medium): Promise<Directory> {
  const clustersMax = Math.max(1, Math.floor(DIRECTORY_BYTES_MAX / medium.clusterBytes));
  const first = medium.boot.rootCluster;
  const { runs, end, clusters } = await collect(medium, { first, noFatChain: false, clusters: undefined }, clustersMax);
  return { path: "/", firstCluster: first, runs, noFatChain: false, bytes: clusters * medium.clusterBytes, end, place: undefined };
}

/**
 * The clusters of a folder below the root. A size that is no whole number of clusters, or more than 256 MiB, is `outside` what can be:
 * the folder is read as far as its clusters go.
 */
export async function openDirectory(
  medium: Medium,
  path: string,
  allocation: { readonly firstCluster: number; readonly dataBytes: bigint; readonly noFatChain: boolean },
  place: SetPlace | undefined,
): Promise<Directory> {
  const { firstCluster, dataBytes, noFatChain } = allocation;
  const held = dataBytes > BigInt(DIRECTORY_BYTES_MAX) ? BigInt(DIRECTORY_BYTES_MAX) : dataBytes;
  const wanted = medium.clustersOf(held);
  const { runs, end, clusters } = await collect(medium, { first: firstCluster, noFatChain, clusters: wanted }, wanted);
  const lies = dataBytes !== BigInt(wanted) * BigInt(medium.clusterBytes);
  const text = `its size is ${dataBytes} bytes: no whole number of clusters, or more than a folder can have`;
  const fault: ChainEnd = { kind: "outside", clusters, at: 0n, text };
  return {
    path,
    firstCluster,
    runs,
    noFatChain,
    bytes: clusters * medium.clusterBytes,
    end: lies && end.kind === "whole" ? fault : end,
    place,
  };
}

async function collect(
  medium: Medium,
  chain: { readonly first: number; readonly noFatChain: boolean; readonly clusters: number | undefined },
  clustersMax: number,
): Promise<{ readonly runs: readonly Run[]; readonly end: ChainEnd; readonly clusters: number }> {
  const runs: Run[] = [];
  let clusters = 0;
  const following = followClusters(medium, chain, clustersMax);
  for (let next = await following.next(); ; next = await following.next()) {
    if (next.done === true) return { runs, end: next.value, clusters };
    runs.push(next.value);
    clusters += next.value.count;
  }
}

/** Where a slot lies on the medium. */
export function slotOffset(medium: Medium, directory: Directory, slot: number): bigint {
  let left = slot * ENTRY_BYTES;
  for (const { first, count } of directory.runs) {
    const bytes = count * medium.clusterBytes;
    if (left < bytes) return medium.offsetOf(first) + BigInt(left);
    left -= bytes;
  }
  throw new RangeError(`slot ${slot} of ${directory.path}, which has ${slotsOf(directory)}`);
}

/** `count` slots' bytes from `slot` on; fewer where the folder ends before. */
export async function readSlots(medium: Medium, directory: Directory, slot: number, count: number): Promise<Uint8Array> {
  const end = Math.min((slot + count) * ENTRY_BYTES, directory.bytes);
  const result = new Uint8Array(Math.max(0, end - slot * ENTRY_BYTES));
  let runStart = 0;
  for (const { first, count: clusters } of directory.runs) {
    const runEnd = runStart + clusters * medium.clusterBytes;
    const from = Math.max(slot * ENTRY_BYTES, runStart);
    const to = Math.min(end, runEnd);
    if (from < to) result.set(await medium.read(medium.offsetOf(first) + BigInt(from - runStart), to - from), from - slot * ENTRY_BYTES);
    if (runEnd >= end) break;
    runStart = runEnd;
  }
  return result;
}

/** Everything that stands in a folder, in order, a piece of it in memory at a time. */
export async function* scanDirectory(medium: Medium, directory: Directory, fromSlot = 0): AsyncGenerator<DirectoryItem> {
  const slots = slotsOf(directory);
  let piece = new Uint8Array();
  let pieceSlot = fromSlot;
  /** Makes sure that `count` slots from `slot` on are in the piece, or as many as there are. */
  const need = async (slot: number, count: number): Promise<Uint8Array> => {
    const have = pieceSlot + piece.length / ENTRY_BYTES;
    if (slot < pieceSlot || Math.min(slot + count, slots) > have) {
      piece = new Uint8Array(await readSlots(medium, directory, slot, Math.max(count, PIECE_BYTES / ENTRY_BYTES)));
      pieceSlot = slot;
    }
    return piece.subarray((slot - pieceSlot) * ENTRY_BYTES, (slot - pieceSlot + count) * ENTRY_BYTES);
  };
  let free: { slot: number; count: number } | undefined;
  for (let slot = fromSlot; slot < slots; ) {
    const entry = await need(slot, 1);
    const type = entry[0]!;
    if (!isInUse(type) && type !== ENTRY.end) {
      free ??= { slot, count: 0 };
      free.count += 1;
      slot += 1;
      continue;
    }
    if (free !== undefined) yield { kind: "free", ...free };
    free = undefined;
    if (type === ENTRY.end) {
      yield { kind: "end", slot };
      return;
    }
    if (isSecondary(type)) {
      yield { kind: "orphan", slot, entries: entry.slice() };
      slot += 1;
      continue;
    }
    const promised = type === ENTRY.file || isBenign(type) ? entry[1]! : 0;
    const entries = await need(slot, 1 + promised);
    let there = 1;
    while (there * ENTRY_BYTES < entries.length && isInUse(entries[there * ENTRY_BYTES]!) && isSecondary(entries[there * ENTRY_BYTES]!))
      there += 1;
    const set = entries.slice(0, there * ENTRY_BYTES);
    if (there <= promised) yield { kind: "broken", slot, entries: set, promised };
    else yield { kind: type === ENTRY.file ? "file" : "other", slot, entries: set };
    slot += there;
  }
  if (free !== undefined) yield { kind: "free", ...free };
}

/** An error about a folder's clusters, with the offset that shows it. */
export function brokenChain(medium: Medium, what: string, path: string, end: Exclude<ChainEnd, { kind: "whole" }>): HiperisoError {
  return new HiperisoError({ what, where: `${medium.where}@${end.at}`, expected: `whole clusters of ${path}`, found: end.text });
}
