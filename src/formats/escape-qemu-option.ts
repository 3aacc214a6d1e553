/** Values inside a QEMU option such as `-drive file=…,format=raw` (QEMU's util/qemu-option.c). */
import { HiperisoError } from "../contract/error.ts";
import { printable } from "./escape-terminal.ts";

/**
 * `text` as the value of one key: QEMU splits an option at ",", and reads ",," as a comma in the value.
 * Nothing else is special there, not quotes, not "=", not blanks: no shell is between us and QEMU.
 *
 * Throws where the value holds a control character (QEMU reports options by line) or half a surrogate pair.
 */
export function qemuOptionValue(text: string): string {
  if (/[\0-\x1f\x7f]|\p{Surrogate}/u.test(text)) {
    throw new HiperisoError({
      what: "pass a value to QEMU",
      expected: "text without control characters",
      found: `"${printable(text)}"`,
      hint: "Rename the file.",
      kind: "usage",
    });
  }
  return text.replaceAll(",", ",,");
}
