/**
 * Keys by the names that people use for them, as the codes of QEMU's `send-key` (QKeyCode in qapi/ui.json), for a keyboard of the US
 * layout: a guest that is set to another layout reads other characters from the same keys.
 */
import { nearestWord } from "../config/nearest-word.ts";
import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";

/** Keys that are held down together, in the order in which they are pressed: `["ctrl", "alt", "f2"]`. */
export type Chord = readonly string[];

/** More fingers than a person has say that something else was meant. */
const CHORD_KEYS_MAX = 8;

/** Other names of keys. Left and right of a pair are told apart only where the name says so. */
const ALIASES: Readonly<Record<string, string>> = {
  control: "ctrl",
  option: "alt",
  altgr: "alt_r",
  alt_gr: "alt_r",
  meta: "meta_l",
  super: "meta_l",
  win: "meta_l",
  windows: "meta_l",
  cmd: "meta_l",
  enter: "ret",
  return: "ret",
  escape: "esc",
  space: "spc",
  del: "delete",
  ins: "insert",
  bksp: "backspace",
  pageup: "pgup",
  page_up: "pgup",
  pagedown: "pgdn",
  page_down: "pgdn",
  printscreen: "print",
  prtsc: "print",
  capslock: "caps_lock",
  numlock: "num_lock",
  scrolllock: "scroll_lock",
  dash: "minus",
  equals: "equal",
  period: "dot",
  quote: "apostrophe",
  backquote: "grave_accent",
  backtick: "grave_accent",
};

const numbered = (prefix: string, first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, index) => `${prefix}${first + index}`);

/** The keys of a PC keyboard with 105 keys, by QEMU's names, and the power key of an ACPI keyboard. */
const KEYS: ReadonlySet<string> = new Set([
  ..."abcdefghijklmnopqrstuvwxyz0123456789",
  ...numbered("f", 1, 12),
  ...numbered("kp_", 0, 9),
  ...["kp_add", "kp_subtract", "kp_multiply", "kp_divide", "kp_decimal", "kp_enter"],
  ...["shift", "shift_r", "ctrl", "ctrl_r", "alt", "alt_r", "meta_l", "meta_r", "menu", "caps_lock", "num_lock", "scroll_lock"],
  ...["esc", "tab", "ret", "spc", "backspace", "insert", "delete", "home", "end", "pgup", "pgdn", "up", "down", "left", "right"],
  ...["minus", "equal", "bracket_left", "bracket_right", "semicolon", "apostrophe", "grave_accent", "backslash", "less"],
  ...["comma", "dot", "slash", "print", "sysrq", "pause", "power", "sleep", "wake"],
]);

const NAMES: ReadonlyMap<string, string> = new Map([...KEYS, ...Object.keys(ALIASES)].map((name) => [name, name]));

/** The key of each character that is no letter and no digit, without shift and with it. */
const PLAIN: Readonly<Record<string, string>> = {
  " ": "spc",
  "\n": "ret",
  "\r": "ret",
  "\t": "tab",
  "\x1b": "esc",
  "\b": "backspace",
  "\x7f": "backspace",
  "-": "minus",
  "=": "equal",
  "[": "bracket_left",
  "]": "bracket_right",
  ";": "semicolon",
  "'": "apostrophe",
  "`": "grave_accent",
  "\\": "backslash",
  ",": "comma",
  ".": "dot",
  "/": "slash",
};
const SHIFTED: Readonly<Record<string, string>> = {
  "!": "1",
  "@": "2",
  "#": "3",
  $: "4",
  "%": "5",
  "^": "6",
  "&": "7",
  "*": "8",
  "(": "9",
  ")": "0",
  _: "minus",
  "+": "equal",
  "{": "bracket_left",
  "}": "bracket_right",
  ":": "semicolon",
  '"': "apostrophe",
  "~": "grave_accent",
  "|": "backslash",
  "<": "comma",
  ">": "dot",
  "?": "slash",
};

/**
 * `ctrl-alt-f2`, `shift+a`, `ret`, `ctrl-:`: names joined by `-` or `+`, upper or lower case alike, a character standing for its key
 * (with shift where it needs that). `-` and `+` stand for themselves where they stand alone; beside others they are `minus` and `shift-equal`.
 * Throws (kind `usage`) at a name that no key has.
 */
export function keysOf(chord: string): Chord {
  const names = chord.length === 1 ? [chord] : chord.split(/[-+]/);
  const keys = names.flatMap((name) => keyOf(name, chord));
  if (keys.length > CHORD_KEYS_MAX) throw unknown(chord, `at most ${CHORD_KEYS_MAX} keys`, `${keys.length}`);
  return [...new Set(keys)];
}

function keyOf(name: string, chord: string): Chord {
  const word = name.toLowerCase();
  const key = Object.hasOwn(ALIASES, word) ? ALIASES[word]! : word;
  if (KEYS.has(key)) return [key];
  const typed = chordOfCharacter(name);
  if (typed !== undefined) return typed;
  const near = nearestWord(word, NAMES);
  throw unknown(
    chord,
    "names of keys joined by -, such as ctrl-alt-f2, ret, esc, pgup",
    `"${printable(name)}"${near === undefined ? "" : `; ${near} is one`}`,
  );
}

/** One chord a character, in order: what a person would press. Throws (kind `usage`) at a character that the US layout has no key for. */
export function keysOfText(text: string): readonly Chord[] {
  return Array.from(text.replaceAll("\r\n", "\n"), (character) => {
    const chord = chordOfCharacter(character);
    if (chord !== undefined) return chord;
    throw new HiperisoError({
      what: "type a text on the guest's keyboard",
      expected: "characters that a keyboard of the US layout has",
      found: `"${printable(character)}"`,
      hint: "Send it to the serial console, which takes any text.",
      kind: "usage",
    });
  });
}

function chordOfCharacter(character: string): Chord | undefined {
  if (/^[a-z0-9]$/.test(character)) return [character];
  if (/^[A-Z]$/.test(character)) return ["shift", character.toLowerCase()];
  if (Object.hasOwn(PLAIN, character)) return [PLAIN[character]!];
  return Object.hasOwn(SHIFTED, character) ? ["shift", SHIFTED[character]!] : undefined;
}

/** The argument `keys` of QMP's `send-key`. */
export const keyValues = (chord: Chord): readonly { readonly type: "qcode"; readonly data: string }[] =>
  chord.map((data) => ({ type: "qcode", data }));

const unknown = (chord: string, expected: string, found: string): HiperisoError =>
  new HiperisoError({ what: `press ${printable(chord)}`, expected, found, kind: "usage" });
