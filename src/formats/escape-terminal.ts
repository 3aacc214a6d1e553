/**
 * Text and bytes from outside, made harmless for a terminal. Four needs, four ways:
 *
 *   printable       one line (or several) of text: what a terminal would act on or hide becomes a visible escape
 *   printableBytes  the same for bytes that need not be UTF-8
 *   printableJson   a value as JSON that means the same to a program and nothing to a terminal
 *   TerminalFilter  a guest's console as it streams: its text passes, its control sequences do not
 *
 * What a terminal acts on: ECMA-48 (C0, C1, ESC sequences, control strings). What it hides or turns
 * around: the Unicode bidirectional controls (UAX #9) and invisible format characters.
 */

/**
 * Written out as \x1b, \u202e, \u{e0041}: C0 but tab, DEL, C1, line and paragraph separators, bidirectional
 * controls, byte order mark, annotation anchors, tag characters, and surrogates without their partner.
 * Zero-width joiners stay: Persian, Indic scripts and emoji need them.
 */
const UNSAFE =
  /[\0-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/** `text` with every character a terminal could act on as a visible escape. Tabs stay; `keepNewlines` keeps LF too. */
export function printable(text: string, options: { readonly keepNewlines?: boolean } = {}): string {
  return text.replace(UNSAFE, (character) => (character === "\n" && options.keepNewlines === true ? character : escapeOf(character)));
}

/** As `printable`, of bytes: what is valid UTF-8 is text, every other byte becomes \xNN. */
export function printableBytes(bytes: Uint8Array): string {
  let out = "";
  for (let at = 0; at < bytes.length; ) {
    const length = utf8LengthAt(bytes, at);
    out += length === 0 ? hexByte(bytes[at]!) : printable(utf8.decode(bytes.subarray(at, at + length)));
    at += Math.max(length, 1);
  }
  return out;
}

/**
 * `value` as JSON, indented by `indent` blanks or on one line where that is 0. JSON itself escapes C0 alone; here all that `printable`
 * escapes is \uXXXX, which every reader of JSON turns back.
 */
export function printableJson(value: unknown, indent = 0): string {
  const text = JSON.stringify(value, null, indent) ?? "null";
  // A line feed here is the layout's: those of the text are escaped already.
  return text.replace(UNSAFE, (character) => (character === "\n" ? character : utf16Escapes(character)));
}

const utf16Escapes = (character: string): string =>
  character
    .split("")
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
    .join("");

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

const hexByte = (byte: number): string => `\\x${byte.toString(16).padStart(2, "0")}`;

function escapeOf(character: string): string {
  const code = character.codePointAt(0)!;
  if (code <= 0xff) return hexByte(code);
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, "0")}` : `\\u{${code.toString(16)}}`;
}

/** Length in bytes of the well-formed UTF-8 sequence at `at` (Unicode 15, table 3-7), or 0. */
function utf8LengthAt(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const length = first >= 0xc2 && first <= 0xdf ? 2 : (first & 0xf0) === 0xe0 ? 3 : first >= 0xf0 && first <= 0xf4 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  // The second byte's range keeps out overlong forms, surrogates and what lies above U+10FFFF.
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
  if (bytes[at + 1]! < low || bytes[at + 1]! > high) return 0;
  for (let index = at + 2; index < at + length; index += 1) if ((bytes[index]! & 0xc0) !== 0x80) return 0;
  return length;
}

/** A sequence longer than this is no sequence: what follows is text again. Real ones stay below 100. */
const SEQUENCE_MAX = 4096;

type State =
  | "text"
  /** After ESC. */
  | "escape"
  /** After ESC [ or U+009B, until a byte 0x40..0x7e. */
  | "control sequence"
  /** OSC, DCS, SOS, PM, APC: until ST, BEL, CAN, SUB or a line's end. */
  | "string"
  /** ESC inside a string: `\` ends it. */
  | "string escape";

/**
 * A guest's console on its way to the person's terminal.
 *
 * Kept: text, LF, CR, tab and, where `colours` is set, SGR sequences without "conceal". A jump of the cursor or
 * a cleared screen starts a new line, so that a menu drawn by coordinates stays readable. All else is taken away,
 * wherever the chunks are cut: window titles, clipboard writes, queries that would type an answer into the
 * person's shell, mode switches, bells. A string that never ends is given up at its line's end, so that a
 * broken guest cannot silence its own console.
 */
export class TerminalFilter {
  readonly #colours: boolean;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #state: State = "text";
  /** Parameters and intermediates of the control sequence so far. */
  #sequence = "";
  #length = 0;
  #atLineStart = true;
  #coloured = false;

  constructor(options: { readonly colours?: boolean } = {}) {
    this.#colours = options.colours ?? false;
  }

  /** What may be shown of `chunk`, which may end inside a character or a sequence. */
  write(chunk: Uint8Array): string {
    return this.#pass(this.#decoder.decode(chunk, { stream: true }));
  }

  /** The rest; leaves the terminal in its own colours. */
  end(): string {
    const rest = this.#pass(this.#decoder.decode());
    this.#state = "text";
    const reset = this.#coloured ? "\x1b[0m" : "";
    this.#coloured = false;
    return rest + reset;
  }

  #pass(text: string): string {
    let out = "";
    for (const character of text) out += this.#step(character);
    return out;
  }

  #step(character: string): string {
    if (character === "\n" || character === "\r" || character === "\t") return this.#layout(character);
    if (character === "\x18" || character === "\x1a") return this.#enter("text"); // CAN, SUB: end any sequence
    if (this.#state !== "text" && ++this.#length > SEQUENCE_MAX) this.#enter("text");
    switch (this.#state) {
      case "text":
        return this.#text(character);
      case "escape":
        return this.#escape(character);
      case "control sequence":
        return this.#controlSequence(character);
      case "string":
        if (character === "\x1b") this.#state = "string escape";
        else if (character === "\x07" || character === "\x9c") this.#enter("text");
        return "";
      case "string escape":
        this.#enter("text");
        // ESC \ is ST. ESC and anything else ends the string too, and begins a sequence of its own.
        return character === "\\" ? "" : this.#escape(character);
    }
  }

  /** A terminal lays out lines even inside a sequence; a string ends with its line. */
  #layout(character: string): string {
    if (character === "\n" && (this.#state === "string" || this.#state === "string escape")) this.#enter("text");
    if (this.#state === "string" || this.#state === "string escape") return "";
    this.#atLineStart = character !== "\t";
    return character;
  }

  #text(character: string): string {
    switch (character) {
      case "\x1b":
        return this.#enter("escape");
      case "\x9b":
        return this.#enter("control sequence");
      case "\x90":
      case "\x98":
      case "\x9d":
      case "\x9e":
      case "\x9f":
        return this.#enter("string");
    }
    if (character < " " || (character >= "\x7f" && character <= "\x9f")) return "";
    this.#atLineStart = false;
    return printable(character);
  }

  #escape(character: string): string {
    if (character === "[") return this.#enter("control sequence");
    if ("]PX^_".includes(character)) return this.#enter("string");
    if (character === "\x1b") return this.#enter("escape");
    if (character >= " " && character <= "/") {
      this.#state = "escape"; // an intermediate: ESC ( B
      return "";
    }
    this.#enter("text");
    if (character === "c") return this.#newLine(); // RIS clears the screen
    return character >= "0" && character <= "~" ? "" : this.#text(character);
  }

  #controlSequence(character: string): string {
    if (character >= " " && character <= "?") {
      this.#sequence += character;
      return "";
    }
    const sequence = this.#sequence;
    this.#enter("text");
    if (character < "@" || character > "~") return this.#text(character);
    if (character === "m") return this.#colours ? this.#sgr(sequence) : "";
    return "Hf".includes(character) || (character === "J" && sequence !== "" && sequence !== "0") ? this.#newLine() : "";
  }

  #sgr(parameters: string): string {
    const shown = harmlessSgr(parameters);
    if (shown === undefined) return "";
    this.#coloured = shown !== "" && shown !== "0";
    return `\x1b[${shown}m`;
  }

  #newLine(): string {
    if (this.#atLineStart) return "";
    this.#atLineStart = true;
    return "\n";
  }

  #enter(state: State): string {
    this.#state = state;
    this.#sequence = "";
    this.#length = 0;
    return "";
  }
}

/** The parameters without 8 (conceal: text that is there and not seen); undefined when they are not SGR's. */
function harmlessSgr(parameters: string): string | undefined {
  if (!/^[0-9;:]{0,64}$/.test(parameters)) return undefined;
  const kept: string[] = [];
  const all = parameters.split(";");
  for (let index = 0; index < all.length; index += 1) {
    const parameter = all[index]!;
    // 38, 48, 58 take a colour: 5;N or 2;R;G;B. An 8 in there is a colour.
    const operands = ["38", "48", "58"].includes(parameter) ? (all[index + 1] === "5" ? 2 : all[index + 1] === "2" ? 4 : 0) : 0;
    if (!/^0*8$/.test(parameter)) kept.push(...all.slice(index, index + 1 + operands));
    index += operands;
  }
  return kept.length === 0 ? undefined : kept.join(";");
}
