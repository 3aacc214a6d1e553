/** Whether an image may be copied into this computer's memory for a boot (`memdisk`). Pure. */
import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";

/** Left to the computer itself: CONTRACT's figure. */
const SPARE_MB = 512;
const MB = 1n << 20n;

export interface MemoryCopyQuestion {
  readonly image: string;
  readonly imageBytes: bigint;
  readonly guestRamMb: number;
  /** 0 where the kernel does not tell. */
  readonly availableRamMb: number;
}

/** Throws (kind `usage`) unless image, guest and `SPARE_MB` are free. */
export function checkMemoryCopy({ image, imageBytes, guestRamMb, availableRamMb }: MemoryCopyQuestion): void {
  const imageMb = Number((imageBytes + MB - 1n) / MB);
  const needed = imageMb + guestRamMb + SPARE_MB;
  if (availableRamMb >= needed) return;
  throw new HiperisoError({
    what: "copy the image into memory",
    where: printable(image),
    expected: `${needed} MB free: ${imageMb} for the image, ${guestRamMb} for the guest and ${SPARE_MB} to spare`,
    found: availableRamMb === 0 ? "that this computer does not say what is free" : `${availableRamMb} MB`,
    hint: "Give the guest less memory (--guest-ram), or leave --boot-mode memdisk away.",
    kind: "usage",
  });
}
