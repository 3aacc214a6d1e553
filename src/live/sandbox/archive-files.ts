/** A root file system that nothing runs in: it is changed as an archive, without being unpacked. */
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { HiperisoError } from "../../contract/error.ts";
import { type ByteText, byteText, readable } from "../../formats/byte-text.ts";
import type { TreeEntry } from "../../formats/file-tree.ts";
import { tarEntryOf, writeTar } from "../../formats/tar.ts";
import { storedBytes, type TarEntry, type TarMember } from "../../formats/tar-entry.ts";
import { readTar } from "../../formats/tar-reader.ts";
import { LayeredTree } from "../seed/layered-tree.ts";
import type { TreeFiles, TreeOwner } from "./tree-files.ts";
import { EMPTY, followIn, type IndexedFile, inMemory, membersOf, Placement, pathsFrom } from "./tree-index.ts";

/** One file, and where its bytes are until the tree is written. */
interface Known {
  readonly entry: TarEntry;
  readonly content: () => AsyncIterable<Uint8Array>;
}

/** Nothing that is read into memory here is larger. */
const FILE_BYTES_MAX = 64 * 2 ** 20;

export class ArchiveFiles implements TreeFiles {
  readonly #mtimeS: number;
  readonly #known = new Map<ByteText, Known>();
  /** In the order in which they are laid over each other. */
  readonly #steps: ((tree: LayeredTree, scratch: string) => Promise<void>)[] = [];
  #index = new Map<ByteText, IndexedFile>();
  #layers = 0;

  /** `mtimeS`: of new files. */
  constructor({ mtimeS }: { readonly mtimeS: number }) {
    this.#mtimeS = mtimeS;
  }

  /** An empty tree, or the one in the archive `base`, which is `named` in errors. */
  static async open(base: string | undefined, options: { readonly mtimeS: number; readonly named?: string }): Promise<ArchiveFiles> {
    const files = new ArchiveFiles(options);
    if (base !== undefined) await files.putArchive(base, options.named);
    return files;
  }

  async put(entries: Iterable<TreeEntry>): Promise<void> {
    this.#putMembers([...membersOf(entries, { mtimeS: this.#mtimeS })]);
  }

  async putArchive(path: string, named = path): Promise<void> {
    const placement = new Placement(this.#index);
    for await (const member of readTar(createReadStream(path), { where: named })) {
      const { entry, contentOffset } = member;
      const content = () => stretch(path, contentOffset, storedBytes(entry));
      for (const placed of placement.place(member)) this.#know(placed.entry, content);
    }
    this.#index = new Map(placement.index);
    this.#steps.push((tree) => tree.add(path, { keepFolderLinks: true }));
  }

  async readIfThere(path: string): Promise<Uint8Array | undefined> {
    const known = this.#fileAt(followIn(this.#index, byteText(path)));
    if (known === undefined || known.entry.kind !== "file") return undefined;
    const { sizeBytes, extents } = known.entry;
    if (sizeBytes > FILE_BYTES_MAX || extents !== undefined) {
      const sizes = { expected: `a file without holes of at most ${FILE_BYTES_MAX} bytes`, found: `${sizeBytes} bytes` };
      throw new HiperisoError({ what: "read a file of a tree", where: path, ...sizes });
    }
    const pieces: Uint8Array[] = [];
    for await (const piece of known.content()) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async exists(path: string): Promise<boolean> {
    const place = followIn(this.#index, byteText(path));
    return place === "" || this.#index.has(place);
  }

  async list(path: string): ReturnType<TreeFiles["list"]> {
    const place = followIn(this.#index, byteText(path));
    return listed(this.#index, place);
  }

  async remove(path: string): Promise<void> {
    const place = followIn(this.#index, byteText(path), "keep");
    for (const gone of pathsFrom(this.#index, place)) {
      this.#index.delete(gone);
      this.#known.delete(gone);
    }
    this.#steps.push(async (tree) => void tree.remove(readable(place)));
  }

  async changeOwner(path: string, { uid, gid, below = false }: TreeOwner): Promise<void> {
    const place = followIn(this.#index, byteText(path), "keep");
    if (!this.#index.has(place)) {
      throw new HiperisoError({ what: "change the owner of a file of a tree", where: path, expected: "something there", found: "nothing" });
    }
    const paths = below ? pathsFrom(this.#index, place) : [place];
    const files = paths.flatMap((name) => {
      const known = this.#fileAt(name);
      return known === undefined ? [] : [{ ...known, entry: { ...known.entry, path: name } as TarEntry }];
    });
    this.#putMembers(files.map(({ entry, content }) => ({ entry: { ...entry, uid, gid }, content: again(content) })));
  }

  /** The tree as a sorted archive in `target`. `scratch`: a folder for what comes between. */
  async write(target: string, options: { readonly epochS: number; readonly scratch: string; readonly signal: AbortSignal }): Promise<void> {
    await using tree = new LayeredTree();
    // An archive need not have an entry for the root itself.
    const root = { ...tarEntryOf({ kind: "directory", path: "root", mode: 0o755 }, { mtimeS: this.#mtimeS }), path: "" as ByteText };
    await addMembers(tree, [{ entry: root, content: EMPTY }], join(options.scratch, "layer-root.tar"));
    for (const step of this.#steps) await step(tree, options.scratch);
    await tree.write(target, options);
  }

  #putMembers(members: readonly TarMember[]): void {
    const placement = new Placement(this.#index);
    const placed = members.flatMap((member) => [...placement.place(member)]);
    for (const { entry, content } of placed) this.#know(entry, () => content);
    this.#index = new Map(placement.index);
    const name = `layer-${this.#layers}.tar`;
    this.#layers += 1;
    this.#steps.push((tree, scratch) => addMembers(tree, placed, join(scratch, name)));
  }

  #know(entry: TarEntry, content: () => AsyncIterable<Uint8Array>): void {
    this.#known.set(entry.path, { entry, content });
  }

  /** Through hard links. */
  #fileAt(path: ByteText): Known | undefined {
    let known = this.#known.get(path);
    for (let left = 40; known?.entry.kind === "hard-link" && left > 0; left -= 1) known = this.#known.get(known.entry.target);
    return known;
  }
}

/** `path`: a file that stays until the tree is written. */
async function addMembers(tree: LayeredTree, members: readonly TarMember[], path: string): Promise<void> {
  await pipeline(Readable.from(writeTar(members)), createWriteStream(path, { flags: "wx" }));
  await tree.add(path, { keepFolderLinks: true });
}

/** What an index has below a folder. */
export function listed(index: ReadonlyMap<ByteText, IndexedFile>, folder: ByteText): Awaited<ReturnType<TreeFiles["list"]>> {
  const prefix = folder === "" ? "" : `${folder}/`;
  return [...index]
    .filter(([path]) => path.startsWith(prefix) && path !== folder)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, { kind, target }]) => ({
      path: readable(path.slice(prefix.length) as ByteText),
      kind,
      ...(target === undefined ? {} : { target: readable(target) }),
    }));
}

const again = (content: () => AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> => ({
  [Symbol.asyncIterator]: () => content()[Symbol.asyncIterator](),
});

function stretch(path: string, offset: number, bytes: number): AsyncIterable<Uint8Array> {
  return bytes === 0 ? inMemory(new Uint8Array()) : createReadStream(path, { start: offset, end: offset + bytes - 1 });
}
