/**
 * Declarations of QEMU's trace events: `trace-events-all`, which QEMU installs, and the `trace.events` of a session
 * (QEMU: docs/devel/tracing.rst). A line an event:
 *
 *   [disable] [vcpu] NAME(TYPE ARGUMENT, …) "format" PRIx64 "format"
 *
 * The format is C: string literals and the macros of <inttypes.h> side by side. Sizes are those of a 64-bit Linux with glibc.
 */

/** How an argument stands in a trace (QEMU: scripts/tracetool/backend/simple.py): a string as length and bytes, all else as 64 bits. */
export interface TraceArgument {
  /** C's words, as they stand. */
  readonly type: string;
  readonly name: string;
  readonly kind: "string" | "pointer" | "number";
  /** Width of the C type. 64 for strings and pointers. */
  readonly bits: 8 | 16 | 32 | 64;
  readonly signed: boolean;
}

export interface Conversion {
  readonly letter: "d" | "u" | "o" | "x" | "X" | "c" | "s" | "p";
  /** Width of what printf takes from its arguments: a narrower one was promoted. */
  readonly bits: 32 | 64;
  /** `argument`: taken from the argument before (`%*d`). 0 for none. */
  readonly width: number | "argument";
  /** -1 for none. */
  readonly precision: number;
  readonly zero: boolean;
  readonly left: boolean;
  readonly alternate: boolean;
}

/** Text as it stands, or an argument's place. Each argument is printed once and in order. */
export type FormatPiece =
  | { readonly literal: string }
  | {
      readonly conversion: Conversion;
      readonly argument: number;
      /** Of the argument that gives the width; undefined unless `conversion.width` is `argument`. */
      readonly widthArgument: number | undefined;
    };

export interface TraceDeclaration {
  readonly name: string;
  /** Built without it. */
  readonly disabled: boolean;
  readonly arguments: readonly TraceArgument[];
  readonly pieces: readonly FormatPiece[];
  /** The declaration in one line, as QEMU's reader takes it from any version: what the `vcpu` property adds is written out. */
  readonly text: string;
}

/** A line that is no declaration; counted from 1. */
export interface BadDeclaration {
  readonly line: number;
  readonly found: string;
}

export interface TraceDeclarations {
  /** In the order of the file, which gives the event ids of versions 2 and 3. */
  readonly events: ReadonlyMap<string, TraceDeclaration>;
  /** The names that were built in, in that order: an event's place is its id. */
  readonly order: readonly string[];
  readonly bad: readonly BadDeclaration[];
}

/** QEMU's own limit (scripts/tracetool). */
const ARGUMENTS_MAX = 10;
/** Of one declaration, in characters: the longest of QEMU has 446. */
const LINE_MAX = 8192;
/** QEMU has some 5,000. */
const EVENTS_MAX = 65_536;

/** Lines that are none are told in `bad`; of two with one name the first counts. */
export function decodeTraceDeclarations(text: string): TraceDeclarations {
  const events = new Map<string, TraceDeclaration>();
  const order: string[] = [];
  const bad: BadDeclaration[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (NO_DECLARATION.test(line)) continue;
    const declaration = events.size < EVENTS_MAX ? decodeTraceDeclaration(line) : "more events than QEMU can have";
    if (typeof declaration === "string") bad.push({ line: index + 1, found: declaration });
    else {
      if (!events.has(declaration.name)) events.set(declaration.name, declaration);
      if (!declaration.disabled) order.push(declaration.name);
    }
  }
  return { events, order, bad };
}

/** The lines by the names they declare, not yet decoded: all of QEMU's take a tenth of a second, and a trace needs few. */
export function indexTraceDeclarations(text: string): ReadonlyMap<string, string> {
  const lines = new Map<string, string>();
  for (const line of text.split("\n")) {
    const name = NO_DECLARATION.test(line) ? undefined : /(\w+)\s*\(/.exec(line.slice(0, LINE_MAX))?.[1];
    if (name !== undefined && !lines.has(name) && lines.size < EVENTS_MAX) lines.set(name, line);
  }
  return lines;
}

const NO_DECLARATION = /^\s*(?:#|$)/;

/** What QEMU's reader takes: a declaration a line, the last one ended by a line feed too. */
export const encodeTraceDeclarations = (declarations: Iterable<TraceDeclaration>): string =>
  `${["# Events of trace.bin, as QEMU declares them.", ...[...declarations].map(({ text }) => text)].join("\n")}\n`;

/** A sentence where the line is no declaration. */
export function decodeTraceDeclaration(line: string): TraceDeclaration | string {
  if (line.length > LINE_MAX) return `a line of ${line.length} characters`;
  const parts = /^\s*((?:\w+\s+)*)(\w+)\s*\(([^)]*)\)\s*(.*?)\s*$/.exec(line);
  if (parts === null) return "no NAME(ARGUMENTS)";
  const [, properties = "", name = "", list = "", format = ""] = parts;
  const words = properties.split(/\s+/).filter((word) => word !== "");
  const unknown = words.find((word) => word !== "disable" && word !== "vcpu");
  if (unknown !== undefined) return `the property ${unknown}`;
  const declared = decodeArguments(list);
  if (typeof declared === "string") return declared;
  const printed = decodeLiterals(format);
  if (printed === undefined) return "a format that is no C string";
  const ofProcessor = words.includes("vcpu");
  const all = ofProcessor ? [PROCESSOR, ...declared] : declared;
  if (all.length > ARGUMENTS_MAX) return `${all.length} arguments`;
  const pieces = decodeFormat(ofProcessor ? `cpu=%p ${printed}` : printed, all);
  if (typeof pieces === "string") return pieces;
  const argumentText = ofProcessor ? [`void *${PROCESSOR.name}`, ...(declared.length === 0 ? [] : [list.trim()])].join(", ") : list.trim();
  const disabled = words.includes("disable");
  return {
    name,
    disabled,
    arguments: all,
    pieces,
    text: `${disabled ? "disable " : ""}${name}(${argumentText}) ${ofProcessor ? '"cpu=%p " ' : ""}${format === "" ? '""' : format}`,
  };
}

/** What `vcpu` puts before the declared arguments (QEMU up to 8: scripts/tracetool/vcpu.py). */
const PROCESSOR: TraceArgument = { type: "void *", name: "__cpu", kind: "pointer", bits: 64, signed: false };

function decodeArguments(list: string): readonly TraceArgument[] | string {
  if (/^\s*(?:void)?\s*$/.test(list)) return [];
  const all: TraceArgument[] = [];
  for (const part of list.split(",")) {
    const [, type, name] = /^\s*(\w.*?)\s*(?<=[\s*])(\w+)\s*$/.exec(part) ?? [];
    if (type === undefined || name === undefined) return `the argument ${JSON.stringify(part.trim())}`;
    all.push({ type, name, ...shapeOf(type) });
  }
  return all;
}

/** Type names beyond C's: what they are on x86-64. A name that is not here is taken for 64 bits without sign. */
const TYPES: Readonly<Record<string, readonly [bits: TraceArgument["bits"], signed: boolean]>> = {
  char: [8, true],
  bool: [8, false],
  short: [16, true],
  int: [32, true],
  long: [64, true],
  size_t: [64, false],
  ssize_t: [64, true],
  off_t: [64, true],
  ptrdiff_t: [64, true],
  intptr_t: [64, true],
};

function shapeOf(type: string): Pick<TraceArgument, "kind" | "bits" | "signed"> {
  const bare = type.replace(/\bconst\b/g, " ").trim();
  // Also `char **`: QEMU's test looks at the beginning alone.
  if (/^(?:const )?char ?\*/.test(type)) return { kind: "string", bits: 64, signed: false };
  if (bare.endsWith("*")) return { kind: "pointer", bits: 64, signed: false };
  const [, unsigned, width] = /^(u?)int(8|16|32|64)_t$/.exec(bare) ?? [];
  if (width !== undefined) return { kind: "number", bits: Number(width) as TraceArgument["bits"], signed: unsigned === "" };
  const words = bare.split(/\s+/).filter((word) => word !== "unsigned" && word !== "signed");
  const base = words.includes("long") ? "long" : (words.find((word) => word !== "int") ?? "int");
  const [bits, signed] = TYPES[base] ?? [64, false];
  return { kind: "number", bits, signed: signed && !/\bunsigned\b/.test(bare) };
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", "\\": "\\", '"': '"', "'": "'", "0": "\0" };
/** <inttypes.h> of glibc on 64 bits: narrow numbers are promoted to int, so 8 and 16 need no word. */
const MACRO_LENGTHS: Readonly<Record<string, string>> = { "8": "", "16": "", "32": "", "64": "l", PTR: "l", MAX: "l" };

/** The text of C's adjacent literals, the macros between them written out; undefined for anything else. */
function decodeLiterals(source: string): string | undefined {
  let text = "";
  const token = /\s*(?:"((?:[^"\\]|\\.)*)"|PRI([diouxX])(8|16|32|64|PTR|MAX)\b)\s*/y;
  while (token.lastIndex < source.length) {
    const found = token.exec(source);
    if (found === null) return undefined;
    const [, literal, letter, width = ""] = found;
    text +=
      literal === undefined ? `${MACRO_LENGTHS[width]}${letter}` : literal.replace(/\\(.)/g, (_, char: string) => ESCAPES[char] ?? char);
  }
  return text;
}

/** printf's conversions, each bound to its argument; a sentence where they do not go together. */
function decodeFormat(format: string, all: readonly TraceArgument[]): readonly FormatPiece[] | string {
  const pieces: FormatPiece[] = [];
  let literal = "";
  let argument = 0;
  for (let at = 0; at < format.length; ) {
    if (format[at] !== "%") {
      literal += format[at++];
      continue;
    }
    const conversion = /^%([-+ #0]*)(\d{1,4}|\*)?(?:\.(\d{0,4}))?(hh|h|ll|l|z|j|t)?([diouxXcsp%])/.exec(format.slice(at, at + 32));
    if (conversion === null) return `the conversion ${JSON.stringify(format.slice(at, at + 8))}`;
    const [whole, flags = "", width = "0", precision, length = "", letter = ""] = conversion;
    at += whole.length;
    if (letter === "%") {
      literal += "%";
      continue;
    }
    if (literal !== "") pieces.push({ literal });
    literal = "";
    const widthArgument = width === "*" ? argument++ : undefined;
    pieces.push({
      conversion: {
        letter: letter === "i" ? "d" : (letter as Conversion["letter"]),
        bits: /^(?:l|ll|z|j|t)$/.test(length) || letter === "p" ? 64 : 32,
        width: width === "*" ? "argument" : Number(width),
        precision: precision === undefined ? -1 : Number(precision),
        zero: flags.includes("0"),
        left: flags.includes("-"),
        alternate: flags.includes("#"),
      },
      argument: argument++,
      widthArgument,
    });
  }
  if (literal !== "") pieces.push({ literal });
  if (argument !== all.length) return `${all.length} arguments and ${argument} conversions`;
  for (const piece of pieces) {
    if ("conversion" in piece && piece.conversion.letter === "s" && all[piece.argument]!.kind !== "string")
      return "%s for what is no string";
  }
  return pieces;
}
