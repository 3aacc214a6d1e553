/** All folders of an exFAT volume, entry by entry, each folder once: what check and repair see. Damage is what they look for, so nothing here throws over it. */
import { ATTRIBUTE, decodeFileSet, type FileSet, type SetFault } from "../../formats/exfat-entries.ts";
import type { UpcaseTable } from "../../formats/exfat-upcase.ts";
import { type Directory, type DirectoryItem, openDirectory, scanDirectory } from "./directory.ts";
import type { Medium } from "./medium.ts";

/** Deeper than any path that a person can use; each level keeps a piece of its folder in memory. */
const DEPTH_MAX = 512;

export interface WalkedFile {
  readonly kind: "file";
  readonly directory: Directory;
  readonly item: Extract<DirectoryItem, { kind: "file" }>;
  /** Of the file; of a set without a name the folder's. */
  readonly path: string;
  readonly set: FileSet | undefined;
  readonly faults: readonly SetFault[];
  /** Of a folder: its clusters, and whether it is walked next, was walked already, or lies too deep. */
  readonly opened: { readonly directory: Directory; readonly then: "enter" | "again" | "too-deep" } | undefined;
}

export type Walked =
  | WalkedFile
  | { readonly kind: "other"; readonly directory: Directory; readonly item: Exclude<DirectoryItem, { kind: "file" }> }
  /** After the last entry of a folder and of all below it. */
  | { readonly kind: "left"; readonly directory: Directory };

export async function* walkVolume(medium: Medium, root: Directory, table: UpcaseTable, signal: AbortSignal): AsyncGenerator<Walked> {
  const entered = new Set<number>([root.firstCluster]);
  const frames = [{ directory: root, items: scanDirectory(medium, root) }];
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
    const { set, faults } = decodeFileSet(item.entries, table);
    const path = set === undefined ? directory.path : childPath(directory.path, set.name);
    if (set === undefined || (set.attributes & ATTRIBUTE.directory) === 0) {
      yield { kind: "file", directory, item, path, set, faults, opened: undefined };
      continue;
    }
    const place = { directory, slot: item.slot, entries: item.entries };
    const inner = await openDirectory(medium, path, set.allocation, place);
    const then = entered.has(inner.firstCluster) ? "again" : frames.length >= DEPTH_MAX ? "too-deep" : "enter";
    if (then === "enter" && inner.runs.length > 0) {
      entered.add(inner.firstCluster);
      frames.push({ directory: inner, items: scanDirectory(medium, inner) });
    }
    yield { kind: "file", directory, item, path, set, faults, opened: { directory: inner, then } };
  }
}

export const childPath = (folder: string, name: string): string => (folder === "/" ? `/${name}` : `${folder}/${name}`);
