/**
 * Directories and files, whatever the file system: the small interface that ISO 9660 and FAT implement, and what can be done
 * with it: walk, find, read. Nothing here trusts the tree: walks are bounded, and a directory is entered once.
 */
import type { ReportProblem } from "../formats/problem.ts";
import type { BlockSource } from "./block-source.ts";

export interface TreeNode {
  /** One part of a path, as stored: may hold anything. Empty for the root. */
  readonly name: string;
  readonly directory: boolean;
  readonly symbolicLink: boolean;
  /** Where a symbolic link leads, from its own directory or from the root; undefined where that is not known. */
  readonly linkTarget?: string | undefined;
  /** Of a file's data. Of a directory: what the medium says its entries take, 0 where it does not say. */
  readonly sizeBytes: bigint;
  /** Where the data starts; the same for two directories only when they are one. Undefined for a file without data. */
  readonly dataOffset: bigint | undefined;
  /** Of the record that names it, for messages. */
  readonly recordOffset: bigint;
}

/** A run of bytes of `VolumeTree.source`. */
export interface Extent {
  readonly offset: bigint;
  readonly bytes: bigint;
}

export interface VolumeTree<Node extends TreeNode = TreeNode> {
  /** Offsets in nodes and extents count from its start. */
  readonly source: BlockSource;
  readonly report: ReportProblem;
  readonly root: Node;
  readonly ignoresCase: boolean;
  /** What a directory holds, without itself and its parent, as it is read. Damage is reported and skipped. */
  entries(directory: Node): AsyncIterable<Node>;
  /** Where a file's data lies, in order. Ends early, reporting, where that cannot be followed. */
  extents(file: Node): AsyncIterable<Extent>;
}

export interface WalkedNode<Node extends TreeNode> {
  readonly node: Node;
  /** From the root, starting with `/`. */
  readonly path: string;
}

export interface WalkLimits {
  readonly depth: number;
  readonly entries: number;
  readonly directoryBytes: bigint;
}

/** A DVD of a distribution has some thousand directories. Those with boot files in them come first, so a cut costs little. */
export const WALK_LIMITS: WalkLimits = { depth: 16, entries: 10_000, directoryBytes: 16n << 20n };

/** Where boot files are, in lower case. Directories of such a name are entered before others. */
const BOOT_DIRECTORIES =
  /^(\.?boot|efi|grub2?|(iso|sys|ext)?linux|casper|live|install.*|images|pxeboot|arch|loader|entries|kernels?|x86_64|amd64|microsoft|debian|limine)$/;

/**
 * Every node of the tree but the root, directories of boot files first, then breadth first. Returns false when it stopped at a limit.
 */
export async function* walkTree<Node extends TreeNode>(
  tree: VolumeTree<Node>,
  limits: WalkLimits = WALK_LIMITS,
): AsyncGenerator<WalkedNode<Node>, boolean> {
  const urgent: { directory: Node; path: string; depth: number }[] = [{ directory: tree.root, path: "", depth: 0 }];
  const later: typeof urgent = [];
  const entered = new Map<bigint, string>();
  let entries = 0;
  let directoryBytes = 0n;
  let complete = true;
  for (let next = urgent.shift(); next !== undefined; next = urgent.shift() ?? later.shift()) {
    const { directory, path, depth } = next;
    if (directory.dataOffset === undefined) continue;
    const before = entered.get(directory.dataOffset);
    if (before !== undefined) {
      const found = `the directory ${before === "" ? "/" : before} again, as ${path}`;
      tree.report({ offset: directory.recordOffset, structure: "directory record", expected: "a directory of its own", found });
      continue;
    }
    entered.set(directory.dataOffset, path);
    directoryBytes += directory.sizeBytes;
    if (directoryBytes > limits.directoryBytes) return false;
    for await (const node of tree.entries(directory)) {
      entries += 1;
      if (entries > limits.entries) return false;
      const child = `${path}/${node.name}`;
      yield { node, path: child };
      if (!node.directory) continue;
      if (depth + 1 > limits.depth) complete = false;
      else (BOOT_DIRECTORIES.test(node.name.toLowerCase()) ? urgent : later).push({ directory: node, path: child, depth: depth + 1 });
    }
  }
  return complete;
}

/** The node at a path such as `/boot/grub/grub.cfg`; undefined where there is none. Symbolic links are not followed. */
export async function findInTree<Node extends TreeNode>(tree: VolumeTree<Node>, path: string): Promise<Node | undefined> {
  const same = (name: string, part: string) => name === part || (tree.ignoresCase && name.toLowerCase() === part.toLowerCase());
  let node: Node | undefined = tree.root;
  for (const part of path.split("/").filter((part) => part !== "")) {
    if (node === undefined || !node.directory) return undefined;
    let found: Node | undefined;
    for await (const entry of tree.entries(node)) {
      if (same(entry.name, part)) {
        found = entry;
        break;
      }
    }
    node = found;
  }
  return node;
}

const PIECE_BYTES = 262_144;

/**
 * A file's bytes from `start`, in pieces of at most 256 KiB. Ends before `sizeBytes` where the image does, or where the chain of a damaged
 * file cannot be followed: what was read before stays right.
 */
export async function* readTreeFile<Node extends TreeNode>(
  tree: VolumeTree<Node>,
  file: Node,
  start = 0n,
): AsyncGenerator<Uint8Array, void> {
  let skip = start;
  let left = file.sizeBytes - start;
  for await (const extent of tree.extents(file)) {
    if (left <= 0n) return;
    if (skip >= extent.bytes) {
      skip -= extent.bytes;
      continue;
    }
    let offset = extent.offset + skip;
    let inExtent = smaller(extent.bytes - skip, left);
    skip = 0n;
    while (inExtent > 0n) {
      const piece = await tree.source.read(offset, Number(smaller(inExtent, BigInt(PIECE_BYTES))));
      if (piece.length === 0) return;
      yield piece;
      offset += BigInt(piece.length);
      inExtent -= BigInt(piece.length);
      left -= BigInt(piece.length);
    }
  }
}

/** The first bytes of a file: as many as asked for, as it has, or as can be read. Meant for heads of some KiB. */
export async function readTreeFileHead<Node extends TreeNode>(
  tree: VolumeTree<Node>,
  file: Node,
  lengthBytes: number,
): Promise<Uint8Array> {
  const head = new Uint8Array(Number(smaller(BigInt(lengthBytes), file.sizeBytes)));
  let done = 0;
  for await (const extent of tree.extents(file)) {
    const wanted = Number(smaller(BigInt(head.length - done), extent.bytes));
    const piece = await tree.source.read(extent.offset, wanted);
    head.set(piece, done);
    done += piece.length;
    if (done === head.length || piece.length < wanted) break;
  }
  return head.subarray(0, done);
}

export const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
