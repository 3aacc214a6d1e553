/**
 * Where two console logs part. They are read side by side, line by line, as `wordsOf` masks them. Where they differ, the nearest place
 * where they run together again is looked for in a window ahead (longest common subsequence; between lines that stand once on each
 * side where the window is large). A line that one of them has more, or that stands elsewhere, is not the parting.
 *
 * Memory does not grow with the logs: two windows of lines, and of what lies behind only what may still turn up on the other side.
 */

import { consoleTexts } from "../formats/console-text.ts";
import { align, type Pair } from "./alignment.ts";
import { type Line, LineCutter, LineReader, type LogSource, TEXT_MAX } from "./log-lines.ts";
import { maskedText } from "./masked-text.ts";

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
const CONTEXT_LINES = 3;

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

/** The lines about those of `places`, blank ones left out; a place of null is the log's end, behind `lastNumber`. */
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
  const cutter = new LineCutter();
  const note = (bytes: Buffer, number: number): void => {
    if (wanted.has(number)) found.set(number, consoleTexts(bytes.toString("utf8")).join(" ").slice(0, TEXT_MAX));
  };
  for await (const chunk of source()) {
    cutter.push(chunk, note);
    if (cutter.number > furthest) return found;
  }
  cutter.end(note);
  return found;
}
