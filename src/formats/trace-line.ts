/**
 * QEMU's trace as text, an event a line, back to values. Three forms (QEMU: util/log.c, scripts/tracetool/backend/log.py):
 *
 *   TID@SECONDS.MICROSECONDS:NAME ARGUMENTS      with -msg timestamp=on: thread, wall clock
 *   2026-01-31T12:00:00.123456Z NAME ARGUMENTS   the same in newer versions; no fraction where it is zero, no thread
 *   NAME ARGUMENTS                               without timestamps
 *
 * printf forgets what its format does not show, so a line is matched against the event's own format. Text here is bytes: each character of a
 * string is one byte (ISO 8859-1), since %c and %s print any.
 */
import type { Conversion, TraceArgument, TraceDeclaration } from "./trace-declarations.ts";

/** 64 bits without sign, as a trace holds them: signed types are sign-extended. Or a string's bytes. */
export type TraceValue = bigint | Uint8Array;

export interface TracePrefix {
  readonly name: string;
  /** Undefined where the line has none. */
  readonly threadId: number | undefined;
  /** Wall clock in microseconds since 1970; undefined where the line has none. */
  readonly timeUs: number | undefined;
  /** Where the arguments begin. */
  readonly length: number;
}

const THREAD_FORM = /^(\d{1,10})@(\d{1,11})\.(\d{6}):(\w{1,128}) /;
const ISO_FORM = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?Z (\w{1,128}) /;
const BARE_FORM = /^([A-Za-z_]\w{0,127}) /;

/** Undefined where the line begins like none of the three forms. In the third any word is a name: the caller knows which are events. */
export function decodeTracePrefix(line: string): TracePrefix | undefined {
  const thread = THREAD_FORM.exec(line);
  if (thread !== null) {
    const [whole, tid, seconds, micros, name = ""] = thread;
    return { name, threadId: Number(tid), timeUs: Number(seconds) * 1e6 + Number(micros), length: whole.length };
  }
  const iso = ISO_FORM.exec(line);
  if (iso !== null) {
    const [whole, time = "", fraction = "", name = ""] = iso;
    const ms = Date.parse(`${time}Z`);
    if (!Number.isFinite(ms)) return undefined;
    return { name, threadId: undefined, timeUs: ms * 1000 + Number(fraction.padEnd(6, "0")), length: whole.length };
  }
  const bare = BARE_FORM.exec(line);
  if (bare === null) return undefined;
  return { name: bare[1]!, threadId: undefined, timeUs: undefined, length: bare[0].length };
}

/** What a line's arguments were, as printed. */
export interface PrintedArguments {
  /** One for each argument, in declaration order; what was the width of another is the number of its digits. */
  readonly texts: readonly string[];
  /** Other values print the same. */
  readonly ambiguous: boolean;
}

/** Reads the arguments of one event. */
export class TraceLineReader {
  readonly declaration: TraceDeclaration;
  /** False where every line can be read in one way only. */
  readonly doubtful: boolean;
  /** A line feed may stand inside: the event may be many lines. */
  readonly manyLines: boolean;
  /** A width that is an argument shows only where padding fills it. */
  readonly #guesses: boolean;
  readonly #greedy: RegExp;
  readonly #lazy: RegExp | undefined;

  constructor(declaration: TraceDeclaration) {
    this.declaration = declaration;
    this.doubtful = isDoubtful(declaration);
    this.manyLines = declaration.pieces.some((piece) =>
      "literal" in piece ? piece.literal.includes("\n") : "sc".includes(piece.conversion.letter),
    );
    this.#guesses = declaration.pieces.some((piece) => "conversion" in piece && piece.widthArgument !== undefined);
    this.#greedy = lineExpression(declaration, "");
    this.#lazy = this.doubtful ? lineExpression(declaration, "?") : undefined;
  }

  /** Undefined where the format does not print such a text. */
  read(text: string): PrintedArguments | undefined {
    const found = this.#greedy.exec(text);
    if (found === null) return undefined;
    // Backtracking tries the ways to part a text in one order when greedy and in the opposite when lazy: where both end at the same there is no other.
    const other = this.#lazy?.exec(text);
    const ambiguous = this.#guesses || (other !== undefined && other !== null && found.some((part, index) => part !== other[index]));
    return { texts: this.#inOrder(found), ambiguous };
  }

  #inOrder(found: RegExpExecArray): readonly string[] {
    const texts: string[] = [];
    let group = 1;
    for (const piece of this.declaration.pieces) {
      if ("literal" in piece) continue;
      const text = found[group++]!;
      if (piece.widthArgument !== undefined) texts[piece.widthArgument] = String(text.length);
      texts[piece.argument] = text;
    }
    return texts;
  }

  values({ texts }: PrintedArguments): readonly TraceValue[] {
    const values: TraceValue[] = this.declaration.arguments.map(() => 0n);
    for (const piece of this.declaration.pieces) {
      if ("literal" in piece) continue;
      values[piece.argument] = argumentOf(texts[piece.argument]!, piece.conversion, this.declaration.arguments[piece.argument]!);
      if (piece.widthArgument !== undefined) values[piece.widthArgument] = BigInt(texts[piece.widthArgument]!);
    }
    return values;
  }
}

function lineExpression({ pieces, arguments: declared }: TraceDeclaration, lazy: "" | "?"): RegExp {
  const source = pieces.map((piece) =>
    "literal" in piece ? quoted(piece.literal) : `(${printedForm(piece.conversion, declared[piece.argument]!, lazy)})`,
  );
  return new RegExp(`^${source.join("")}$`, "s");
}

const quoted = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

/** What printf makes of one argument. Digits are bounded by the type where its values are: that parts many numbers that touch. */
function printedForm(conversion: Conversion, { bits, signed, kind }: TraceArgument, lazy: "" | "?"): string {
  const { letter, alternate } = conversion;
  if (letter === "s") return `.*${lazy}`;
  if (letter === "c") return ".";
  const valueBits = kind === "number" && !signed && letter !== "d" ? Math.min(bits, conversion.bits) : conversion.bits;
  const form = digits(conversion, valueBits, lazy);
  const whole =
    letter === "p"
      ? `0x[0-9a-f]{1,16}${lazy}|\\(nil\\)`
      : letter === "d"
        ? `[+ ]?-?${form}`
        : alternate && letter !== "u"
          ? `(?:0[xX]?)?${form}`
          : form;
  const padded = conversion.width !== 0 && !(conversion.zero && !conversion.left);
  const pad = ` *${lazy}`;
  if (!padded) return whole;
  return conversion.left ? `(?:${whole})${pad}` : `${pad}(?:${whole})`;
}

function digits({ letter, width, precision, zero, left }: Conversion, bits: number, lazy: "" | "?"): string {
  const [alphabet, most] =
    letter === "d" || letter === "u"
      ? ["\\d", Math.ceil(bits * Math.LOG10E * Math.LN2)]
      : letter === "o"
        ? ["[0-7]", Math.ceil(bits / 3)]
        : [letter === "X" ? "[0-9A-F]" : "[0-9a-f]", bits / 4];
  if (width === "argument") return `${alphabet}+${lazy}`;
  // With a sign the padding is shorter by it.
  const least = Math.max(1, precision, zero && !left && precision < 0 ? width - (letter === "d" ? 1 : 0) : 0);
  return `${alphabet}{${least},${Math.max(least, most)}}${lazy}`;
}

/** Characters that printed numbers are made of. */
const OF_NUMBERS = /[0-9a-fA-FxX+\-()nil ]/;

/**
 * Proven to be read in one way only: at most one string, every number closed by what cannot belong to it, and the text behind the string begins with
 * something that no number holds (then it cannot occur a second time in the rest).
 */
function isDoubtful({ pieces }: TraceDeclaration): boolean {
  let string = false;
  for (const [index, piece] of pieces.entries()) {
    if ("literal" in piece) continue;
    const next = pieces[index + 1];
    const rest = pieces.slice(index + 1).some((later) => "conversion" in later);
    if (piece.conversion.letter === "s") {
      if (string) return true;
      string = true;
      if (rest && !(next !== undefined && "literal" in next && [...next.literal].some((char) => !OF_NUMBERS.test(char)))) return true;
    } else if (piece.conversion.letter !== "c" && rest) {
      if (next === undefined || !("literal" in next)) return true;
      const padded = piece.conversion.width !== 0 && piece.conversion.left;
      if (/[0-9a-fA-FxX]/.test(next.literal[0]!) || (padded && next.literal.startsWith(" "))) return true;
    }
  }
  return false;
}

function argumentOf(text: string, conversion: Conversion, argument: TraceArgument): TraceValue {
  if (argument.kind === "string") return bytesOf(conversion, text);
  const bits = Math.min(argument.bits, conversion.bits);
  const number = conversion.letter === "c" ? BigInt(text.charCodeAt(0)) : numberOf(text.trim(), conversion);
  return argument.signed ? BigInt.asUintN(64, BigInt.asIntN(bits, number)) : BigInt.asUintN(bits, number);
}

function numberOf(text: string, { letter, alternate }: Conversion): bigint {
  switch (letter) {
    case "p":
      return text === "(nil)" ? 0n : BigInt(text);
    case "x":
    case "X":
      return BigInt(/^0[xX]/.test(text) ? text : `0x${text}`);
    case "o":
      return BigInt(`0o${alternate ? text.replace(/^0(?=.)/, "") : text}`);
    default:
      return text.length < 16 ? BigInt(Number(text)) : BigInt(text);
  }
}

/** A pointer printed for what QEMU's format calls a string (`char **`) stays what was printed. NULL is a string without bytes. */
function bytesOf({ letter, width, left }: Conversion, text: string): Uint8Array {
  if (letter !== "s") return Buffer.from(text, "latin1");
  const pads = typeof width === "number" && text.length <= width;
  const bare = !pads ? text : left ? text.replace(/ +$/, "") : text.replace(/^ +/, "");
  return Buffer.from(bare === "(null)" ? "" : bare, "latin1");
}
