/** The disks of a machine: what they hang on, in which files they stand, and what of that QEMU would refuse. Pure. */
import { HiperisoError } from "../contract/error.ts";
import { qemuOptionValue } from "../formats/escape-qemu-option.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { DiskFile, DiskFormat } from "../image/disk-format.ts";
import { type DiskNumber, diskNumber } from "../image/image-facts.ts";

/** What a disk hangs on. `sd`: a card in an SD card reader. `ide`: the two channels of the old PC, primary master first. */
export const BUSES = ["sata", "virtio", "usb", "nvme", "sd", "ide"] as const;
export type Bus = (typeof BUSES)[number];

/** A disk or CD of the machine. Those of one bus stand on it in the order of the plan, the booted image first. */
export interface DrivePlan {
  /** Absolute, or of a new disk in the session's directory, which is QEMU's working directory, its name there. */
  readonly path: string;
  readonly blockDevice: boolean;
  readonly attach: "cd" | Bus;
  /** False: a throw-away overlay takes the guest's writes. */
  readonly writable: boolean;
  readonly format: DiskFormat;
  /** The files below it, the nearest first. QEMU is told them, and does not read their names in the image. */
  readonly backing: readonly DiskFile[];
  /** Bytes of a disk that is made, empty, before the guest starts; null where the file is there. */
  readonly createBytes: DiskNumber | null;
  /** Bytes of an overlay that is larger than the disk below it; null for QEMU's own overlay, of the disk's size. */
  readonly overlayBytes: DiskNumber | null;
  /** In which turn the firmware tries it; null: not asked for. */
  readonly bootIndex: number | null;
  readonly because: string;
}

/** A disk whose files are known. */
export interface DiskToAttach extends DiskFile {
  readonly backing: readonly DiskFile[];
  /** Of the disk that the guest sees. */
  readonly sizeBytes: bigint;
  readonly bus: Bus;
  readonly writable: boolean;
  /** It is made before the guest starts. */
  readonly isNew: boolean;
  readonly because: string;
}

export function planDrive(disk: DiskToAttach, bootIndex: number | null): DrivePlan {
  const { path, blockDevice, format, backing, bus, writable, isNew, because } = disk;
  for (const file of [path, ...backing.map((below) => below.path)]) qemuOptionValue(file);
  return {
    path,
    blockDevice,
    attach: bus,
    writable,
    format,
    backing,
    createBytes: isNew ? diskNumber(disk.sizeBytes) : null,
    overlayBytes: bus === "sd" ? sdOverlay(disk) : null,
    bootIndex: bus === "sd" ? null : bootIndex, // QEMU's SD cards take no part in the order: the firmware tries them last
    because,
  };
}

/** QEMU's SD cards have a power of two bytes, and no other card is plugged in (hw/sd/sd.c). Reads behind the image's end give zeros. */
function sdOverlay({ path, sizeBytes, writable }: DiskToAttach): DiskNumber | null {
  const card = 1n << BigInt((sizeBytes - 1n).toString(2).length);
  if (card === sizeBytes) return null;
  if (!writable) return diskNumber(card);
  throw refusedDrives(
    "an SD card that can be written: its size has to be a power of two",
    `${sizeBytes} bytes: ${printable(path)}`,
    `Ask for another bus, for no writing, or for a card of ${card} bytes.`,
  );
}

/** What QEMU's controllers take: two IDE channels, the ports of ICH9's AHCI, those of an xHCI; of the others as many as leave room in the PCI bus. */
const DRIVES_MAX: Readonly<Record<Bus, number>> = { ide: 4, sata: 6, usb: 4, virtio: 16, nvme: 8, sd: 4 };

/** Throws (kind `usage`) where a bus has more drives than places, and where a file would be given twice and written. */
export function checkDrives(drives: readonly DrivePlan[]): void {
  for (const [bus, max] of Object.entries(DRIVES_MAX)) {
    const count = drives.filter(({ attach }) => (attach === "cd" ? "sata" : attach) === bus).length;
    if (count > max) throw refusedDrives(`at most ${max} disks on ${bus}`, `${count}`, "Put the others on another bus.");
  }
  for (const [index, drive] of drives.entries()) {
    const twin = drives.slice(index + 1).find((other) => filesOf(other).some((path) => filesOf(drive).includes(path)));
    if (twin !== undefined && (twin.writable || drive.writable)) {
      throw refusedDrives(
        "each file once, where the guest may write to it",
        `twice: ${printable(filesOf(twin).find((path) => filesOf(drive).includes(path)) ?? "")}`,
        "Leave the writing away, or make a copy.",
      );
    }
  }
}

const filesOf = ({ path, backing }: DrivePlan): readonly string[] => [path, ...backing.map((file) => file.path)];

export const refusedDrives = (expected: string, found: string, hint: string): HiperisoError =>
  new HiperisoError({ what: "plan the machine", expected, found, hint, kind: "usage" });
