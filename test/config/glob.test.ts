import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileGlob } from "../../src/config/glob.ts";

/** bash's `[[ $name == $pattern ]]` for many pairs at once. It knows no path elements: only for names without `/`. */
function bashMatches(pairs: readonly (readonly [pattern: string, name: string])[]): boolean[] {
  const script = `while IFS= read -r -d '' p && IFS= read -r -d '' n; do [[ $n == $p ]] && echo 1 || echo 0; done`;
  const input = pairs.map(([pattern, name]) => `${pattern}\0${name}\0`).join("");
  const out = execFileSync("bash", ["--norc", "-c", script], { input, env: { LC_ALL: "C.UTF-8" }, maxBuffer: 2 ** 26 });
  return out
    .toString()
    .trim()
    .split("\n")
    .map((line) => line === "1");
}

const CHARACTERS = [
  "a",
  "b",
  "c",
  "]",
  "!",
  "(",
  ")",
  "{",
  "}",
  ",",
  "|",
  "+",
  "@",
  ".",
  "$",
  "^",
  '"',
  "'",
  " ",
  "-",
  "ä",
  "🙂",
  "#",
  "~",
];
const GLOBS = [
  "*",
  "**",
  "?",
  "[ab]",
  "[!a]",
  "[^b]",
  "[a-c]",
  "[]a]",
  "[!]a]",
  "[.]",
  "[a-]",
  "[c-a]",
  "[ä🙂]",
  "[\\]b]",
  "[a",
  "\\*",
  "\\[",
  "\\a",
];
const word = (units: readonly string[]) =>
  fc.array(fc.constantFrom(...units), { minLength: 1, maxLength: 6 }).map((parts) => parts.join(""));
/** In `[[ ]]` bash reads extended globs (`+(a)`) and, in brackets, classes (`[:alpha:]`, `[.a.]`), which are plain text here. */
const isExtended = (pattern: string): boolean => /[?*+@!]\(|\[.*\[[.:=]/.test(pattern);

describe("a glob against a name", () => {
  test("agrees with bash", () => {
    const pattern = word([...CHARACTERS, ...GLOBS, ...GLOBS]).filter((text) => !isExtended(text));
    fc.assert(
      fc.property(fc.array(fc.tuple(pattern, word([...CHARACTERS, "*", "[", "\\"])), { minLength: 200, maxLength: 400 }), (pairs) => {
        const bash = bashMatches(pairs);
        expect(bash).toHaveLength(pairs.length);
        expect(pairs.filter(([glob, name], index) => compileGlob(glob)(name) !== bash[index])).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  test("written without special characters matches itself and nothing else", () => {
    fc.assert(
      fc.property(word(CHARACTERS), word(CHARACTERS), (pattern, name) => {
        expect(compileGlob(pattern)(name)).toBe(pattern === name);
      }),
    );
  });

  test("is answered in bounded steps where a regular expression would backtrack", () => {
    expect(compileGlob(`${"*a".repeat(40)}b`)("a".repeat(4000))).toBe(false);
    expect(compileGlob(`${"**/".repeat(40)}b`)("a/".repeat(2000))).toBe(false);
  });
});

describe("a glob against a path", () => {
  test.each([
    ["ISOs/*.iso", "ISOs/a.iso", true],
    ["ISOs/*.iso", "ISOs/old/a.iso", false],
    ["ISOs/?.iso", "ISOs/a.iso", true],
    ["ISOs?a.iso", "ISOs/a.iso", false],
    ["ISOs[/]a.iso", "ISOs/a.iso", false],
    ["ISOs[!x]a.iso", "ISOs/a.iso", false],
    ["**/a.iso", "a.iso", true],
    ["**/a.iso", "x/y/a.iso", true],
    ["**/a.iso", "x/ya.iso", false],
    ["ISOs/**/a.iso", "ISOs/a.iso", true],
    ["ISOs/**/a.iso", "ISOs/x/y/a.iso", true],
    ["ISOs/**/a.iso", "ISOsx/a.iso", false],
    ["ISOs/**", "ISOs/x/y/a.iso", true],
    ["ISOs/**", "other/a.iso", false],
    ["ISOs/a**.iso", "ISOs/abc.iso", true],
    ["ISOs/a**.iso", "ISOs/a/b.iso", false],
    ["**", "any/where.iso", true],
  ])("%s against %s: %s", (pattern, path, expected) => {
    expect(compileGlob(pattern)(path)).toBe(expected);
  });
});
