/** How an ISO 9660 image is made that boots by BIOS and UEFI, as a CD and as a USB stick: the words for xorriso. Pure. */

export type BiosLoader = "grub" | "isolinux";

export interface IsoPlan {
  /** Folder with the medium's files. */
  readonly root: string;
  /** EFI system partition; undefined: no UEFI. */
  readonly esp: string | undefined;
  /** Undefined: no BIOS. `mbr`: the code of the first sector, which loads the same program from a stick. */
  readonly bios: { readonly loader: BiosLoader; readonly mbr: string } | undefined;
  readonly volumeId: string;
  readonly epochS: number;
  /** 32 bits. */
  readonly serial: number;
  readonly target: string;
}

/**
 * xorriso as mkisofs. El Torito's entry 1 is the loader for BIOS. The ESP stands behind the ISO as a partition of MBR and GPT, for firmware
 * that boots a stick, and the same bytes are an El Torito entry, for firmware that boots a CD. The MBR's code loads the BIOS loader from a stick.
 */
export function xorrisoArguments({ root, esp, bios, volumeId, epochS, serial, target }: IsoPlan): readonly string[] {
  const uefi =
    esp === undefined
      ? []
      : [
          ...["-append_partition", "2", "0xef", esp, "-appended_part_as_gpt", "--gpt_disk_guid", "modification-date"],
          ...(bios === undefined ? [] : ["-eltorito-alt-boot"]),
          ...["-e", "--interval:appended_partition_2:all::", "-no-emul-boot"],
        ];
  return [
    // Unless told, xorriso stops after each 16 MiB until the disk has them.
    ...["-stdio_sync", "off", "-as", "mkisofs", "-quiet", "-o", target],
    // Level 3: files of 4 GiB and more, in several extents. Names in Rock Ridge and Joliet; owners and rights as a CD's are (-r).
    ...["-V", volumeId, "-iso-level", "3", "-R", "-J", "-joliet-long", "-r"],
    ...[`--modification-date=${uuidDigits(epochS, serial)}`, "--set_all_file_dates", `${utcDigits(epochS)}00`],
    ...(bios === undefined ? [] : BIOS[bios.loader](bios.mbr)),
    ...["-partition_offset", "16"],
    ...uefi,
    root,
  ];
}

const BIOS: Readonly<Record<BiosLoader, (mbr: string) => readonly string[]>> = {
  grub: (mbr) => [
    ...["-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info"],
    ...["--grub2-mbr", mbr, "--mbr-force-bootable"],
  ],
  isolinux: (mbr) => [
    ...["-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"],
    ...["-isohybrid-mbr", mbr, "--mbr-force-bootable"],
  ],
};

/**
 * The volume's "UUID" and the GPT's GUID are its modification date to a hundredth of a second, `YYYYMMDDhhmmsscc`: the epoch's day,
 * at a time that the serial picks.
 */
function uuidDigits(epochS: number, serial: number): string {
  const day = epochS - (epochS % DAY_S);
  return utcDigits(day + (Math.floor(serial / 100) % DAY_S)) + `${serial % 100}`.padStart(2, "0");
}

/** As /dev/disk/by-uuid has it: `2026-01-01-12-34-56-78`. */
export const isoUuid = (epochS: number, serial: number): string =>
  uuidDigits(epochS, serial).replace(/^(....)(..)(..)(..)(..)(..)(..)$/, "$1-$2-$3-$4-$5-$6-$7");

const DAY_S = 86_400;

/** `YYYYMMDDhhmmss`. */
function utcDigits(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(/\D/g, "").slice(0, "YYYYMMDDhhmmss".length);
}
