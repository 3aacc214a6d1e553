/** Which file system, or what else, stands on a disk or partition. */

import { latin1 } from "../formats/bytes.ts";
import { decodeFatBootSector } from "../formats/fat.ts";
import { recogniseArchive, recogniseContainer, recogniseFileSystem, VOLUME_HEAD_BYTES } from "../formats/signature.ts";
import type { BlockSource } from "../image/block-source.ts";
import { readFatVolume } from "../image/fat-tree.ts";
import { readIsoVolume } from "../image/iso-tree.ts";
import type { VolumeFormat } from "./volume.ts";

export interface Recognised {
  /** `exfat`, `fat16`, `ntfs`, `ext4`, `iso9660`, …; of what is no file system the name of that: `swap`, `luks`, `qcow2`. */
  readonly format: string;
  readonly label: string;
  /** UUID or serial number, as its own tools write it. */
  readonly id: string | null;
  /** What it says of its size. */
  readonly volumeBytes: bigint | undefined;
}

const VOLUME_FORMATS: readonly string[] = ["fat12", "fat16", "fat32", "exfat", "ntfs"] satisfies readonly VolumeFormat[];

/** One that can be opened as a `Volume`. */
export const isVolumeFormat = (format: string): format is VolumeFormat => VOLUME_FORMATS.includes(format);

const quiet = (): void => {};

/** Undefined where nothing is known. Damage is not judged: a boot sector that can hardly be used still says what it was. */
export async function recognise(source: BlockSource): Promise<Recognised | undefined> {
  const head = await source.read(0n, VOLUME_HEAD_BYTES);
  const known = recogniseFileSystem(head);
  if (known !== undefined) {
    const { fileSystem, label, uuid, volumeBytes } = known;
    return { format: fileSystem, label, id: uuid, volumeBytes };
  }
  const fat = await recogniseFat(source);
  if (fat !== undefined) return fat;
  const iso = await readIsoVolume(source, quiet);
  if (iso !== undefined) {
    const { volumeId, modified, volumeBytes } = iso.primary;
    return { format: "iso9660", label: volumeId, id: modified, volumeBytes };
  }
  const named = formatByBackup(head);
  return named === undefined ? undefined : { format: named, label: "", id: null, volumeBytes: undefined };
}

async function recogniseFat(source: BlockSource): Promise<Recognised | undefined> {
  const boot = await source.read(0n, 512);
  if (decodeFatBootSector(boot, { offset: 0n, report: quiet }) === undefined) {
    const [, named] =
      /^(FAT1[26]|FAT32) {3}$/.exec(latin1(boot.subarray(54, 62))) ?? /^(FAT32) {3}$/.exec(latin1(boot.subarray(82, 90))) ?? [];
    return named === undefined ? undefined : { format: named.toLowerCase(), label: "", id: null, volumeBytes: undefined };
  }
  const volume = await readFatVolume(source, quiet);
  if (volume === undefined) return undefined;
  const { fatBits, serial, volumeBytes } = volume.layout;
  return { format: `fat${fatBits}`, label: volume.label, id: serial, volumeBytes };
}

/** A main boot sector that was overwritten: its copy stands six sectors on (FAT32) or twelve (exFAT), and the volume can be read from it. */
function formatByBackup(head: Uint8Array): VolumeFormat | undefined {
  for (const sectorBytes of [512, 4096]) {
    const [sixth, twelfth] = [head.subarray(6 * sectorBytes), head.subarray(12 * sectorBytes)];
    if (latin1(twelfth.subarray(3, 11)) === "EXFAT   ") return "exfat";
    if (decodeFatBootSector(sixth, { offset: 0n, report: quiet })?.fatBits === 32) return "fat32";
  }
  return undefined;
}

/** An image that is no disk byte for byte, by the name of its format: qcow2, gzip, … */
export async function recogniseNoDisk(source: BlockSource): Promise<string | undefined> {
  const head = await source.read(0n, 512);
  const tail = source.sizeBytes < 512n ? new Uint8Array() : await source.read(source.sizeBytes - 512n, 512);
  return recogniseContainer(head, tail) ?? (recogniseArchive(head) === "cpio" ? "cpio" : undefined);
}
