/**
 * Lines of a log by their number, whatever its size: one pass counts them and notes where some begin, then ranges are read
 * from there. What a person is shown of a huge log is decided in between, in values.
 */
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { consoleTexts } from "../formats/console-text.ts";
import { printable } from "../formats/escape-terminal.ts";

/** Lines `first` to `last`, from 1 at LF, both included. */
export interface LineRange {
  readonly first: number;
  readonly last: number;
}

export interface LogLine {
  readonly number: number;
  /** What stood on the screen, one text after the other; empty for a blank line. Not escaped. */
  readonly texts: readonly string[];
  /** Bytes at its end that are not in `texts`. */
  readonly bytesLeftOut: number;
}

/** Where lines of a log begin. */
export interface LineIndex {
  readonly bytes: number;
  /** An unfinished last line counts. */
  readonly lines: number;
  /** Offset of lines 1, 1 + CHECKPOINT_LINES, 1 + 2 * CHECKPOINT_LINES, … */
  readonly checkpoints: readonly number[];
  /** For each offset that was asked for: the number of the line that holds the byte before it; 0 for the log's start. */
  readonly lineBefore: ReadonlyMap<number, number>;
}

const LF = 0x0a;
const READ_BYTES = 256 * 1024;
const CHECKPOINT_LINES = 1024;
/** Of one line so much is read at most; */
const LINE_BYTES_MAX = 2048;
/** and of all lines together: what lies beyond is cut to its beginning. */
const EXCERPT_BYTES_MAX = 6 * 1024 * 1024;
const SHORT_LINE_BYTES_MAX = 160;

/** Reads the file once. `offsets` ascend. A missing file is an empty one. */
export async function indexLines(path: string, offsets: readonly number[], signal?: AbortSignal): Promise<LineIndex> {
  const checkpoints = [0];
  const lineBefore = new Map<number, number>();
  let bytes = 0;
  let lines = 0;
  let asked = 0;
  let last = LF;
  for await (const chunk of readFrom(path, signal)) {
    for (let at = chunk.indexOf(LF); at !== -1; at = chunk.indexOf(LF, at + 1)) {
      const end = bytes + at + 1;
      for (; asked < offsets.length && offsets[asked]! <= end; asked += 1) {
        lineBefore.set(offsets[asked]!, offsets[asked] === 0 ? 0 : lines + 1);
      }
      lines += 1;
      if (lines % CHECKPOINT_LINES === 0) checkpoints.push(end);
    }
    bytes += chunk.length;
    last = chunk.at(-1) ?? last;
  }
  if (last !== LF) lines += 1;
  for (; asked < offsets.length; asked += 1) lineBefore.set(offsets[asked]!, lines);
  return { bytes, lines, checkpoints, lineBefore };
}

async function* readFrom(path: string, signal: AbortSignal | undefined): AsyncIterable<Buffer> {
  try {
    yield* createReadStream(path, { highWaterMark: READ_BYTES, ...(signal === undefined ? {} : { signal }) }) as AsyncIterable<Buffer>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** A place in the log that a reader will look for, with so many lines around it. The weightiest come first. */
export interface Interest {
  readonly line: number;
  readonly before: number;
  readonly after: number;
}

/** Fewer lines than this between two ranges are shown as well. */
const GAP_LINES_MIN = 4;

/**
 * Which lines of a log of `total` lines are shown: all where they are no more than `linesMax`, else its beginning, its end and what lies
 * around `interests`, as many of them as there is room for. Ascending; no two ranges touch.
 */
export function planExcerpt(total: number, interests: readonly Interest[], linesMax: number): readonly LineRange[] {
  if (total <= linesMax) return total === 0 ? [] : [{ first: 1, last: total }];
  const head = Math.floor(linesMax / 20);
  const tail = Math.floor(linesMax / 10);
  let ranges: readonly LineRange[] = joined([
    { first: 1, last: head },
    { first: total - tail + 1, last: total },
  ]);
  for (const { line, before, after } of interests) {
    if (line < 1 || line > total) continue;
    const more = joined([...ranges, { first: Math.max(1, line - before), last: Math.min(total, line + after) }]);
    if (lineCount(more) > linesMax) break;
    ranges = more;
  }
  return ranges;
}

export const lineCount = (ranges: readonly LineRange[]): number => ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);

function joined(ranges: readonly LineRange[]): readonly LineRange[] {
  const result: LineRange[] = [];
  for (const range of [...ranges].sort((a, b) => a.first - b.first)) {
    const before = result.at(-1);
    if (before === undefined || range.first > before.last + GAP_LINES_MIN) result.push(range);
    else result[result.length - 1] = { first: before.first, last: Math.max(before.last, range.last) };
  }
  return result;
}

/** The lines of `ranges`, in order. Lines that the file does not hold (any more) are missing. */
export async function readLines(
  path: string,
  index: LineIndex,
  ranges: readonly LineRange[],
  signal?: AbortSignal,
): Promise<readonly LogLine[]> {
  if (ranges.length === 0) return [];
  const lines: LogLine[] = [];
  const file = await open(path, "r");
  let room = EXCERPT_BYTES_MAX;
  try {
    for (const { first, last } of ranges) {
      const checkpoint = Math.floor((first - 1) / CHECKPOINT_LINES);
      let number = 1 + checkpoint * CHECKPOINT_LINES;
      for await (const { bytes, length } of rawLines(file, index.checkpoints[checkpoint] ?? 0, index.bytes, signal)) {
        if (number >= first) {
          const kept = bytes.subarray(0, room > 0 ? LINE_BYTES_MAX : SHORT_LINE_BYTES_MAX);
          room -= kept.length;
          lines.push(decodeLine(number, kept, length));
        }
        number += 1;
        if (number > last) break;
      }
    }
  } finally {
    await file.close();
  }
  return lines;
}

/** Lines from the offset `from` to `end`: the beginning of each, and its whole length without the LF. */
async function* rawLines(
  file: FileHandle,
  from: number,
  end: number,
  signal: AbortSignal | undefined,
): AsyncIterable<{ readonly bytes: Buffer; readonly length: number }> {
  const buffer = Buffer.alloc(READ_BYTES);
  let kept: Buffer[] = [];
  let keptBytes = 0;
  let length = 0;
  const take = (piece: Buffer) => {
    length += piece.length;
    if (keptBytes >= LINE_BYTES_MAX) return;
    const part = Buffer.from(piece.subarray(0, LINE_BYTES_MAX - keptBytes));
    kept.push(part);
    keptBytes += part.length;
  };
  for (let position = from; position < end; ) {
    signal?.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, end - position), position);
    if (bytesRead === 0) break;
    position += bytesRead;
    const chunk = buffer.subarray(0, bytesRead);
    let at = 0;
    for (let lf = chunk.indexOf(LF); lf !== -1; lf = chunk.indexOf(LF, at)) {
      take(chunk.subarray(at, lf));
      yield { bytes: Buffer.concat(kept), length };
      [kept, keptBytes, length] = [[], 0, 0];
      at = lf + 1;
    }
    take(chunk.subarray(at));
  }
  if (length > 0) yield { bytes: Buffer.concat(kept), length };
}

/** A drawn menu is many texts in one line of the log: so many of them are shown. */
const TEXTS_MAX = 60;

function decodeLine(number: number, bytes: Buffer, length: number): LogLine {
  // A character that is cut in two at the end is left out with the rest.
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes, { stream: length > bytes.length });
  const texts = consoleTexts(withVisibleControls(text));
  return { number, texts: texts.slice(-TEXTS_MAX), bytesLeftOut: length - bytes.length };
}

/** A control string that BEL ends, or a control character that neither moves the cursor nor begins a sequence. */
const LONE_CONTROL = /\x1b\][^\x07\x1b\n]{0,512}\x07|[\0-\x07\x0e-\x1a\x1c-\x1f\x7f]/g;

/** As `printable` writes them; what `consoleTexts` understands is left to it. */
const withVisibleControls = (raw: string): string => raw.replace(LONE_CONTROL, (found) => (found.length > 1 ? found : printable(found)));
