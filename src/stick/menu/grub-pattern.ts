/**
 * The globs of `hiperiso.json` (config/glob.ts) as expressions for GRUB's `regexp` (POSIX extended, over bytes): what the menu's script asks of
 * images that it meets itself. GRUB counts bytes where a glob counts letters: one letter that is not ASCII is taken for two to four bytes, and in
 * brackets such letters become alternatives.
 */
import { readBracket } from "../../config/glob.ts";

const ASCII_LETTER = "[ -.0-~]";
const ONE = `(${ASCII_LETTER}|[^ -~]{2,4})`;

/** Of a path from the data partition's root, with its first slash. Undefined where it is longer than GRUB is asked to compile. */
export function grubPattern(glob: string): string | undefined {
  const inFolder = glob.includes("/");
  const pattern = inFolder ? glob.replace(/^\*\.?\//, "**/").replace(/^\/+/, "") : glob;
  const body = bodyOf([...pattern]);
  const plain = [...glob].map(literal).join("");
  // As in matchesPath: a path that was copied into the file means itself.
  const itself = glob.startsWith("/") && plain !== `/${body}` ? `|${plain}` : "";
  const whole = inFolder ? `^(/${body}${itself})$` : `^(.*/)?${body}$`;
  return whole.length > PATTERN_MAX ? undefined : whole;
}

const PATTERN_MAX = 2000;

function bodyOf(pattern: readonly string[]): string {
  let text = "";
  for (let at = 0; at < pattern.length; ) {
    const letter = pattern[at]!;
    if (letter === "*") {
      const startsElement = at === 0 || pattern[at - 1] === "/";
      let end = at;
      while (pattern[end] === "*") end += 1;
      const isElement = startsElement && end - at === 2;
      if (isElement && pattern[end] === "/") {
        text += "([^/]*/)*";
        end += 1;
      } else text += isElement && end === pattern.length ? ".*" : "[^/]*";
      at = end;
    } else if (letter === "?") {
      text += ONE;
      at += 1;
    } else if (letter === "[") {
      const bracket = bracketAt(pattern, at);
      text += bracket?.text ?? literal("[");
      at = bracket?.end ?? at + 1;
    } else {
      const escapes = letter === "\\" && at + 1 < pattern.length;
      text += literal(escapes ? pattern[at + 1]! : letter);
      at += escapes ? 2 : 1;
    }
  }
  return text;
}

const literal = (letter: string): string => (/[.[\]{}()*+?^$|\\]/.test(letter) ? `\\${letter}` : letter);

/** A bracket expression as config/glob.ts reads it, as alternatives: each is one letter, a range of ASCII, or any letter where that says too little. */
function bracketAt(pattern: readonly string[], start: number): { readonly text: string; readonly end: number } | undefined {
  const bracket = readBracket(pattern, start);
  if (bracket === undefined) return undefined;
  const ranges = bracket.ranges.map(([low, high]) => [String.fromCodePoint(low), String.fromCodePoint(high)] as const);
  return { text: bracket.isNegated ? noneOf(ranges) : oneOf(ranges), end: bracket.end };
}

type Ranges = readonly (readonly [low: string, high: string])[];

const code = (letter: string): number => letter.codePointAt(0)!;
const isAscii = (letter: string): boolean => code(letter) >= 0x20 && code(letter) < 0x7f;

function oneOf(ranges: Ranges): string {
  const ways = ranges.flatMap(([low, high]) => {
    if (low === high) return [literal(low)];
    if (code(low) > code(high)) return [];
    if (isAscii(low) && isAscii(high)) return [...asciiBetween(low, high)].map(literal);
    return [ONE];
  });
  // Ranges of which none holds anything match nothing: no path has two slashes side by side.
  return ways.length === 0 ? "//" : `(${[...new Set(ways)].join("|")})`;
}

function noneOf(ranges: Ranges): string {
  const listed = (letter: string) => ranges.some(([low, high]) => code(letter) >= code(low) && code(letter) <= code(high));
  const ways = [...asciiBetween(" ", "~")].filter((letter) => letter !== "/" && !listed(letter)).map(literal);
  return `(${[...ways, "[^ -~]{2,4}"].join("|")})`;
}

const asciiBetween = (low: string, high: string): readonly string[] =>
  Array.from({ length: code(high) - code(low) + 1 }, (_, index) => String.fromCharCode(code(low) + index)).filter(
    (letter) => letter !== "/",
  );
