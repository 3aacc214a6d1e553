/**
 * Machine code that a BIOS starts: what it is, from the words in it. Nobody numbers boot loaders; the messages they print
 * when something fails have been the same for decades.
 */
import { latin1 } from "./problem.ts";

/**
 * - `none`: zeros.
 * - `message`: of a file system that was made without a boot loader; prints that there is nothing to boot and waits.
 * - `next`: looks for the active partition and starts that; boots nothing by itself.
 * - `loader`: starts something, as far as can be told without running it.
 */
export type BootCodeKind = "none" | "message" | "next" | "loader";

export interface BootCode {
  readonly kind: BootCodeKind;
  /** Who wrote it, where it says so. */
  readonly loader: string | null;
}

/** First match wins: what is more special stands before what is more general. */
const ROWS: readonly (readonly [words: RegExp, kind: BootCodeKind, loader: string | null])[] = [
  [/not a bootable disk|Non-System disk|no operating system on/i, "message", null],
  [/isolinux\.bin missing or corrupt/, "loader", "ISOLINUX (isohybrid)"],
  [/ISOLINUX [\d.]+/, "loader", "ISOLINUX"],
  [/SYSLINUX|ldlinux\.sys/, "loader", "SYSLINUX"],
  [/GRUB /, "loader", "GRUB 2"],
  [/no boot info\0cdrom read fails/, "loader", "GRUB 2"],
  [/CDBOOT: Couldn't find|BOOTMGR is missing|NTLDR is missing/, "loader", "Windows"],
  [/Loading Memtest86\+/, "loader", "Memtest86+"],
  [/LILO/, "loader", "LILO"],
  [/limine/i, "loader", "Limine"],
  [/Missing OS\r?\n/, "loader", "SYSLINUX (GPT)"],
  [/Missing operating system/i, "next", null],
];

/** `code`: a boot sector, or the first KiB of an El Torito image. */
export function recogniseBootCode(code: Uint8Array): BootCode {
  if (code.every((byte) => byte === 0)) return { kind: "none", loader: null };
  const text = latin1(code);
  const row = ROWS.find(([words]) => words.test(text));
  if (row === undefined) return { kind: "loader", loader: null };
  const [words, kind, loader] = row;
  return { kind, loader: loader === "ISOLINUX" ? (words.exec(text)?.[0] ?? loader) : loader };
}
