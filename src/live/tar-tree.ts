/** A root file system as it travels between stages, an archive, read as a tree: any of its files, without unpacking the others. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { HiperisoError } from "../contract/error.ts";
import { readable } from "../formats/byte-text.ts";
import { storedBytes, type TarEntry, wholeContent } from "../formats/tar-entry.ts";
import { readTar } from "../formats/tar-reader.ts";
import type { FileLookup } from "./elf-closure.ts";
import { resolveInTree } from "./sandbox/resolve.ts";

export interface TarTree extends AsyncDisposable, FileLookup {
  /** By path, of every entry; a later one of the same path has replaced the earlier. */
  readonly entries: ReadonlyMap<string, TarEntry>;
  /** Where `path` leads when all links on the way are followed inside the tree; undefined where nothing is there. */
  resolve(path: string): string | undefined;
  /** All bytes of a file, through links, holes as zeros. Undefined where there is no file. Throws beyond `bytesMax`. */
  read(path: string, bytesMax?: number): Promise<Uint8Array | undefined>;
}

/** Nothing that a stage reads into memory is larger: kernels, programs, modules. */
const FILE_BYTES_MAX = 512 * 1024 * 1024;

/** `path` of an archive, not compressed. Reads all of its headers. */
export async function openTarTree(path: string): Promise<TarTree> {
  const entries = new Map<string, TarEntry>();
  const places = new Map<string, number>();
  for await (const { entry, contentOffset } of readTar(createReadStream(path), { where: path })) {
    const name = readable(entry.path);
    entries.set(name, entry);
    places.set(name, contentOffset);
  }
  const links = new Map([...entries].flatMap(([name, entry]) => (entry.kind === "symlink" ? [[name, readable(entry.target)]] : [])));
  const file = await open(path, "r");
  const resolve = (wanted: string): string | undefined => {
    let found = resolveInTree(wanted, links);
    // A second name of a file stands for the first; one that stands for itself, by whatever way, for nothing.
    const seen = new Set<string>();
    for (let entry = entries.get(found); entry?.kind === "hard-link"; entry = entries.get(found)) {
      if (seen.has(found)) return undefined;
      seen.add(found);
      found = readable(entry.target);
    }
    return entries.has(found) ? found : undefined;
  };
  const children = new Map<string, string[]>();
  for (const name of [...entries.keys()].sort()) {
    const slash = name.lastIndexOf("/");
    const folder = slash < 0 ? "" : name.slice(0, slash);
    if (name !== "") {
      const known = children.get(folder);
      if (known === undefined) children.set(folder, [name.slice(slash + 1)]);
      else known.push(name.slice(slash + 1));
    }
  }
  return {
    entries,
    resolve,
    list: async (folder) => children.get(resolveInTree(folder, links)) ?? [],
    async read(wanted, bytesMax = FILE_BYTES_MAX) {
      const found = resolve(wanted);
      const entry = found === undefined ? undefined : entries.get(found);
      if (found === undefined || entry?.kind !== "file") return undefined;
      if (entry.sizeBytes > bytesMax) {
        const sizes = { expected: `at most ${bytesMax} bytes`, found: `${entry.sizeBytes}` };
        throw new HiperisoError({ what: "read a file of a root file system", where: wanted, ...sizes });
      }
      const stored = new Uint8Array(storedBytes(entry));
      await file.read(stored, 0, stored.length, places.get(found)!);
      if (entry.extents === undefined) return stored;
      const pieces: Uint8Array[] = [];
      for await (const piece of wholeContent({ entry, content: once(stored) })) pieces.push(piece);
      return Buffer.concat(pieces);
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
