/**
 * What an image is, as plain data: the answer of `probeImage`, and the JSON of `hiperiso inspect --json`.
 *
 * Text in here (labels, names, versions) stands as it stood in the image, control characters and all: whoever prints it escapes it.
 */
import type { Firmware } from "../contract/parameters.ts";
import type { BootCodeKind } from "../formats/boot-code.ts";
import type { DiskFiles } from "./disk-format.ts";

/**
 * A size or offset in bytes, or an LBA: a number where a JSON number is exact (to 2^53 - 1), else a string of decimal digits.
 * `BigInt(value)` takes both.
 */
export type DiskNumber = number | string;

export const diskNumber = (value: bigint): DiskNumber => (value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString());

/** How an image is attached: a CD-ROM drive, or a disk (a USB stick, a hard disk). */
export const MEDIA = ["cd", "usb"] as const;
export type Medium = (typeof MEDIA)[number];

export interface ImageFacts {
  /** The path as given. Nothing here is concluded from it. */
  readonly name: string;
  readonly sizeBytes: DiskNumber;
  readonly kind: ImageKind;
  /** Why it is of this kind, one clause. */
  readonly because: string;
  /** The files of a disk image that is not raw; null for a raw one. All else here is said of the disk in it, its size too. */
  readonly diskFiles: DiskFiles | null;
  /** Only where `kind` is `container`: what wraps the disk, `gzip`, `zip`, …; also a disk format that only QEMU reads. */
  readonly container: string | null;
  readonly iso: IsoFacts | null;
  /** Sector 0, where it ends with 0x55 0xAA: what a BIOS starts from a disk. */
  readonly bootSector: BootSectorFacts | null;
  /** A partition table in sector 0. */
  readonly mbr: MbrFacts | null;
  readonly gpt: GptFacts | null;
  /** File systems found: the image itself, its partitions, its El Torito images; each place once. */
  readonly volumes: readonly VolumeFacts[];
  readonly efiBootFiles: readonly EfiBootFile[];
  readonly kernels: readonly KernelFacts[];
  readonly initrds: readonly InitrdFacts[];
  readonly bootConfigs: readonly BootConfigFacts[];
  readonly boots: Boots;
  /** In the order in which they were met. */
  readonly problems: readonly ProblemFacts[];
  /** Problems that were met after the list was full. */
  readonly problemsOmitted: number;
}

/**
 * - `iso9660`: a CD image, with or without a partition table beside it.
 * - `disk`: a raw disk: a partition table, or one file system without a table.
 * - `container`: not raw: a disk in another format, or something packed. A guest that is given it as a disk sees the wrapping.
 * - `unknown`: none of these, nothing to boot from that we know of.
 */
export type ImageKind = "iso9660" | "disk" | "container" | "unknown";

/** Four ways to boot, each answered. */
export type Boots = Readonly<Record<Firmware, Readonly<Record<Medium, BootAnswer>>>>;

export interface BootAnswer {
  readonly can: boolean;
  /** One clause for a person; names structures and offsets. */
  readonly because: string;
}

export interface ProblemFacts {
  readonly offset: DiskNumber;
  readonly structure: string;
  readonly expected: string;
  readonly found: string;
}

export interface IsoFacts {
  readonly volumeId: string;
  readonly systemId: string;
  readonly publisher: string;
  readonly preparer: string;
  readonly application: string;
  /** `YYYY-MM-DD-hh-mm-ss-cc` of the modification date: what GRUB and Linux call the UUID of an ISO. Null where unset. */
  readonly uuid: string | null;
  readonly blockSizeBytes: number;
  /** As the volume descriptor says; the image may be larger (hybrid) or cut. */
  readonly volumeSizeBytes: DiskNumber;
  readonly rockRidge: boolean;
  readonly joliet: { readonly level: number; readonly volumeId: string } | null;
  /** `NSR02` or `NSR03` where a UDF file system shares the medium. Its files are not listed. */
  readonly udf: string | null;
  readonly elTorito: readonly ElToritoFacts[];
  /** Of the catalogue's validation entry; true where there is no catalogue. UEFI does not start from a catalogue whose checksum is wrong. */
  readonly elToritoChecksumRight: boolean;
}

export interface ElToritoFacts {
  /** From 1, in the order of the catalogue: the default entry first. */
  readonly number: number;
  readonly platform: ElToritoPlatform;
  readonly platformId: number;
  readonly bootable: boolean;
  readonly emulation: ElToritoEmulation;
  /** Real-mode segment the image is loaded to; 0 in the catalogue stands for 0x7c0 and is given as that. */
  readonly loadSegment: number;
  /** 512-byte sectors the firmware loads. */
  readonly loadSectors: number;
  /** In blocks of 2,048 bytes. */
  readonly lba: number;
  readonly offset: DiskNumber;
  /** `loadSectors` in bytes; where the image is a FAT volume, what that says of itself. */
  readonly sizeBytes: DiskNumber;
  readonly idString: string;
  /** The file of the ISO tree that starts at the same place; null where there is none (an appended partition, for one). */
  readonly path: string | null;
  /** `outside`: beyond the end of the image. `zeros`: nothing. `code`: something, not a file system. */
  readonly content: "outside" | "zeros" | "code" | "volume";
  /** What a BIOS would run there; null where there is nothing. */
  readonly bootCode: BootCodeKind | null;
  /** Who wrote the code, where it says so. */
  readonly bootLoader: string | null;
  /** `name` of the volume in it. */
  readonly volume: string | null;
}

export type ElToritoPlatform = "bios" | "powerpc" | "mac" | "uefi" | "other";
export type ElToritoEmulation = "none" | "floppy 1.2M" | "floppy 1.44M" | "floppy 2.88M" | "hard disk" | "reserved";

export interface BootSectorFacts {
  readonly code: BootCodeKind;
  /** Who wrote the code, where it says so. */
  readonly bootLoader: string | null;
}

export interface MbrFacts {
  /** `0x` and 8 digits. */
  readonly diskSignature: string;
  /** Its only use is to keep old tools off a GPT. */
  readonly protective: boolean;
  readonly partitions: readonly MbrPartitionFacts[];
}

export interface MbrPartitionFacts {
  /** 1 to 4 in the table itself, from 5 in the chain of an extended partition. */
  readonly number: number;
  /** `0x` and 2 digits. */
  readonly type: string;
  readonly typeName: string | null;
  readonly active: boolean;
  readonly firstLba: DiskNumber;
  readonly sectors: DiskNumber;
  readonly volume: string | null;
}

export interface GptFacts {
  readonly diskGuid: string;
  readonly sectorBytes: number;
  /** Which of the two tables the facts are from: the backup only where the primary one cannot be used. */
  readonly table: "primary" | "backup";
  readonly backupIntact: boolean;
  readonly partitions: readonly GptPartitionFacts[];
}

export interface GptPartitionFacts {
  /** Place in the table, from 1. */
  readonly number: number;
  readonly typeGuid: string;
  readonly typeName: string | null;
  readonly uniqueGuid: string;
  readonly firstLba: DiskNumber;
  /** Inclusive. */
  readonly lastLba: DiskNumber;
  readonly attributes: string;
  readonly name: string;
  readonly volume: string | null;
}

export interface VolumeFacts {
  /** `<file system>@<offset>`: unique in the image. */
  readonly name: string;
  /** `fat12`, `fat16`, `fat32`, `exfat`, `ntfs`, `ext4`, `squashfs`, `iso9660`, … */
  readonly fileSystem: string;
  readonly offset: DiskNumber;
  /** As the file system itself says; of its partition where it does not say. */
  readonly sizeBytes: DiskNumber;
  readonly label: string;
  readonly uuid: string | null;
  /** "the whole image", "GPT partition 2", "El Torito entry 2": one or more ways that lead to the same place. */
  readonly seenAs: readonly string[];
  /** Directory entries looked at; null where we do not read this file system's directories. */
  readonly entriesWalked: number | null;
  /** False where the walk stopped at a limit: something inside may be missing from the lists. */
  readonly walkComplete: boolean;
}

/** A file in a volume of the image. */
export interface FileFacts {
  /** `name` of a volume. */
  readonly volume: string;
  /** From the volume's root, with `/`. */
  readonly path: string;
  readonly sizeBytes: DiskNumber;
  /** First byte of its data in the image; null where it has none. */
  readonly offset: DiskNumber | null;
}

export interface EfiBootFile extends FileFacts {
  readonly pe: PeFacts | null;
}

export interface PeFacts {
  /** `x86-64`, `x86`, `aarch64`, `arm`, `riscv64`, `loongarch64` or `0x` and 4 digits. */
  readonly machine: string;
  /** 10 is an EFI application. */
  readonly subsystem: number;
  /** It carries at least one certificate. Whether anybody trusts that is not looked at. */
  readonly signed: boolean;
}

export interface KernelFacts extends FileFacts {
  readonly format: "bzImage" | "zboot" | "arm64" | "riscv" | "UKI";
  /** As the kernel's header says, with its builder and date; empty where it says nothing. */
  readonly version: string;
  /** Linux x86 boot protocol, "2.15"; null for the other formats. */
  readonly bootProtocol: string | null;
  /** `x86-64`, `x86`, …; null where the header does not tell. */
  readonly machine: string | null;
  /** Firmware can start it: it is a PE image too. */
  readonly efiStub: boolean;
  readonly signed: boolean;
}

export interface InitrdFacts extends FileFacts {
  /** `cpio`, `gzip`, `xz`, `zstd`, `lz4`, `lzma`, `bzip2`, `lzop`: of its first archive. */
  readonly format: string;
}

export interface BootConfigFacts extends FileFacts {
  readonly loader: "grub" | "syslinux" | "systemd-boot" | "refind" | "limine" | "grub-legacy" | "windows";
}
