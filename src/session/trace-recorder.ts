/**
 * Takes what QEMU writes as its trace out of a FIFO and keeps it as `trace.bin`, with `trace.events` and `trace.json` beside it.
 *
 * The FIFO is looked at from time to time and not watched: QEMU writes each event by itself, and waking up for every one would cost more than all
 * else that a recording does. Where the FIFO is full QEMU waits, so that nothing is lost; at `full` events are dropped and counted rather than
 * keeping in memory what a slow disk has not taken.
 */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { type FileHandle, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { reasonOf } from "../contract/error.ts";
import { SESSION_FILES } from "../contract/session.ts";
import type { TraceFacts } from "../contract/trace.ts";
import { encodeTraceDeclarations, indexTraceDeclarations } from "../formats/trace-declarations.ts";
import { decodeTraceList, encodeTraceList, traceListFilter } from "../formats/trace-list.ts";
import { TraceTranscoder } from "../formats/trace-transcoder.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import type { Clock } from "../host/clock.ts";
import { makeFifo } from "../host/fifo.ts";
import { type TracePlaces, type TracePlan, traceFloods } from "../machine/trace.ts";

/** A pipe holds 64 KiB: what is read at once, and when half of it was there the next look is soon. */
const READ_BYTES = 64 * 1024;
const BUSY_BYTES = 32 * 1024;
const BUSY_MS = 1;
/** Each wake-up costs; at these, a pipe is far from full at `detailed`, and a burst after a pause lets QEMU wait once for a tenth of a second. */
const ARRIVAL_MS = 25;
const IDLE_MS = 100;
/** Of one look, so that the console is not kept waiting. */
const LOOK_BYTES_MAX = 1024 * 1024;
/** A trace's last second may be lost with its recorder, not more. */
const FLUSH_MS = 1000;
const FLUSH_BYTES = 256 * 1024;
/** Bytes that the disk has not taken yet. */
const QUEUE_BYTES_MAX = 8 * 1024 * 1024;
/** Of `trace.rest`. */
const REST_BYTES_MAX = 1024 * 1024;

export interface TraceRecorderStart {
  /** The session's. */
  readonly directory: string;
  readonly plan: TracePlan;
  readonly places: TracePlaces;
  /** The guest's variable store, whose writes are a flood. */
  readonly variables: string;
  readonly clock: Clock;
}

/** Makes the list and the FIFO that QEMU is to be started with, and the trace's file. */
export async function prepareTrace({ directory, plan, places, variables, clock }: TraceRecorderStart): Promise<TraceRecorder> {
  const declarations = await readFile(plan.declarations, "utf8");
  const list = decodeTraceList(await readFile(plan.list, "utf8"));
  const known = indexTraceDeclarations(declarations);
  await writeFile(
    places.list,
    encodeTraceList(list, (name) => known.has(name)),
  );
  await makeFifo(places.fifo);
  const originNs = BigInt(Math.round(clock.uptimeS() * 1e9));
  const transcoder = new TraceTranscoder({
    declarations,
    expected: traceListFilter(list),
    floods: traceFloods(variables),
    originNs,
    originUs: clock.nowMs() * 1000,
    bytesMax: plan.bytesMax ?? undefined,
  });
  const file = await open(join(directory, SESSION_FILES.trace), "w", 0o644);
  const recorder = new TraceRecorder(directory, plan, places.fifo, transcoder, file, clock, originNs);
  await recorder.writeFacts(false);
  return recorder;
}

export class TraceRecorder implements AsyncDisposable {
  readonly #directory: string;
  readonly #plan: TracePlan;
  readonly #transcoder: TraceTranscoder;
  readonly #file: FileHandle;
  readonly #clock: Clock;
  readonly #originNs: bigint;
  readonly #startMs: number;
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  /** Ours for writing too, so that QEMU's end is no end of the file: that is told by `end`. */
  readonly #fifo: number;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #queuedBytes = 0;
  #flushedMs = 0;
  #restBytes = 0;
  #trouble: string | undefined;
  #faulty = false;
  #ended: Promise<void> | undefined;

  constructor(
    directory: string,
    plan: TracePlan,
    fifo: string,
    transcoder: TraceTranscoder,
    file: FileHandle,
    clock: Clock,
    originNs: bigint,
  ) {
    this.#directory = directory;
    this.#plan = plan;
    this.#transcoder = transcoder;
    this.#file = file;
    this.#clock = clock;
    this.#originNs = originNs;
    this.#startMs = clock.monotonicMs();
    this.#fifo = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
    this.#timer = setTimeout(() => this.#look(), 0);
  }

  /** QEMU's: the trace's events are its, where the text names no thread. */
  setProcess(pid: number): void {
    this.#transcoder.setProcess(pid);
  }

  #look(): void {
    const bytes = this.#queuedBytes > QUEUE_BYTES_MAX && !this.#mayDrop() ? 0 : this.#read(LOOK_BYTES_MAX);
    this.#flush(false);
    const delayMs = bytes >= BUSY_BYTES ? BUSY_MS : bytes > 0 ? ARRIVAL_MS : IDLE_MS;
    this.#timer = setTimeout(() => this.#look(), delayMs);
  }

  /** At `full`, and where nothing can be kept any more: QEMU is never left to wait for a disk that does not come. */
  #mayDrop(): boolean {
    return this.#plan.level === "full" || this.#trouble !== undefined;
  }

  #read(bytesMax: number): number {
    let total = 0;
    this.#transcoder.hurried = this.#trouble !== undefined || (this.#mayDrop() && this.#queuedBytes > QUEUE_BYTES_MAX);
    while (total < bytesMax) {
      const count = readOrNone(this.#fifo, this.#buffer);
      if (count === 0) break;
      total += count;
      this.#take(this.#buffer.subarray(0, count));
    }
    return total;
  }

  /** A fault of ours ends the trace and not the boot: the FIFO is emptied all the same. */
  #take(bytes: Uint8Array): void {
    if (this.#faulty) return;
    try {
      this.#transcoder.push(bytes, (this.#clock.monotonicMs() - this.#startMs) * 1000);
    } catch (error) {
      this.#faulty = true;
      this.#trouble ??= reasonOf(error);
    }
  }

  #flush(now: boolean): void {
    const { pendingBytes } = this.#transcoder;
    const nowMs = this.#clock.monotonicMs();
    if (!now && pendingBytes < FLUSH_BYTES && nowMs - this.#flushedMs < FLUSH_MS) return;
    this.#flushedMs = nowMs;
    this.#transcoder.noteDropped();
    const bytes = this.#transcoder.take();
    const rest = this.#transcoder.takeNotes().map(({ kind, line }) => `${JSON.stringify({ kind, line })}\n`);
    if (rest.length > 0) this.#keepRest(rest);
    if (bytes.length === 0 || this.#trouble !== undefined) return;
    this.#queuedBytes += bytes.length;
    this.#write(async () => {
      await writeWhole(this.#file, bytes);
      this.#queuedBytes -= bytes.length;
    });
  }

  /** What is not in the trace, or not surely: bounded, and without harm where it cannot be kept. */
  #keepRest(lines: readonly string[]): void {
    let text = "";
    for (const line of lines) {
      if (this.#restBytes + line.length > REST_BYTES_MAX) break;
      this.#restBytes += line.length;
      text += line;
    }
    if (text !== "") this.#write(() => writeFile(join(this.#directory, SESSION_FILES.traceRest), text, { flag: "a" }));
  }

  #write(action: () => Promise<void>): void {
    this.#writing = this.#writing.then(action).catch((error: unknown) => {
      this.#trouble ??= reasonOf(error);
      this.#queuedBytes = 0;
    });
  }

  /** After this, a cut of power takes nothing that had come before. */
  sync(): void {
    this.#flush(true);
    this.#write(async () => {
      if (this.#trouble === undefined) await this.#file.datasync();
    });
  }

  /** To be called when QEMU has ended: takes what is still in the FIFO, and closes the trace. A full disk is told in `trace.json`, as far as it can be. */
  end(): Promise<void> {
    this.#ended ??= this.#finish();
    return this.#ended;
  }

  async #finish(): Promise<void> {
    clearTimeout(this.#timer);
    while (this.#read(LOOK_BYTES_MAX) > 0) {
      this.#flush(false);
      await this.#writing;
    }
    closeSync(this.#fifo);
    this.#transcoder.end((this.#clock.monotonicMs() - this.#startMs) * 1000);
    this.#flush(true);
    this.#write(() => this.#file.datasync());
    await this.#writing;
    await this.#file.close().catch(() => {});
    await this.writeFacts(true).catch(() => {});
  }

  /** `trace.events` and `trace.json`. */
  async writeFacts(ended: boolean): Promise<void> {
    const { counts, source, named } = this.#transcoder;
    const floods = Object.fromEntries(counts.floods);
    const ofFloods = Object.values(floods).reduce((sum, { dropped }) => sum + dropped, 0);
    const facts: TraceFacts = {
      level: this.#plan.level,
      source: source ?? null,
      origin_ns: String(this.#originNs),
      ended,
      events: counts.events,
      dropped: ofFloods + counts.overLimit + counts.tooFast + counts.droppedByQemu + counts.unread,
      floods,
      over_limit: counts.overLimit,
      too_fast: counts.tooFast,
      dropped_by_qemu: counts.droppedByQemu,
      unread: counts.unread,
      ambiguous: counts.ambiguous,
      foreign_lines: counts.foreignLines,
      clock_steps: counts.clockSteps,
      trouble: this.#trouble ?? null,
    };
    await writeFileAtomic(join(this.#directory, SESSION_FILES.traceEvents), encodeTraceDeclarations(named));
    await writeFileAtomic(join(this.#directory, SESSION_FILES.traceFacts), `${JSON.stringify(facts, null, 2)}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

/** 0 where nothing is there now. */
function readOrNone(fifo: number, buffer: Buffer): number {
  try {
    return readSync(fifo, buffer, 0, buffer.length, null);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
    throw error;
  }
}

async function writeWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}
