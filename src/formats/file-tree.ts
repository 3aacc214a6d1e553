/**
 * Files as a value: what archives, FAT volumes and root file systems are made from, without touching a disk.
 * Owners are always root; a tree that needs others comes as an archive.
 */
import { HiperisoError } from "../contract/error.ts";

/** `path` has no leading or trailing slash and no empty, `.` or `..` part. `mode` holds the permission bits only (at most 0o7777). */
export type TreeEntry =
  | { readonly kind: "directory"; readonly path: string; readonly mode: number }
  | { readonly kind: "file"; readonly path: string; readonly mode: number; readonly content: Uint8Array }
  | { readonly kind: "symlink"; readonly path: string; readonly target: string }
  | {
      readonly kind: "character-device" | "block-device";
      readonly path: string;
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    };

/** Code unit order, the same on every computer. A folder comes before what is in it. */
const byPath = (a: { readonly path: string }, b: { readonly path: string }): number => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);

/**
 * The same entries sorted by path, with every missing parent folder (mode 0755) added. Later entries of one path replace
 * earlier ones. Throws on a path that is not relative and plain, and on a file that stands where a folder must be.
 */
export function completeTree(entries: Iterable<TreeEntry>): readonly TreeEntry[] {
  const byName = new Map<string, TreeEntry>();
  for (const entry of entries) {
    if (!isPlainPath(entry.path)) {
      throw new HiperisoError({
        what: "put a file into a tree",
        where: entry.path,
        expected: "a relative path without empty, . or .. parts",
      });
    }
    byName.set(entry.path, entry);
  }
  for (const path of [...byName.keys()]) {
    for (const parent of parentsOf(path)) {
      const there = byName.get(parent);
      if (there === undefined) byName.set(parent, { kind: "directory", path: parent, mode: 0o755 });
      else if (there.kind !== "directory") {
        throw new HiperisoError({
          what: "put a file into a tree",
          where: path,
          expected: `a folder at ${parent}`,
          found: `a ${there.kind}`,
        });
      }
    }
  }
  return [...byName.values()].sort(byPath);
}

export function isPlainPath(path: string): boolean {
  return path !== "" && !path.includes("\0") && path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** `a/b/c` → `a`, `a/b`. */
function parentsOf(path: string): string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/"));
}
