/**
 * What a terminal sends when keys are pressed (ECMA-48; xterm's ctlseqs "PC-Style Function Keys"; console_codes(4); VT100 user guide, 3.3):
 *
 *   text                   UTF-8
 *   ESC [ A, ESC O A       up; B down, C right, D left, H home, F end
 *   ESC [ n ~              1 and 7 home, 2 insert, 3 delete, 4 and 8 end, 5 page up, 6 page down, 11 to 24 F1 to F12
 *   ESC O P … S            F1 to F4; ESC [ [ A … E: F1 to F5 of Linux' own console
 *   ESC [ Z                tab with shift
 *   ESC [ r ; c R          no key: the answer to "where is the cursor" (ESC [ 6 n)
 *   0x0d, 0x0a             enter; 0x08, 0x7f backspace; other bytes below 0x20: Ctrl and a letter
 *
 * Parameters that say which modifiers were held (ESC [ 1 ; 5 A) are read over: the key is the same.
 */

export type NamedKey =
  | "up"
  | "down"
  | "left"
  | "right"
  | "home"
  | "end"
  | "page up"
  | "page down"
  | "insert"
  | "delete"
  | "enter"
  | "tab"
  | "shift tab"
  | "backspace"
  | "escape"
  | `f${number}`
  /** `ctrl-a` to `ctrl-z`. */
  | `ctrl-${string}`;

export type Key =
  | { readonly type: "named"; readonly name: NamedKey }
  /** One character that was typed, never a control character. */
  | { readonly type: "text"; readonly text: string }
  /** Where the cursor stands, from 1: the answer of a terminal that was asked. */
  | { readonly type: "position"; readonly row: number; readonly column: number };

const FINALS: Readonly<Record<string, NamedKey>> = {
  A: "up",
  B: "down",
  C: "right",
  D: "left",
  F: "end",
  H: "home",
  P: "f1",
  Q: "f2",
  S: "f4",
  Z: "shift tab",
};
const NUMBERED: Readonly<Record<string, NamedKey>> = {
  1: "home",
  2: "insert",
  3: "delete",
  4: "end",
  5: "page up",
  6: "page down",
  7: "home",
  8: "end",
  11: "f1",
  12: "f2",
  13: "f3",
  14: "f4",
  15: "f5",
  17: "f6",
  18: "f7",
  19: "f8",
  20: "f9",
  21: "f10",
  23: "f11",
  24: "f12",
};
const LINUX_CONSOLE: Readonly<Record<string, NamedKey>> = { A: "f1", B: "f2", C: "f3", D: "f4", E: "f5" };
/** Longer is no key. */
const SEQUENCE_MAX = 32;

type State = "text" | "escape" | "control sequence" | "linux function key" | "application";

/** Bytes may end anywhere. Never throws; what is no key that is known here is left out. */
export class KeyDecoder {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #state: State = "text";
  #sequence = "";

  push(bytes: Uint8Array): Key[] {
    const keys: Key[] = [];
    for (const character of this.#decoder.decode(bytes, { stream: true })) keys.push(...this.#step(character));
    return keys;
  }

  /** True while what came may be the beginning of a key. ESC alone is a key too: only time tells, and then `settle` does. */
  get isPending(): boolean {
    return this.#state !== "text";
  }

  /** Nothing more came for a while: what is pending is all there is. */
  settle(): Key[] {
    const wasEscape = this.#state === "escape";
    this.#enter("text");
    return wasEscape ? [named("escape")] : [];
  }

  #step(character: string): Key[] {
    switch (this.#state) {
      case "text":
        return character === "\x1b" ? this.#enter("escape") : keyOf(character);
      case "escape":
        if (character === "[") return this.#enter("control sequence");
        if (character === "O") return this.#enter("application");
        if (character === "\x1b") return [named("escape")]; // and this one begins anew
        this.#enter("text");
        return [named("escape"), ...keyOf(character)];
      case "application":
        if (/[0-9;]/.test(character)) return this.#collect(character);
        return this.#leave(FINALS[character] ?? (character === "R" ? "f3" : character === "M" ? "enter" : undefined));
      case "linux function key":
        return this.#leave(LINUX_CONSOLE[character]);
      case "control sequence":
        return this.#controlSequence(character);
    }
  }

  #controlSequence(character: string): Key[] {
    if (character === "[" && this.#sequence === "") return this.#enter("linux function key");
    if (character >= " " && character <= "?") return this.#collect(character);
    if (character < "@" || character > "~") {
      this.#enter("text"); // cut off: what comes is a key of its own
      return this.#step(character);
    }
    const [first = "", second = ""] = this.#sequence.split(";");
    if (character === "R" && isNumber(first) && isNumber(second)) {
      this.#enter("text");
      return [{ type: "position", row: Number(first), column: Number(second) }];
    }
    return this.#leave(character === "~" ? NUMBERED[first] : FINALS[character]);
  }

  #collect(character: string): Key[] {
    this.#sequence += character;
    return this.#sequence.length > SEQUENCE_MAX ? this.#enter("text") : [];
  }

  #enter(state: State): Key[] {
    this.#state = state;
    this.#sequence = "";
    return [];
  }

  #leave(name: NamedKey | undefined): Key[] {
    this.#enter("text");
    return name === undefined ? [] : [named(name)];
  }
}

const named = (name: NamedKey): Key => ({ type: "named", name });
const isNumber = (text: string): boolean => /^[0-9]{1,4}$/.test(text);

function keyOf(character: string): Key[] {
  const code = character.codePointAt(0)!;
  if (code === 0x0d || code === 0x0a) return [named("enter")];
  if (code === 0x09) return [named("tab")];
  if (code === 0x08 || code === 0x7f) return [named("backspace")];
  if (code >= 1 && code <= 26) return [named(`ctrl-${String.fromCharCode(code + 0x60)}`)];
  return code < 0x20 || (code >= 0x80 && code < 0xa0) || code === 0xfffd ? [] : [{ type: "text", text: character }];
}
