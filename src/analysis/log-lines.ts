/** The lines of a log that have text, read ahead as far as somebody wants to look, each as two boots are compared by it. */
import { decodePrintk } from "../formats/printk.ts";
import { textsOf } from "./console-scan.ts";
import { wordsOf } from "./masked-text.ts";

/** A log, from its start; asked for more than once. */
export type LogSource = () => AsyncIterable<Uint8Array>;

const LINE_BYTES_MAX = 4096;
/** Of a line, so much is compared and quoted. */
export const TEXT_MAX = 512;

/** A text of a line. */
export class Line {
  readonly number: number;
  /** Without prefixes and escape sequences. */
  readonly message: string;
  #words: string | undefined;

  constructor(number: number, message: string) {
    this.number = number;
    this.message = message;
  }

  get words(): string {
    this.#words ??= wordsOf(this.message);
    return this.#words;
  }
}

const LF = 0x0a;

type OnLine = (bytes: Buffer, number: number) => void;

/** Cuts chunks into lines. Blank ones are counted and not handed on; of a long one its start. */
export class LineCutter {
  /** Of the line that comes next, from 1, counted at LF. */
  number = 1;
  /** The line that is not whole yet. */
  #rest = Buffer.alloc(0);

  push(chunk: Uint8Array, onLine: OnLine): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    let from = 0;
    while (from < bytes.length) {
      if (bytes[from] === LF && this.#rest.length === 0) {
        from += 1;
        this.number += 1;
        continue;
      }
      const lf = bytes.indexOf(LF, from);
      if (lf === -1) {
        this.#keep(bytes.subarray(from));
        return;
      }
      if (this.#rest.length === 0) onLine(bytes.subarray(from, Math.min(lf, from + LINE_BYTES_MAX)), this.number);
      else {
        this.#keep(bytes.subarray(from, lf));
        this.end(onLine);
      }
      this.number += 1;
      from = lf + 1;
    }
  }

  /** No more bytes: the last line ends without a LF. */
  end(onLine: OnLine): void {
    if (this.#rest.length > 0) onLine(this.#rest, this.number);
    this.#rest = Buffer.alloc(0);
  }

  #keep(bytes: Buffer): void {
    if (this.#rest.length < LINE_BYTES_MAX && bytes.length > 0)
      this.#rest = Buffer.concat([this.#rest, bytes.subarray(0, LINE_BYTES_MAX - this.#rest.length)]);
  }
}

/** The lines of a log that have text, as many as are wanted ahead. */
export class LineReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #lines: Line[] = [];
  #head = 0;
  readonly #cutter = new LineCutter();
  ended = false;
  /** Number of the last line with text that was read. */
  lastNumber = 0;

  constructor(source: LogSource) {
    this.#chunks = source()[Symbol.asyncIterator]();
  }

  get count(): number {
    return this.#lines.length - this.#head;
  }

  at(index: number): Line {
    return this.#lines[this.#head + index]!;
  }

  ahead(count: number): readonly Line[] {
    return this.#lines.slice(this.#head, this.#head + count);
  }

  take(count: number): void {
    this.#head += count;
  }

  /** Reads until `count` lines are ahead, or to the end. */
  async want(count: number): Promise<void> {
    if (this.count >= count || this.ended) return;
    this.#lines = this.#lines.slice(this.#head);
    this.#head = 0;
    while (this.count < count && !this.ended) {
      const next = await this.#chunks.next();
      if (next.done === true) this.#end();
      else this.#read(next.value);
    }
  }

  /** Reads to the end and gives how many lines that were. */
  async drain(): Promise<number> {
    let count = this.count;
    this.take(count);
    while (!this.ended) {
      await this.want(1);
      count += this.count;
      this.take(this.count);
    }
    return count;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  #read(chunk: Uint8Array): void {
    this.#cutter.push(chunk, (bytes, number) => this.#line(bytes, number));
  }

  #end(): void {
    this.ended = true;
    this.#cutter.end((bytes, number) => this.#line(bytes, number));
  }

  #line(bytes: Buffer, number: number): void {
    for (const text of textsOf(bytes.toString("utf8"))) {
      const message = decodePrintk(text).message.trim().slice(0, TEXT_MAX);
      if (message === "") continue;
      this.#lines.push(new Line(number, message));
      this.lastNumber = number;
    }
  }
}
