/** The stick: names and places on its two partitions (CONTRACT section 2), and the files in which it says what it is and what it holds. */
import * as z from "zod";

/** Paths from the root of partition 1, the data partition. */
export const STICK_DATA = {
  /** Where images go unless somebody says otherwise; they are found in any folder. */
  images: "/ISOs",
  folder: "/hiperiso",
  config: "/hiperiso/hiperiso.json",
  logs: "/hiperiso/logs",
  /** What was put onto the stick, with its SHA-256: `StickImages`. */
  record: "/hiperiso/images.json",
  /** Copies that were cut off: they are taken up again. */
  unfinished: "/hiperiso/unfinished",
} as const;

/** Paths from the root of partition 2, the EFI system partition. */
export const STICK_ESP = {
  loader: "/EFI/BOOT/BOOTX64.EFI",
  menu: "/EFI/BOOT/grub.cfg",
  kernel: "/EFI/hiperiso/vmlinuz",
  initramfs: "/EFI/hiperiso/initramfs.cpio.gz",
  firmware: "/EFI/hiperiso/OVMF.fd",
  traces: "/EFI/hiperiso/trace",
  runtime: "/EFI/hiperiso/runtime.squashfs",
  manifest: "/ventoy/ventoy.cpio",
} as const;

export const STICK_DATA_NUMBER = 1;
export const STICK_ESP_NUMBER = 2;
export const STICK_ESP_LABEL = "VTOYEFI";
export const STICK_ESP_BYTES = 64n << 20n;
export const STICK_DATA_LABEL = "HIPERISO";
/** In the partition table: what shows a stick of ours when neither of its file systems can be read. */
export const STICK_DATA_NAME = "hiperiso";
export const STICK_DATA_START = 1n << 20n;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const bytes = z.int().min(0);
const utc = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

export const stickImageSchema = z.looseObject({
  /** From the data partition's root. */
  path: z.string().startsWith("/"),
  size_bytes: bytes,
  sha256,
  /** The file's time of change on the stick. */
  modified_utc: utc,
  /** Name of the list of sums that the image was checked against; null where there was none. */
  checked_against: z.string().nullable(),
});

export const stickImagesSchema = z.looseObject({ version: z.literal(1), images: z.array(stickImageSchema) });

/** Name of the one file in `ventoy.cpio`. */
export const STICK_MANIFEST_NAME = "hiperiso-stick.json";

export const stickManifestSchema = z.looseObject({
  version: z.literal(1),
  /** Of the program that wrote the ESP. */
  hiperiso_version: z.string(),
  written_utc: utc,
  disk_guid: z.string(),
  data: z.looseObject({ guid: z.string(), offset_bytes: bytes, size_bytes: bytes }),
  esp: z.looseObject({ guid: z.string(), offset_bytes: bytes, size_bytes: bytes, serial: z.string().regex(/^[0-9A-F]{8}$/) }),
  /** All files of the ESP but the manifest itself. What is `generated` is written anew when the images or the configuration change. */
  files: z.array(z.looseObject({ path: z.string().startsWith("/"), size_bytes: bytes, sha256, generated: z.boolean() })),
});

export type StickImage = z.infer<typeof stickImageSchema>;
export type StickImages = z.infer<typeof stickImagesSchema>;
export type StickManifest = z.infer<typeof stickManifestSchema>;
