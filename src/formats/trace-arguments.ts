/** The arguments of a trace record: as values, and as printf prints them with the event's format. */
import type { TraceRecord } from "./simpletrace.ts";
import type { Conversion, TraceArgument, TraceDeclaration } from "./trace-declarations.ts";
import type { TraceValue } from "./trace-line.ts";

/** An argument of a 64-bit trace as two halves: numbers that fit no `number` and need no bigint. */
interface Halves {
  high: number;
  low: number;
}

/** Empty where the event is not declared. */
export function argumentValues({ declaration, view, bytes, start, littleEndian }: TraceRecord): readonly TraceValue[] {
  if (declaration === undefined) return [];
  let at = start;
  return declaration.arguments.map(({ kind }) => {
    if (kind !== "string") {
      at += 8;
      return view.getBigUint64(at - 8, littleEndian);
    }
    const length = view.getUint32(at, littleEndian);
    at += 4 + length;
    return bytes.slice(at - length, at);
  });
}

/** A value as its type has it: an int of 2^64-1 is -1. */
export const typedValue = (value: bigint, { bits, signed }: TraceArgument): bigint =>
  signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);

/** Prints the records of one event. Text is bytes, each character one of them (ISO 8859-1), unless `ofString` makes something else of strings. */
export class ArgumentPrinter {
  readonly #declaration: TraceDeclaration;
  readonly #ofString: (bytes: Buffer) => string;
  readonly #halves: Halves = { high: 0, low: 0 };

  constructor(declaration: TraceDeclaration, ofString: (bytes: Buffer) => string = (bytes) => bytes.toString("latin1")) {
    this.#declaration = declaration;
    this.#ofString = ofString;
  }

  /** What QEMU's log holds behind the event's name. NULL strings are empty: the trace does not tell them from empty ones. */
  print(record: TraceRecord): string {
    const { arguments: declared, pieces } = this.#declaration;
    let text = "";
    let at = record.start;
    for (const piece of pieces) {
      if ("literal" in piece) {
        text += piece.literal;
        continue;
      }
      let width = piece.conversion.width;
      if (width === "argument") {
        readHalves(record, at, this.#halves);
        width = this.#halves.low;
        at += 8;
      }
      const argument = declared[piece.argument]!;
      if (argument.kind === "string") {
        const length = record.view.getUint32(at, record.littleEndian);
        text += padded(this.#string(record, at + 4, length), width, piece.conversion.left, " ");
        at += 4 + length;
      } else {
        readHalves(record, at, this.#halves);
        text += printedNumber(this.#halves, piece.conversion, Math.min(width, WIDTH_MAX));
        at += 8;
      }
    }
    return text;
  }

  /** Each argument by itself, as QEMU prints it but without padding: pairs of name and text. */
  each(record: TraceRecord, visit: (argument: TraceArgument, text: string) => void): void {
    const { arguments: declared } = this.#declaration;
    let at = record.start;
    for (const argument of declared) {
      if (argument.kind === "string") {
        const length = record.view.getUint32(at, record.littleEndian);
        visit(argument, this.#string(record, at + 4, length));
        at += 4 + length;
      } else {
        readHalves(record, at, this.#halves);
        visit(
          argument,
          argument.kind === "pointer" ? `0x${hexDigits(this.#halves)}` : decimal(this.#halves, argument.bits, argument.signed),
        );
        at += 8;
      }
    }
  }

  #string({ bytes }: TraceRecord, at: number, length: number): string {
    return this.#ofString(Buffer.from(bytes.buffer, bytes.byteOffset + at, length));
  }
}

/** A width that a damaged trace claims is not believed. */
const WIDTH_MAX = 64;

function readHalves({ view, littleEndian }: TraceRecord, at: number, into: Halves): void {
  into.low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
  into.high = view.getUint32(littleEndian ? at + 4 : at, littleEndian);
}

function printedNumber(halves: Halves, conversion: Conversion, width: number): string {
  const { letter, precision, zero, left, alternate } = conversion;
  if (letter === "c") return padded(String.fromCharCode(halves.low & 0xff), width, left, " ");
  if (letter === "p") {
    const text = halves.high === 0 && halves.low === 0 ? "(nil)" : `0x${hexDigits(halves)}`;
    return padded(text, width, left, " ");
  }
  // What printf takes: the argument as its type has it, promoted, and then as wide as the conversion says.
  const wide = conversion.bits === 64;
  const high = wide ? halves.high : 0;
  const low = halves.low;
  let text: string;
  if (letter === "d") text = decimal({ high: wide ? high : low >>> 31 === 0 ? 0 : 0xffff_ffff, low }, wide ? 64 : 32, true);
  else if (letter === "u") text = decimal({ high, low }, 64, false);
  else if (letter === "o") text = ((BigInt(high) << 32n) | BigInt(low)).toString(8);
  else text = hexDigits({ high, low });
  if (letter === "X") text = text.toUpperCase();
  const sign = text.startsWith("-")
    ? "-"
    : alternate && (high !== 0 || low !== 0) && (letter === "x" || letter === "X")
      ? `0${letter}`
      : "";
  let digits = text.startsWith("-") ? text.slice(1) : text;
  if (precision > digits.length) digits = digits.padStart(precision, "0");
  if (alternate && letter === "o" && !digits.startsWith("0")) digits = `0${digits}`;
  if (zero && !left && precision < 0) digits = digits.padStart(width - sign.length, "0");
  return padded(sign + digits, width, left, " ");
}

const padded = (text: string, width: number, left: boolean, fill: string): string =>
  width <= text.length ? text : left ? text.padEnd(width, fill) : text.padStart(width, fill);

function hexDigits({ high, low }: Halves): string {
  if (high === 0) return low.toString(16);
  return high.toString(16) + low.toString(16).padStart(8, "0");
}

/** As a type of `bits` bits has it. */
function decimal({ high, low }: Halves, bits: number, signed: boolean): string {
  if (bits < 64) {
    const value = bits === 32 ? low : low & (bits === 16 ? 0xffff : 0xff);
    return String(signed ? (value << (32 - bits)) >> (32 - bits) : value);
  }
  if (high < 0x20_0000) return high === 0 ? String(low) : String(high * 0x1_0000_0000 + low);
  const whole = (BigInt(high) << 32n) | BigInt(low);
  return String(signed ? BigInt.asIntN(64, whole) : whole);
}
