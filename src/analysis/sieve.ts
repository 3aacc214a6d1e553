/**
 * The first look at a console's bytes: which lines can matter at all. Bytes go through one automaton that holds the literal
 * texts of every pattern; a line that it stops at is handed on with the list of who asked for it. The other lines, nearly all,
 * are never made into strings.
 *
 * Memory does not grow with the log: a line beyond 64 KiB is handed on in pieces that bear the same number.
 */
import { WRITTEN_OUT } from "../formats/console-text.ts";
import { type Automaton, ownersIn } from "./automaton.ts";
import { Walker } from "./walk.ts";

/** A line as handed on. The bytes are the sieve's own and only good until the call returns. */
export interface SievedLine {
  /** From 1, counted at LF. */
  readonly number: number;
  /** Of its first byte, and of the one behind its last, from the start of the console. */
  readonly startOffset: number;
  readonly endOffset: number;
  readonly bytes: Buffer;
  /** Whose needles it holds; empty where every line was wanted. */
  readonly owners: readonly number[];
  /** No LF yet: the line may come again, longer. */
  readonly unfinished: boolean;
}

const LF = 0x0a;
const BLOCK_BYTES = 64 * 1024;
/** Bytes before the current line that `linesBefore` can still see. */
const HISTORY_BYTES = 8 * 1024;

export class Sieve {
  readonly #automaton: Automaton;
  readonly #walker: Walker;
  readonly #brokenOwner: number;
  readonly #onLine: (line: SievedLine) => void;
  /** True: every line is handed on, also those without a needle. Blank ones never are. */
  wantAll = false;
  /** 1: this owner does not want to be asked at the moment. By owner. */
  readonly #quiet: Uint8Array;
  /** 1: somebody wants to know when the automaton comes to this state. By state. */
  readonly #wanted: Uint8Array;
  #buffer = Buffer.alloc(0);
  /** Bytes of `#buffer` in use. */
  #filled = 0;
  /** Where the current line, or the current piece of it, begins in `#buffer`. */
  #lineStart = 0;
  /** Offset of `#buffer[0]` in the console. */
  #base = 0;
  #number = 1;
  #owners: number[] = [];

  /** Lines with a needle of `brokenOwner` hold escape sequences written out as text: they are sieved again without them. */
  constructor(automaton: Automaton, options: { readonly brokenOwner: number }, onLine: (line: SievedLine) => void) {
    this.#automaton = automaton;
    this.#walker = new Walker(automaton, BLOCK_BYTES);
    this.#brokenOwner = options.brokenOwner;
    this.#quiet = new Uint8Array(options.brokenOwner + 1);
    this.#wanted = Uint8Array.from(automaton.owners, (owners) => (owners.length > 0 ? 1 : 0));
    this.#onLine = onLine;
  }

  /** Owners for whom `isQuiet` holds are not asked from now on, the others are; those from `count` on stay as they are. */
  quieten(count: number, isQuiet: (owner: number) => boolean): void {
    for (let owner = 0; owner < count; owner += 1) this.#quiet[owner] = isQuiet(owner) ? 1 : 0;
    const { owners, firstSpecial } = this.#automaton;
    for (let state = firstSpecial; state < owners.length; state += 1)
      this.#wanted[state] = owners[state]!.some((owner) => this.#quiet[owner] === 0) ? 1 : 0;
  }

  push(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; from += BLOCK_BYTES) this.#block(chunk.subarray(from, from + BLOCK_BYTES));
  }

  /** Hands on the unfinished line, if it holds a needle (or every line is wanted). */
  peek(): void {
    if (this.#filled === this.#lineStart || (!this.wantAll && this.#owners.length === 0)) return;
    if (this.#owners.includes(this.#brokenOwner)) this.#sieveAgain(this.#filled);
    this.#handOn(this.#filled, true);
  }

  /** No more bytes: the last line is finished without a LF. */
  end(): void {
    if (this.#filled > this.#lineStart && (this.wantAll || this.#owners.length > 0)) {
      if (this.#owners.includes(this.#brokenOwner)) this.#sieveAgain(this.#filled);
      this.#handOn(this.#filled, false);
    }
    this.#owners = [];
    this.#lineStart = this.#filled;
  }

  /** Raw lines before the current one, the nearest last; as many as are still remembered, at most `count`. */
  linesBefore(count: number): readonly string[] {
    const lines: string[] = [];
    let end = this.#lineStart - 1;
    while (lines.length < count && end >= 0 && this.#buffer[end] === LF) {
      const start = end === 0 ? 0 : this.#buffer.lastIndexOf(LF, end - 1) + 1;
      lines.unshift(this.#buffer.toString("utf8", Math.max(start, end - 4096), end));
      end = start - 1;
    }
    return lines;
  }

  /** Number of the last line with something on it that was seen, the unfinished one included; 0 before the first. */
  lastLineWithText(): number {
    let number = this.#number;
    for (let at = this.#filled - 1; at >= 0; at -= 1) {
      const byte = this.#buffer[at]!;
      if (byte > 0x20 && byte < 0x7f) return number;
      if (byte === LF) number -= 1;
    }
    return Math.max(number - 1, 0);
  }

  /** The unfinished line, raw, or what is remembered of the last ones that are not blank. */
  tail(): string {
    return this.#buffer.toString("utf8", Math.max(0, this.#filled - HISTORY_BYTES), this.#filled);
  }

  #block(block: Uint8Array): void {
    this.#makeRoom(block.length);
    this.#buffer.set(block, this.#filled);
    const from = this.#filled;
    this.#filled += block.length;
    this.#scan(from, this.#filled);
    if (this.#filled - this.#lineStart > BLOCK_BYTES) this.#piece();
  }

  #makeRoom(bytes: number): void {
    if (this.#filled + bytes <= this.#buffer.length) return;
    const keepFrom = Math.max(0, this.#lineStart - HISTORY_BYTES);
    const kept = this.#filled - keepFrom;
    if (kept + bytes > this.#buffer.length) {
      const bigger = Buffer.allocUnsafe(Math.max(kept + bytes, 4 * BLOCK_BYTES));
      this.#buffer.copy(bigger, 0, keepFrom, this.#filled);
      this.#buffer = bigger;
    } else {
      this.#buffer.copyWithin(0, keepFrom, this.#filled);
    }
    this.#base += keepFrom;
    this.#lineStart -= keepFrom;
    this.#filled = kept;
  }

  #scan(from: number, to: number): void {
    const { newline } = this.#automaton;
    const { positions, states } = this.#walker;
    this.#walker.walk(this.#buffer, from, to, (first, end) => {
      for (let stop = first; stop < end; stop += 1) {
        const state = states[stop]!;
        if (state === newline) this.#endLine(positions[stop]!);
        else if (this.#wanted[state] !== 0) this.#ask(state);
      }
    });
  }

  #ask(state: number): void {
    for (const owner of this.#automaton.owners[state]!)
      if (this.#quiet[owner] === 0 && !this.#owners.includes(owner)) this.#owners.push(owner);
  }

  #endLine(end: number): void {
    if (end > this.#lineStart && (this.wantAll || this.#owners.length > 0)) {
      if (this.#owners.includes(this.#brokenOwner)) this.#sieveAgain(end);
      if (this.wantAll || this.#owners.length > 0) this.#handOn(end, false);
      this.#owners = [];
    }
    this.#lineStart = end + 1;
    this.#number += 1;
  }

  /** The same line without the sequences that are written out as text. */
  #sieveAgain(end: number): void {
    const text = this.#buffer.toString("latin1", this.#lineStart, end).replace(WRITTEN_OUT, "");
    this.#owners = ownersIn(this.#automaton, text).filter((owner) => this.#quiet[owner] === 0 && owner !== this.#brokenOwner);
  }

  #piece(): void {
    if (this.wantAll || this.#owners.length > 0) this.#handOn(this.#filled, false);
    this.#owners = [];
    this.#lineStart = this.#filled;
  }

  #handOn(end: number, unfinished: boolean): void {
    this.#onLine({
      number: this.#number,
      startOffset: this.#base + this.#lineStart,
      endOffset: this.#base + end,
      bytes: this.#buffer.subarray(this.#lineStart, end),
      owners: this.#owners,
      unfinished,
    });
  }
}
