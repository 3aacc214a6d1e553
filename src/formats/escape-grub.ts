/** Words of GRUB's script language (GRUB manual 2.06, "Writing GRUB configuration files directly", Quoting). */
import { HiperisoError } from "../contract/error.ts";
import { printable } from "./escape-terminal.ts";

/**
 * `text` as one literal word of `grub.cfg`: no variable, no glob, no separator in it means anything to GRUB.
 * Between single quotes all is literal but the single quote itself, which stands outside behind a backslash.
 *
 * Throws where it holds a control character (GRUB's menu draws them) or half a surrogate pair.
 */
export function grubWord(text: string): string {
  if (/[\0-\x1f\x7f]|\p{Surrogate}/u.test(text)) {
    throw new HiperisoError({
      what: "write a word of grub.cfg",
      expected: "text without control characters",
      found: `"${printable(text)}"`,
      kind: "usage",
    });
  }
  return `'${text.replaceAll("'", "'\\''")}'`;
}
