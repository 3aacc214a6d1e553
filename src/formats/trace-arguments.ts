/** The arguments of a trace record: as values, and as printf prints them with the event's format. */
import type { TraceRecord } from "./simpletrace.ts";
import { TextBytes } from "./text-bytes.ts";
import type { Conversion, TraceArgument, TraceDeclaration } from "./trace-declarations.ts";
import type { TraceValue } from "./trace-line.ts";

/** An argument of 64 bits as two halves: it may fit no `number`, and a bigint for each would be slow. */
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

/** Each argument by itself: numbers as their types have them, pointers as `0x…`, strings as `ofString` has their bytes. */
export function eachArgument(
  record: TraceRecord,
  { arguments: declared }: TraceDeclaration,
  ofString: (bytes: Buffer) => string,
  visit: (argument: TraceArgument, text: string) => void,
): void {
  const halves: Halves = { high: 0, low: 0 };
  let at = record.start;
  for (const argument of declared) {
    if (argument.kind === "string") {
      const length = record.view.getUint32(at, record.littleEndian);
      visit(argument, ofString(Buffer.from(record.bytes.buffer, record.bytes.byteOffset + at + 4, length)));
      at += 4 + length;
    } else {
      readHalves(record, at, halves);
      visit(argument, argument.kind === "pointer" ? `0x${hexDigits(halves)}` : decimal(halves, argument.bits, argument.signed));
      at += 8;
    }
  }
}

/** How the bytes of a string from `from` to before `to` are written. */
export type PutString = (out: TextBytes, bytes: Uint8Array, from: number, to: number) => void;

const asTheyAre: PutString = (out, bytes, from, to) => out.bytes(bytes, from, to);

/** A format's piece, with what is the same for every record. All have one shape: the engine finds their fields faster then. */
interface Step {
  readonly type:
    | "literal"
    /** A width for the next number, and not printed by itself. */
    | "width"
    | "string"
    | "pointer"
    /** %x and %lx, also with a width: the most of all numbers. */
    | "hex"
    /** %d, %u, %ld, %lu without a width. */
    | "decimal"
    | "other";
  readonly bytes: Uint8Array;
  readonly conversion: Conversion;
  readonly wide: boolean;
  readonly signed: boolean;
  readonly width: number;
  readonly pad: number;
}

/** Prints the records of one event. Text is bytes, as they came from the guest, unless `putString` makes something else of strings. */
export class ArgumentPrinter {
  readonly #steps: readonly Step[];
  readonly #putString: PutString;
  readonly #halves: Halves = { high: 0, low: 0 };

  constructor(declaration: TraceDeclaration, putString: PutString = asTheyAre) {
    this.#steps = stepsOf(declaration);
    this.#putString = putString;
  }

  /** As `put`, each byte a character (ISO 8859-1). */
  print(record: TraceRecord): string {
    const out = new TextBytes();
    this.put(record, out);
    return out.takeLatin1();
  }

  /** What QEMU's log holds behind the event's name. NULL strings are empty: the trace does not tell them from empty ones. */
  put(record: TraceRecord, out: TextBytes): void {
    const { view, littleEndian, bytes } = record;
    const halves = this.#halves;
    let at = record.start;
    let width = 0;
    for (const step of this.#steps) {
      switch (step.type) {
        case "literal":
          out.bytes(step.bytes);
          continue;
        case "string": {
          const length = view.getUint32(at, littleEndian);
          if (step.width === 0) this.#putString(out, bytes, at + 4, at + 4 + length);
          else this.#putPadded(out, bytes, at + 4, length, step.conversion);
          at += 4 + length;
          continue;
        }
        case "width":
          width = Math.min(view.getUint32(littleEndian ? at : at + 4, littleEndian), WIDTH_MAX);
          at += 8;
          continue;
      }
      readHalves(record, at, halves);
      at += 8;
      const { high, low } = halves;
      if (step.type === "hex") out.hex(step.wide ? high : 0, low, step.width, step.pad);
      else if (step.type === "pointer") {
        if (high === 0 && low === 0) out.bytes(NIL);
        else {
          out.bytes(HEX_PREFIX);
          out.hex(high, low, 0, ZERO);
        }
      } else if (step.type === "decimal" && high < 0x20_0000) {
        const whole = step.wide ? high * 0x1_0000_0000 + low : low;
        if (step.signed && !step.wide && low > 0x7fff_ffff) {
          out.byte(MINUS);
          out.decimal(0x1_0000_0000 - low, 0, ZERO);
        } else out.decimal(whole, 0, ZERO);
      } else if (step.type === "decimal") {
        if (!step.wide) halves.high = 0;
        out.latin1(step.wide ? decimal(halves, 64, step.signed) : decimal(halves, 32, step.signed));
      } else out.latin1(printedNumber(halves, step.conversion, step.conversion.width === "argument" ? width : step.width));
    }
  }

  #putPadded(out: TextBytes, bytes: Uint8Array, from: number, length: number, { width, left }: Conversion): void {
    const missing = typeof width === "number" ? width - length : 0;
    if (!left) out.fill(BLANK, missing);
    this.#putString(out, bytes, from, from + length);
    if (left) out.fill(BLANK, missing);
  }
}

const ZERO = 0x30;
const BLANK = 0x20;
const MINUS = 0x2d;
const NIL = Buffer.from("(nil)", "latin1");
const HEX_PREFIX = Buffer.from("0x", "latin1");
/** A width that a damaged trace claims is not believed. */
const WIDTH_MAX = 64;

const NO_CONVERSION: Conversion = { letter: "s", bits: 64, width: 0, precision: -1, zero: false, left: false, alternate: false };
const NO_STEP: Step = {
  type: "literal",
  bytes: Buffer.alloc(0),
  conversion: NO_CONVERSION,
  wide: false,
  signed: false,
  width: 0,
  pad: BLANK,
};

const stepsOf = ({ pieces, arguments: declared }: TraceDeclaration): readonly Step[] =>
  pieces.flatMap((piece): Step[] => {
    if ("literal" in piece) return [{ ...NO_STEP, bytes: Buffer.from(piece.literal, "latin1") }];
    const step = stepOf(piece.conversion, declared[piece.argument]!);
    return piece.widthArgument === undefined ? [step] : [{ ...NO_STEP, type: "width" }, step];
  });

function stepOf(conversion: Conversion, { kind }: TraceArgument): Step {
  const { letter, width, precision, zero, left, alternate, bits } = conversion;
  return {
    ...NO_STEP,
    // Also what is printed as a pointer and is no number in the trace: `char **`.
    type: kind === "string" ? "string" : stepType(conversion, precision < 0 && !left && !alternate),
    conversion,
    wide: bits === 64,
    signed: letter === "d",
    width: width === "argument" ? 0 : width,
    pad: zero ? ZERO : BLANK,
  };
}

function stepType({ letter, width }: Conversion, plain: boolean): Step["type"] {
  if (letter === "p" && width === 0) return "pointer";
  if (letter === "x" && plain && width !== "argument") return "hex";
  return (letter === "d" || letter === "u") && plain && width === 0 ? "decimal" : "other";
}

function readHalves({ view, littleEndian }: TraceRecord, at: number, into: Halves): void {
  into.low = view.getUint32(littleEndian ? at : at + 4, littleEndian);
  into.high = view.getUint32(littleEndian ? at + 4 : at, littleEndian);
}

/** Any conversion but %s; `width` as the conversion or its argument has it. */
function printedNumber({ high: upper, low }: Halves, conversion: Conversion, width: number): string {
  const { letter, precision, zero, left, alternate } = conversion;
  if (letter === "c") return padded(String.fromCharCode(low & 0xff), width, left);
  if (letter === "p") return padded(upper === 0 && low === 0 ? "(nil)" : `0x${hexDigits({ high: upper, low })}`, width, left);
  const wide = conversion.bits === 64;
  const high = wide ? upper : 0;
  let text: string;
  if (letter === "d") text = decimal({ high, low }, conversion.bits, true);
  else if (letter === "u") text = decimal({ high, low }, 64, false);
  else if (letter === "o") text = ((BigInt(high) << 32n) | BigInt(low)).toString(8);
  else text = letter === "X" ? hexDigits({ high, low }).toUpperCase() : hexDigits({ high, low });
  const negative = text.startsWith("-");
  const prefix = alternate && (high !== 0 || low !== 0) && (letter === "x" || letter === "X") ? `0${letter}` : "";
  const sign = negative ? "-" : prefix;
  let digits = negative ? text.slice(1) : text;
  if (precision > digits.length) digits = digits.padStart(precision, "0");
  if (alternate && letter === "o" && !digits.startsWith("0")) digits = `0${digits}`;
  if (zero && !left && precision < 0) digits = digits.padStart(width - sign.length, "0");
  return padded(sign + digits, width, left);
}

const padded = (text: string, width: number, left: boolean): string => (left ? text.padEnd(width) : text.padStart(width));

function hexDigits({ high, low }: Halves): string {
  return high === 0 ? low.toString(16) : high.toString(16) + low.toString(16).padStart(8, "0");
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
