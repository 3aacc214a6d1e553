/**
 * A terminal's whole screen as rows of styled text, and the fewest bytes that turn one into another. Made for a Linux console, a
 * VT100 at the end of a serial line, and whatever is better than those. Of control sequences it writes only these (ECMA-48):
 *
 *   ESC [ r ; c H   the cursor to row and column, from 1      ESC [ K   clears to the row's end      ESC [ 2 J   clears all
 *   ESC [ … m       0 plain, 1 bold, 4 underlined, 7 reversed, 30 to 37 and 38;5;n colours, 40 to 47 and 48;5;n behind them
 *
 * Text is escaped here and nowhere before: what a span holds is what the person should read, wherever it came from.
 */
import { printable } from "./escape-terminal.ts";

export interface Style {
  readonly bold?: boolean;
  readonly underline?: boolean;
  readonly reverse?: boolean;
  /** 0 to 7 as ECMA-48 counts colours; 8 to 255 as xterm does, left out where a terminal has only eight. */
  readonly colour?: number;
  readonly behind?: number;
}

export interface Span {
  readonly text: string;
  readonly style?: Style;
}

/** A row from its left, as it would be without an edge: it is cut to the screen. */
export type Line = readonly Span[];

/** How a terminal can look. */
export interface Looks {
  readonly colours: 0 | 8 | 256;
  /** False: what is not ASCII is written out as \u…, and lines and blocks are drawn with ASCII. */
  readonly unicode: boolean;
}

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

/** What stands in one or two columns of a row. */
export interface Cell {
  /** A character with the marks that combine with it. */
  readonly text: string;
  readonly width: 1 | 2;
  /** Parameters of SGR without the leading 0; empty for plain. */
  readonly style: string;
}

/** Rows of cells; a row that is shorter than the screen is blank behind its end. */
export type Frame = readonly (readonly Cell[])[];

export const RED = 1;
export const GREEN = 2;
export const YELLOW = 3;
export const CYAN = 6;

/** The lines as they will stand on the screen. More lines than it has rows are left out. */
export function frameOf(lines: readonly Line[], { columns, rows }: ScreenSize, looks: Looks): Frame {
  return lines.slice(0, rows).map((line) => cellsOf(line, columns, looks));
}

function cellsOf(line: Line, columns: number, looks: Looks): Cell[] {
  const cells: Cell[] = [];
  let used = 0;
  for (const { text, style } of line) {
    const sgr = sgrOf(style, looks);
    for (const character of harmless(text, looks)) {
      const width = widthOf(character);
      const last = cells.at(-1);
      if (width === 0) {
        // A mark without anything to stand on would be drawn onto whatever is left of it.
        if (last !== undefined && last.text.length < CELL_TEXT_MAX) cells[cells.length - 1] = { ...last, text: last.text + character };
        continue;
      }
      if (used + width > columns) return cells;
      used += width;
      cells.push({ text: character, width, style: sgr });
    }
  }
  while (cells.at(-1)?.text === " " && !/(?:^|;)(?:4|7|4[0-7]|48;5;\d+)(?:;|$)/.test(cells.at(-1)!.style)) cells.pop();
  return cells;
}

/** Names may carry any number of combining marks; a cell keeps so many UTF-16 units. */
const CELL_TEXT_MAX = 8;

/** A tab is an escape as well: it would jump over what stands there already. */
export function harmless(text: string, { unicode }: Pick<Looks, "unicode">): string {
  const shown = printable(text).replaceAll("\t", "\\x09");
  return unicode
    ? shown
    : shown.replace(/[^\x20-\x7e]/gu, (character) => DRAWN[character] ?? `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/**
 * What the program itself draws with, and how where a terminal knows only ASCII. Linux' own console has these too: its font is that of code page 437.
 */
const DRAWN: Readonly<Record<string, string>> = {
  "─": "-",
  "│": "|",
  "»": ">",
  "↑": "^",
  "↓": "v",
  "←": "<",
  "→": ">",
  "░": ".",
  "▒": ":",
  "▓": "*",
  "█": "#",
  "▀": '"',
  "▄": "_",
};

/** Columns that a text takes on a terminal, as it will be shown. */
export function columnsOf(text: string, looks: Pick<Looks, "unicode">): number {
  let columns = 0;
  for (const character of harmless(text, looks)) columns += widthOf(character);
  return columns;
}

/** `text` in at most so many columns, `~` where something is missing: in the middle, since the ends of names tell them apart. */
export function fitted(text: string, columns: number, looks: Pick<Looks, "unicode">): string {
  const whole = harmless(text, looks);
  if (columnsOf(whole, looks) <= columns) return whole;
  if (columns <= 1) return columns === 1 ? "~" : "";
  const characters = [...whole];
  const tailColumns = Math.floor((columns - 1) / 2);
  let tail = "";
  let used = 0;
  for (let index = characters.length - 1; index >= 0 && used + widthOf(characters[index]!) <= tailColumns; index -= 1) {
    used += widthOf(characters[index]!);
    tail = characters[index]! + tail;
  }
  let head = "";
  used = 0;
  for (const character of characters) {
    if (used + widthOf(character) > columns - 1 - tailColumns) break;
    used += widthOf(character);
    head += character;
  }
  return `${head}~${tail}`;
}

/** Text over several lines of at most so many columns, broken at blanks where there are any. */
export function wrapped(text: string, columns: number, looks: Pick<Looks, "unicode">): string[] {
  if (columns < 1) return [];
  const lines: string[] = [];
  let line = "";
  let used = 0;
  const end = () => {
    if (line.trim() !== "") lines.push(line.trimEnd());
    line = "";
    used = 0;
  };
  for (const word of harmless(text, looks).split(/(?<= )/u)) {
    const columnsOfWord = columnsOf(word.trimEnd(), looks);
    if (used > 0 && used + columnsOfWord > columns) end();
    for (const character of word) {
      if (used + widthOf(character) > columns) {
        if (character === " ") continue;
        end();
      }
      line += character;
      used += widthOf(character);
    }
  }
  end();
  return lines;
}

const MARK = /\p{Mn}|\p{Me}|\u200b|\u200c|\u200d|\u2060/u;
/** UAX #11: wide and full-width, in ranges; and what terminals draw as pictures. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

function widthOf(character: string): 0 | 1 | 2 {
  if (character >= " " && character <= "~") return 1;
  return MARK.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
}

function sgrOf(style: Style | undefined, { colours }: Looks): string {
  if (style === undefined) return "";
  const colour = (value: number | undefined, base: number): string[] => {
    if (value === undefined || colours === 0 || (value > 7 && colours < 256)) return [];
    return [value <= 7 ? `${base + value}` : `${base + 8};5;${value}`];
  };
  return [
    ...(style.bold === true ? ["1"] : []),
    ...(style.underline === true ? ["4"] : []),
    ...(style.reverse === true ? ["7"] : []),
    ...colour(style.colour, 30),
    ...colour(style.behind, 40),
  ].join(";");
}

/** The whole screen, from nothing. */
export function encodeFrame(frame: Frame, size: ScreenSize): string {
  return `\x1b[0m\x1b[2J${encodeChanges([], frame, size)}`;
}

/** What turns `before`, which stands on the screen, into `after`. Empty where nothing differs. The cursor stays where the last change was. */
export function encodeChanges(before: Frame, after: Frame, { rows }: ScreenSize): string {
  let out = "";
  for (let row = 0; row < Math.min(rows, Math.max(before.length, after.length)); row += 1)
    out += changedRow(row, before[row] ?? [], after[row] ?? []);
  return out;
}

function changedRow(row: number, before: readonly Cell[], after: readonly Cell[]): string {
  // Terminals do not agree on the width of what is not plain: such a row is drawn from its start to its end.
  const isCertain = before.every(certain) && after.every(certain);
  let first = 0;
  while (first < after.length && first < before.length && same(before[first]!, after[first]!)) first += 1;
  if (first === after.length && first === before.length) return "";
  if (!isCertain) first = 0;
  let last = after.length;
  if (isCertain && before.length === after.length) while (last > first && same(before[last - 1]!, after[last - 1]!)) last -= 1;
  const shorter = before.length > after.length || !isCertain;
  return `\x1b[${row + 1};${first + 1}H${styledText(after.slice(first, last))}${shorter ? "\x1b[K" : ""}`;
}

function styledText(cells: readonly Cell[]): string {
  let out = "";
  let style = "";
  for (const cell of cells) {
    if (cell.style !== style) out += cell.style === "" ? "\x1b[0m" : `\x1b[0;${cell.style}m`;
    style = cell.style;
    out += cell.text;
  }
  return style === "" ? out : `${out}\x1b[0m`;
}

/** ASCII, and what the program draws with. */
const certain = ({ text, width }: Cell): boolean => width === 1 && ((text >= " " && text <= "~" && text.length === 1) || text in DRAWN);
const same = (a: Cell, b: Cell): boolean => a.text === b.text && a.style === b.style;
