/**
 * What QEMU writes as its trace, made a trace of version 4 as it comes: from its text log, line by line, or from its own binary form, record by record.
 * Holds no more than a line and what has not been taken. Counts whatever it leaves out.
 */

import { SimpletraceDecoder, SimpletraceEncoder, type TraceRecord } from "./simpletrace.ts";
import { argumentValues, eachArgument } from "./trace-arguments.ts";
import { decodeTraceDeclaration, decodeTraceDeclarations, indexTraceDeclarations, type TraceDeclaration } from "./trace-declarations.ts";
import { decodeTracePrefix, TraceLineReader, type TracePrefix } from "./trace-line.ts";

/** Events of which a guest makes so many that they would bury the rest: the first are kept, the others counted. */
export interface TraceFlood {
  /** For a person. */
  readonly name: string;
  readonly events: readonly string[];
  readonly argument: string;
  /** The argument's text; or that of any node that was opened from a file, by `bdrv_open_common`. */
  readonly is: { readonly text: string } | { readonly nodeOf: string };
}

export interface TranscoderStart {
  /** All declarations of this QEMU: its `trace-events-all`. */
  readonly declarations: string;
  /** Events named at the trace's beginning. Others are, where they occur first. */
  readonly expected: (name: string) => boolean;
  readonly floods: readonly TraceFlood[];
  /** Of the trace's time, at QEMU's start. */
  readonly originNs: bigint;
  /** The wall clock then, microseconds since 1970. */
  readonly originUs: number;
  /** Bytes of trace after which nothing more is kept; undefined: no limit. */
  readonly bytesMax: number | undefined;
}

export interface TranscoderCounts {
  events: number;
  overLimit: number;
  tooFast: number;
  droppedByQemu: number;
  unread: number;
  ambiguous: number;
  foreignLines: number;
  clockSteps: number;
  readonly floods: Map<string, { kept: number; dropped: number }>;
}

/** A line that is not in the trace, or not surely. */
export interface TraceNote {
  readonly kind: "ambiguous" | "unread" | "foreign" | "damage";
  /** Bytes as characters (ISO 8859-1). */
  readonly line: string;
}

/** Of each flood. */
const FLOOD_KEPT = 256;
/** Of one event with its line feeds. QEMU's longest buffer dumps stay below. */
const EVENT_BYTES_MAX = 65_536;
const EVENT_LINES_MAX = 4096;
/** An event with several strings is not looked through for another reading beyond this: it would take long. */
const DOUBTFUL_BYTES_MAX = 2048;
/** A line cannot be from the future, nor have waited long in a pipe of 64 KiB: then the wall clock was set. */
const AHEAD_MAX_US = 100_000;
const BEHIND_MAX_US = 10_000_000;
/** Notes not yet taken. */
const NOTES_MAX = 4096;
const NOTE_BYTES_MAX = 4096;

interface KnownEvent {
  readonly id: number;
  readonly reader: TraceLineReader;
  readonly floods: readonly { readonly flood: TraceFlood; readonly argument: number }[];
  /** Place of the node and of the file among the arguments, where this event tells of an opened file. */
  readonly opens: { readonly node: number; readonly file: number } | undefined;
  mapped: boolean;
}

interface Pending {
  readonly prefix: TracePrefix;
  readonly known: KnownEvent;
  readonly lines: string[];
  bytes: number;
}

export class TraceTranscoder {
  readonly counts: TranscoderCounts = {
    events: 0,
    overLimit: 0,
    tooFast: 0,
    droppedByQemu: 0,
    unread: 0,
    ambiguous: 0,
    foreignLines: 0,
    clockSteps: 0,
    floods: new Map(),
  };
  /** While set, events are counted and not kept. */
  hurried = false;
  readonly #start: TranscoderStart;
  readonly #lines: ReadonlyMap<string, string>;
  readonly #encoder = new SimpletraceEncoder();
  readonly #events = new Map<string, KnownEvent>();
  readonly #floodNodes = new Set<string>();
  #pid = 0;
  #text = "";
  #tooLong = false;
  #form: string | undefined;
  #pending: Pending | undefined;
  #binary: SimpletraceDecoder | undefined;
  #source: "text" | "binary" | undefined;
  #taken = 0;
  #missing = 0n;
  #lastNs: bigint;
  #baseUs: number;
  #notes: TraceNote[] = [];
  #damageNoted = false;

  constructor(start: TranscoderStart) {
    this.#start = start;
    this.#lastNs = start.originNs;
    this.#baseUs = start.originUs;
    this.#encoder.header();
    this.#lines = indexTraceDeclarations(start.declarations);
    for (const name of this.#lines.keys()) {
      const known = start.expected(name) ? this.#known(name) : undefined;
      if (known !== undefined) this.#map(known);
    }
  }

  /** Undefined before the first byte. */
  get source(): "text" | "binary" | undefined {
    return this.#source;
  }

  /** Declarations of all events that the trace names, in the order of their ids. */
  get named(): readonly TraceDeclaration[] {
    return [...this.#events.values()].filter(({ mapped }) => mapped).map(({ reader }) => reader.declaration);
  }

  /** Bytes waiting to be taken. */
  get pendingBytes(): number {
    return this.#encoder.pending;
  }

  /** QEMU: whose event it is where a line names no thread. */
  setProcess(pid: number): void {
    this.#pid = pid;
  }

  /** `sinceStartUs`: now, by a clock that nobody sets, in microseconds since QEMU's start. */
  push(chunk: Uint8Array, sinceStartUs: number): void {
    if (this.#source === undefined) {
      if (chunk.length === 0) return;
      this.#source = chunk[0] === 0xff ? "binary" : "text"; // the header begins so, and no line
    }
    if (this.#source === "binary") this.#pushBinary(chunk);
    else this.#pushText(chunk, sinceStartUs);
  }

  /** Writes down what was dropped since the last time. */
  noteDropped(): void {
    if (this.#missing === 0n) return;
    this.#encoder.dropped(this.#lastNs, this.#pid, this.#missing);
    this.#missing = 0n;
  }

  /** There is no more: what is held back for what might follow is written. */
  end(sinceStartUs: number): void {
    if (this.#source === "text") {
      if (this.#text !== "") this.#note("unread", this.#text); // QEMU was killed in the middle of it
      this.#text = "";
      this.#finishPending(sinceStartUs);
    }
    this.#binary?.end();
    this.#noteDamage();
    this.noteDropped();
  }

  /** Bytes of the trace since the last time. */
  take(): Uint8Array {
    const bytes = this.#encoder.take();
    this.#taken += bytes.length;
    return bytes;
  }

  takeNotes(): readonly TraceNote[] {
    const notes = this.#notes;
    this.#notes = [];
    return notes;
  }

  #pushText(chunk: Uint8Array, sinceStartUs: number): void {
    const text = this.#text + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString("latin1");
    let from = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
      if (this.#tooLong) this.#tooLong = false;
      else this.#line(text.slice(from, end), sinceStartUs);
      from = end + 1;
    }
    this.#text = text.slice(from);
    if (this.#text.length <= EVENT_BYTES_MAX) return;
    if (!this.#tooLong) this.#line(this.#text.slice(0, EVENT_BYTES_MAX), sinceStartUs);
    this.#tooLong = true;
    this.#text = "";
  }

  #line(line: string, sinceStartUs: number): void {
    const prefix = decodeTracePrefix(line);
    const known = prefix === undefined ? undefined : this.#knownAs(prefix);
    if (prefix !== undefined && known !== undefined) {
      this.#finishPending(sinceStartUs);
      const text = line.slice(prefix.length);
      this.#pending = { prefix, known, lines: [text], bytes: text.length };
      // Most events are one line for certain: they need not wait for the next.
      if (!known.reader.manyLines) this.#finishPending(sinceStartUs);
      return;
    }
    const pending = this.#pending;
    if (pending !== undefined && pending.bytes + line.length < EVENT_BYTES_MAX && pending.lines.length < EVENT_LINES_MAX) {
      pending.lines.push(line);
      pending.bytes += line.length + 1;
    } else {
      this.#finishPending(sinceStartUs);
      this.#foreign(line);
    }
  }

  /** The first event tells in which form all are. */
  #knownAs(prefix: TracePrefix): KnownEvent | undefined {
    const form = prefix.threadId !== undefined ? "thread" : prefix.timeUs !== undefined ? "time" : "bare";
    if (this.#form !== undefined && form !== this.#form) return undefined;
    const known = this.#known(prefix.name);
    if (known !== undefined) this.#form = form;
    return known;
  }

  #finishPending(sinceStartUs: number): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    this.#pending = undefined;
    const { known, prefix, lines } = pending;
    const timeNs = this.#timeOf(prefix, sinceStartUs);
    if (this.#dropped()) return;
    // The longest reading counts: a string may hold line feeds, and what is not of the event comes after it.
    for (let count = lines.length; count > 0; count--) {
      const text = count === 1 ? lines[0]! : lines.slice(0, count).join("\n");
      const printed = known.reader.doubtful && text.length > DOUBTFUL_BYTES_MAX ? undefined : known.reader.read(text);
      if (printed === undefined) continue;
      const shorter =
        count > 1 &&
        lines.some((_, index) => index > 0 && index < count && known.reader.read(lines.slice(0, index).join("\n")) !== undefined);
      this.#keep(known, timeNs, printed.texts, () => {
        if (printed.ambiguous || shorter) {
          this.counts.ambiguous++;
          this.#note("ambiguous", `${prefix.name} ${text}`);
        }
        this.#encoder.event(known.id, timeNs, prefix.threadId ?? this.#pid, known.reader.values(printed));
      });
      for (const line of lines.slice(count)) this.#foreign(line);
      return;
    }
    this.counts.unread++;
    this.#missing++;
    this.#note("unread", `${prefix.name} ${lines.join("\n")}`);
  }

  /** True when nothing is kept now; the event is counted. */
  #dropped(): boolean {
    const { bytesMax } = this.#start;
    if (bytesMax !== undefined && this.#taken + this.#encoder.pending >= bytesMax) this.counts.overLimit++;
    else if (this.hurried) this.counts.tooFast++;
    else return false;
    this.#missing++;
    return true;
  }

  #keep(known: KnownEvent, timeNs: bigint, texts: readonly string[], write: () => void): void {
    this.#lastNs = timeNs;
    if (known.opens !== undefined) this.#noteOpened(texts[known.opens.node], texts[known.opens.file]);
    const flood = known.floods.find(({ flood, argument }) => this.#isOf(flood, texts[argument]))?.flood;
    if (flood !== undefined) {
      const counts = this.counts.floods.get(flood.name) ?? { kept: 0, dropped: 0 };
      this.counts.floods.set(flood.name, counts);
      if (counts.kept >= FLOOD_KEPT) {
        counts.dropped++;
        this.#missing++;
        return;
      }
      counts.kept++;
    }
    this.#map(known);
    this.counts.events++;
    write();
  }

  #isOf({ is }: TraceFlood, text: string | undefined): boolean {
    return "text" in is ? text === is.text : text !== undefined && this.#floodNodes.has(text);
  }

  #noteOpened(node: string | undefined, file: string | undefined): void {
    if (node === undefined || file === undefined) return;
    const ofFlood = this.#start.floods.some(({ is }) => "nodeOf" in is && is.nodeOf === file);
    // An address may be used again for another file.
    if (ofFlood) this.#floodNodes.add(node);
    else this.#floodNodes.delete(node);
  }

  #timeOf({ timeUs }: TracePrefix, sinceStartUs: number): bigint {
    let us = sinceStartUs;
    if (timeUs !== undefined) {
      us = timeUs - this.#baseUs;
      if (us > sinceStartUs + AHEAD_MAX_US || us < sinceStartUs - BEHIND_MAX_US) {
        this.counts.clockSteps++;
        this.#baseUs = timeUs - sinceStartUs;
        us = sinceStartUs;
      }
    }
    return this.#start.originNs + BigInt(Math.round(us)) * 1000n;
  }

  #foreign(line: string): void {
    this.counts.foreignLines++;
    this.#note("foreign", line);
  }

  #note(kind: TraceNote["kind"], line: string): void {
    if (this.#notes.length < NOTES_MAX) this.#notes.push({ kind, line: line.slice(0, NOTE_BYTES_MAX) });
  }

  #pushBinary(chunk: Uint8Array): void {
    // Its mappings name all events, whichever are in use.
    this.#binary ??= new SimpletraceDecoder(decodeTraceDeclarations(this.#start.declarations));
    this.#binary.push(chunk, (record) => this.#record(record));
    this.#noteDamage();
  }

  #noteDamage(): void {
    const damage = this.#binary?.damage;
    if (damage === undefined || this.#damageNoted) return;
    this.#damageNoted = true;
    this.#note("damage", `byte ${damage.offset}: expected ${damage.expected}, found ${damage.found}`);
  }

  #record(record: TraceRecord): void {
    if (record.name === undefined) {
      this.counts.droppedByQemu += Number(record.dropped);
      this.#missing += record.dropped;
      this.#lastNs = record.timeNs;
      return;
    }
    if (this.#dropped()) return;
    const known = this.#known(record.name);
    if (known === undefined) {
      this.counts.unread++;
      this.#missing++;
      return;
    }
    const texts: string[] = [];
    if (known.floods.length > 0 || known.opens !== undefined)
      eachArgument(
        record,
        known.reader.declaration,
        (bytes) => bytes.toString("latin1"),
        (_, text) => void texts.push(text),
      );
    this.#keep(known, record.timeNs, texts, () => this.#encoder.event(known.id, record.timeNs, record.pid, argumentValues(record)));
  }

  #known(name: string): KnownEvent | undefined {
    const known = this.#events.get(name);
    const line = known === undefined ? this.#lines.get(name) : undefined;
    if (line === undefined) return known;
    const declaration = decodeTraceDeclaration(line);
    return typeof declaration === "string" || declaration.disabled ? undefined : this.#learn(declaration);
  }

  #learn(declaration: TraceDeclaration): KnownEvent {
    const place = (name: string) => declaration.arguments.findIndex((argument) => argument.name === name);
    const opens = declaration.name === "bdrv_open_common" ? { node: place("bs"), file: place("filename") } : undefined;
    const known: KnownEvent = {
      id: this.#events.size,
      reader: new TraceLineReader(declaration),
      floods: this.#start.floods
        .filter(({ events }) => events.includes(declaration.name))
        .map((flood) => ({ flood, argument: place(flood.argument) })),
      opens,
      mapped: false,
    };
    this.#events.set(declaration.name, known);
    return known;
  }

  #map(known: KnownEvent): void {
    if (known.mapped) return;
    known.mapped = true;
    this.#encoder.mapping(known.id, known.reader.declaration.name);
  }
}
