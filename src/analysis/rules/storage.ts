import type { Rule } from "../rule.ts";

/** Drives and media that fail on healthy machines: no floppy in the drive, an empty CD drive, eMMC's key partition, a loop device let go. */
const HARMLESS_DEVICE = /\b(?:dev(?:ice)? |on dev )(?:fd\d|sr\d|scd\d|mmcblk\d(?:rpmb|boot\d)|loop\d{1,3})\b/;

export const STORAGE_RULES: readonly Rule[] = [
  {
    id: "storage/harmless-io-error",
    kind: "io_error",
    severity: "info",
    stage: "reached",
    domain: "hardware",
    pattern:
      /(?:I\/O error, dev (?<device>fd\d|sr\d|mmcblk\d(?:rpmb|boot\d)|loop\d{1,3})\b|Buffer I\/O error on dev(?:ice)? (?<buffer>fd\d|sr\d|mmcblk\d(?:rpmb|boot\d)|loop\d{1,3})\b)/,
    explanation: "The kernel could not read from {device}{buffer}. Usual for an empty drive, and for eMMC's special partitions.",
    hint: "Nothing to do, unless the boot needed this medium.",
    matches: [
      "I/O error, dev sr0, sector 0 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 2",
      "blk_update_request: I/O error, dev fd0, sector 0",
      "Buffer I/O error on dev sr0, logical block 0, async page read",
    ],
    ignores: ["I/O error, dev sda, sector 2048"],
  },
  {
    id: "storage/io-error",
    kind: "io_error",
    severity: "error",
    survived: "warning",
    stage: "reached",
    domain: "hardware",
    pattern:
      /(?:I\/O error, dev (?<device>\w{1,20}),? sector|Buffer I\/O error on dev(?:ice)? (?<buffer>\w{1,20})|critical (?:medium|target) error, dev (?<target>\w{1,20})|^nvme (?<nvme>\w{1,20}): I\/O \d+ .{0,40}timeout|^ata(?<ata>\d{1,2}(?:\.\d\d)?): (?:failed command: |status: \{ DRDY ERR|error: \{ UNC))/,
    except: HARMLESS_DEVICE,
    explanation: "Reading or writing the disk {device}{buffer}{target}{nvme}{ata} failed.",
    hint: "A failing disk, a truncated image, or a host disk that is full: check the image's size and checksum and the host's log.",
    matches: [
      "I/O error, dev sda, sector 2048 op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2",
      "print_req_error: I/O error, dev vda, sector 0",
      "Buffer I/O error on dev sdb1, logical block 12, async page read",
      "ata1.00: failed command: READ DMA EXT",
    ],
    ignores: [
      "blk_update_request: I/O error, dev fd0, sector 0",
      "Buffer I/O error on dev sr0, logical block 0",
      "print_req_error: I/O error, dev mmcblk1rpmb, sector 0",
    ],
  },
  {
    id: "storage/squashfs",
    kind: "fs_error",
    severity: "error",
    survived: "warning",
    stage: "reached",
    domain: "userspace",
    pattern:
      /^SQUASHFS error: (?<what>(?!Can't find a SQUASHFS superblock|unable to read (?:squashfs_super_block|id index table)).{1,120})/,
    follows: ["io_error"],
    explanation: "The compressed file system of the image is damaged: {what}",
    hint: "Check the image's checksum: a download or copy that was cut short looks like this. On a stick, write it again.",
    matches: [
      "SQUASHFS error: zlib decompression failed, data probably corrupt",
      "SQUASHFS error: Unable to read page, block 1a2b3c, size 1000",
    ],
    ignores: ["SQUASHFS error: Can't find a SQUASHFS superblock on vda1"],
  },
  {
    id: "storage/file-system",
    kind: "fs_error",
    severity: "error",
    survived: "warning",
    stage: "reached",
    domain: "userspace",
    pattern:
      /^(?:EXT[234]-fs error \(device (?<ext>[\w-]{1,20})\)|EXT4-fs \((?<ext4>[\w-]{1,20})\): (?:Remounting filesystem read-only|bad geometry|group descriptors corrupted|get root inode failed|no journal found|error loading journal)|XFS \((?<xfs>[\w-]{1,20})\): (?:Corruption (?:of in-memory data )?detected|Metadata (?:corruption|CRC error)|log mount\/recovery failed|Log inconsistent|Filesystem has been shut down|Internal error)|BTRFS (?:error|critical)(?: \(device (?<btrfs>[\w-]{1,20}))?|JBD2: (?:Error|recovery failed|IO error)|Aborting journal on device|FAT-fs \((?<fat>[\w-]{1,20})\): (?:error|Filesystem has been set read-only)|F2FS-fs \((?<f2fs>[\w-]{1,20})\): (?:Inconsistent|inconsistent|invalid crc|Failed to (?:get|initialize))|ISOFS: unable to read|UBIFS error|erofs: \(device .{1,20}\): (?:corrupted|failed)|NTFS.{0,40}(?:corrupt|hibernated))/,
    except: /BTRFS error .*open_ctree failed$|mounting with "discard"/,
    follows: ["io_error"],
    explanation: "A file system is damaged, or its disk fails.",
    hint: "Check the disk or image, then repair the file system from another system (fsck).",
    matches: [
      "EXT4-fs error (device sda2): ext4_lookup:1700: inode #2: comm init: deleted inode referenced: 12",
      "XFS (vda3): Corruption detected. Unmount and run xfs_repair",
      "BTRFS error (device sda2): bad tree block start",
      "EXT4-fs (sda1): Remounting filesystem read-only",
    ],
    ignores: [
      "EXT4-fs (vda1): VFS: Can't find ext4 filesystem",
      "EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: errors=remount-ro",
      "ISOFS: changing to secondary root",
      "ISOFS: Unable to identify CD-ROM format.",
    ],
  },
  {
    id: "storage/fsck-manual",
    kind: "fs_error",
    severity: "error",
    stage: "userspace",
    domain: "userspace",
    pattern:
      /UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY|^fsck(?:\.\w{1,10})? failed with (?:exit|error) (?:status|code) [4-9]|^fsck exited with status code [4-9]|^An automatic file system check \(fsck\) of the root filesystem failed/i,
    follows: ["fs_error", "io_error"],
    explanation: "The check of a file system found damage that it may not repair by itself.",
    hint: "Run fsck on it by hand, from another system or from the shell that is offered.",
    matches: ["/dev/sda2: UNEXPECTED INCONSISTENCY; RUN fsck MANUALLY.", "fsck exited with status code 4"],
    ignores: ["/dev/sda2: clean, 11/231536 files, 32735/924672 blocks", "fsck exited with status code 1"],
  },
];
