/**
 * hex0, the first language of a bootstrap: a byte is two hexadecimal digits, in either case.
 *
 *   # …  ; …     comment, to the end of the line
 *   blank, tab, carriage return, newline    between bytes
 *
 * The smallest assemblers of it skip what they do not know and join digits across blanks and lines. This one refuses both: a digit that
 * is missing would shift all that follows it by half a byte, and nobody would see where.
 */
import { HiperisoError } from "../contract/error.ts";

const BLANK = 16;
const COMMENT = 17;
const FOREIGN = 18;
const NEWLINE = 0x0a;

/** What each byte is: below 16 the value of a digit. */
const KINDS = Uint8Array.from({ length: 256 }, (_, code) => {
  const text = String.fromCharCode(code);
  if (/[0-9A-Fa-f]/.test(text)) return Number.parseInt(text, 16);
  if (text === "#" || text === ";") return COMMENT;
  return /[ \t\r\n]/.test(text) ? BLANK : FOREIGN;
});

/** The bytes that a source stands for. Throws on an odd digit or a foreign character: `where` and its line and column, from 1, in bytes. */
export function assembleHex0(source: Uint8Array, where: string): Uint8Array {
  const assembler = new Hex0Assembler(where);
  const bytes = assembler.push(source);
  assembler.end();
  return bytes;
}

/** As `assembleHex0`, of a source of any length. Chunks may part a byte or a comment. */
export async function* assembleHex0Stream(source: AsyncIterable<Uint8Array>, where: string): AsyncIterable<Uint8Array> {
  const assembler = new Hex0Assembler(where);
  for await (const chunk of source) yield assembler.push(chunk);
  assembler.end();
}

class Hex0Assembler {
  readonly #where: string;
  /** The first digit of a byte whose second has not come; -1 for none. */
  #first = -1;
  #inComment = false;
  #line = 1;
  /** Bytes of this line in the chunks before. */
  #columnsBefore = 0;

  constructor(where: string) {
    this.#where = where;
  }

  /** What the chunk completes. */
  push(chunk: Uint8Array): Uint8Array {
    const out = new Uint8Array((chunk.length >> 1) + 1);
    const end = chunk.length;
    let length = 0;
    let first = this.#first;
    let line = this.#line;
    let lineStart = -this.#columnsBefore;
    let inComment = this.#inComment;
    for (let at = 0; at < end; at += 1) {
      if (inComment) {
        while (at < end && chunk[at] !== NEWLINE) at += 1;
        if (at === end) break;
        inComment = false;
      }
      const code = chunk[at]!;
      const kind = KINDS[code]!;
      if (kind < BLANK) {
        if (first < 0) first = kind;
        else {
          out[length++] = (first << 4) | kind;
          first = -1;
        }
        continue;
      }
      if (first >= 0) throw this.#error(line, at - lineStart, "a second digit right behind this one", described(code));
      if (kind === FOREIGN) {
        throw this.#error(line, at - lineStart + 1, "hexadecimal digits, blanks, or a comment behind # or ;", described(code));
      }
      inComment = kind === COMMENT;
      if (code === NEWLINE) {
        line += 1;
        lineStart = at + 1;
      }
    }
    this.#inComment = inComment;
    this.#first = first;
    this.#line = line;
    this.#columnsBefore = end - lineStart;
    return out.subarray(0, length);
  }

  end(): void {
    if (this.#first >= 0) throw this.#error(this.#line, this.#columnsBefore, "a second digit right behind this one", "the end");
  }

  #error(line: number, column: number, expected: string, found: string): HiperisoError {
    return new HiperisoError({ what: "assemble hex0", where: `${this.#where}:${line}:${column}`, expected, found, kind: "usage" });
  }
}

function described(code: number): string {
  if (code === NEWLINE) return "the end of the line";
  return code > 0x20 && code < 0x7f ? JSON.stringify(String.fromCharCode(code)) : `byte 0x${code.toString(16).padStart(2, "0")}`;
}
