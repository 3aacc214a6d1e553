/**
 * A guest's console on its way to the terminal of somebody who works with it: what an installer's menus draw with passes, what acts on more
 * than the screen does not. `TerminalFilter` is for reading along; this is for a whole screen (ECMA-48; xterm's ctlseqs).
 *
 * Kept: text; BS, tab, LF, CR, SO, SI; cursor movement, erasing, scrolling, insertion, colours, tabulators, character sets, and the modes
 * named below. Taken away: control strings (titles, clipboard, files: OSC, DCS, APC, PM, SOS), queries, which would be answered into the
 * guest or, later, into the person's shell, printing, mouse, window changes, the bell, concealed text, and whatever is not known here.
 */
import { printable } from "./escape-terminal.ts";

/** Longer is no sequence, and a string that never ends is given up behind this: a broken guest cannot silence its own console. */
const SEQUENCE_MAX = 4096;
/** Of parameters and intermediates; what menus send stays below 30. */
const PARAMETERS_MAX = 64;

const CONTROLS = "\b\t\n\r\x0e\x0f";
/** Behind ESC: save and restore the cursor, index, next line, reverse index, set a tabulator, reset, keypad. */
const ESCAPES = "78DEMHc=>";
/** Behind ESC [ and parameters: what moves, erases, inserts, scrolls, colours. */
const SEQUENCES = "ABCDEFGHIJKLMPSTXZ@`adefgmr";
/** ANSI modes: insertion. */
const MODES = new Set(["4"]);
/** DEC's private modes: cursor keys, origin, wrapping, the cursor's blinking and sight, the alternate screen. */
const PRIVATE_MODES = new Set(["1", "6", "7", "12", "25", "47", "1047", "1048", "1049"]);

/** Everything back to what a shell expects: scroll region, alternate screen, character set, modes, colours. */
const RESTORE = "\x1b7\x1b[r\x1b8\x1b[?1049l\x1b(B\x0f\x1b[4l\x1b[?1l\x1b[?6l\x1b[?7h\x1b[?12l\x1b[?25h\x1b>\x1b[0m";

type State = "text" | "escape" | "character set" | "control sequence" | "string" | "string escape";

export class ScreenFilter {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #state: State = "text";
  #sequence = "";
  #length = 0;
  #changed = false;

  /** What may be shown of `chunk`, which may end inside a character or a sequence. */
  write(chunk: Uint8Array): string {
    let out = "";
    for (const character of this.#decoder.decode(chunk, { stream: true })) out += this.#step(character);
    return out;
  }

  /** Leaves the terminal as a shell expects it. */
  end(): string {
    this.#state = "text";
    return this.#changed ? RESTORE : "";
  }

  #step(character: string): string {
    if (character === "\x18" || character === "\x1a") return this.#enter("text");
    if (character === "\x1b" && (this.#state === "control sequence" || this.#state === "character set")) return this.#enter("escape");
    if (this.#state !== "text" && ++this.#length > SEQUENCE_MAX) this.#enter("text");
    switch (this.#state) {
      case "text":
        return this.#text(character);
      case "escape":
        return this.#escape(character);
      case "character set":
        return this.#leave(/[0-9A-Z]/.test(character) ? `\x1b${this.#sequence}${character}` : "");
      case "control sequence":
        return this.#controlSequence(character);
      case "string":
        if (character === "\x1b") this.#state = "string escape";
        else if (character === "\x07" || character === "\x9c" || character === "\n") this.#enter("text");
        return character === "\n" ? character : "";
      case "string escape":
        this.#enter("text");
        return character === "\\" ? "" : this.#escape(character);
    }
  }

  #text(character: string): string {
    if (character === "\x1b") return this.#enter("escape");
    if (character === "\x9b") return this.#enter("control sequence");
    if ("\x90\x98\x9d\x9e\x9f".includes(character)) return this.#enter("string");
    if (CONTROLS.includes(character)) return character;
    return character < " " || (character >= "\x7f" && character <= "\x9f") ? "" : printable(character);
  }

  #escape(character: string): string {
    if (character === "[") return this.#enter("control sequence");
    if (character === "\x1b") return this.#enter("escape");
    if ("]PX^_".includes(character)) return this.#enter("string");
    if ("()*+".includes(character)) {
      this.#enter("character set");
      this.#sequence = character;
      return "";
    }
    return this.#leave(ESCAPES.includes(character) ? `\x1b${character}` : "");
  }

  #controlSequence(character: string): string {
    if (character >= " " && character <= "?") {
      this.#sequence += character;
      return "";
    }
    if (CONTROLS.includes(character)) return character; // a terminal obeys them inside a sequence too
    return this.#leave(character >= "@" && character <= "~" ? harmlessSequence(this.#sequence, character) : "");
  }

  #enter(state: State): "" {
    this.#state = state;
    this.#sequence = "";
    this.#length = 0;
    return "";
  }

  #leave(shown: string): string {
    this.#enter("text");
    this.#changed ||= shown !== "";
    return shown;
  }
}

function harmlessSequence(parameters: string, final: string): string {
  if (parameters.length > PARAMETERS_MAX) return "";
  const sequence = `\x1b[${parameters}${final}`;
  if (final === "h" || final === "l") return harmlessModes(parameters, final);
  if (!/^[\d;:]*$/.test(parameters)) return "";
  if (final === "s" || final === "u") return parameters === "" ? sequence : ""; // the cursor, saved and brought back
  if (!SEQUENCES.includes(final)) return "";
  return final === "m" ? harmlessColours(parameters) : sequence;
}

function harmlessModes(parameters: string, final: string): string {
  const isPrivate = parameters.startsWith("?");
  const known = isPrivate ? PRIVATE_MODES : MODES;
  const modes = parameters
    .slice(isPrivate ? 1 : 0)
    .split(";")
    .filter((mode) => known.has(mode));
  return modes.length === 0 ? "" : `\x1b[${isPrivate ? "?" : ""}${modes.join(";")}${final}`;
}

/** SGR without 8, conceal. The numbers behind 38, 48 and 58 are a colour's, and 8 among them is one. */
function harmlessColours(parameters: string): string {
  const numbers = parameters.split(";");
  const kept: string[] = [];
  for (let at = 0; at < numbers.length; at += 1) {
    const number = numbers[at] ?? "";
    const colour = ["38", "48", "58"].includes(number) ? { "5": 3, "2": 5 }[numbers[at + 1] ?? ""] : undefined;
    if (colour !== undefined) {
      kept.push(...numbers.slice(at, at + colour));
      at += colour - 1;
    } else if (Number(number) !== 8 || number === "") kept.push(number);
  }
  return kept.length === 0 ? "" : `\x1b[${kept.join(";")}m`;
}
