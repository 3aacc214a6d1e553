/**
 * The text that a person saw, out of what a console was sent: one raw line (without its LF) becomes the texts that stood
 * on the screen one after the other. ECMA-48 for the sequences.
 *
 * A return to the line's start, a jump of the cursor and a cleared screen end a text: what follows is drawn elsewhere or over it.
 * A jump to the very cell where the cursor stands is none (GRUB and OVMF draw menus letter by letter that way), and one a
 * little to the right on the same row is a blank. Of several jumps the last counts: SeaBIOS' serial console looks back at a
 * letter in the middle of a word before it goes on.
 */

/** ESC [ … , ESC ] … , the other strings, ESC with intermediates, and C0 but tab. */
const SEQUENCE = new RegExp(
  [
    "\\x1b\\[[0-?]{0,32}[ -/]{0,4}[@-~]?",
    "\\x1b\\][^\\x07\\x1b\\n]{0,512}(?:\\x07|\\x1b\\\\)?",
    "\\x1b[PX^_][^\\x1b\\n]{0,512}(?:\\x1b\\\\)?",
    "\\x1b[ -/]{0,4}[0-~]?",
    "[\\0-\\x08\\x0b-\\x1f\\x7f]",
    "(?:\\^\\[|#033)\\[[0-9;]{0,16}[mK]",
  ].join("|"),
  "g",
);
/** Colours that a capture tool or syslog wrote out as text. */
export const WRITTEN_OUT = /(?:\^\[|#033)\[[0-9;]{0,16}[mK]/g;
const DIRTY = /[\0-\x08\x0b-\x1f\x7f]|\^\[\[|#033\[/;

/** Texts of one raw line, in the order in which they were drawn; blank ones left out. `[""]` is never returned: a blank line gives `[]`. */
export function consoleTexts(raw: string): readonly string[] {
  const line = raw.trimEnd(); // most lines are clean but for the CR before their LF
  if (!DIRTY.test(line)) return line === "" ? [] : [line];
  const texts: string[] = [];
  let text = "";
  // Cells from 1. A line begins in the first column of a row that nobody told.
  let row = -1;
  let column = 1;
  let jump: readonly [row: number, column: number] | undefined;
  let from = 0;
  const end = () => {
    if (text.trim() !== "") texts.push(text.trimEnd());
    text = "";
    jump = undefined;
  };
  const land = () => {
    if (jump === undefined) return;
    const [toRow, toColumn] = jump;
    const isHere = text !== "" && toColumn === column && (row === -1 || toRow === row);
    if (!isHere && toRow === row && toColumn > column) text += " ";
    else if (!isHere) end();
    [row, column] = [toRow, toColumn];
    jump = undefined;
  };
  SEQUENCE.lastIndex = 0;
  for (let match = SEQUENCE.exec(raw); match !== null; match = SEQUENCE.exec(raw)) {
    const sequence = match[0];
    if (match.index > from) land();
    text += raw.slice(from, match.index);
    column += match.index - from;
    from = SEQUENCE.lastIndex;
    if (sequence === "\b") {
      land();
      text = text.slice(0, -1);
      column -= 1;
    } else if (sequence === "\r") {
      end();
      row = -1;
      column = 1;
    } else if (sequence.startsWith("\x1b[")) {
      const final = sequence.at(-1)!;
      if (final === "H" || final === "f") {
        const [toRow = 1, toColumn = 1] = sequence
          .slice(2, -1)
          .split(";")
          .map((part) => Number(part) || 1);
        jump = [toRow, toColumn];
      } else if (final === "C") {
        land();
        text += " ";
      } else if ("ABEFGd".includes(final) || (final === "J" && sequence !== "\x1b[J" && sequence !== "\x1b[0J")) {
        end();
        row = -1;
      }
    } else if (sequence === "\x1bM" || sequence === "\x1bc" || sequence === "\x0c") {
      end();
      row = -1;
    }
  }
  if (from < raw.length) land();
  text += raw.slice(from);
  end();
  return texts;
}
