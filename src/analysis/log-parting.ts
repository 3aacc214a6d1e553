/**
 * Where two console logs part. They are read side by side, line by line, as `wordsOf` masks them. Where they differ, the nearest place
 * where they run together again is looked for in a window ahead (longest common subsequence; between lines that stand once on each
 * side where the window is large). A line that one of them has more, or that stands elsewhere, is not the parting.
 *
 * Memory does not grow with the logs: two windows of lines, and of what lies behind only what may still turn up on the other side.
 */

import { consoleTexts } from "../formats/console-text.ts";
import { decodePrintk } from "../formats/printk.ts";
import { textsOf } from "./console-scan.ts";
import { maskedText, wordsOf } from "./masked-text.ts";

/** A log, from its start; asked for more than once. */
export type LogSource = () => AsyncIterable<Uint8Array>;

export interface QuotedLine {
  /** From 1, at LF. */
  readonly line: number;
  /** Without escape sequences, else as it stood. Not harmless. */
  readonly text: string;
}

export interface PartingSide {
  /** The first line that only this log has; where it has none, the line where it goes on; null where it has ended. */
  readonly line: number | null;
  readonly text: string | null;
  /** Lines here that only this log has. */
  readonly own: number;
  readonly before: readonly QuotedLine[];
  readonly after: readonly QuotedLine[];
}

export interface Parting {
  readonly a: PartingSide;
  readonly b: PartingSide;
  /** Where they run together again; null: they do not. */
  readonly together: { readonly a: number; readonly b: number } | null;
}

export interface LogDifference {
  /** The first place where both say something else, one has a long passage more, or one ends. */
  readonly first: Parting | null;
  /** From where they never run together again, unless that is `first`. */
  readonly last: Parting | null;
  /** Lines that only one has, each by itself or not. */
  readonly onlyA: number;
  readonly onlyB: number;
  /** Lines that both have, in another order. */
  readonly moved: number;
  /** Lines with the same words and another number in it that is none of those that always change. */
  readonly numbers: { readonly count: number; readonly first: { readonly a: QuotedLine; readonly b: QuotedLine } | null };
}

/** So many lines in a row, and the logs run together again. */
const TOGETHER_LINES = 3;
/** A passage that only one log has is an insertion and not the parting up to this length. */
const INSERTED_LINES_MAX = 20;
/** How far ahead they are sought together; the last is given up after. */
const WINDOWS = [256, 2048, 16_384] as const;
/** A line that turns up on the other side within so many lines (of both logs) has only moved. */
const MOVED_LINES_MAX = 4000;
/** Larger pieces are cut at lines that stand once on each side. */
const TABLE_CELLS_MAX = 1 << 17;
const CONTEXT_LINES = 3;
const LINE_BYTES_MAX = 4096;
/** Of a line, so much is compared and quoted. */
const TEXT_MAX = 512;

export async function compareLogs(a: LogSource, b: LogSource): Promise<LogDifference> {
  const readers = { a: new LineReader(a), b: new LineReader(b) };
  const notes = new Differences();
  try {
    for (;;) {
      await readers.a.want(1);
      await readers.b.want(1);
      if (readers.a.count === 0 && readers.b.count === 0) break;
      if (!runTogether(readers, notes)) await passApart(readers, notes);
    }
  } finally {
    await readers.a.close();
    await readers.b.close();
  }
  return notes.tell(a, b, readers);
}

interface Readers {
  readonly a: LineReader;
  readonly b: LineReader;
}

/** Takes what both have in common at this place, as far as it is read. False where the very first lines differ. */
function runTogether({ a, b }: Readers, notes: Differences): boolean {
  const length = Math.min(a.count, b.count);
  let taken = 0;
  while (taken < length && isSame(a.at(taken), b.at(taken))) {
    notes.pair(a.at(taken), b.at(taken));
    taken += 1;
  }
  a.take(taken);
  b.take(taken);
  return taken > 0;
}

const isSame = (one: Line, other: Line): boolean => one.message === other.message || one.words === other.words;

/** Takes the lines up to where the logs run together again, or all that are left. */
async function passApart({ a, b }: Readers, notes: Differences): Promise<void> {
  for (const window of WINDOWS) {
    await a.want(window);
    await b.want(window);
    const whole = a.ended && b.ended && a.count <= window && b.count <= window;
    const [ofA, ofB] = [a.ahead(window), b.ahead(window)];
    const pairs = align(...numbered(ofA, ofB));
    const run = startOfRun(pairs, whole ? [ofA.length, ofB.length] : undefined);
    if (run === undefined && !whole && window !== WINDOWS.at(-1)) continue;
    const [endA, endB] = run ?? [ofA.length, ofB.length];
    const inside = pairs.filter(([at]) => at < endA);
    notes.apart(without(ofA.slice(0, endA), inside, 0), without(ofB.slice(0, endB), inside, 1), {
      next: run === undefined ? null : { a: ofA[endA]!.number, b: ofB[endB]!.number },
    });
    for (const [atA, atB] of inside) notes.pair(ofA[atA]!, ofB[atB]!);
    a.take(endA);
    b.take(endB);
    if (run === undefined) notes.lost(await a.drain(), await b.drain());
    return;
  }
}

const without = (lines: readonly Line[], pairs: readonly Pair[], side: 0 | 1): readonly Line[] => {
  const paired = new Set(pairs.map((pair) => pair[side]));
  return lines.filter((_, at) => !paired.has(at));
};

type Pair = readonly [a: number, b: number];

/** Where the first run of pairs begins that is long enough, or reaches the `ends` of both logs. */
function startOfRun(pairs: readonly Pair[], ends: Pair | undefined): Pair | undefined {
  let start = 0;
  for (let at = 0; at < pairs.length; at += 1) {
    const [a, b] = pairs[at]!;
    const before = pairs[at - 1];
    if (before === undefined || before[0] !== a - 1 || before[1] !== b - 1) start = at;
    if (at - start + 1 >= TOGETHER_LINES || (ends !== undefined && a === ends[0] - 1 && b === ends[1] - 1)) return pairs[start];
  }
  return undefined;
}

/** The same number for the same words. */
function numbered(a: readonly Line[], b: readonly Line[]): [Int32Array, Int32Array] {
  const known = new Map<string, number>();
  const numberOf = ({ words }: Line): number => {
    const number = known.get(words) ?? known.size;
    known.set(words, number);
    return number;
  };
  return [Int32Array.from(a, numberOf), Int32Array.from(b, numberOf)];
}

/** Pairs of equal elements, ascending on both sides. As many as can be where the piece is small. */
export function align(a: Int32Array, b: Int32Array): readonly Pair[] {
  const pairs: Pair[] = [];
  alignPiece(a, b, [0, 0], pairs);
  return pairs;
}

function alignPiece(a: Int32Array, b: Int32Array, from: Pair, pairs: Pair[]): void {
  const length = Math.min(a.length, b.length);
  let head = 0;
  while (head < length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  for (let at = 0; at < head; at += 1) pairs.push([from[0] + at, from[1] + at]);
  const middleA = a.subarray(head, a.length - tail);
  const middleB = b.subarray(head, b.length - tail);
  const start: Pair = [from[0] + head, from[1] + head];
  if (middleA.length * middleB.length <= TABLE_CELLS_MAX) alignByTable(middleA, middleB, start, pairs);
  else alignByAnchors(middleA, middleB, start, pairs);
  for (let at = tail; at > 0; at -= 1) pairs.push([from[0] + a.length - at, from[1] + b.length - at]);
}

/** Longest common subsequence (Wagner, Fischer: The string-to-string correction problem, 1974). */
function alignByTable(a: Int32Array, b: Int32Array, from: Pair, pairs: Pair[]): void {
  if (a.length === 0 || b.length === 0) return;
  const width = b.length + 1;
  /** Length of the longest from here on: at most the square root of TABLE_CELLS_MAX. */
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      longest[at] = a[i] === b[j] ? longest[at + width + 1]! + 1 : Math.max(longest[at + width]!, longest[at + 1]!);
    }
  }
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const at = i * width + j;
    if (a[i] === b[j]) {
      pairs.push([from[0] + i, from[1] + j]);
      i += 1;
      j += 1;
    } else if (longest[at + width]! >= longest[at + 1]!) i += 1;
    else j += 1;
  }
}

/** "Patience": lines that stand once on each side hold the two together; what lies between is aligned by itself. */
function alignByAnchors(a: Int32Array, b: Int32Array, from: Pair, pairs: Pair[]): void {
  const anchors = longestAscending(uniquePairs(a, b));
  if (anchors.length === 0) return;
  let [lastA, lastB] = [0, 0];
  for (const [atA, atB] of [...anchors, [a.length, b.length] as const]) {
    alignPiece(a.subarray(lastA, atA), b.subarray(lastB, atB), [from[0] + lastA, from[1] + lastB], pairs);
    if (atA < a.length) pairs.push([from[0] + atA, from[1] + atB]);
    [lastA, lastB] = [atA + 1, atB + 1];
  }
}

/** Ascending in `a`. */
function uniquePairs(a: Int32Array, b: Int32Array): readonly Pair[] {
  const [inA, inB] = [placesOf(a), placesOf(b)];
  return [...inA].flatMap(([value, atA]): readonly Pair[] => {
    const atB = inB.get(value) ?? TWICE;
    return atA === TWICE || atB === TWICE ? [] : [[atA, atB]];
  });
}

const TWICE = -1;

function placesOf(values: Int32Array): ReadonlyMap<number, number> {
  const places = new Map<number, number>();
  for (const [at, value] of values.entries()) places.set(value, places.has(value) ? TWICE : at);
  return places;
}

/** The longest chain of pairs that ascends on the second side too (Fredman: On computing the length of longest increasing subsequences, 1975). */
function longestAscending(pairs: readonly Pair[]): readonly Pair[] {
  /** For each length, the pair that ends the chain of this length with the least second place. */
  const ends: number[] = [];
  const before = new Int32Array(pairs.length).fill(-1);
  for (const [index, [, place]] of pairs.entries()) {
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pairs[ends[middle]!]![1] < place) low = middle + 1;
      else high = middle;
    }
    before[index] = ends[low - 1] ?? -1;
    ends[low] = index;
  }
  const chain: Pair[] = [];
  for (let at = ends.at(-1) ?? -1; at !== -1; at = before[at]!) chain.push(pairs[at]!);
  return chain.reverse();
}

/** A text of a line. */
class Line {
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

/** The lines of a log that have text, as many as are wanted ahead. */
class LineReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #lines: Line[] = [];
  #head = 0;
  /** The line that is not whole yet, at most LINE_BYTES_MAX of it. */
  #rest = Buffer.alloc(0);
  #number = 1;
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
      else this.#read(Buffer.from(next.value.buffer, next.value.byteOffset, next.value.length));
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

  #read(chunk: Buffer): void {
    let from = 0;
    for (let lf = chunk.indexOf(LF); lf !== -1; lf = chunk.indexOf(LF, from)) {
      if (this.#rest.length > 0) {
        this.#keep(chunk.subarray(from, lf));
        this.#line(this.#rest);
        this.#rest = Buffer.alloc(0);
      } else if (lf > from) this.#line(chunk.subarray(from, Math.min(lf, from + LINE_BYTES_MAX)));
      this.#number += 1;
      from = lf + 1;
    }
    this.#keep(chunk.subarray(from));
  }

  #keep(bytes: Buffer): void {
    if (this.#rest.length < LINE_BYTES_MAX && bytes.length > 0)
      this.#rest = Buffer.concat([this.#rest, bytes.subarray(0, LINE_BYTES_MAX - this.#rest.length)]);
  }

  #end(): void {
    this.ended = true;
    if (this.#rest.length > 0) this.#line(this.#rest);
  }

  #line(bytes: Buffer): void {
    for (const text of textsOf(bytes.toString("utf8"))) {
      const message = decodePrintk(text).message.trim().slice(0, TEXT_MAX);
      if (message === "") continue;
      this.#lines.push(new Line(this.#number, message));
      this.lastNumber = this.#number;
    }
  }
}

/** A place where the logs were apart, and what of it has not turned up on the other side. */
interface Gap {
  readonly a: Set<Line>;
  readonly b: Set<Line>;
  readonly next: { readonly a: number; readonly b: number } | null;
  /** Lines of both logs behind it. */
  readonly place: number;
}

type Side = "a" | "b";
const otherOf = (side: Side): Side => (side === "a" ? "b" : "a");

class Differences {
  /** Young ones: their lines may still turn up. */
  readonly #young: Gap[] = [];
  /** By their words, lines of young gaps. */
  readonly #waiting = { a: new Map<string, { readonly line: Line; readonly gap: Gap }[]>(), b: new Map() } as Record<
    Side,
    Map<string, { readonly line: Line; readonly gap: Gap }[]>
  >;
  #first: Gap | undefined;
  #last: Gap | undefined;
  #place = 0;
  #only = { a: 0, b: 0 };
  #moved = 0;
  #numbers = 0;
  #firstNumber: { readonly a: QuotedLine; readonly b: QuotedLine } | null = null;

  pair(a: Line, b: Line): void {
    this.#place += 2;
    if (a.message === b.message || maskedText(a.message) === maskedText(b.message)) return;
    this.#numbers += 1;
    this.#firstNumber ??= { a: { line: a.number, text: a.message }, b: { line: b.number, text: b.message } };
  }

  apart(a: readonly Line[], b: readonly Line[], { next }: Pick<Gap, "next">): void {
    const gap: Gap = { a: new Set(), b: new Set(), next, place: this.#place };
    for (const line of a) this.#own("a", line, gap);
    for (const line of b) this.#own("b", line, gap);
    this.#place += a.length + b.length;
    this.#young.push(gap);
    while (this.#young.length > 0 && this.#young[0]!.place < this.#place - MOVED_LINES_MAX) this.#settle();
  }

  /** They were not found together again; so many lines were not even looked at. */
  lost(a: number, b: number): void {
    this.#only.a += a;
    this.#only.b += b;
  }

  async tell(
    a: LogSource,
    b: LogSource,
    readers: { readonly a: { readonly lastNumber: number }; readonly b: { readonly lastNumber: number } },
  ) {
    while (this.#young.length > 0) this.#settle();
    const first = this.#first;
    const last = this.#last === first ? undefined : this.#last;
    const pages = {
      a: await linesAround(
        a,
        [first, last].map((gap) => placeOf(gap, "a")),
        readers.a.lastNumber,
      ),
      b: await linesAround(
        b,
        [first, last].map((gap) => placeOf(gap, "b")),
        readers.b.lastNumber,
      ),
    };
    const partingOf = (gap: Gap | undefined): Parting | null =>
      gap === undefined
        ? null
        : { a: sideOf(gap, "a", pages.a, readers.a.lastNumber), b: sideOf(gap, "b", pages.b, readers.b.lastNumber), together: gap.next };
    return {
      first: partingOf(first),
      last: partingOf(last),
      onlyA: this.#only.a,
      onlyB: this.#only.b,
      moved: this.#moved,
      numbers: { count: this.#numbers, first: this.#firstNumber },
    } satisfies LogDifference;
  }

  /** A line without a partner: has it stood on the other side a little before? */
  #own(side: Side, line: Line, gap: Gap): void {
    const partners = this.#waiting[otherOf(side)].get(line.words);
    const partner = partners?.shift();
    if (partner !== undefined) {
      if (partners!.length === 0) this.#waiting[otherOf(side)].delete(line.words);
      partner.gap[otherOf(side)].delete(partner.line);
      this.#moved += 1;
      return;
    }
    gap[side].add(line);
    const waiting = this.#waiting[side].get(line.words);
    if (waiting === undefined) this.#waiting[side].set(line.words, [{ line, gap }]);
    else waiting.push({ line, gap });
  }

  /** The oldest young gap: what is left of it will not turn up any more. */
  #settle(): void {
    const gap = this.#young.shift()!;
    for (const side of ["a", "b"] as const) {
      this.#only[side] += gap[side].size;
      for (const line of gap[side]) {
        const rest = this.#waiting[side].get(line.words)?.filter((one) => one.gap !== gap) ?? [];
        if (rest.length === 0) this.#waiting[side].delete(line.words);
        else this.#waiting[side].set(line.words, rest);
      }
    }
    if (!isParting(gap)) return;
    this.#first ??= gap;
    if (gap.next === null) this.#last = gap;
  }
}

function isParting({ a, b, next }: Gap): boolean {
  if (next === null) return a.size + b.size > 0;
  return (a.size > 0 && b.size > 0) || Math.max(a.size, b.size) > INSERTED_LINES_MAX;
}

/** Number of the line that stands for the gap; null where the log has ended. */
function placeOf(gap: Gap | undefined, side: Side): number | null {
  if (gap === undefined) return null;
  const [own] = gap[side];
  return own?.number ?? gap.next?.[side] ?? null;
}

function sideOf(gap: Gap, side: Side, page: ReadonlyMap<number, string>, lastNumber: number): PartingSide {
  const line = placeOf(gap, side);
  const quotes = [...page].map(([number, text]) => ({ line: number, text }));
  const isNear = (number: number, from: number, to: number): boolean => number >= from && number <= to;
  const end = line ?? lastNumber + 1;
  return {
    line,
    text: line === null ? null : (page.get(line) ?? ""),
    own: gap[side].size,
    before: quotes.filter((quote) => isNear(quote.line, end - CONTEXT_LINES, end - 1)),
    after: line === null ? [] : quotes.filter((quote) => isNear(quote.line, line + 1, line + CONTEXT_LINES)),
  };
}

/** The lines about those of `places`; a place of null is the log's end, behind `lastNumber`. */
async function linesAround(
  source: LogSource,
  places: readonly (number | null)[],
  lastNumber: number,
): Promise<ReadonlyMap<number, string>> {
  const wanted = new Set(
    places.flatMap((place) => {
      const from = (place ?? lastNumber + 1) - CONTEXT_LINES;
      const to = place === null ? lastNumber : place + CONTEXT_LINES;
      return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
    }),
  );
  const furthest = Math.max(...wanted);
  const found = new Map<number, string>();
  let number = 1;
  let rest = Buffer.alloc(0);
  const add = (bytes: Uint8Array): void => {
    if (wanted.has(number) && rest.length < LINE_BYTES_MAX) rest = Buffer.concat([rest, bytes.subarray(0, LINE_BYTES_MAX - rest.length)]);
  };
  const end = (): void => {
    if (wanted.has(number)) found.set(number, consoleTexts(rest.toString("utf8")).join(" ").slice(0, TEXT_MAX));
    rest = Buffer.alloc(0);
    number += 1;
  };
  for await (const chunk of source()) {
    let from = 0;
    for (let lf = chunk.indexOf(LF); lf !== -1 && number <= furthest; lf = chunk.indexOf(LF, from)) {
      add(chunk.subarray(from, lf));
      end();
      from = lf + 1;
    }
    if (number > furthest) return found;
    add(chunk.subarray(from));
  }
  end();
  return found;
}
