/**
 * JSON as Ventoy's boot loader reads `ventoy.json`: a small reader of its own, which takes less than JSON in some places and more in others. What it
 * makes of a file is what holds on that stick, so it is followed here and not the standard:
 *
 *   strings    end at the next quotation mark: a backslash is a letter like any other, there are no escapes; line ends may stand in them
 *   numbers    digits only: no sign, fraction or exponent; at most 64 bits
 *   blanks     every byte up to 32; on x86 (where a char has a sign) also every byte from 128 on. There are no comments and no trailing commas
 *   the end    a NUL, or whatever follows the first value: nothing behind it is looked at
 *   keys       all are kept, in order, also when they come twice
 *   encoding   bytes; a UTF-8 byte order mark is passed over, one of UTF-16 refuses the file. One slip refuses all of it
 */
import { type ByteText, fromBytes } from "./byte-text.ts";

/** `at`: byte of the file at which the value begins. */
export type VentoyValue =
  | { readonly type: "null"; readonly at: number }
  | { readonly type: "boolean"; readonly at: number; readonly value: boolean }
  | { readonly type: "number"; readonly at: number; readonly value: bigint }
  | { readonly type: "string"; readonly at: number; readonly value: ByteText }
  | { readonly type: "array"; readonly at: number; readonly items: readonly VentoyValue[] }
  | { readonly type: "object"; readonly at: number; readonly members: readonly VentoyMember[] };

export interface VentoyMember {
  readonly name: ByteText;
  /** Byte of the file at which the name begins. */
  readonly at: number;
  readonly value: VentoyValue;
}

export interface VentoySlip {
  /** Byte of the file. */
  readonly at: number;
  readonly message: string;
}

export type VentoyDocument =
  | { readonly ok: true; readonly value: VentoyValue /** Where the first value ended. */; readonly end: number }
  | { readonly ok: false; readonly slip: VentoySlip };

/** Ventoy's own reader has no limit but its stack; nothing in a `ventoy.json` that means anything stands deeper than five. */
const NESTING_MAX = 64;
const NUMBER_MAX = (1n << 64n) - 1n;

/** Never throws. */
export function decodeVentoyJson(bytes: Uint8Array): VentoyDocument {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))
    return { ok: false, slip: { at: 0, message: "it is UTF-16; Ventoy reads UTF-8 only" } };
  const reader = new Reader(bytes);
  try {
    const value = reader.value(0);
    return { ok: true, value, end: reader.at };
  } catch (thrown) {
    if (thrown instanceof Slip) return { ok: false, slip: { at: thrown.at, message: thrown.message } };
    throw thrown;
  }
}

class Slip extends Error {
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

const code = (letter: string): number => letter.charCodeAt(0);
const [QUOTE, COMMA, COLON] = [code('"'), code(","), code(":")];
const WORDS = [
  ["null", null],
  ["true", true],
  ["false", false],
] as const;

class Reader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array) {
    const end = bytes.indexOf(0);
    this.#bytes = end === -1 ? bytes : bytes.subarray(0, end);
    this.at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  }

  value(depth: number): VentoyValue {
    this.#skipBlanks();
    const { at } = this;
    if (depth > NESTING_MAX) throw new Slip(at, `nested deeper than ${NESTING_MAX} levels`);
    const first = this.#bytes[at];
    if (first === undefined) throw new Slip(at, "a value is missing");
    if (first === QUOTE) return { type: "string", at, value: this.#string() };
    if (first === code("[")) return { type: "array", at, items: this.#list("]", () => this.value(depth + 1)) };
    if (first === code("{")) return { type: "object", at, members: this.#list("}", () => this.#member(depth + 1)) };
    if (first >= code("0") && first <= code("9")) return { type: "number", at, value: this.#number() };
    for (const [word, value] of WORDS) {
      if (!this.#startsWith(word)) continue;
      this.at += word.length;
      return value === null ? { type: "null", at } : { type: "boolean", at, value };
    }
    throw new Slip(at, valueFault(first));
  }

  #list<Item>(close: "]" | "}", item: () => Item): Item[] {
    const items: Item[] = [];
    this.at += 1;
    this.#skipBlanks();
    if (this.#bytes[this.at] === code(close)) {
      this.at += 1;
      return items;
    }
    for (;;) {
      items.push(item());
      this.#skipBlanks();
      const next = this.#bytes[this.at];
      if (next === undefined) throw new Slip(this.at, `"${close}" is missing`);
      if (next !== COMMA && next !== code(close)) throw new Slip(this.at, `expected "," or "${close}"`);
      this.at += 1;
      if (next !== COMMA) return items;
    }
  }

  #member(depth: number): VentoyMember {
    this.#skipBlanks();
    const { at } = this;
    if (this.#bytes[at] !== QUOTE) throw new Slip(at, "expected a key in double quotes; Ventoy takes no trailing comma and no comment");
    const name = this.#string();
    this.#skipBlanks();
    if (this.#bytes[this.at] !== COLON) throw new Slip(this.at, 'expected ":" between key and value');
    this.at += 1;
    return { name, at, value: this.value(depth) };
  }

  /** From the quotation mark on. */
  #string(): ByteText {
    const start = this.at + 1;
    const end = this.#bytes.indexOf(QUOTE, start);
    if (end === -1) throw new Slip(this.at, "the text never ends: expected a double quote");
    this.at = end + 1;
    return fromBytes(this.#bytes.subarray(start, end));
  }

  #number(): bigint {
    const start = this.at;
    let value = 0n;
    for (;;) {
      const digit = (this.#bytes[this.at] ?? 0) - code("0");
      if (digit < 0 || digit > 9) return value;
      value = value * 10n + BigInt(digit);
      if (value > NUMBER_MAX) throw new Slip(start, "a number of more than 64 bits");
      this.at += 1;
    }
  }

  #startsWith(word: string): boolean {
    return [...word].every((letter, index) => this.#bytes[this.at + index] === code(letter));
  }

  #skipBlanks(): void {
    for (;;) {
      const byte = this.#bytes[this.at];
      if (byte === undefined || (byte > 32 && byte < 128)) return;
      this.at += 1;
    }
  }
}

function valueFault(first: number): string {
  if (first === code("-")) return "Ventoy reads no negative numbers";
  if (first === code("/")) return "expected a value; Ventoy takes no comments";
  if (first === code("]") || first === code("}")) return "expected a value; Ventoy takes no trailing comma";
  return "expected a value: text in double quotes, digits, true, false, null, [ or {";
}

/** Line and column, both from 1, of a byte; columns in UTF-16 units, as editors count. */
export function placeOf(bytes: Uint8Array, at: number): { readonly line: number; readonly column: number } {
  const before = bytes.subarray(0, at);
  let line = 1;
  for (const byte of before) if (byte === 10) line += 1;
  const start = before.lastIndexOf(10) + 1;
  return { line, column: new TextDecoder().decode(before.subarray(start)).length + 1 };
}
