/**
 * Names on FAT volumes (Microsoft, "FAT: General Overview of On-Disk Format" 1.03: "FAT Directory Structure", "FAT Long Directory Entries",
 * "Name Limits and Character Sets", "Naming Conventions and Long Names"): the 8.3 name of 11 bytes that each entry has, in the OEM
 * character set of whoever wrote it, and the long name in UTF-16 beside it.
 */
import { latin1 } from "./bytes.ts";

export type CodePage = 437 | 850;

/** What bytes 0x80 to 0xFF are: of the original IBM PC (also Linux's default), and of Western Europe. */
const OEM: Record<CodePage, string> = {
  437:
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐" +
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0",
  850:
    "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐" +
    "└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u00ad±‗¾¶§÷¸°¨·¹³²■\u00a0",
};

export function decodeOem(bytes: Uint8Array, codePage: CodePage): string {
  let text = "";
  for (const byte of bytes) text += byte < 0x80 ? String.fromCharCode(byte) : OEM[codePage][byte - 0x80];
  return text;
}

/** Undefined where a character is not in the code page. */
export function encodeOem(text: string, codePage: CodePage): Uint8Array | undefined {
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.charCodeAt(0);
    const at = code < 0x80 ? code : OEM[codePage].indexOf(character) + 0x80;
    if (character.length !== 1 || (code >= 0x80 && at === 0x7f)) return undefined;
    bytes.push(at);
  }
  return Uint8Array.from(bytes);
}

export const SHORT_NAME_BYTES = 11;
/** Windows NT's byte 12 of an entry: base, extension of the 8.3 name are in small letters. */
const SMALL_BASE = 8;
const SMALL_EXTENSION = 16;
/** Stands for 0xE5 as the first byte, which would say that the entry is deleted. */
const KANJI_E5 = 0x05;

/** An 8.3 name as people read it. */
export function shortNameText(name: Uint8Array, small: number, codePage: CodePage): string {
  const bytes = name.slice(0, SHORT_NAME_BYTES);
  if (bytes[0] === KANJI_E5) bytes[0] = 0xe5;
  const part = (start: number, end: number, bit: number) => {
    const text = decodeOem(bytes.subarray(start, end), codePage).replace(/ +$/, "");
    return (small & bit) === 0 ? text : text.toLowerCase();
  };
  const base = part(0, 8, SMALL_BASE);
  const extension = part(8, SHORT_NAME_BYTES, SMALL_EXTENSION);
  return extension === "" ? base : `${base}.${extension}`;
}

const SHORT_CHARACTERS = "A-Z0-9!#$%&'()@^_`{}~-";
const SHORT_NAME = new RegExp(`^[${SHORT_CHARACTERS}]{1,8}(\\.[${SHORT_CHARACTERS}]{1,3})?$`);

/** True where the 8.3 name says all of the name, so that it needs no long one. */
export const isShortName = (name: string): boolean => SHORT_NAME.test(name);

/** Where in 11 bytes a character stands that no 8.3 name may hold; undefined where all are good. */
export function shortNameFault(name: Uint8Array): number | undefined {
  if (name[0] === 0x20) return 0;
  for (let at = 0; at < SHORT_NAME_BYTES; at += 1) {
    const byte = name[at]!;
    const forbidden =
      byte < 0x20 ? !(byte === KANJI_E5 && at === 0) : byte < 0x80 && /["*+,./:;<=>?[\\\]|a-z\x7f]/.test(String.fromCharCode(byte));
    if (forbidden) return at;
  }
  return undefined;
}

export const LONG_NAME_UNITS_MAX = 255;

/** What is wrong with a name: undefined where FAT can hold it. Blanks and dots at the end are what Windows takes off a name. */
export function longNameFault(name: string): string | undefined {
  if (name.length === 0) return "an empty name";
  if (name.length > LONG_NAME_UNITS_MAX) return `${name.length} UTF-16 units, more than ${LONG_NAME_UNITS_MAX}`;
  const bad = /[\x00-\x1f"*/:<>?\\|]/.exec(name);
  if (bad !== null) return `the character U+${bad[0].charCodeAt(0).toString(16).padStart(4, "0").toUpperCase()}`;
  return /[ .]$/.test(name) ? "a blank or dot at its end" : undefined;
}

/** The same with `_` for what is forbidden. */
export function mendedLongName(name: string): string {
  const replaced = name
    .slice(0, LONG_NAME_UNITS_MAX)
    .replace(/[\x00-\x1f"*/:<>?\\|]/g, "_")
    .replace(/[ .]+$/, "_");
  return longNameFault(replaced) === undefined ? replaced : "unnamed";
}

/**
 * The 11 bytes for a name, ASCII alone: what other characters are in 8.3 names depends on who reads them. As Windows does it: the name itself
 * where that is 8.3 but for capital letters, else with `~1` to `~4`, else with two letters and four digits of a sum of the name before `~1`.
 * (Microsoft's paper counts up to ~999999; in a folder of many like names that takes a look at each.) `isTaken`: is asked with names such as `README.TXT`.
 * `salt`: tells names apart that are the same, so that not each has to pass by all the others.
 */
export function shortNameFor(name: string, isTaken: (short: string) => boolean, salt = ""): Uint8Array {
  const trimmed = name.replace(/^[ .]+/, "");
  const dot = trimmed.lastIndexOf(".");
  const rawBase = dot > 0 ? trimmed.slice(0, dot) : trimmed;
  const rawExtension = dot > 0 ? trimmed.slice(dot + 1) : "";
  const base = shortCharacters(rawBase);
  const extension = shortCharacters(rawExtension).slice(0, 3);
  const plain = extension === "" ? base : `${base}.${extension}`;
  if (plain === name.replace(/[a-z]/g, capital) && isShortName(plain) && !isTaken(plain)) return shortNameBytes(base, extension);
  for (let number = 1; ; number += 1) {
    const stem = number <= NUMBERED_MAX ? base : `${base.slice(0, 2)}${sumOf(name + salt, Math.floor((number - NUMBERED_MAX - 1) / 9))}`;
    const tail = `~${number <= NUMBERED_MAX ? number : ((number - NUMBERED_MAX - 1) % 9) + 1}`;
    const candidate = `${stem.slice(0, 8 - tail.length)}${tail}`;
    if (!isTaken(extension === "" ? candidate : `${candidate}.${extension}`)) return shortNameBytes(candidate, extension);
  }
}

const NUMBERED_MAX = 4;
const capital = (letter: string): string => letter.toUpperCase();

/** Blanks and dots go, what cannot be becomes `_`. */
const shortCharacters = (text: string): string =>
  text
    .replace(/[ .]/g, "")
    .replace(/[a-z]/g, capital)
    .replace(new RegExp(`[\\ud800-\\udbff][\\udc00-\\udfff]|[^${SHORT_CHARACTERS}]`, "g"), "_");

/** 16 bits (FNV-1a, folded) as four digits; `turn` gives another for the same name. */
function sumOf(name: string, turn: number): string {
  let sum = 0x811c_9dc5;
  for (const unit of `${name}${turn === 0 ? "" : turn}`) sum = Math.imul(sum ^ unit.charCodeAt(0), 0x0100_0193);
  return ((sum >>> 16) ^ (sum & 0xffff)).toString(16).toUpperCase().padStart(4, "0");
}

const shortNameBytes = (base: string, extension: string): Uint8Array => new TextEncoder().encode(base.padEnd(8) + extension.padEnd(3));

/** Could this 8.3 name have been made for that long one? By its first letters, as far as all who make them agree. */
export function couldBeShortOf(short: Uint8Array, long: string): boolean {
  const text = latin1(short.subarray(0, 8)).replace(/ +$/, "");
  const letters = /^[^~]{0,2}/.exec(text)![0];
  return shortCharacters(long.replace(/^[ .]+/, "")).startsWith(letters);
}

/** What is wrong with a volume's label: undefined where FAT can hold it. */
export function fatLabelFault(label: string, codePage: CodePage): string | undefined {
  const bytes = encodeOem(label, codePage);
  if (bytes === undefined) return `a character that code page ${codePage} does not have`;
  if (bytes.length > SHORT_NAME_BYTES) return `${bytes.length} characters, more than ${SHORT_NAME_BYTES}`;
  const bad = /[\x00-\x1f"*+,./:;<=>?[\\\]|\x7f]/.exec(label);
  if (bad !== null) return `the character ${JSON.stringify(bad[0])}`;
  return label.startsWith(" ") ? "a blank at its start" : undefined;
}

/** 11 bytes, in capital letters as Windows keeps labels. The label must be one that `fatLabelFault` finds nothing wrong with. */
export function encodeFatLabel(label: string, codePage: CodePage): Uint8Array {
  const bytes = new Uint8Array(SHORT_NAME_BYTES).fill(0x20);
  bytes.set(encodeOem(label.replace(/[a-z]/g, capital), codePage) ?? []);
  if (bytes[0] === 0xe5) bytes[0] = KANJI_E5;
  return bytes;
}

export const NO_NAME = "NO NAME";

/** The same 11 bytes with `_` for each byte that no label may hold. */
export const mendedFatLabel = (bytes: Uint8Array): Uint8Array =>
  bytes.map((byte, at) =>
    (byte === KANJI_E5 && at === 0) || (byte >= 0x20 && byte !== 0x7f && !/["*+,./:;<=>?[\\\]|a-z]/.test(String.fromCharCode(byte)))
      ? byte
      : capitalByte(byte),
  );

const capitalByte = (byte: number): number => (byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : 0x5f);

/** Of a boot sector or a label entry; empty for `NO NAME`. */
export function decodeFatLabel(bytes: Uint8Array, codePage: CodePage): string {
  const copy = bytes.slice(0, SHORT_NAME_BYTES);
  if (copy[0] === KANJI_E5) copy[0] = 0xe5;
  const label = decodeOem(copy, codePage).replace(/[ \0]+$/, "");
  return label === NO_NAME ? "" : label;
}
