/** What differs between two folders that should hold the same bytes, down to the files inside archives and images. */
import { open, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { type Contents, type ContentsOptions, readContents } from "./file-contents.ts";

export interface FileDifference {
  /** From the folders' top. */
  readonly path: string;
  /** In words: "only in the first", "from byte 4096 on". */
  readonly says: string;
  /** Of an archive or image: what differs in it, `path: mode (644 → 600)`; not all where it is much. */
  readonly inside: readonly string[];
}

const INSIDE_MAX = 20;

/** In the order of the names. Times, owners and modes of the folders' own files are the computer's, and not compared. */
export async function folderDifferences(first: string, second: string, options: ContentsOptions): Promise<readonly FileDifference[]> {
  const [ours, theirs] = [await filesBelow(first), await filesBelow(second)];
  const differences: FileDifference[] = [];
  for (const path of [...new Set([...ours.keys(), ...theirs.keys()])].sort()) {
    options.signal.throwIfAborted();
    const [one, other] = [ours.get(path), theirs.get(path)];
    if (one === undefined) differences.push({ path, says: "only in the second", inside: [] });
    else if (other === undefined) differences.push({ path, says: "only in the first", inside: [] });
    else if (one !== other) differences.push({ path, says: `${one}, then ${other}`, inside: [] });
    else if (one === FILE) {
      const [a, b] = [join(first, path), join(second, path)];
      const offset = await firstDifference(a, b);
      if (offset !== undefined) differences.push({ path, says: `from byte ${offset} on`, inside: await insideOf(a, b, options) });
    }
  }
  return differences;
}

const FILE = "a file";

/** What each is: a file, a folder, a link with its target. */
async function filesBelow(folder: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const visit = async (below: string): Promise<void> => {
    for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) {
        found.set(path, "a folder");
        await visit(path);
      } else if (entry.isSymbolicLink()) found.set(path, `a link to ${await readlink(join(folder, path))}`);
      else found.set(path, entry.isFile() ? FILE : "something else");
    }
  };
  await visit("");
  return found;
}

const PIECE_BYTES = 1024 * 1024;

/** Offset of the first byte that differs, or of the shorter one's end; undefined where both are the same. */
export async function firstDifference(first: string, second: string): Promise<number | undefined> {
  await using one = await open(first, "r");
  await using other = await open(second, "r");
  const [a, b] = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)];
  for (let offset = 0; ; ) {
    const [{ bytesRead: own }, { bytesRead: its }] = await Promise.all([
      one.read(a, 0, PIECE_BYTES, offset),
      other.read(b, 0, PIECE_BYTES, offset),
    ]);
    const both = Math.min(own, its);
    if (!a.subarray(0, both).equals(b.subarray(0, both))) {
      for (let index = 0; ; index++) if (a[index] !== b[index]) return offset + index;
    }
    if (both === 0) return own === its ? undefined : offset;
    offset += both;
  }
}

async function insideOf(first: string, second: string, options: ContentsOptions): Promise<readonly string[]> {
  const one = await readContents(first, options);
  const other = one === undefined ? undefined : await readContents(second, options);
  return one === undefined || other === undefined ? [] : contentDifferences(one, other);
}

/** A line for each file that differs. What merely lies elsewhere is told only where nothing else differs at all. */
export function contentDifferences(first: Contents, second: Contents): readonly string[] {
  const lines: string[] = [];
  const moved: string[] = [];
  for (const path of [...new Set([...first.keys(), ...second.keys()])].sort()) {
    const [one, other] = [first.get(path), second.get(path)];
    if (one === undefined || other === undefined) {
      lines.push(`${path}: only in the ${one === undefined ? "second" : "first"}`);
      continue;
    }
    const keys = [...new Set([...Object.keys(one), ...Object.keys(other)])].filter((key) => one[key] !== other[key]);
    if (keys.length === 1 && keys[0] === "place") moved.push(`${path}: lies elsewhere`);
    else if (keys.length > 0)
      lines.push(
        `${path}: ${keys
          .filter((key) => key !== "place")
          .map((key) => change(key, one[key], other[key]))
          .join(", ")}`,
      );
  }
  if (lines.length === 0 && samePaths(first, second) && moved.length === 0) return orderDifference(first, second);
  const told = lines.length > 0 ? lines : moved;
  return told.length <= INSIDE_MAX ? told : [...told.slice(0, INSIDE_MAX), `and ${told.length - INSIDE_MAX} more`];
}

const change = (key: string, before = "none", now = "none"): string => (key === "content" ? key : `${key} (${before} → ${now})`);

const samePaths = (first: Contents, second: Contents): boolean =>
  first.size === second.size && [...first.keys()].every((key) => second.has(key));

function orderDifference(first: Contents, second: Contents): readonly string[] {
  const [one, other] = [[...first.keys()], [...second.keys()]];
  const index = one.findIndex((path, at) => path !== other[at]);
  return index < 0 ? [] : [`${one[index]}: in the place of ${other[index]}: another order of files`];
}
