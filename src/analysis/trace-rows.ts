/** Records of a trace as lines: for people, for programs (a JSON object a line), for spreadsheets. Text from the guest is made harmless here. */
import { printable, printableBytes, printableJson } from "../formats/escape-terminal.ts";
import type { TraceRecord } from "../formats/simpletrace.ts";
import { ArgumentPrinter } from "../formats/trace-arguments.ts";
import type { TraceDeclaration } from "../formats/trace-declarations.ts";

export const TRACE_FORMATS = ["text", "json", "csv"] as const;
export type TraceFormat = (typeof TRACE_FORMATS)[number];

/** Makes lines of one format, each with its line feed. */
export interface TraceRows {
  /** Before the first; empty for none. */
  readonly head: string;
  /** `originNs`: what times count from. */
  row(record: TraceRecord, originNs: bigint): string;
}

export function traceRows(format: TraceFormat): TraceRows {
  switch (format) {
    case "text":
      return new TextRows();
    case "json":
      return new JsonRows();
    case "csv":
      return new CsvRows();
  }
}

/** Seconds with nine digits behind the point. */
function seconds(timeNs: bigint, originNs: bigint): string {
  const ns = Number(timeNs - originNs);
  const whole = Math.floor(Math.abs(ns) / 1e9);
  const rest = String(Math.abs(ns) % 1e9).padStart(9, "0");
  return `${ns < 0 ? "-" : ""}${whole}.${rest}`;
}

/** `SECONDS PROCESS NAME ARGUMENTS`, the arguments as QEMU itself prints them. */
class TextRows implements TraceRows {
  readonly head = "";
  readonly #printers = new Map<TraceDeclaration, { readonly printer: ArgumentPrinter; readonly escape: boolean }>();

  row(record: TraceRecord, originNs: bigint): string {
    const { name, declaration } = record;
    const start = `${seconds(record.timeNs, originNs).padStart(15)} ${record.pid}`;
    if (name === undefined) return `${start} (${record.dropped} events dropped)\n`;
    if (declaration === undefined) return `${start} ${printable(name)} (not declared, ${record.end - record.start} bytes)\n`;
    let known = this.#printers.get(declaration);
    if (known === undefined) {
      known = { printer: new ArgumentPrinter(declaration, harmless), escape: needsEscape(declaration) };
      this.#printers.set(declaration, known);
    }
    const text = known.printer.print(record);
    return `${start} ${name} ${known.escape ? printable(text) : text}\n`;
  }
}

const PLAIN = /^[\x20-\x7e]*$/;

/** Most strings are plain words. */
function harmless(bytes: Buffer): string {
  const text = bytes.toString("latin1");
  return PLAIN.test(text) ? text : printableBytes(bytes);
}

/** Strings have been made harmless; a format's own line feeds, and single characters, have not. */
const needsEscape = ({ pieces }: TraceDeclaration): boolean =>
  pieces.some((piece) => ("literal" in piece ? !PLAIN.test(piece.literal) : piece.conversion.letter === "c"));

/** Arguments by name, with numbers as their types have them. */
class JsonRows implements TraceRows {
  readonly head = "";
  readonly #printers = new Map<TraceDeclaration, ArgumentPrinter>();

  row(record: TraceRecord, originNs: bigint): string {
    const { name, declaration, pid } = record;
    const time_ns = Number(record.timeNs - originNs);
    if (name === undefined) return `${JSON.stringify({ time_ns, pid, dropped: exactNumber(String(record.dropped)) })}\n`;
    if (declaration === undefined) {
      const raw = Buffer.from(record.bytes.subarray(record.start, record.end)).toString("hex");
      return `${printableJson({ time_ns, pid, event: name, raw })}\n`;
    }
    const args: Record<string, string | number> = {};
    this.#printerOf(declaration).each(record, ({ name: argument, kind }, text) => {
      args[argument] = kind === "number" ? exactNumber(text) : text;
    });
    return `${printableJson({ time_ns, pid, event: name, args })}\n`;
  }

  #printerOf(declaration: TraceDeclaration): ArgumentPrinter {
    let printer = this.#printers.get(declaration);
    if (printer === undefined) {
      printer = new ArgumentPrinter(declaration, (bytes) => bytes.toString("utf8"));
      this.#printers.set(declaration, printer);
    }
    return printer;
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
  readonly #printers = new Map<TraceDeclaration, ArgumentPrinter>();

  row(record: TraceRecord, originNs: bigint): string {
    const { name, declaration } = record;
    const start = `${record.timeNs - originNs},${record.pid}`;
    if (name === undefined) return `${start},dropped,count=${record.dropped}\n`;
    if (declaration === undefined) return `${start},${cell(printable(name))},\n`;
    let printer = this.#printers.get(declaration);
    if (printer === undefined) {
      printer = new ArgumentPrinter(declaration, harmless);
      this.#printers.set(declaration, printer);
    }
    let text = "";
    printer.each(record, ({ name: argument }, value) => {
      text += `${text === "" ? "" : " "}${argument}=${value}`;
    });
    return `${start},${name},${cell(text)}\n`;
  }
}

/** No cell begins with what a spreadsheet takes for a formula: names of events and arguments begin with a letter. */
const cell = (text: string): string => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
