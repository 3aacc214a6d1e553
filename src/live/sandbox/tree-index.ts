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

export const indexedFile = (entry: TarEntry): IndexedFile =>
  entry.kind === "symlink" ? { kind: entry.kind, target: entry.target } : { kind: entry.kind };

/** What is at a path and all below it. */
export function pathsFrom(index: TreeIndex, path: ByteText): readonly ByteText[] {
  return [...index.keys()].filter((key) => key === path || key.startsWith(`${path}/`));
}

/**
 * Finds for each new file the place where it goes: through links, those of files that went before too. Folders on the way that are missing are made with
 * mode 0755, those that are there are left as they are.
 */
export class Placement {
  readonly #index: Map<ByteText, IndexedFile>;

  constructor(index: TreeIndex) {
    this.#index = new Map(index);
  }

  /** With what goes in now. */
  get index(): TreeIndex {
    return this.#index;
  }

  /** The member where it goes, behind the folders that it needs. Throws where a folder would be needed at the place of something else, or the other way round. */
  *place({ entry, content }: TarMember): Generator<TarMember> {
    const isFolder = entry.kind === "directory";
    const path = followIn(this.#index, entry.path, isFolder ? "follow" : "keep");
    if (path === "") return;
    for (const parent of parentsOf(path)) {
      const there = this.#index.get(parent);
      if (there?.kind === "directory") continue;
      if (there !== undefined) throw refusal(path, `a folder at ${readable(parent)}`, `a ${there.kind}`);
      const folder = tarEntryOf({ kind: "directory", path: readable(parent), mode: 0o755 }, entry);
      yield this.#placed({ ...folder, path: parent }, EMPTY);
    }
    const there = this.#index.get(path);
    if (there !== undefined && (there.kind === "directory") !== isFolder) {
      throw refusal(path, isFolder ? "nothing or a folder" : "nothing or a file to replace", `a ${there.kind}`);
    }
    const placed = { ...entry, path };
    yield this.#placed(placed.kind === "hard-link" ? { ...placed, target: followIn(this.#index, placed.target) } : placed, content);
  }

  #placed(entry: TarEntry, content: TarMember["content"]): TarMember {
    this.#index.set(entry.path, indexedFile(entry));
    return { entry, content };
  }
}

/** Files of a spec as members of an archive, owned by root. Throws on a path that is not plain and relative. */
export function* membersOf(entries: Iterable<TreeEntry>, { mtimeS }: { readonly mtimeS: number }): Generator<TarMember> {
  for (const entry of entries) {
    if (!isPlainPath(entry.path)) throw refusal(byteText(entry.path), "a relative path without empty, . or .. parts", entry.path);
    const content = entry.kind === "file" ? inMemory(entry.content) : EMPTY;
    yield { entry: tarEntryOf(entry, { mtimeS }), content };
  }
}

/** Can be read more than once. */
export const inMemory = (bytes: Uint8Array): AsyncIterable<Uint8Array> => ({
  async *[Symbol.asyncIterator]() {
    if (bytes.length > 0) yield bytes;
  },
});

export const EMPTY = inMemory(new Uint8Array());

function refusal(path: ByteText, expected: string, found: string): HiperisoError {
  return new HiperisoError({ what: "put a file into a tree", where: readable(path), expected, found });
}

/** `a/b/c` → `a`, `a/b`. */
function parentsOf(path: ByteText): ByteText[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/") as ByteText);
}
