/**
 * The kernel's command line as GRUB's `linux` command writes it (grub-core/lib/cmdline.c, seen with 2.06) and as
 * `/proc/cmdline` holds it:
 *
 *   words are separated by one blank; a word that holds a blank stands whole in double quotes;
 *   `\`, `"` and `'` each get a backslash before them, in and out of quotes.
 *
 * The kernel hands the line on as it is. It reads its own parameters from it by simpler rules (lib/cmdline.c, `next_arg`: a quote
 * behind a backslash still toggles quoting), so its own belong in front of ours, where our quotes cannot reach them.
 */
import { HiperisoError } from "../contract/error.ts";
import { printable } from "./escape-terminal.ts";

/** `name=value`, or `name` alone where `value` is undefined. */
export interface KernelWord {
  readonly name: string;
  readonly value?: string | undefined;
}

/** arch/x86/include/asm/setup.h, COMMAND_LINE_SIZE is 2,048 with the ending NUL; longer lines are cut without a word. */
export const KERNEL_COMMAND_LINE_BYTES_MAX = 2047;

/** Throws (`usage`) at a control character, at half a surrogate pair, and at a line that the kernel would cut. */
export function encodeKernelCommandLine(words: readonly KernelWord[]): string {
  const line = words.map(encodeWord).join(" ");
  const bytes = byteLength(line);
  if (bytes > KERNEL_COMMAND_LINE_BYTES_MAX) {
    const longest = words.reduce((one, other) => (byteLength(encodeWord(other)) > byteLength(encodeWord(one)) ? other : one));
    throw new HiperisoError({
      what: "write the kernel command line",
      expected: `at most ${KERNEL_COMMAND_LINE_BYTES_MAX} bytes`,
      found: `${bytes} bytes, the longest value being that of ${printable(longest.name)} (${byteLength(longest.value ?? "")} bytes)`,
      hint: "Use a shorter path or name.",
      kind: "usage",
    });
  }
  return line;
}

function encodeWord({ name, value }: KernelWord): string {
  const word = value === undefined ? name : `${name}=${value}`;
  if (/[\0-\x1f\x7f]|\p{Surrogate}/u.test(word)) {
    throw new HiperisoError({
      what: `pass ${printable(name)} on the kernel command line`,
      expected: "text without control characters",
      found: `"${printable(value ?? name)}"`,
      kind: "usage",
    });
  }
  const escaped = word.replace(/[\\"']/g, "\\$&");
  return escaped.includes(" ") ? `"${escaped}"` : escaped;
}

/**
 * The words of a line: from `encodeKernelCommandLine`, GRUB, or written by hand. Takes every text: a quote that never closes
 * ends with the line, and a backslash before anything but the three escaped characters is itself
 * (newer GRUBs leave `\x20` as it stands).
 */
export function decodeKernelCommandLine(line: string): KernelWord[] {
  const words: KernelWord[] = [];
  let word: string | undefined;
  let inQuotes = false;
  for (let at = 0; at < line.length; at += 1) {
    const character = line[at]!;
    const next = line[at + 1];
    if (character === "\\" && (next === "\\" || next === '"' || next === "'")) {
      word = (word ?? "") + next;
      at += 1;
    } else if (character === '"') {
      word ??= "";
      inQuotes = !inQuotes;
    } else if (!inQuotes && " \t\n\r".includes(character)) {
      if (word !== undefined) words.push(splitWord(word));
      word = undefined;
    } else {
      word = (word ?? "") + character;
    }
  }
  // `/proc/cmdline` ends with a line feed, also behind a quote that never closed.
  if (word !== undefined) words.push(splitWord(inQuotes ? word.replace(/\n$/, "") : word));
  return words;
}

function splitWord(word: string): KernelWord {
  const equals = word.indexOf("=");
  return equals === -1 ? { name: word } : { name: word.slice(0, equals), value: word.slice(equals + 1) };
}

const byteLength = (text: string): number => new TextEncoder().encode(text).length;
