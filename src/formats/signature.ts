/**
 * What some bytes start with: file systems, disk images that are not raw, compressed archives. Rows of
 * place and signature; each row's numbers are the format's own, little-endian unless it says otherwise.
 */
import { hex, latin1, viewOf } from "./bytes.ts";

/** The first bytes of a volume that `recogniseFileSystem` wants: btrfs has its superblock at 64 KiB. */
export const VOLUME_HEAD_BYTES = 0x1_0000 + 0x1000;

/** What a superblock says of its volume. FAT and ISO 9660 have their own decoders and are not here. */
export interface RecognisedFileSystem {
  readonly fileSystem: string;
  readonly label: string;
  readonly uuid: string | null;
  /** Undefined where the superblock does not say, or in units that we do not follow. */
  readonly volumeBytes: bigint | undefined;
}

interface FileSystemRow {
  readonly fileSystem: string | ((head: Uint8Array) => string);
  readonly at: number;
  readonly signature: string;
  /** Bytes of the head that the functions below read. */
  readonly needs: number;
  readonly label?: (head: Uint8Array) => string;
  readonly uuid?: (head: Uint8Array) => string;
  readonly volumeBytes?: (view: DataView) => bigint;
}

const FILE_SYSTEMS: readonly FileSystemRow[] = [
  {
    fileSystem: "exfat",
    at: 3,
    signature: "EXFAT   ",
    needs: 110,
    uuid: (head) => serial(viewOf(head).getUint32(100, true)),
    volumeBytes: (view) => view.getBigUint64(72, true) << BigInt(view.getUint8(108) & 0xf),
  },
  {
    fileSystem: "ntfs",
    at: 3,
    signature: "NTFS    ",
    needs: 80,
    uuid: (head) => hex(viewOf(head).getBigUint64(72, true), 16).slice(2).toUpperCase(),
    volumeBytes: (view) => view.getBigUint64(40, true) * BigInt(view.getUint16(11, true)),
  },
  {
    fileSystem: (head) => extGeneration(viewOf(head)),
    at: 1080,
    signature: "\x53\xef",
    needs: 1180,
    label: (head) => textIn(head, 1144, 16),
    uuid: (head) => uuidAt(head, 1128),
    // s_log_block_size is at most 6; the upper half of the block count is used with the feature 64bit only.
    volumeBytes: (view) => BigInt(view.getUint32(1028, true)) << BigInt(10 + (view.getUint32(1048, true) & 7)),
  },
  { fileSystem: "squashfs", at: 0, signature: "hsqs", needs: 48, volumeBytes: (view) => view.getBigUint64(40, true) },
  {
    fileSystem: "xfs",
    at: 0,
    signature: "XFSB",
    needs: 120,
    label: (head) => textIn(head, 108, 12),
    uuid: (head) => uuidAt(head, 32),
    volumeBytes: (view) => view.getBigUint64(8, false) * BigInt(view.getUint32(4, false)), // XFS is big-endian
  },
  {
    fileSystem: "btrfs",
    at: 0x1_0040,
    signature: "_BHRfS_M",
    needs: 0x1_022b,
    label: (head) => textIn(head, 0x1_012b, 256),
    uuid: (head) => uuidAt(head, 0x1_0020),
  },
  {
    fileSystem: "erofs",
    at: 1024,
    signature: "\xe2\xe1\xf5\xe0",
    needs: 1104,
    label: (head) => textIn(head, 1088, 16),
    uuid: (head) => uuidAt(head, 1072),
  },
  { fileSystem: "f2fs", at: 1024, signature: "\x10\x20\xf5\xf2", needs: 1132, uuid: (head) => uuidAt(head, 1132 - 16) },
  { fileSystem: "hfs+", at: 1024, signature: "H+", needs: 1026 },
  { fileSystem: "hfs+", at: 1024, signature: "HX", needs: 1026 },
  { fileSystem: "apfs", at: 32, signature: "NXSB", needs: 36 },
  { fileSystem: "cramfs", at: 0, signature: "\x45\x3d\xcd\x28", needs: 64, label: (head) => textIn(head, 48, 16) },
  { fileSystem: "romfs", at: 0, signature: "-rom1fs-", needs: 16 },
  {
    fileSystem: "swap",
    at: 4086,
    signature: "SWAPSPACE2",
    needs: 4096,
    label: (head) => textIn(head, 1052, 16),
    uuid: (head) => uuidAt(head, 1036),
  },
  { fileSystem: "luks", at: 0, signature: "LUKS\xba\xbe", needs: 6 },
  { fileSystem: "lvm2", at: 512, signature: "LABELONE", needs: 520 },
  { fileSystem: "lvm2", at: 0, signature: "LABELONE", needs: 8 },
  { fileSystem: "lbpayld1", at: 0, signature: "LBPAYLD1", needs: 8 },
];

/** `head`: up to `VOLUME_HEAD_BYTES` from the volume's first byte. */
export function recogniseFileSystem(head: Uint8Array): RecognisedFileSystem | undefined {
  const row = FILE_SYSTEMS.find(({ at, signature, needs }) => head.length >= needs && startsWith(head, at, signature));
  if (row === undefined) return undefined;
  return {
    fileSystem: typeof row.fileSystem === "string" ? row.fileSystem : row.fileSystem(head),
    label: row.label?.(head) ?? "",
    uuid: row.uuid?.(head) ?? null,
    volumeBytes: row.volumeBytes?.(viewOf(head)),
  };
}

/** By the features that the older driver does not know (Documentation/filesystems/ext4). */
function extGeneration(view: DataView): string {
  const [compatible, incompatible] = [view.getUint32(1116, true), view.getUint32(1120, true)];
  if ((incompatible & (0x40 | 0x80 | 0x200)) !== 0) return "ext4"; // extents, 64bit, flex_bg
  return (compatible & 4) === 0 ? "ext2" : "ext3"; // has_journal
}

/** Images and packages that are not a disk byte for byte. Of the whole file, unless `fromEnd`. */
const CONTAINERS: readonly { readonly format: string; readonly at: number; readonly signature: string; readonly fromEnd?: true }[] = [
  { format: "qcow2", at: 0, signature: "QFI\xfb" },
  { format: "vmdk", at: 0, signature: "KDMV" },
  { format: "vmdk", at: 0, signature: "COWD" },
  { format: "vmdk", at: 0, signature: "# Disk DescriptorFile" },
  { format: "vdi", at: 64, signature: "\x7f\x10\xda\xbe" },
  { format: "vhdx", at: 0, signature: "vhdxfile" },
  // A dynamic VHD starts with a copy of its footer. A fixed one is a raw disk with a sector more.
  { format: "vhd", at: 0, signature: "conectix" },
  { format: "qed", at: 0, signature: "QED\0" },
  { format: "parallels", at: 0, signature: "WithoutFreeSpace" },
  { format: "parallels", at: 0, signature: "WithouFreSpacExt" },
  { format: "dmg", at: 512, signature: "koly", fromEnd: true },
  { format: "Android sparse image", at: 0, signature: "\x3a\xff\x26\xed" },
  { format: "wim", at: 0, signature: "MSWIM\0\0\0" },
  { format: "cso", at: 0, signature: "CISO" },
  { format: "raw CD sectors of 2352 bytes", at: 0, signature: `\0${"\xff".repeat(10)}\0` },
  { format: "zip", at: 0, signature: "PK\x03\x04" },
  { format: "7z", at: 0, signature: "7z\xbc\xaf\x27\x1c" },
  { format: "rar", at: 0, signature: "Rar!\x1a\x07" },
  { format: "tar", at: 257, signature: "ustar" },
];

/** `head` is the first 512 bytes of the image or more, `tail` the last 512. */
export function recogniseContainer(head: Uint8Array, tail: Uint8Array): string | undefined {
  const row = CONTAINERS.find(({ at, signature, fromEnd }) =>
    fromEnd === true ? startsWith(tail, tail.length - at, signature) : startsWith(head, at, signature),
  );
  if (row !== undefined) return row.format;
  const archive = recogniseArchive(head);
  // lzma has no magic number worth the name: a disk may well start with these bytes.
  return archive === "lzma" || archive === "cpio" ? undefined : archive;
}

const ARCHIVES: readonly (readonly [format: string, signature: string])[] = [
  ["cpio", "070701"],
  ["cpio", "070702"],
  ["cpio", "070707"],
  ["cpio", "\xc7\x71"],
  ["gzip", "\x1f\x8b"],
  ["xz", "\xfd7zXZ\0"],
  ["zstd", "\x28\xb5\x2f\xfd"],
  ["lz4", "\x02\x21\x4c\x18"],
  ["lz4", "\x04\x22\x4d\x18"],
  ["bzip2", "BZh"],
  ["lzop", "\x89LZO\0"],
  ["lzma", "\x5d\0\0"],
];

/** What an initramfs may start with (the kernel's lib/decompress.c, and cpio itself). */
export function recogniseArchive(head: Uint8Array): string | undefined {
  return ARCHIVES.find(([, signature]) => startsWith(head, 0, signature))?.[0];
}

function startsWith(bytes: Uint8Array, at: number, signature: string): boolean {
  return at >= 0 && latin1(bytes.subarray(at, at + signature.length)) === signature;
}

/** To the first zero, as UTF-8. */
function textIn(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString("utf8");
}

const uuidAt = (bytes: Uint8Array, at: number): string =>
  Buffer.from(bytes.subarray(at, at + 16))
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");

const serial = (value: number): string =>
  hex(value, 8)
    .slice(2)
    .toUpperCase()
    .replace(/^(.{4})/, "$1-");
