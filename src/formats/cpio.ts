/**
 * cpio "newc" archives, as the kernel unpacks them into its first root file system
 * (Linux: Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * Header, 110 bytes of ASCII: the magic, then 13 numbers of 8 hexadecimal digits.
 *     0  6  "070701"        46  8  mtime               86  8  rdev minor
 *     6  8  inode           54  8  bytes of the file   94  8  bytes of the name, its NUL counted
 *    14  8  mode            62  8  dev major          102  8  checksum, 0 in this form
 *    22  8  uid             70  8  dev minor
 *    30  8  gid             78  8  rdev major
 *    38  8  links
 * The name follows, padded with NULs so that what comes next starts at a multiple of 4; then the file, padded alike.
 * The last entry is named "TRAILER!!!".
 */
import { HiperisoError } from "../contract/error.ts";
import { completeTree, type TreeEntry } from "./file-tree.ts";

const MAGIC = "070701";
const HEADER_BYTES = 110;
const TRAILER = "TRAILER!!!";
/** PATH_MAX of Linux, its NUL counted: the kernel skips entries with longer names. */
const NAME_BYTES_MAX = 4096;
const FILE_BYTES_MAX = 0xffff_ffff;

const TYPE_MASK = 0o170000;
const TYPES = {
  directory: 0o040000,
  file: 0o100000,
  symlink: 0o120000,
  "character-device": 0o020000,
  "block-device": 0o060000,
} as const;

export interface CpioOptions {
  /** Seconds since 1970, 0 to 2^32 - 1. */
  readonly mtimeS: number;
  /** Files of one mode whose `content` is the same array are names of one file, as `decodeCpio` gives them. Else each is a file of its own. */
  readonly linkShared?: boolean;
}

/**
 * One archive with the trailer, sorted, parents before children, owned by root. The same entries give the same bytes:
 * inodes are counted, device numbers are 0. Throws on a path or a file that the form cannot hold.
 */
export function encodeCpio(entries: Iterable<TreeEntry>, { mtimeS, linkShared = false }: CpioOptions): Uint8Array {
  const tree = completeTree(entries);
  const names = linkShared ? namesOfFiles(tree) : new Map<TreeEntry, SharedFile>();
  const blocks: Uint8Array[] = [];
  let inode = 0;
  for (const entry of tree) {
    const [major, minor] = "major" in entry ? [entry.major, entry.minor] : [0, 0];
    const mode = TYPES[entry.kind] | (entry.kind === "symlink" ? 0o777 : entry.mode);
    const file = names.get(entry);
    if (file !== undefined) {
      file.inode ||= ++inode;
      file.left -= 1;
      // The last name has the bytes, as with GNU cpio; the kernel takes them from any.
      const content = file.left === 0 ? contentOf(entry) : new Uint8Array();
      blocks.push(...encodeEntry(entry.path, content, { inode: file.inode, mode, links: file.names, mtimeS, major, minor }));
      continue;
    }
    inode += 1;
    blocks.push(
      ...encodeEntry(entry.path, contentOf(entry), { inode, mode, links: entry.kind === "directory" ? 2 : 1, mtimeS, major, minor }),
    );
  }
  blocks.push(...encodeEntry(TRAILER, new Uint8Array(), { inode: 0, mode: 0, links: 1, mtimeS: 0, major: 0, minor: 0 }));
  return concatenated(blocks);
}

interface SharedFile {
  readonly mode: number;
  names: number;
  /** Names that are not written yet. */
  left: number;
  /** 0: none yet. */
  inode: number;
}

/** By entry the file that it is a name of, where there are several. */
function namesOfFiles(tree: readonly TreeEntry[]): ReadonlyMap<TreeEntry, SharedFile> {
  const files = new Map<Uint8Array, SharedFile>();
  const names = new Map<TreeEntry, SharedFile>();
  for (const entry of tree) {
    if (entry.kind !== "file" || entry.content.length === 0) continue;
    const file = files.get(entry.content) ?? { mode: entry.mode, names: 0, left: 0, inode: 0 };
    if (file.mode !== entry.mode) continue;
    file.names += 1;
    file.left += 1;
    files.set(entry.content, file);
    names.set(entry, file);
  }
  return names;
}

function contentOf(entry: TreeEntry): Uint8Array {
  if (entry.kind === "file") return entry.content;
  return entry.kind === "symlink" ? new TextEncoder().encode(entry.target) : new Uint8Array();
}

interface Numbers {
  readonly inode: number;
  readonly mode: number;
  readonly links: number;
  readonly mtimeS: number;
  readonly major: number;
  readonly minor: number;
}

function encodeEntry(path: string, content: Uint8Array, { inode, mode, links, mtimeS, major, minor }: Numbers): Uint8Array[] {
  const name = new TextEncoder().encode(`${path}\0`);
  if (name.length > NAME_BYTES_MAX || content.length > FILE_BYTES_MAX) {
    throw new HiperisoError({
      what: "write a cpio archive",
      where: path,
      expected: `a name of at most ${NAME_BYTES_MAX - 1} bytes and a file of at most ${FILE_BYTES_MAX}`,
      found: `${name.length - 1} and ${content.length} bytes`,
    });
  }
  const numbers = [inode, mode, 0, 0, links, mtimeS, content.length, 0, 0, major, minor, name.length, 0];
  const header = MAGIC + numbers.map((number) => number.toString(16).toUpperCase().padStart(8, "0")).join("");
  return [new TextEncoder().encode(header), name, padding(HEADER_BYTES + name.length), content, padding(content.length)];
}

const padding = (length: number): Uint8Array => new Uint8Array(-length & 3);

function concatenated(blocks: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let offset = 0;
  for (const block of blocks) {
    out.set(block, offset);
    offset += block.length;
  }
  return out;
}

/**
 * The entries of one archive, in its order, and the offset behind its trailer (another may follow, as in an initramfs).
 * A file with several names has its bytes at one of them only; all are given them. The root itself, ".", is left out.
 * Throws with the offset of what is wrong: no magic, digits that are none, a name or file that runs past the end, no trailer.
 */
export function decodeCpio(bytes: Uint8Array, where: string): { readonly entries: readonly TreeEntry[]; readonly end: number } {
  const entries: TreeEntry[] = [];
  /** By device and inode: the bytes that files with several names have. */
  const shared = new Map<string, Uint8Array>();
  const names = new Map<number, string>();
  for (let offset = 0; ; ) {
    const { name, mode, major, minor, content, end, links, file } = decodeEntry(bytes, offset, where);
    if (name === TRAILER) return { entries: withContents(entries, names, shared), end };
    const permissions = mode & 0o7777;
    const path = name.replace(/^(?:\.?\/)+/, "").replace(/\/+$/, "");
    if (links > 1 && (mode & TYPE_MASK) === TYPES.file) {
      names.set(entries.length, file);
      if (content.length > 0) shared.set(file, content);
    }
    switch (mode & TYPE_MASK) {
      case TYPES.directory:
        if (path !== ".") entries.push({ kind: "directory", path, mode: permissions });
        break;
      case TYPES.file:
        entries.push({ kind: "file", path, mode: permissions, content });
        break;
      case TYPES.symlink:
        entries.push({ kind: "symlink", path, target: new TextDecoder().decode(content) });
        break;
      case TYPES["character-device"]:
        entries.push({ kind: "character-device", path, mode: permissions, major, minor });
        break;
      case TYPES["block-device"]:
        entries.push({ kind: "block-device", path, mode: permissions, major, minor });
        break;
      default:
        throw new HiperisoError({
          what: "read a cpio archive",
          where: `${where}@${offset + 14}`,
          expected: "a file, folder, link or device",
          found: `mode 0${mode.toString(8)}`,
        });
    }
    offset = end;
  }
}

function withContents(
  entries: readonly TreeEntry[],
  names: ReadonlyMap<number, string>,
  shared: ReadonlyMap<string, Uint8Array>,
): readonly TreeEntry[] {
  return entries.map((entry, index) => {
    const content = shared.get(names.get(index) ?? "");
    return entry.kind === "file" && content !== undefined ? { ...entry, content } : entry;
  });
}

function decodeEntry(bytes: Uint8Array, offset: number, where: string) {
  const bad = (at: number, expected: string, found: string) =>
    new HiperisoError({ what: "read a cpio archive", where: `${where}@${at}`, expected, found });
  if (offset + HEADER_BYTES > bytes.length)
    throw bad(offset, `a header of ${HEADER_BYTES} bytes`, `the end after ${bytes.length - offset}`);
  const header = new TextDecoder("latin1").decode(bytes.subarray(offset, offset + HEADER_BYTES));
  if (!header.startsWith(MAGIC)) throw bad(offset, `"${MAGIC}"`, JSON.stringify(header.slice(0, 6)));
  const number = (at: number): number => {
    const digits = header.slice(at, at + 8);
    if (!/^[0-9A-Fa-f]{8}$/.test(digits)) throw bad(offset + at, "8 hexadecimal digits", JSON.stringify(digits));
    return Number.parseInt(digits, 16);
  };
  const [mode, contentBytes, major, minor, nameBytes] = [number(14), number(54), number(78), number(86), number(94)] as const;
  const nameStart = offset + HEADER_BYTES;
  if (nameBytes < 2 || nameBytes > NAME_BYTES_MAX) throw bad(offset + 94, `a name of 2 to ${NAME_BYTES_MAX} bytes`, `${nameBytes}`);
  const contentStart = aligned(nameStart + nameBytes);
  const end = aligned(contentStart + contentBytes);
  if (contentStart + contentBytes > bytes.length)
    throw bad(offset + 54, `a file of ${contentBytes} bytes`, `the end after ${bytes.length - offset}`);
  if (bytes[nameStart + nameBytes - 1] !== 0)
    throw bad(nameStart + nameBytes - 1, "a NUL behind the name", `${bytes[nameStart + nameBytes - 1]}`);
  const name = new TextDecoder().decode(bytes.subarray(nameStart, nameStart + nameBytes - 1));
  const content = bytes.subarray(contentStart, contentStart + contentBytes);
  const file = `${number(62)}:${number(70)}:${number(6)}`;
  return { name, mode, major, minor, content, links: number(38), file, end: Math.min(end, bytes.length) };
}

const aligned = (offset: number): number => Math.ceil(offset / 4) * 4;
