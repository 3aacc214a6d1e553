/** What stands where in a tree: enough to find files through its links, and to say where new ones go. */
import { HiperisoError } from "../../contract/error.ts";
import { type ByteText, byteText, readable } from "../../formats/byte-text.ts";
import { isPlainPath, type TreeEntry } from "../../formats/file-tree.ts";
import { tarEntryOf } from "../../formats/tar.ts";
import type { TarEntry, TarMember } from "../../formats/tar-entry.ts";
import { resolveInTree } from "./resolve.ts";

export interface IndexedFile {
  readonly kind: TarEntry["kind"] | "socket";
  /** Of a symbolic link. */
  readonly target?: ByteText;
}

/** By path; the root itself is not in it. */
export type TreeIndex = ReadonlyMap<ByteText, IndexedFile>;

/** Where a path leads. */
export function followIn(index: TreeIndex, path: ByteText, last?: "follow" | "keep"): ByteText {
  const links = { get: (link: string): string | undefined => index.get(link as ByteText)?.target };
  return resolveInTree(path, links, last) as ByteText;
}

/**
 * New files with the places where they go, in the order in which they can be unpacked: through links, those of earlier entries too; folders on the
 * way that are missing come with mode 0755, those that are there are left as they are. A later entry of one place replaces an earlier one. Throws
 * where a folder would be needed at the place of something else, or the other way round.
 */
export function placeEntries(
  entries: Iterable<TreeEntry>,
  index: TreeIndex,
  { mtimeS }: { readonly mtimeS: number },
): readonly TarMember[] {
  const known = new Map(index);
  const placed = new Map<ByteText, TarMember>();
  const refuse = (path: ByteText, expected: string, found: string): never => {
    throw new HiperisoError({ what: "put a file into a tree", where: readable(path), expected, found });
  };
  const place = (entry: TreeEntry, path: ByteText): void => {
    const there = known.get(path);
    const isFolder = entry.kind === "directory";
    if (there !== undefined && (there.kind === "directory") !== isFolder) {
      refuse(path, isFolder ? "nothing or a folder" : "nothing or a file to replace", `a ${there.kind}`);
    }
    const tarred = { ...tarEntryOf(entry, { mtimeS }), path };
    known.set(path, { kind: tarred.kind, ...(tarred.kind === "symlink" ? { target: tarred.target } : {}) });
    placed.delete(path);
    placed.set(path, { entry: tarred, content: contentOf(entry) });
  };
  for (const entry of entries) {
    if (!isPlainPath(entry.path)) refuse(byteText(entry.path), "a relative path without empty, . or .. parts", entry.path);
    const path = followIn(known, byteText(entry.path), entry.kind === "directory" ? "follow" : "keep");
    for (const parent of parentsOf(path)) {
      const there = known.get(parent);
      if (there === undefined) place({ kind: "directory", path: readable(parent), mode: 0o755 }, parent);
      else if (there.kind !== "directory") refuse(path, `a folder at ${readable(parent)}`, `a ${there.kind}`);
    }
    if (path !== "") place(entry, path);
  }
  return [...placed.values()];
}

/** `a/b/c` → `a`, `a/b`. */
function parentsOf(path: ByteText): ByteText[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/") as ByteText);
}

async function* contentOf(entry: TreeEntry): AsyncGenerator<Uint8Array> {
  if (entry.kind === "file" && entry.content.length > 0) yield entry.content;
}
