/** Words of a POSIX shell (IEEE Std 1003.1-2017, Shell Command Language, 2.2): for command lines that a person may paste. */
import { HiperisoError } from "../contract/error.ts";
import { printable } from "./escape-terminal.ts";

/** What no shell reads as anything but itself, whatever the locale. */
const PLAIN = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** 2.4 and what bash adds: in the place of a command these are syntax unless quoted. */
const RESERVED = /^(if|then|else|elif|fi|do|done|case|esac|while|until|for|in|function|select|time|coproc)$/;

/** `text` as one argument. Throws where it holds a NUL, which no argument of a program can. */
export function shellWord(text: string): string {
  return PLAIN.test(text) ? text : quoted(text);
}

/** A whole command: the program and its arguments, one blank between. */
export function shellCommand(words: readonly string[]): string {
  return words
    .map((word, index) => (index === 0 && (word.includes("=") || RESERVED.test(word)) ? quoted(word) : shellWord(word)))
    .join(" ");
}

/** Between single quotes all is literal but the single quote itself. */
function quoted(text: string): string {
  if (text.includes("\0")) {
    throw new HiperisoError({ what: "write a shell command", expected: "text without NUL", found: `"${printable(text)}"`, kind: "usage" });
  }
  return `'${text.replaceAll("'", "'\\''")}'`;
}
