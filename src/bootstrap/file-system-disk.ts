/**
 * A disk with one partition and an ext3 file system in it, made from a folder by mke2fs: no root, no mount. Two runs over the same files give
 * the same bytes, on any computer with the same version of mke2fs: its settings are ours and not the computer's, identifiers and its clock are
 * fixed, and what it takes over from the folder beside content, modes and modification times is put right afterwards.
 */
import { createHash } from "node:crypto";
import { type FileHandle, mkdtemp, open, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { viewOf } from "../formats/bytes.ts";
import { encodeMbr } from "../formats/mbr.ts";
import { syncDirectory } from "../host/atomic-file.ts";
import type { Environment } from "../host/xdg.ts";
import { askTool } from "../live/tool.ts";
import { type ImageOptions, SECTOR_BYTES, temporaryName } from "./init-image.ts";
import { spaceHint } from "./payload/space-hint.ts";
import { MADE_MTIME_MS } from "./target-tree.ts";

const LINUX_TYPE = 0x83;
/** As parted counts the sectors of a file, which the original uses. */
const GEOMETRY = { heads: 4, sectors: 32 };
/** mke2fs calls disks below this size "small". */
const SMALL_DISK_BYTES = 512n * 1024n * 1024n;

/** What mke2fs has built in for ext3 and distributions leave as it is. */
const SETTINGS = `[defaults]
	base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
	default_mntopts = acl,user_xattr
	enable_periodic_fsck = 0
	inode_size = 256

[fs_types]
	ext3 = {
		features = has_journal
	}
`;

export interface FileSystemDisk {
  /** What is in it becomes the root of the file system. */
  readonly folder: string;
  readonly sizeBytes: bigint;
  /** Where the partition begins; it reaches to the end. */
  readonly partitionOffsetBytes: bigint;
  /** Its identifiers are made from this: disks of one computer must not have the same. */
  readonly name: string;
}

/** Under `path` there is the whole disk or what was there before. Throws with the package's name where there is no mke2fs. */
export async function makeFileSystemDisk(
  disk: FileSystemDisk,
  path: string,
  { env, sync = true }: ImageOptions & { readonly env: Environment },
  job: Job,
): Promise<void> {
  const { sizeBytes, partitionOffsetBytes } = disk;
  const blockBytes = sizeBytes < SMALL_DISK_BYTES ? 1024n : 4096n;
  if (partitionOffsetBytes % 4096n !== 0n || sizeBytes < partitionOffsetBytes + 1024n * blockBytes) {
    throw new HiperisoError({
      what: "make a file system",
      where: path,
      expected: `a disk of at least ${partitionOffsetBytes + 1024n * blockBytes} bytes: its partition begins at byte ${partitionOffsetBytes}`,
      found: `${sizeBytes}`,
      hint: "--target-size sets it.",
      kind: "usage",
    });
  }
  const temporary = join(dirname(path), temporaryName());
  try {
    await using settings = await settingsFile();
    await (await open(temporary, "wx", 0o644)).close();
    await truncate(temporary, Number(sizeBytes));
    job.progress.say(`make the file system of ${basename(path)}`);
    await runMke2fs(disk, temporary, path, blockBytes, { env, settings: settings.path }, job);
    const file = await open(temporary, "r+");
    try {
      await settleInodes(file, partitionOffsetBytes, path);
      await file.write(partitionTable(disk), 0, SECTOR_BYTES, 0);
      if (sync) await file.sync();
    } finally {
      await file.close();
    }
    job.signal.throwIfAborted();
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    if (cause instanceof HiperisoError || job.signal.aborted) throw cause;
    throw new HiperisoError({ what: "write a disk", where: path, found: reasonOf(cause), hint: spaceHint(cause), cause });
  }
  if (sync) await syncDirectory(dirname(path));
}

/** A file of settings of our own, in a folder of its own; gone when it is disposed of. */
async function settingsFile(): Promise<{ readonly path: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "hiperiso-mke2fs-"));
  const path = join(folder, "mke2fs.conf");
  await writeFile(path, SETTINGS);
  return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

async function runMke2fs(
  { folder, name, partitionOffsetBytes, sizeBytes }: FileSystemDisk,
  temporary: string,
  path: string,
  blockBytes: bigint,
  { env, settings }: { readonly env: Environment; readonly settings: string },
  job: Job,
): Promise<void> {
  const blocks = (sizeBytes - partitionOffsetBytes) / blockBytes;
  const extended = [`offset=${partitionOffsetBytes}`, `hash_seed=${uuidOf(`${name}, hashes`)}`, "root_owner=0:0", "no_copy_xattrs"];
  const args = ["-q", "-F", "-t", "ext3", "-T", "default", "-b", `${blockBytes}`, "-i", `${4n * blockBytes}`, "-I", "256", "-m", "5"];
  const rest = ["-U", uuidOf(name), "-E", extended.join(","), "-d", folder, temporary, `${blocks}`];
  const variables = { MKE2FS_CONFIG: settings, E2FSPROGS_FAKE_TIME: `${MADE_MTIME_MS / 1000}`, LC_ALL: "C" };
  const { status, lastLines } = await askTool("mke2fs", [...args, ...rest], { env, signal: job.signal, variables });
  if (status === 0) return;
  const isFull = /No space left on device/.test(lastLines);
  const isTooSmall = /Could not allocate|ext2 block|too small|Ext2 file too big/i.test(lastLines);
  throw new HiperisoError({
    what: "make a file system",
    where: path,
    expected: "mke2fs to end with status 0",
    found: `${status}: ${lastLines}`,
    ...(isFull ? { hint: "The file system is full: make room, or choose another place." } : {}),
    ...(isTooSmall && !isFull ? { hint: "The files may not fit: --target-size sets the size of the disk." } : {}),
  });
}

/** The same name gives the same UUID (RFC 9562, version 8: made in a way of our own). */
export function uuidOf(name: string): string {
  const bytes = createHash("sha256").update(`hiperiso bootstrap ${name}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function partitionTable({ name, partitionOffsetBytes, sizeBytes }: FileSystemDisk): Uint8Array {
  const sector = BigInt(SECTOR_BYTES);
  return encodeMbr({
    diskSignature: createHash("sha256").update(`hiperiso bootstrap ${name}`).digest().readUInt32LE(16),
    partitions: [
      { type: LINUX_TYPE, active: false, firstLba: partitionOffsetBytes / sector, sectors: (sizeBytes - partitionOffsetBytes) / sector },
    ],
    geometry: GEOMETRY,
  });
}

/*
 * mke2fs takes each file's owner, its access time and its change time from the folder; nobody can set the last of these there. In the file
 * system all files are root's, as they are in the guest, and all three times are the time of the last modification.
 *
 * Superblock at 1024 (ext4 documentation of Linux, "The Super Block"):
 *    4 4 blocks      20 4 first block    24 4 block size, 1024 << n    32 4 blocks of a group    40 4 inodes of a group
 *   56 2 0xEF53      88 2 bytes of an inode
 * Group descriptors, 32 bytes each, in the next block:      4 4 block of the inodes' bitmap      8 4 first block of the inodes
 * Inode:      2 2 owner   8 4 accessed   12 4 changed   16 4 modified   24 2 group   120 2 owner, 122 2 group, high
 *           128 2 bytes behind the first 128     132 4, 136 4, 140 4 fractions of changed, modified, accessed
 */
const SUPERBLOCK_AT = 1024n;
const DESCRIPTOR_BYTES = 32;

async function settleInodes(file: FileHandle, partitionOffset: bigint, path: string): Promise<void> {
  const readAt = async (offset: bigint, lengthBytes: number): Promise<Uint8Array> => {
    const bytes = new Uint8Array(lengthBytes);
    const { bytesRead } = await file.read(bytes, 0, lengthBytes, Number(partitionOffset + offset));
    if (bytesRead !== lengthBytes) throw odd(`${lengthBytes} bytes at ${offset}`, `${bytesRead}`);
    return bytes;
  };
  const odd = (expected: string, found: string) =>
    new HiperisoError({ what: "read back a file system that mke2fs made", where: path, expected, found });
  const superblock = viewOf(await readAt(SUPERBLOCK_AT, 1024));
  if (superblock.getUint16(56, true) !== 0xef53) throw odd("the magic number 0xEF53", `${superblock.getUint16(56, true)}`);
  const [blocks, firstBlock, blocksOfGroup, inodesOfGroup, inodeBytes] = [
    superblock.getUint32(4, true),
    superblock.getUint32(20, true),
    superblock.getUint32(32, true),
    superblock.getUint32(40, true),
    superblock.getUint16(88, true),
  ];
  const blockBytes = BigInt(1024 << superblock.getUint32(24, true));
  const groups = Math.ceil((blocks - firstBlock) / blocksOfGroup);
  const descriptors = viewOf(await readAt(BigInt(firstBlock + 1) * blockBytes, groups * DESCRIPTOR_BYTES));
  for (let group = 0; group < groups; group += 1) {
    const at = group * DESCRIPTOR_BYTES;
    const bitmap = await readAt(BigInt(descriptors.getUint32(at + 4, true)) * blockBytes, Math.ceil(inodesOfGroup / 8));
    const used = lastBit(bitmap, inodesOfGroup) + 1;
    if (used === 0) continue;
    const start = BigInt(descriptors.getUint32(at + 8, true)) * blockBytes;
    const table = await readAt(start, used * inodeBytes);
    for (let index = 0; index < used; index += 1) settleInode(table.subarray(index * inodeBytes, (index + 1) * inodeBytes));
    await file.write(table, 0, table.length, Number(partitionOffset + start));
  }
}

/** -1 for none. */
function lastBit(bitmap: Uint8Array, bits: number): number {
  let last = bits - 1;
  while (last >= 0 && (bitmap[last >> 3]! & (1 << (last & 7))) === 0) last -= 1;
  return last;
}

function settleInode(inode: Uint8Array): void {
  const view = viewOf(inode);
  for (const owner of [2, 24, 120, 122]) view.setUint16(owner, 0, true);
  for (const time of [8, 12]) view.setUint32(time, view.getUint32(16, true), true);
  if (inode.length < 144 || view.getUint16(128, true) < 16) return;
  for (const fraction of [132, 140]) view.setUint32(fraction, view.getUint32(136, true), true);
}
