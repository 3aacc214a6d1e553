/** What is in an archive, an initramfs, a file system image: facts of each file by its path, to tell what differs between two of them. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { readable } from "../formats/byte-text.ts";
import { decodeCpio } from "../formats/cpio.ts";
import type { TreeEntry } from "../formats/file-tree.ts";
import { storedBytes, type TarEntry } from "../formats/tar-entry.ts";
import { readTar } from "../formats/tar-reader.ts";
import { openImage } from "../image/block-source.ts";
import { fatTree, readFatVolume } from "../image/fat-tree.ts";
import { isoTree, readIsoVolume } from "../image/iso-tree.ts";
import { readTreeFile, type TreeNode, type VolumeTree, walkTree } from "../image/volume-tree.ts";
import { runTool, sha256, type ToolOptions } from "./tool.ts";

/** By path: name of a fact ("mode", "content"), and its value. */
export type Contents = ReadonlyMap<string, Readonly<Record<string, string>>>;

export interface ContentsOptions extends Pick<ToolOptions, "env" | "signal"> {
  /** A folder for what must be unpacked first. */
  readonly scratch: string;
}

/** Undefined where it is nothing that can be looked into, or where it is damaged. */
export async function readContents(path: string, options: ContentsOptions): Promise<Contents | undefined> {
  const head = await headOf(path);
  const reader = READERS.find(({ looksLikeIt }) => looksLikeIt(head));
  try {
    return await reader?.read(path, options);
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof Error) return undefined; // what it is not, or is in part only, it cannot be compared by
    throw error;
  }
}

interface Reader {
  looksLikeIt(head: Uint8Array): boolean;
  read(path: string, options: ContentsOptions): Promise<Contents | undefined>;
}

const startsWith =
  (magic: string, offset = 0) =>
  (head: Uint8Array): boolean =>
    Buffer.from(head.subarray(offset, offset + magic.length)).toString("latin1") === magic;

const READERS: readonly Reader[] = [
  { looksLikeIt: startsWith("hsqs"), read: squashfsContents },
  { looksLikeIt: startsWith("CD001", 32_769), read: (path) => volumeContents(path) },
  { looksLikeIt: startsWith("ustar", 257), read: tarContents },
  { looksLikeIt: startsWith("070701"), read: (path, options) => cpioContents(path, options) },
  { looksLikeIt: startsWith("\x1f\x8b"), read: (path, options) => cpioContents(path, options) },
  { looksLikeIt: startsWith("\xfd7zXZ\0"), read: (path, options) => cpioContents(path, options) },
  { looksLikeIt: startsWith("\x28\xb5\x2f\xfd"), read: (path, options) => cpioContents(path, options) },
  { looksLikeIt: startsWith("\x55\xaa", 510), read: (path) => volumeContents(path) },
];

const HEAD_BYTES = 33 * 1024;

async function headOf(path: string): Promise<Uint8Array> {
  await using file = await open(path, "r");
  const head = new Uint8Array(HEAD_BYTES);
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  return head.subarray(0, bytesRead);
}

async function tarContents(path: string): Promise<Contents> {
  const contents = new Map<string, Readonly<Record<string, string>>>();
  for await (const { entry, content } of readTar(createReadStream(path), { where: path, end: "optional" })) {
    const digest = storedBytes(entry) === 0 ? {} : { content: await digestOf(content) };
    contents.set(readable(entry.path), { ...tarFacts(entry), ...digest });
  }
  return contents;
}

function tarFacts(entry: TarEntry): Readonly<Record<string, string>> {
  const { kind, mode, uid, gid, mtimeS, xattrs } = entry;
  const attributes = [...xattrs].map(([name, value]) => [`attribute ${readable(name)}`, Buffer.from(value).toString("hex")] as const);
  return {
    type: kind,
    mode: mode.toString(8),
    owner: `${uid}:${gid}`,
    time: `${mtimeS}`,
    ...("target" in entry ? { target: readable(entry.target) } : {}),
    ...("sizeBytes" in entry ? { size: `${entry.sizeBytes}` } : {}),
    ...("major" in entry ? { device: `${entry.major}:${entry.minor}` } : {}),
    ...Object.fromEntries(attributes),
  };
}

/** Of one initramfs; more would be no initramfs of ours. */
const CPIO_BYTES_MAX = 1024 * 2 ** 20;

/** Archives one behind the other, each compressed or not, as the kernel takes them. */
async function cpioContents(path: string, options: ContentsOptions): Promise<Contents | undefined> {
  if ((await stat(path)).size > CPIO_BYTES_MAX) return undefined;
  const contents = new Map<string, Readonly<Record<string, string>>>();
  let bytes: Uint8Array = await readFile(path);
  while (bytes.length > 0) {
    if (bytes[0] === 0) bytes = bytes.subarray(1 + bytes.subarray(1).findIndex((byte) => byte !== 0));
    if (bytes[0] === 0 || bytes.length === 0) break;
    if (!startsWith("070701")(bytes)) {
      bytes = await uncompressed(bytes, options);
      continue;
    }
    const { entries, end } = decodeCpio(bytes, path);
    for (const entry of entries) contents.set(entry.path, cpioFacts(entry));
    bytes = bytes.subarray(end);
  }
  return contents;
}

function cpioFacts(entry: TreeEntry): Readonly<Record<string, string>> {
  return {
    type: entry.kind,
    ...("mode" in entry ? { mode: entry.mode.toString(8) } : {}),
    ...("target" in entry ? { target: entry.target } : {}),
    ...("major" in entry ? { device: `${entry.major}:${entry.minor}` } : {}),
    ...(entry.kind === "file" ? { size: `${entry.content.length}`, content: sha256(entry.content) } : {}),
  };
}

async function uncompressed(bytes: Uint8Array, { scratch, env, signal }: ContentsOptions): Promise<Uint8Array> {
  if (startsWith("\x1f\x8b")(bytes)) return gunzipSync(bytes, { maxOutputLength: CPIO_BYTES_MAX });
  const tool = startsWith("\xfd7zXZ\0")(bytes) ? "xz" : "zstd";
  const [packed, plain] = [join(scratch, "packed"), join(scratch, "plain")];
  try {
    await writeFile(packed, bytes);
    await runTool("sh", ["-c", 'exec "$0" -d -c <"$1" >"$2"', tool, packed, plain], { env, signal });
    if ((await stat(plain)).size > CPIO_BYTES_MAX) throw new RangeError("too large");
    return await readFile(plain);
  } finally {
    for (const file of [packed, plain]) await rm(file, { force: true });
  }
}

/** More than the walk of an unknown image is worth; this one is ours. */
const LIMITS = { depth: 64, entries: 1_000_000, directoryBytes: 1n << 30n };

async function volumeContents(path: string): Promise<Contents | undefined> {
  await using source = await openImage(path);
  const ignore = (): void => {};
  const iso = await readIsoVolume(source, ignore);
  if (iso !== undefined) return await treeContents(isoTree(iso, ignore));
  const fat = await readFatVolume(source, ignore);
  return fat === undefined ? undefined : await treeContents(fatTree(fat, ignore));
}

async function treeContents<Node extends TreeNode>(tree: VolumeTree<Node>): Promise<Contents> {
  const contents = new Map<string, Readonly<Record<string, string>>>();
  for await (const { node, path } of walkTree(tree, LIMITS)) {
    const type = node.directory ? "directory" : node.symbolicLink ? "symlink" : "file";
    const digest = type === "file" ? { size: `${node.sizeBytes}`, content: await digestOf(readTreeFile(tree, node)) } : {};
    const target = node.linkTarget === undefined ? {} : { target: node.linkTarget };
    // Where it lies is decided by what lies before it: that alone is told only of images of which nothing else differs.
    contents.set(path, { type, ...target, ...digest, place: `${node.dataOffset}` });
  }
  return contents;
}

/**
 * What `unsquashfs -pf` writes (squashfs-tools 4.5, USAGE): a line for each file, `\` before a blank or quote in its name, then all contents:
 * `name R time mode uid gid bytes offset [sparse]`, `name D|B|C|F|S|… time mode uid gid …`.
 */
async function squashfsContents(path: string, { scratch, env, signal }: ContentsOptions): Promise<Contents | undefined> {
  const listing = join(scratch, "listing");
  try {
    await runTool("unsquashfs", ["-quiet", "-no-progress", "-pf", listing, path], { env, signal });
    return await readPseudoFile(listing);
  } finally {
    await rm(listing, { force: true });
  }
}

const DATA_STARTS = Buffer.from("\n#\n# START OF DATA - DO NOT MODIFY\n#\n");
const TYPES: Readonly<Record<string, string>> = {
  R: "file",
  D: "directory",
  S: "symlink",
  C: "character-device",
  B: "block-device",
  L: "hard-link",
};

async function readPseudoFile(path: string): Promise<Contents | undefined> {
  await using file = await open(path, "r");
  const head = await untilData(path);
  const lines = head.toString("latin1").split("\n");
  const dataOffset = head.length + DATA_STARTS.length;
  const contents = new Map<string, Readonly<Record<string, string>>>();
  for (const line of lines) {
    const parts = /^((?:[^\\ ]|\\.)+) ([A-Z]) ?(.*)$/s.exec(line);
    if (parts === null) continue;
    const [, name, letter, rest] = parts as unknown as readonly [string, string, string, string];
    const words = rest.split(" ");
    const [time = "", mode = "", uid = "", gid = "", ...special] = letter === "L" ? ["", "", "", "", rest] : words;
    const size = Number(special[0]);
    const digest =
      letter === "R" && size > 0
        ? {
            content: await digestOf(
              file.createReadStream({
                start: dataOffset + Number(special[1]),
                end: dataOffset + Number(special[1]) + size - 1,
                autoClose: false,
              }),
            ),
          }
        : {};
    contents.set(shownName(name), {
      type: TYPES[letter] ?? letter,
      time,
      mode,
      owner: `${uid}:${gid}`,
      ...(letter === "R" ? { size: `${size}`, ...digest } : { more: special.join(" ") }),
    });
  }
  return contents;
}

const shownName = (name: string): string => Buffer.from(name.replace(/\\(.)/g, "$1"), "latin1").toString("utf8");

/** All before the contents. */
async function untilData(path: string): Promise<Buffer> {
  let head = Buffer.alloc(0);
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(DATA_STARTS, Math.max(0, head.length - chunk.length - DATA_STARTS.length));
    if (end >= 0) return head.subarray(0, end);
  }
  return head;
}

async function digestOf(content: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of content) hash.update(chunk);
  return hash.digest("hex");
}
