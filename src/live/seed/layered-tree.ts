/**
 * Archives laid over each other, and the one tree that they make: what a container image is, and how a root file system gets more files without
 * being unpacked. Only headers are kept in memory; the bytes stay in the archives until the tree is written.
 */
import { createWriteStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { HiperisoError } from "../../contract/error.ts";
import { type ByteText, byteText, joined, readable } from "../../formats/byte-text.ts";
import { writeTar } from "../../formats/tar.ts";
import { storedBytes, type TarEntry, type TarMember } from "../../formats/tar-entry.ts";
import { readTar } from "../../formats/tar-reader.ts";

export interface LayerOptions {
  /**
   * `.wh.NAME` removes NAME of the layers below, `.wh..wh..opq` all that they have in its folder (OCI image-spec, layer.md, "Whiteouts").
   * Without it these are files like any other.
   */
  readonly whiteouts?: boolean;
  /** A folder of the layer whose name is a link to a folder below goes into that folder (/lib → usr/lib). Otherwise it takes the link's place. */
  readonly keepFolderLinks?: boolean;
  /** As `readTar`. */
  readonly end?: "required" | "optional";
}

/** One file, by however many names it goes. */
interface Inode {
  /** Its path is that of its first name; see `Node`. */
  readonly entry: TarEntry;
  readonly content: () => AsyncIterable<Uint8Array>;
}

interface Node {
  inode: Inode;
  /** Of a folder. */
  readonly children: Map<ByteText, Node> | undefined;
}

const LINKS_FOLLOWED_MAX = 40;
/** A path of 4,095 bytes, which is all that Linux takes, has no more; links into folders could lead on without an end. */
const DEPTH_MAX = 2048;
const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";
/** What the first of these file systems kept for itself. */
const PRIVATE = ".wh..wh.";

export class LayeredTree implements AsyncDisposable {
  readonly #files: FileHandle[] = [];
  #root: Node = folderNode(implicitFolder());

  /** Lays the archive at `path`, not compressed, over what is there. It is read again when the tree is written, so it must stay until then. */
  async add(path: string, { whiteouts = false, keepFolderLinks = false, end = "required" }: LayerOptions = {}): Promise<void> {
    const file = await open(path, "r");
    this.#files.push(file);
    const layer: Inode[] = [];
    for await (const { entry, contentOffset } of readTar(file.createReadStream({ start: 0, autoClose: false }), { where: path, end })) {
      layer.push({ entry, content: () => stretch(file, contentOffset, storedBytes(entry)) });
    }
    if (whiteouts) for (const { entry } of layer) this.#whiteOut(entry.path, path);
    for (const inode of layer) {
      if (whiteouts && inode.entry.path.split("/").some((part) => part.startsWith(WHITEOUT))) continue;
      this.#place(inode, keepFolderLinks, path);
    }
  }

  /** With all that is in it. A link is removed, not what it leads to. Answers whether it was there. */
  remove(path: string): boolean {
    const parts = byteText(path).split("/") as ByteText[];
    const folder = this.#folderAt(parts.slice(0, -1), path);
    return folder?.children?.delete(parts.at(-1)!) ?? false;
  }

  /**
   * The tree as one archive at `target`: sorted, owners by number, no time behind `epochS`, a file of several names once and then as hard links. The same
   * tree gives the same bytes.
   */
  async write(target: string, { epochS, signal }: { readonly epochS: number; readonly signal?: AbortSignal }): Promise<void> {
    const options = signal === undefined ? {} : { signal };
    await pipeline(
      Readable.from(writeTar(this.#members(epochS)), { objectMode: true }),
      createWriteStream(target, { flags: "wx" }),
      options,
    );
  }

  *#members(epochS: number): Generator<TarMember> {
    const names = new Map<Inode, ByteText>();
    for (const [path, { inode }] of walk(this.#root, "" as ByteText)) {
      const { userName: _user, groupName: _group, ...rest } = inode.entry;
      const entry: TarEntry = { ...rest, path, mtimeS: Math.min(rest.mtimeS, epochS) };
      const first = entry.kind === "directory" ? undefined : names.get(inode);
      if (first !== undefined) {
        const { mode, uid, gid, mtimeS } = entry;
        yield {
          entry: { kind: "hard-link", path, target: first, mode, uid, gid, mtimeS, xattrs: NONE, records: NONE },
          content: once(EMPTY),
        };
        continue;
      }
      names.set(inode, path);
      yield { entry, content: inode.content() };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.splice(0)) await file.close();
  }

  #whiteOut(path: ByteText, where: string): void {
    const parts = path.split("/") as ByteText[];
    const name = parts.at(-1)!;
    if (!name.startsWith(WHITEOUT) || (name.startsWith(PRIVATE) && name !== OPAQUE)) return;
    const folder = this.#folderAt(parts.slice(0, -1), where);
    if (name === OPAQUE) folder?.children?.clear();
    else folder?.children?.delete(name.slice(WHITEOUT.length) as ByteText);
  }

  #place(inode: Inode, keepFolderLinks: boolean, where: string): void {
    const { entry } = inode;
    const bad = (expected: string, found: string): HiperisoError =>
      new HiperisoError({ what: "lay an archive over a tree", where: `${where}: ${readable(entry.path)}`, expected, found });
    if (entry.path === "") {
      if (entry.kind !== "directory") throw bad("a folder as the root", `a ${entry.kind}`);
      this.#root = { inode, children: this.#root.children };
      return;
    }
    const parts = entry.path.split("/") as ByteText[];
    const name = parts.at(-1)!;
    const parent = this.#folderAt(parts.slice(0, -1), where, entry);
    const siblings = parent?.children;
    if (siblings === undefined) throw bad("a folder above it", "none");
    if (entry.kind === "directory") {
      const there = siblings.get(name);
      if (keepFolderLinks && there?.inode.entry.kind === "symlink") {
        const folder = this.#folderAt(parts, where);
        if (folder !== undefined) {
          folder.inode = inode;
          return;
        }
      }
      if (there?.children === undefined) siblings.set(name, folderNode(inode));
      else there.inode = inode;
      return;
    }
    if (entry.kind !== "hard-link") {
      siblings.set(name, { inode, children: undefined });
      return;
    }
    const to = entry.target.split("/") as ByteText[];
    const linked = this.#folderAt(to.slice(0, -1), where)?.children?.get(to.at(-1)!);
    if (linked === undefined) throw bad("a file for its hard link", `no ${readable(entry.target)}`);
    if (linked.children !== undefined) throw bad("a file for its hard link", `a folder at ${readable(entry.target)}`);
    siblings.set(name, linked);
  }

  /**
   * The folder that these names lead to, links followed inside the tree. Undefined where there is none; with `below`, what is missing is made for it.
   * Throws on a loop of links.
   */
  #folderAt(parts: readonly ByteText[], where: string, below?: TarEntry): Node | undefined {
    let waiting = [...parts];
    let done: Node[] = [this.#root];
    let followed = 0;
    while (waiting.length > 0) {
      const name = waiting.shift()!;
      if (name === ".." && done.length > 1) done.pop();
      if (name === "" || name === "." || name === "..") continue;
      const { children } = done.at(-1)!;
      if (children === undefined) return undefined;
      let node = children.get(name);
      if (node === undefined) {
        if (below === undefined) return undefined;
        node = folderNode(implicitFolder(below.mtimeS));
        children.set(name, node);
      }
      const { entry } = node.inode;
      if (entry.kind === "symlink") {
        followed += 1;
        if (followed > LINKS_FOLLOWED_MAX) {
          const facts = { expected: "an end of its links", found: "a loop" };
          throw new HiperisoError({ what: "lay an archive over a tree", where: `${where}: ${readable(entry.path)}`, ...facts });
        }
        if (entry.target.startsWith("/")) done = done.slice(0, 1);
        waiting = [...(entry.target.split("/") as ByteText[]), ...waiting];
      } else done.push(node);
      if (done.length > DEPTH_MAX) {
        const facts = { expected: `at most ${DEPTH_MAX} folders in each other`, found: "more" };
        throw new HiperisoError({ what: "lay an archive over a tree", where, ...facts });
      }
    }
    const node = done.at(-1)!;
    return node.children === undefined ? undefined : node;
  }
}

const EMPTY = new Uint8Array();
const NONE: ReadonlyMap<ByteText, Uint8Array> = new Map();

const folderNode = (inode: Inode): Node => ({ inode, children: new Map() });

function implicitFolder(mtimeS = 0): Inode {
  const entry = { kind: "directory", path: "" as ByteText, mode: 0o755, uid: 0, gid: 0, mtimeS, xattrs: NONE, records: NONE } as const;
  return { entry, content: () => once(EMPTY) };
}

/** Parents first, names in the order of their bytes. */
function* walk(root: Node, rootPath: ByteText): Generator<readonly [ByteText, Node]> {
  const waiting: (readonly [ByteText, Node])[] = [[rootPath, root]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    yield next;
    const [path, { children }] = next;
    if (children === undefined) continue;
    const backwards = [...children].sort(([one], [other]) => (one < other ? 1 : -1));
    waiting.push(...backwards.map(([name, child]) => [joined(path, name), child] as const));
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

const CHUNK_BYTES = 1024 * 1024;

async function* stretch(file: FileHandle, offset: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let done = 0; done < bytes; ) {
    const chunk = new Uint8Array(Math.min(bytes - done, CHUNK_BYTES));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, offset + done);
    // The archive was cut since it was laid: the writer tells how many bytes are missing.
    if (bytesRead === 0) return;
    yield chunk.subarray(0, bytesRead);
    done += bytesRead;
  }
}
