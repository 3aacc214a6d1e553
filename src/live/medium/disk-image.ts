/**
 * A live medium as a GPT disk image. Decided here, written by the stage:
 *
 *   LBA 0         GRUB's code for BIOS in the protective MBR (`boot_hybrid.img`)
 *   partition 1   BIOS boot: GRUB's image for BIOS (`bios.img`), where there is one
 *   partition 2   EFI system partition, FAT: loaders, kernel, initramfs, root image
 *   partition 3   ext4 labelled "persistence", where it was asked for
 *
 * The numbers are fixed: GRUB for BIOS looks for its menu on partition 2 of its disk, so partition 1 is there (and empty) without BIOS too.
 */
import { createHash } from "node:crypto";
import { HiperisoError } from "../../contract/error.ts";
import { type GptTable, type PartitionWish, planGpt } from "../../disk/partitions/gpt-layout.ts";
import { ESP_GUID } from "../../formats/gpt.ts";

/** UEFI 2.10, 5.3.3, and GRUB's manual, "BIOS installation": read by GRUB alone. */
const BIOS_BOOT_GUID = "21686148-6449-6E6F-744E-656564454649";
const LINUX_GUID = "0FC63DAF-8483-4772-8E79-3D69D8477DE4";

const MIB = 1n << 20n;
const SECTOR = 512n;
/** As GRUB's own installer has it; the image is a sixth of it. */
const BIOS_BOOT_BYTES = MIB;

export interface DiskPlan {
  readonly table: GptTable;
  readonly sizeBytes: bigint;
  readonly biosBoot: ByteSpan;
  readonly esp: ByteSpan;
  readonly persistence: ByteSpan | undefined;
}

export interface ByteSpan {
  readonly offset: bigint;
  readonly sizeBytes: bigint;
}

export interface DiskImageWish {
  /** Of the stage's recipe: what the GUIDs are made from. */
  readonly hash: string;
  /** Room for files in the EFI system partition. */
  readonly espBytes: bigint;
  readonly persistenceBytes: bigint | undefined;
}

export function planDiskImage({ hash, espBytes, persistenceBytes }: DiskImageWish): DiskPlan {
  const guid = (what: string) => guidOf(hash, what);
  const whole = (bytes: bigint) => ((bytes + MIB - 1n) / MIB) * MIB;
  const wishes: PartitionWish[] = [
    { typeGuid: BIOS_BOOT_GUID, guid: guid("BIOS boot"), name: "BIOS boot", size: BIOS_BOOT_BYTES },
    { typeGuid: ESP_GUID, guid: guid("ESP"), name: "live", size: whole(espBytes) },
    ...(persistenceBytes === undefined
      ? []
      : [{ typeGuid: LINUX_GUID, guid: guid("persistence"), name: "persistence", size: whole(persistenceBytes) }]),
  ];
  // A mebibyte before the first partition and one behind the last, for both tables.
  const sizeBytes = wishes.reduce((sum, { size }) => sum + (size as bigint), 2n * MIB);
  const table = planGpt({ sizeBytes, sectorBytes: 512, diskGuid: guid("disk") }, wishes);
  const spans = table.partitions.map(({ firstLba, lastLba }) => ({
    offset: firstLba * SECTOR,
    sizeBytes: (lastLba - firstLba + 1n) * SECTOR,
  }));
  const [biosBoot, esp, persistence] = spans;
  return { table, sizeBytes, biosBoot: biosBoot!, esp: esp!, persistence };
}

/** A GUID that is the same for the same stage: version 8 of RFC 9562, 5.8, its other bits a digest's. */
export function guidOf(hash: string, what: string): string {
  const bytes = createHash("sha256").update(`${hash} ${what}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString("hex").toUpperCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** `boot_hybrid.img`: 64 bits, the 512-byte sector at which the program begins that it loads (GRUB, grub-core/boot/i386/pc/boot.S). */
const KERNEL_SECTOR_OFFSET = 0x1b0;
/** `bios.img` begins with what CD firmware loads; behind that stands what the MBR's code loads, one sector that loads the rest. */
const CD_LOADER_SECTORS = 4n;
/** In that sector, its last 12 bytes: 64 bits, the 512-byte sector at which the rest begins (grub-core/boot/i386/pc/diskboot.S). */
const REST_SECTOR_OFFSET = Number(CD_LOADER_SECTORS) * 512 + 500;
const BOOT_CODE_BYTES = 440;

/** GRUB for BIOS, told where on the disk it stands: what `grub-bios-setup` would write, which needs a device and root. */
export function placedGrub(
  hybrid: Uint8Array,
  image: Uint8Array,
  biosBoot: ByteSpan,
): { readonly bootCode: Uint8Array; readonly image: Uint8Array } {
  const bad = (expected: string, found: string) => new HiperisoError({ what: "put GRUB for BIOS onto a disk", expected, found });
  if (hybrid.length !== 512) throw bad("512 bytes of code for the MBR", `${hybrid.length}`);
  if (image.length < REST_SECTOR_OFFSET + 12) throw bad(`more than ${REST_SECTOR_OFFSET + 12} bytes of GRUB`, `${image.length}`);
  if (BigInt(image.length) > biosBoot.sizeBytes) throw bad(`at most ${biosBoot.sizeBytes} bytes of GRUB`, `${image.length}`);
  const first = biosBoot.offset / SECTOR + CD_LOADER_SECTORS;
  const bootCode = hybrid.slice(0, BOOT_CODE_BYTES);
  new DataView(bootCode.buffer).setBigUint64(KERNEL_SECTOR_OFFSET, first, true);
  const placed = image.slice();
  new DataView(placed.buffer).setBigUint64(REST_SECTOR_OFFSET, first + 1n, true);
  return { bootCode, image: placed };
}
