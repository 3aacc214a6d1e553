/** An entry of an image's own boot menu as a value: what would be started, and whether that can be done without the menu. */
import type { DiskNumber } from "../image-facts.ts";

export type MenuLoader = "grub" | "syslinux" | "systemd-boot" | "uki";

/** A file of the image, or a part of one. */
export interface ImagePart {
  /** `name` of a volume: "iso9660@0". */
  readonly volume: string;
  readonly path: string;
  /** From the start of the file; not 0 in a unified kernel image alone. */
  readonly startBytes: number;
  readonly sizeBytes: DiskNumber;
}

export interface BootEntry {
  /** From 1, through all menus of the image. */
  readonly number: number;
  /** Unique in the image, and the same as long as the menu is: from the menu's own id, else from the title. */
  readonly id: string;
  readonly title: string;
  /** Titles of the submenus that it stands in, the outermost first. */
  readonly submenus: readonly string[];
  readonly source: { readonly loader: MenuLoader; readonly volume: string; readonly path: string };
  /** Its menu starts it when nobody chooses. */
  readonly standard: boolean;
  /** Null where none is found. */
  readonly kernel: ImagePart | null;
  readonly initrds: readonly ImagePart[];
  /** As the boot loader would hand them to the kernel. */
  readonly arguments: string;
  /** Null: it can be started directly. Otherwise why not, in a clause for a person. */
  readonly whyNot: string | null;
}

export interface BootMenus {
  readonly entries: readonly BootEntry[];
  /** The entry that is booted when none is named; null where none can be. */
  readonly standard: BootEntry | null;
  /** For a person: what of the menus could not be read or followed. */
  readonly notes: readonly string[];
}
