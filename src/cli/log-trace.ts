import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { TRACE_FORMATS, type TraceFormat, type TraceRows, traceRows } from "../analysis/trace-rows.ts";
import { TraceSummary } from "../analysis/trace-summary.ts";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { SESSION_FILES } from "../contract/session.ts";
import { traceFactsSchema } from "../contract/trace.ts";
import { SimpletraceDecoder, type TraceNames, type TraceRecord } from "../formats/simpletrace.ts";
import { TextBytes } from "../formats/text-bytes.ts";
import { decodeTraceDeclarations } from "../formats/trace-declarations.ts";
import { tracePatternTest } from "../formats/trace-list.ts";
import { readBounded } from "../host/bounded-file.ts";
import { traceDeclarations } from "../host/trace-files.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

const READ_BYTES = 1024 * 1024;
/** Gathered before they are printed. */
const PRINT_BYTES = 256 * 1024;
/** QEMU's declarations are 600 KB. */
const DECLARATIONS_BYTES_MAX = 32 * 1024 * 1024;
const USUAL_QEMU = "/usr/bin/qemu-system-x86_64";

interface TraceOptions {
  readonly format: TraceFormat;
  readonly event?: readonly string[] | undefined;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly summary?: true | undefined;
  readonly events?: string | undefined;
}

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("trace")
    .description(
      "Decodes a trace of QEMU's events (simpletrace, versions 2 to 4).\nTimes are seconds since QEMU's start where the session tells it, else since the first event.",
    )
    .argument("<trace.bin>", "a trace, a session's directory, or - for standard input")
    .addOption(new Option("--format <format>", "text, json (an object a line) or csv").choices(TRACE_FORMATS).default("text" as const))
    .option("--event <glob>", "only events of this name, * and ? stand for any characters; may be given again", gathered)
    .option("--from <seconds>", "leave out what came before: 1.5, 1.5s or 1500ms", secondsToNs("--from"))
    .option("--to <seconds>", "leave out what came after", secondsToNs("--to"))
    .option("--summary", "count the events instead of printing them")
    .option("--events <file>", "declarations of the events (default: trace.events beside the trace, else this computer's trace-events-all)")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso-log trace session/trace.bin", "every event, as QEMU itself would print it"],
        ["hiperiso-log trace session --summary", "what there is, and how much of it"],
        ["hiperiso-log trace session --event 'blk_co_*' --from 2 --to 3.5 --format csv", "the disks between two moments"],
      ]),
    )
    .action(async (path, options) => {
      await printTrace(cli, path, options);
    });
}

async function printTrace(cli: Cli, given: string, options: TraceOptions): Promise<void> {
  const path = await traceIn(given);
  const decoder = new SimpletraceDecoder(await namesFor(path, options.events));
  const wanted = (options.event ?? []).map(tracePatternTest);
  const summary = options.summary === true ? new TraceSummary() : undefined;
  const fromNs = BigInt(options.from ?? 0);
  const toNs = options.to === undefined ? undefined : BigInt(options.to);
  const timed = options.from !== undefined || toNs !== undefined;
  const out = new TextBytes();
  let origin = await originBeside(path);
  let rows: TraceRows | undefined;
  const take = (record: TraceRecord) => {
    origin ??= record.timeNs;
    if (timed) {
      const time = record.timeNs - origin;
      if (time < fromNs || (toNs !== undefined && time > toNs)) return;
    }
    const { name } = record;
    if (wanted.length > 0 && (name === undefined || !wanted.some((matches) => matches(name)))) return;
    if (summary !== undefined) {
      summary.add(record, origin);
      return;
    }
    rows ??= traceRows(options.format, origin);
    rows.put(record, out);
    if (out.length >= PRINT_BYTES) cli.out(out.takeUtf8());
  };
  if (summary === undefined) cli.out(traceRows(options.format, 0n).head);
  for await (const chunk of bytesOf(path, cli.job.signal)) {
    cli.job.signal.throwIfAborted();
    decoder.push(chunk, take);
    if (decoder.damage !== undefined) break;
  }
  decoder.end();
  if (out.length > 0) cli.out(out.takeUtf8());
  if (summary !== undefined) {
    if (options.format === "text") cli.out(summary.text());
    else if (options.format === "json") cli.json(summary);
    else cli.out(summaryCsv(summary));
  }
  const { damage } = decoder;
  if (damage === undefined) return;
  throw new HiperisoError({
    what: "read the trace to its end",
    where: `${path}@${damage.offset}`,
    expected: damage.expected,
    found: damage.found,
    hint:
      damage.offset === 0
        ? "Is this a trace of QEMU's simple back-end?"
        : "What came before is whole. A recorder that was killed leaves a trace cut short.",
  });
}

const summaryCsv = (summary: TraceSummary): string =>
  [
    "event,count,bytes,first_ns,last_ns",
    ...summary.events.map(({ event, count, bytes, first_ns, last_ns }) =>
      [`"${event.replace(/[^\w-]/g, "?")}"`, count, bytes, first_ns, last_ns].join(","),
    ),
    "",
  ].join("\n");

/** A directory stands for the trace in it. */
async function traceIn(path: string): Promise<string> {
  if (path === "-") return path;
  const facts = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  return facts.isDirectory() ? join(path, SESSION_FILES.trace) : path;
}

async function* bytesOf(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* (path === "-" ? process.stdin : createReadStream(path, { signal, highWaterMark: READ_BYTES })) as AsyncIterable<Buffer>;
  } catch (error) {
    throw signal.aborted ? error : unreadable(path, error);
  }
}

async function namesFor(path: string, given: string | undefined): Promise<TraceNames> {
  const beside = path === "-" ? undefined : join(dirname(path), SESSION_FILES.traceEvents);
  const besideExists = beside !== undefined && (await stat(beside).catch(() => undefined))?.isFile() === true;
  const file = given ?? (besideExists ? beside : await traceDeclarations(USUAL_QEMU));
  if (file === undefined) return { events: new Map(), order: [] };
  const bytes = await readBounded(file, DECLARATIONS_BYTES_MAX, "read the declarations of trace events");
  return decodeTraceDeclarations(Buffer.from(bytes).toString("utf8"));
}

/** The trace's time at QEMU's start, as the recorder noted it; undefined for a trace from elsewhere. */
async function originBeside(path: string): Promise<bigint | undefined> {
  if (path === "-" || basename(path) !== SESSION_FILES.trace) return undefined;
  try {
    const facts = traceFactsSchema.parse(JSON.parse(await readFile(join(dirname(path), SESSION_FILES.traceFacts), "utf8")));
    return BigInt(facts.origin_ns);
  } catch {
    return undefined;
  }
}

const gathered = (pattern: string, before: readonly string[] | undefined): readonly string[] => {
  if (!/^[\w*?-]{1,128}$/.test(pattern)) throw unusable("--event", "a name of an event, with * and ?", pattern);
  return [...(before ?? []), pattern];
};

/** In nanoseconds. */
function secondsToNs(flag: string): (text: string) => number {
  return (text) => {
    const [, number, unit = "s"] = /^(\d{1,9}(?:\.\d{1,9})?)(s|ms|us)?$/.exec(text) ?? [];
    if (number === undefined) throw unusable(flag, "seconds: 1.5, 1.5s, 1500ms or 20us", text);
    return Math.round(Number(number) * { s: 1e9, ms: 1e6, us: 1e3 }[unit as "s" | "ms" | "us"]);
  };
}

const unusable = (flag: string, expected: string, found: string): HiperisoError =>
  new HiperisoError({ what: "understand the flags", where: flag, expected, found: JSON.stringify(found), kind: "usage" });

const unreadable = (path: string, error: unknown): HiperisoError =>
  new HiperisoError({ what: "read a trace", where: path, found: reasonOf(error), kind: "usage", cause: error });
