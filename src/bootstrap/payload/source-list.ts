/**
 * Lists of what goes into a container, in two forms:
 *
 *   lines          `NAME PATH`, blanks between; a word with blanks stands in double quotes, where \" and \\ stand for themselves
 *   NUL-separated  NAME, NUL, PATH, NUL, … : no character but NUL means anything
 *
 * Paths count from the current folder, not from the list's.
 */
import { HiperisoError } from "../../contract/error.ts";
import type { PayloadSource } from "./create.ts";

const WHAT = "read a list of files";

/** Throws (`usage`) with the line where one does not hold two words. Empty lines are passed over; the last needs no line end. */
export function decodeSourceLines(bytes: Uint8Array, where: string): readonly PayloadSource[] {
  return textOf(bytes, where)
    .split("\n")
    .flatMap((raw, index) => {
      const line = raw.replace(/\r$/, "");
      if (line.trim() === "") return [];
      const words = wordsOf(line);
      const [name, file] = words ?? [];
      if (words?.length === 2 && name !== undefined && file !== undefined) return [{ name, from: { file } }];
      throw new HiperisoError({
        what: WHAT,
        where: `${where}:${index + 1}`,
        expected: "a name and a path",
        found: words === undefined ? "a double quote without its partner" : `${words.length} word${words.length === 1 ? "" : "s"}: ${line}`,
        hint: 'Names and paths with blanks stand in double quotes: "a name" "a path". Or separate all by NUL (--null).',
        kind: "usage",
      });
    });
}

/** The words of a line; undefined where a quoted one does not end, or goes on behind its quote. */
function wordsOf(line: string): readonly string[] | undefined {
  const words: string[] = [];
  const next = /[ \t]*(?:"((?:[^"\\]|\\["\\])*)"(?=[ \t]|$)|([^ \t"][^ \t]*)|$)/y;
  while (next.lastIndex < line.length) {
    const found = next.exec(line);
    if (found === null) return undefined;
    const [, quoted, plain] = found;
    if (quoted !== undefined) words.push(quoted.replace(/\\(["\\])/g, "$1"));
    else if (plain !== undefined) words.push(plain);
  }
  return words;
}

/** Throws (`usage`) where a name has no path. The last NUL may be left out. */
export function decodeSourceFields(bytes: Uint8Array, where: string): readonly PayloadSource[] {
  const fields = textOf(bytes, where).split("\0");
  if (fields.at(-1) === "") fields.pop();
  if (fields.length % 2 === 0)
    return fields.flatMap((name, index) => (index % 2 === 0 ? [{ name, from: { file: fields[index + 1]! } }] : []));
  const hint = "Separate names and paths by one NUL each: name, NUL, path, NUL.";
  throw new HiperisoError({ what: WHAT, where, expected: "a path for each name", found: `${fields.length} fields`, hint, kind: "usage" });
}

function textOf(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new HiperisoError({ what: WHAT, where, expected: "UTF-8", found: "other bytes", kind: "usage", cause });
  }
}
