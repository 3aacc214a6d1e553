/**
 * Traces of QEMU's `simple` backend (QEMU: trace/simple.c, scripts/simpletrace.py). Packed, in the byte order of the computer that wrote them.
 *
 *   header    u64 2^64-1, u64 magic, u64 version
 *   mapping   u64 0, u64 event id, u32 length of the name, the name                                     version 4
 *   event     u64 1, u64 event id, u64 time in ns, u32 length, u32 process, arguments                   version 4
 *             u64 event id, u64 time in ns, u32 length, u32 process (version 2: reserved), arguments    versions 2 and 3
 *   dropped   as an event, with the id 2^64-2 and one u64: how many events are missing
 *
 * `length` counts from the event id to the end of the arguments. An argument is a u64, or a string: u32 length and bytes without an end mark.
 * Versions 2 and 3 name no events: an id is the place of its declaration among those of the same build.
 */
import { viewOf } from "./bytes.ts";
import type { TraceDeclaration } from "./trace-declarations.ts";
import type { TraceValue } from "./trace-line.ts";

const HEADER_ID = 0xffff_ffff_ffff_ffffn;
const DROPPED_ID = 0xffff_ffff_ffff_fffen;
const MAGIC = 0xf2b1_77cb_0aa4_29b4n;
const HEADER_BYTES = 24;
const MAPPING_BYTES = 20;
/** From the event id to the arguments: what `length` counts of every record. */
const RECORD_BYTES = 24;
/** QEMU cuts strings here (MAX_TRACE_STRLEN). */
export const TRACE_STRING_BYTES_MAX = 512;
/** Ten arguments are at most 5,160 bytes; a reader allows for more, but not for what only damage claims. */
const RECORD_BYTES_MAX = 65_536;
const NAME_BYTES_MAX = 1024;
/** QEMU has some 5,000 events. */
const MAPPINGS_MAX = 65_536;

export const TRACE_VERSIONS = [2, 3, 4] as const;
export type TraceVersion = (typeof TRACE_VERSIONS)[number];

/** Builds a trace of version 4, little-endian, piece by piece: `take` gives what has been put in since it was last called. */
export class SimpletraceEncoder {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor() {
    this.#bytes = new Uint8Array(65_536);
    this.#view = viewOf(this.#bytes);
  }

  /** Bytes not yet taken. */
  get pending(): number {
    return this.#length;
  }

  header(): void {
    const at = this.#room(HEADER_BYTES);
    this.#view.setBigUint64(at, HEADER_ID, true);
    this.#view.setBigUint64(at + 8, MAGIC, true);
    this.#view.setBigUint64(at + 16, 4n, true);
  }

  /** `name`: ASCII. To be put before the first event with this id. */
  mapping(id: number, name: string): void {
    const text = Buffer.from(name, "latin1");
    const at = this.#room(MAPPING_BYTES + text.length);
    this.#view.setBigUint64(at, 0n, true);
    this.#view.setBigUint64(at + 8, BigInt(id), true);
    this.#view.setUint32(at + 16, text.length, true);
    this.#bytes.set(text, at + MAPPING_BYTES);
  }

  /** Strings are cut at 512 bytes, as QEMU cuts them. */
  event(id: number, timeNs: bigint, pid: number, values: readonly TraceValue[]): void {
    let length = RECORD_BYTES;
    for (const value of values) length += typeof value === "bigint" ? 8 : 4 + Math.min(value.length, TRACE_STRING_BYTES_MAX);
    let at = this.#begin(BigInt(id), timeNs, length, pid);
    for (const value of values) {
      if (typeof value === "bigint") {
        this.#view.setBigUint64(at, value, true);
        at += 8;
      } else {
        const kept = value.length > TRACE_STRING_BYTES_MAX ? value.subarray(0, TRACE_STRING_BYTES_MAX) : value;
        this.#view.setUint32(at, kept.length, true);
        this.#bytes.set(kept, at + 4);
        at += 4 + kept.length;
      }
    }
  }

  /** An event whose arguments are encoded already. */
  encodedEvent(id: number, timeNs: bigint, pid: number, encoded: Uint8Array): void {
    const at = this.#begin(BigInt(id), timeNs, RECORD_BYTES + encoded.length, pid);
    this.#bytes.set(encoded, at);
  }

  dropped(timeNs: bigint, pid: number, count: bigint): void {
    const at = this.#begin(DROPPED_ID, timeNs, RECORD_BYTES + 8, pid);
    this.#view.setBigUint64(at, count, true);
  }

  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return taken;
  }

  #begin(id: bigint, timeNs: bigint, length: number, pid: number): number {
    const at = this.#room(8 + length);
    this.#view.setBigUint64(at, 1n, true);
    this.#view.setBigUint64(at + 8, id, true);
    this.#view.setBigUint64(at + 16, timeNs, true);
    this.#view.setUint32(at + 24, length, true);
    this.#view.setUint32(at + 28, pid, true);
    return at + 8 + RECORD_BYTES;
  }

  #room(bytes: number): number {
    const at = this.#length;
    this.#length += bytes;
    if (this.#length > this.#bytes.length) {
      const wider = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      wider.set(this.#bytes.subarray(0, at));
      this.#bytes = wider;
      this.#view = viewOf(wider);
    }
    return at;
  }
}

/** One event of a trace. The decoder fills the same object again and again: it is valid during the call that is given it. */
export interface TraceRecord {
  /** Of its first byte in the trace. */
  readonly offset: number;
  /** Of the event; undefined for dropped events. In versions 2 and 3 `event-N` where N is in no declaration. */
  readonly name: string | undefined;
  /** Undefined where nobody declares the event, and for dropped events. The arguments are known to fit it. */
  readonly declaration: TraceDeclaration | undefined;
  readonly timeNs: bigint;
  /** The same in two halves of 32 bits. */
  readonly timeHigh: number;
  readonly timeLow: number;
  readonly pid: number;
  /** How many events are missing here; 0n for an event. */
  readonly dropped: bigint;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly littleEndian: boolean;
  /** The encoded arguments: from here in `bytes` and `view`, to before `end`. */
  readonly start: number;
  readonly end: number;
}

/** Where a trace cannot be read on, and why. What came before is whole. */
export interface TraceDamage {
  readonly offset: number;
  readonly expected: string;
  readonly found: string;
}

/** An event of a trace, as its mapping names it. */
interface KnownEvent {
  readonly name: string;
  readonly declaration: TraceDeclaration | undefined;
  /** Bytes of the arguments where they have no string; undefined otherwise. */
  readonly fixedBytes: number | undefined;
}

export interface TraceNames {
  readonly events: ReadonlyMap<string, TraceDeclaration>;
  /** What the ids of versions 2 and 3 count. */
  readonly order: readonly string[];
}

/** Reads a trace as it comes, in any pieces; holds no more than one record of it. Stops at the first damage. */
export class SimpletraceDecoder {
  readonly #names: TraceNames;
  readonly #known = new Map<number, KnownEvent>();
  #rest: Uint8Array = new Uint8Array(0);
  /** Of the first byte of `#rest` in the trace. */
  #offset = 0;
  #version: TraceVersion | undefined;
  #littleEndian = true;
  #damage: TraceDamage | undefined;

  constructor(names: TraceNames) {
    this.#names = names;
  }

  /** Undefined before the header. */
  get version(): TraceVersion | undefined {
    return this.#version;
  }

  get damage(): TraceDamage | undefined {
    return this.#damage;
  }

  /** Bytes that were read into whole records. */
  get offset(): number {
    return this.#offset;
  }

  push(chunk: Uint8Array, onRecord: (record: TraceRecord) => void): void {
    if (this.#damage !== undefined) return;
    const bytes = this.#rest.length === 0 ? chunk : joined(this.#rest, chunk);
    const view = viewOf(bytes);
    const base = this.#offset;
    let at = 0;
    if (this.#version === undefined) {
      if (bytes.length < HEADER_BYTES) {
        this.#rest = bytes.slice();
        return;
      }
      this.#readHeader(view);
      at = HEADER_BYTES;
    }
    const record = new FilledRecord(bytes, view, this.#littleEndian);
    while (this.#damage === undefined && at < bytes.length) {
      const next = this.#next(view, bytes, at, base, record, onRecord);
      if (next === undefined) break;
      at = next;
    }
    if (this.#version === undefined) return; // the header was damaged: nothing was read
    this.#offset = base + at;
    this.#rest = bytes.slice(at);
  }

  /** To be called when there is no more: what was begun and not ended is damage. */
  end(): void {
    if (this.#damage !== undefined) return;
    if (this.#version === undefined) this.#harm(0, "a header of 24 bytes", `${this.#rest.length} bytes`);
    else if (this.#rest.length > 0) this.#harm(this.#offset, "a whole record", `an end after ${this.#rest.length} bytes of it`);
  }

  #harm(offset: number, expected: string, found: string): undefined {
    this.#damage = { offset, expected, found };
    return undefined;
  }

  #readHeader(view: DataView): undefined {
    const id = view.getBigUint64(0, true);
    if (id !== HEADER_ID) return this.#harm(0, "2^64-1, the header's event id", hex64(id));
    this.#littleEndian = view.getBigUint64(8, true) === MAGIC;
    if (!this.#littleEndian && view.getBigUint64(8, false) !== MAGIC)
      return this.#harm(8, `the magic ${hex64(MAGIC)}`, hex64(view.getBigUint64(8, true)));
    const version = view.getBigUint64(16, this.#littleEndian);
    this.#version = TRACE_VERSIONS.find((known) => BigInt(known) === version);
    if (this.#version === undefined) return this.#harm(16, "version 2, 3 or 4", String(version));
    if (this.#version < 4) for (const [id, name] of this.#names.order.entries()) this.#map(id, name);
    return undefined;
  }

  #map(id: number, name: string): void {
    const declaration = this.#names.events.get(name);
    const fixed = declaration?.arguments.every(({ kind }) => kind !== "string") === true;
    this.#known.set(id, { name, declaration, fixedBytes: fixed ? 8 * (declaration?.arguments.length ?? 0) : undefined });
  }

  /** Where the next record begins; undefined where this one is not whole yet, or damaged. */
  #next(
    view: DataView,
    bytes: Uint8Array,
    at: number,
    base: number,
    record: FilledRecord,
    onRecord: (record: TraceRecord) => void,
  ): number | undefined {
    if (this.#version !== 4) return this.#event(view, bytes, at, at, base, record, onRecord);
    if (at + 8 > bytes.length) return undefined;
    const little = this.#littleEndian;
    const low = view.getUint32(little ? at : at + 4, little);
    const high = view.getUint32(little ? at + 4 : at, little);
    if (high === 0 && low === 1) return this.#event(view, bytes, at, at + 8, base, record, onRecord);
    if (high === 0 && low === 0) return this.#mapping(view, bytes, at, base);
    return this.#harm(base + at, "record type 0 or 1", hex64(view.getBigUint64(at, little)));
  }

  #mapping(view: DataView, bytes: Uint8Array, at: number, base: number): number | undefined {
    if (at + MAPPING_BYTES > bytes.length) return undefined;
    const length = view.getUint32(at + 16, this.#littleEndian);
    if (length === 0 || length > NAME_BYTES_MAX) return this.#harm(base + at + 16, `a name of 1 to ${NAME_BYTES_MAX} bytes`, `${length}`);
    const end = at + MAPPING_BYTES + length;
    if (end > bytes.length) return undefined;
    const id = idAt(view, at + 8, this.#littleEndian);
    if (id === undefined) return this.#harm(base + at + 8, "an event id below 2^53", hex64(view.getBigUint64(at + 8, this.#littleEndian)));
    if (this.#known.size >= MAPPINGS_MAX && !this.#known.has(id))
      return this.#harm(base + at, `at most ${MAPPINGS_MAX} events`, "one more");
    this.#map(id, Buffer.from(bytes.buffer, bytes.byteOffset + at + MAPPING_BYTES, length).toString("latin1"));
    return end;
  }

  /** `begin`: of the record; `at`: of its event id. */
  #event(
    view: DataView,
    bytes: Uint8Array,
    begin: number,
    at: number,
    base: number,
    record: FilledRecord,
    onRecord: (record: TraceRecord) => void,
  ): number | undefined {
    if (at + RECORD_BYTES > bytes.length) return undefined;
    const little = this.#littleEndian;
    const length = view.getUint32(at + 16, little);
    if (length < RECORD_BYTES || length > RECORD_BYTES_MAX)
      return this.#harm(base + at + 16, `a length of ${RECORD_BYTES} to ${RECORD_BYTES_MAX}`, `${length}`);
    const end = at + length;
    if (end > bytes.length) return undefined;
    record.offset = base + begin;
    record.timeLow = view.getUint32(little ? at + 8 : at + 12, little);
    record.timeHigh = view.getUint32(little ? at + 12 : at + 8, little);
    record.pid = this.#version === 2 ? 0 : view.getUint32(at + 20, little);
    record.start = at + RECORD_BYTES;
    record.end = end;
    const id = idAt(view, at, little);
    const known = id === undefined ? undefined : this.#known.get(id);
    if (known === undefined) {
      if (view.getBigUint64(at, little) === DROPPED_ID) {
        if (length !== RECORD_BYTES + 8)
          return this.#harm(base + at + 16, `a length of ${RECORD_BYTES + 8} for dropped events`, `${length}`);
        record.name = undefined;
        record.declaration = undefined;
        record.dropped = view.getBigUint64(at + RECORD_BYTES, little);
        onRecord(record);
        return end;
      }
      if (this.#version === 4 || id === undefined)
        return this.#harm(base + at, "the id of an event that was named", hex64(view.getBigUint64(at, little)));
    } else if (known.declaration !== undefined) {
      const wanted = known.fixedBytes ?? stringBytes(known.declaration, view, at + RECORD_BYTES, end, little);
      if (wanted !== length - RECORD_BYTES) {
        const expected = wanted === undefined ? "strings that end in their record" : `${wanted} bytes of arguments`;
        return this.#harm(base + at + RECORD_BYTES, `${expected} for ${known.name}`, `${length - RECORD_BYTES} bytes`);
      }
    }
    record.name = known?.name ?? `event-${id}`;
    record.declaration = known?.declaration;
    record.dropped = 0n;
    onRecord(record);
    return end;
  }
}

/** Bytes that these arguments take, by the lengths of their strings; undefined where they go beyond `end`. */
function stringBytes(
  { arguments: declared }: TraceDeclaration,
  view: DataView,
  start: number,
  end: number,
  little: boolean,
): number | undefined {
  let at = start;
  for (const { kind } of declared) {
    if (kind !== "string") at += 8;
    else if (at + 4 > end) return undefined;
    else at += 4 + view.getUint32(at, little);
    if (at > end) return undefined;
  }
  return at - start;
}

/** Undefined for an id that no number holds. */
function idAt(view: DataView, at: number, little: boolean): number | undefined {
  const low = view.getUint32(little ? at : at + 4, little);
  const high = view.getUint32(little ? at + 4 : at, little);
  return high < 0x20_0000 ? high * 0x1_0000_0000 + low : undefined;
}

class FilledRecord implements TraceRecord {
  offset = 0;
  name: string | undefined;
  declaration: TraceDeclaration | undefined;
  timeHigh = 0;
  timeLow = 0;
  pid = 0;
  dropped = 0n;
  start = 0;
  end = 0;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly littleEndian: boolean;

  constructor(bytes: Uint8Array, view: DataView, littleEndian: boolean) {
    this.bytes = bytes;
    this.view = view;
    this.littleEndian = littleEndian;
  }

  /** Made when it is asked for: most readers of millions of records do without. */
  get timeNs(): bigint {
    return (BigInt(this.timeHigh) << 32n) | BigInt(this.timeLow);
  }
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

const hex64 = (value: bigint): string => `0x${value.toString(16)}`;
