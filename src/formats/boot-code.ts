/**
 * Machine code that a BIOS starts: what it is, from the words in it. Nobody numbers boot loaders; the messages they print
 * when something fails have been the same for decades.
 */
import { latin1 } from "./bytes.ts";

/**
 * - `none`: zeros where the processor would go.
 * - `idle`: of something that was made without a boot loader; says that there is nothing to boot, or tries another drive.
 * - `next`: looks for the active partition and starts that; boots nothing by itself.
 * - `loader`: starts something, as far as can be told without running it.
 */
export type BootCodeKind = "none" | "idle" | "next" | "loader";

export interface BootCode {
  readonly kind: BootCodeKind;
  /** Who wrote it, where it says so. */
  readonly loader: string | null;
}

/** First match wins: what is more special stands before what is more general. */
const ROWS: readonly (readonly [words: RegExp, kind: BootCodeKind, loader: string | null])[] = [
  [/not a bootable disk|Non-System disk|no operating system on|Use a boot loader/i, "idle", null],
  // mformat's: copies itself away, then loads the first sector of the first hard disk.
  [/\xfa\x31\xc0\x8e\xd8\x8e\xc0\xfc\xb9\0\x01\xbe\0\x7c\xbf\0\x80\xf3\xa5\xea/, "idle", null],
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

/** `code`: a boot sector without the table at its end, or the first KiB of an El Torito image. */
export function recogniseBootCode(code: Uint8Array): BootCode {
  if (code.subarray(entryOf(code)).every((byte) => byte === 0)) return { kind: "none", loader: null };
  const text = latin1(code);
  const row = ROWS.find(([words]) => words.test(text));
  if (row === undefined) return { kind: "loader", loader: null };
  const [words, kind, loader] = row;
  return { kind, loader: loader === "ISOLINUX" ? (words.exec(text)?.[0] ?? loader) : loader };
}

/** A file system's boot sector starts with a jump over its parameters: they alone are no code. */
function entryOf(code: Uint8Array): number {
  if (code[0] === 0xeb && code[1]! < 0x80) return 2 + code[1]!;
  return code[0] === 0xe9 && code.length > 2 && code[2]! < 0x80 ? 3 + code[1]! + 256 * code[2]! : 0;
}
