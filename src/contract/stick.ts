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
  /** Why the last start ended before the program ran, for a person. On the ESP's root where this partition could not be written. */
  failure: "/hiperiso/FAILURE.txt",
  /** A person's own rules for the analyser. */
  rules: "/hiperiso/rules.yaml",
} as const;

/** Kernel parameters that only a stick has: which one it is and where its runtime stands, read by `guest/stick/init`, and what follows a boot. */
export const STICK_PARAMETERS = {
  /** The GPT's disk GUID, or the MBR's signature in 8 hexadecimal digits. */
  disk: "hiperiso_stick",
  /** A folder of the data partition, laid out as the ESP: a stick that was adopted. */
  runtime: "hiperiso_runtime",
  /** Seconds. */
  wait: "hiperiso_wait",
  /** One of `STICK_AFTER`. */
  after: "hiperiso_after",
} as const;

/** What follows a boot. `ask`: what a person chooses, and after a while without one the computer is turned off. `next`: the picker. */
export const STICK_AFTER = ["ask", "menu", "poweroff", "next"] as const;
export type StickAfter = (typeof STICK_AFTER)[number];

/** What the program on the stick leaves in `/run/hiperiso/next` for the first process. */
export type StickNext = "reboot" | "poweroff" | "kexec";

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
  /** What a signed GRUB of Debian reads first; it leads to `menu`. */
  debianMenu: "/EFI/debian/grub.cfg",
  /** The part of the menu that images and configuration decide. */
  menuPart: "/EFI/hiperiso/grub/menu.cfg",
  menuFont: "/EFI/hiperiso/grub/unicode.pf2",
  /** Folder: the theme that the configuration names, copied. */
  menuTheme: "/EFI/hiperiso/grub/theme",
  /** What the menu was made from: `StickMenuFacts`. */
  menuFacts: "/EFI/hiperiso/menu.json",
  /** The last configuration that could be read: it holds while a broken one stands on the data partition. */
  goodConfig: "/EFI/hiperiso/hiperiso.json",
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

const directBootSchema = z.union([
  z.looseObject({
    can: z.literal(true),
    family: z.string(),
    kernel: z.string(),
    initrds: z.array(z.string()),
    words: z.array(z.string()),
    hasLoopbackConfig: z.boolean(),
  }),
  z.looseObject({ can: z.literal(false), because: z.string() }),
]);

/** `menu.json` on the ESP: for the next one who makes the menu, and for the runtime. */
export const stickMenuFactsSchema = z.looseObject({
  version: z.literal(1),
  /** Of the disk that the menu is for. */
  disk_guid: z.string(),
  /** Of `hiperiso.json` as it stood when the menu was made; null where there was none. */
  config_sha256: sha256.nullable(),
  /** It was broken, and the last good one holds. */
  keeps_last_good: z.boolean(),
  /** What the menu lists. `refusal`: why the recorder does not boot it. Both null where nobody looked. */
  images: z.array(
    z.looseObject({
      path: z.string().startsWith("/"),
      size_bytes: bytes,
      modified_ms: z.number().nullable(),
      refusal: z.string().nullable(),
      direct: directBootSchema.nullable(),
    }),
  ),
});

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
export type StickMenuFacts = z.infer<typeof stickMenuFactsSchema>;
export type StickManifest = z.infer<typeof stickManifestSchema>;
