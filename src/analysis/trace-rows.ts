/** Records of a trace as lines: for people, for programs (a JSON object a line), for spreadsheets. Text from the guest is made harmless here. */
import { printable, printableBytes, printableJson } from "../formats/escape-terminal.ts";
import type { TraceRecord } from "../formats/simpletrace.ts";
import { TextBytes } from "../formats/text-bytes.ts";
import { ArgumentPrinter, eachArgument } from "../formats/trace-arguments.ts";
import type { TraceDeclaration } from "../formats/trace-declarations.ts";

export const TRACE_FORMATS = ["text", "json", "csv"] as const;
export type TraceFormat = (typeof TRACE_FORMATS)[number];

/** Makes lines of one format, each with its line feed. `out` is UTF-8. */
export interface TraceRows {
  /** Before the first; empty for none. */
  readonly head: string;
  put(record: TraceRecord, out: TextBytes): void;
}

/** `originNs`: what times count from. */
export function traceRows(format: TraceFormat, originNs: bigint): TraceRows {
  switch (format) {
    case "text":
      return new TextRows(originNs);
    case "json":
      return new JsonRows(originNs);
    case "csv":
      return new CsvRows(originNs);
  }
}

const BLANK = 0x20;
const ZERO = 0x30;
const POINT = 0x2e;
const LINE_FEED = 0x0a;
const NS_A_SECOND = 1_000_000_000;

interface TextEvent {
  /** Blanks around it. */
  readonly name: Uint8Array;
  readonly printer: ArgumentPrinter;
  readonly harmful: boolean;
}

/** `SECONDS PROCESS NAME ARGUMENTS`, the arguments as QEMU itself prints them. */
class TextRows implements TraceRows {
  readonly head = "";
  readonly #originHigh: number;
  readonly #originLow: number;
  readonly #events = new Map<TraceDeclaration, TextEvent>();
  readonly #harmful = new TextBytes();

  constructor(originNs: bigint) {
    this.#originHigh = Number(originNs >> 32n);
    this.#originLow = Number(originNs & 0xffff_ffffn);
  }

  put(record: TraceRecord, out: TextBytes): void {
    const { declaration } = record;
    this.#putSeconds((record.timeHigh - this.#originHigh) * 0x1_0000_0000 + (record.timeLow - this.#originLow), out);
    out.byte(BLANK);
    out.decimal(record.pid, 0, ZERO);
    if (declaration === undefined) {
      const { name, dropped, start, end } = record;
      out.utf8(name === undefined ? ` (${dropped} events dropped)` : ` ${printable(name)} (not declared, ${end - start} bytes)`);
    } else {
      const { name, printer, harmful } = this.#event(declaration);
      out.bytes(name);
      if (!harmful) printer.put(record, out);
      else {
        printer.put(record, this.#harmful);
        out.utf8(printable(this.#harmful.takeUtf8()));
      }
    }
    out.byte(LINE_FEED);
  }

  /** Fifteen characters or more: seconds with nine digits behind the point. */
  #putSeconds(ns: number, out: TextBytes): void {
    const whole = Math.floor(Math.abs(ns) / NS_A_SECOND);
    if (ns < 0) out.latin1(`-${whole}`.padStart(5));
    else out.decimal(whole, 5, BLANK);
    out.byte(POINT);
    out.decimal(Math.abs(ns) - whole * NS_A_SECOND, 9, ZERO);
  }

  #event(declaration: TraceDeclaration): TextEvent {
    let event = this.#events.get(declaration);
    if (event === undefined) {
      const name = Buffer.from(` ${declaration.name} `, "latin1");
      event = { name, printer: new ArgumentPrinter(declaration, putHarmless), harmful: needsEscape(declaration) };
      this.#events.set(declaration, event);
    }
    return event;
  }
}

/** Most strings are plain words. */
function putHarmless(out: TextBytes, bytes: Uint8Array, from: number, to: number): void {
  for (let at = from; at < to; at++) {
    const byte = bytes[at]!;
    if (byte < 0x20 || byte > 0x7e) {
      out.utf8(printableBytes(bytes.subarray(from, to)));
      return;
    }
  }
  out.bytes(bytes, from, to);
}

const PLAIN = /^[\x20-\x7e]*$/;

/** Strings have been made harmless; a format's own line feeds, and single characters, have not. */
const needsEscape = ({ pieces }: TraceDeclaration): boolean =>
  pieces.some((piece) => ("literal" in piece ? !PLAIN.test(piece.literal) : piece.conversion.letter === "c"));

/** Arguments by name, with numbers as their types have them. */
class JsonRows implements TraceRows {
  readonly head = "";
  readonly #originNs: bigint;

  constructor(originNs: bigint) {
    this.#originNs = originNs;
  }

  put(record: TraceRecord, out: TextBytes): void {
    out.utf8(printableJson(this.#row(record)));
    out.byte(LINE_FEED);
  }

  #row(record: TraceRecord): object {
    const { name, declaration, pid } = record;
    const time_ns = Number(record.timeNs - this.#originNs);
    if (name === undefined) return { time_ns, pid, dropped: exactNumber(String(record.dropped)) };
    if (declaration === undefined) {
      return { time_ns, pid, event: name, raw: Buffer.from(record.bytes.subarray(record.start, record.end)).toString("hex") };
    }
    const args: Record<string, string | number> = {};
    eachArgument(
      record,
      declaration,
      (bytes) => bytes.toString("utf8"),
      (argument, text) => {
        args[argument.name] = argument.kind === "number" ? exactNumber(text) : text;
      },
    );
    return { time_ns, pid, event: name, args };
  }
}

/** A number that most readers of JSON would round stays text. */
function exactNumber(text: string): number | string {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : text;
}

/** RFC 4180, but lines end in LF: time in nanoseconds, process, event, and the arguments as `name=value`. */
class CsvRows implements TraceRows {
  readonly head = "time_ns,pid,event,arguments\n";
  readonly #originNs: bigint;

  constructor(originNs: bigint) {
    this.#originNs = originNs;
  }

  put(record: TraceRecord, out: TextBytes): void {
    const { name, declaration, dropped, pid } = record;
    let what: string;
    if (name === undefined) what = `dropped,count=${dropped}`;
    else if (declaration === undefined) what = `${cell(printable(name))},`;
    else {
      const words: string[] = [];
      eachArgument(record, declaration, printableBytes, (argument, text) => void words.push(`${argument.name}=${text}`));
      what = `${name},${cell(words.join(" "))}`;
    }
    out.utf8(`${record.timeNs - this.#originNs},${pid},${what}\n`);
  }
}

/** No cell begins with what a spreadsheet takes for a formula: names of events and arguments begin with a letter. */
const cell = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
