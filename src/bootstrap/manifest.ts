/**
 * The manifest of a bootstrap (`steps/manifest`): one step a line, in the order in which they run.
 *
 *   build: PACKAGE            runs the package's script for this pass
 *   improve: NAME             runs steps/improve/NAME.sh
 *   jump: NAME                runs steps/jump/NAME.sh, usually into another kernel
 *   define: NAME = VALUE      sets a variable; VALUE is one word or bracketed logic
 *   uninstall: A B …          removes packages or files
 *
 * then an optional predicate (`predicate.ts`) and an optional comment from `#` on. Two programs read this file. The host cuts at spaces
 * and ignores predicates. The guest's script generator takes words of at most 63 bytes with one space between them into buffers that
 * it does not check, and ends with a message that names no line. What either would misread is an error here, with line and column.
 */
import { HiperisoError } from "../contract/error.ts";
import { CONFIGURATION_NAMES } from "./configuration-names.ts";
import { type Logic, parseLogic, variablesOf, type Word } from "./predicate.ts";

export const DIRECTIVES = ["build", "improve", "jump", "define", "uninstall"] as const;
export type Directive = (typeof DIRECTIVES)[number];

export interface ManifestLine {
  /** Counted from 1. */
  readonly line: number;
  /** As written, without the newline; comment included. */
  readonly text: string;
  readonly directive: Directive;
  /** Package, script or variable; the first word of an `uninstall`. */
  readonly name: string;
  /** All words behind the directive as written, without the comment. */
  readonly words: readonly string[];
  /** What a `define` sets. */
  readonly value?: Logic;
  readonly predicate?: Logic;
}

export interface Manifest {
  /** The file, for messages. */
  readonly where: string;
  readonly text: string;
  readonly lines: readonly ManifestLine[];
}

/** The guest's buffer for a word is 64 bytes with its end mark. */
export const WORD_BYTES_MAX = 63;

/** Throws (`usage`) at the first line that the host or the guest would misread. */
export function parseManifest(text: string, where: string): Manifest {
  const lines: ManifestLine[] = [];
  text.split("\n").forEach((line, index) => {
    const parsed = parseLine(line, (column) => `${where}:${index + 1}:${column}`);
    if (parsed !== undefined) lines.push({ line: index + 1, text: line, ...parsed });
  });
  refuseCycles(lines, where);
  return { where, text, lines };
}

type At = (column: number) => string;

function parseLine(text: string, at: At): Omit<ManifestLine, "line" | "text"> | undefined {
  const words = wordsOf(text, at);
  const [first, ...rest] = words;
  if (first === undefined) return undefined;
  const endColumn = codeOf(text).trimEnd().length + 1;
  const directive = DIRECTIVES.find((name) => first.text === `${name}:`);
  if (directive === undefined) {
    const near = DIRECTIVES.find((name) => first.text.toLowerCase().startsWith(name));
    throw bad(at(first.column), DIRECTIVES.map((name) => `${name}:`).join(" "), `"${first.text}"`, near && `Did you mean "${near}:"?`);
  }
  const named = rest[0];
  if (named === undefined || named.text === "(")
    throw bad(at(named?.column ?? endColumn), `a name behind "${directive}:"`, describe(named), undefined);
  if (directive !== "define" && directive !== "uninstall" && (named.text.includes("/") || named.text === "." || named.text === ".."))
    throw bad(at(named.column), "the name of a file or folder among the steps", `"${named.text}"`);
  // An uninstall takes words up to a bracket, a define a name, "=" and a value; the others have one name.
  const bracket = rest.findIndex((word) => word.text === "(");
  let next = directive === "uninstall" ? (bracket === -1 ? rest.length : bracket) : 1;
  let value: Logic | undefined;
  if (directive === "define") {
    if (rest[1]?.text !== "=") throw bad(at(rest[1]?.column ?? endColumn), '"=" behind the name of the variable', describe(rest[1]));
    const given = rest[2];
    if (given === undefined) throw bad(at(endColumn), "a value", describe(given));
    if (given.text === "(") ({ logic: value, next } = logicAt(rest, 2, endColumn, at));
    else [value, next] = [{ kind: "constant", value: given.text }, 3];
  }
  let predicate: Logic | undefined;
  if (next < rest.length) ({ logic: predicate, next } = logicAt(rest, next, endColumn, at));
  const extra = rest[next];
  if (extra !== undefined)
    throw bad(at(extra.column), "the end of the line: a line has one predicate, in one pair of brackets", describe(extra));
  return {
    directive,
    name: named.text,
    words: rest.map((word) => word.text),
    ...(value === undefined ? {} : { value }),
    ...(predicate === undefined ? {} : { predicate }),
  };
}

function logicAt(words: readonly Word[], index: number, endColumn: number, at: At): { logic: Logic; next: number } {
  const parsed = parseLogic(words, index, endColumn);
  if ("fault" in parsed) throw bad(at(parsed.fault.column), parsed.fault.expected, parsed.fault.found);
  return { logic: parsed.logic, next: parsed.next };
}

/** The part before the comment. */
const codeOf = (text: string): string => (text.includes("#") ? text.slice(0, text.indexOf("#")) : text);

const UTF8 = new TextEncoder();

function wordsOf(text: string, at: At): readonly Word[] {
  const code = codeOf(text);
  const strange = /[\0-\x1f\x7f]/.exec(code);
  if (strange !== null) {
    const found = strange[0] === "\t" ? "a tab" : strange[0] === "\r" ? "a carriage return" : "a control character";
    throw bad(at(strange.index + 1), "words with one space between them", found, "The guest would take it for a part of a word.");
  }
  const words: Word[] = [];
  let column = 1;
  for (const word of code.split(" ")) {
    if (word !== "") words.push({ text: word, column });
    // One blank at the end, or before a comment, is all that the guest skips.
    else if (column <= code.length && code.trim() !== "")
      throw bad(at(column), "one space between words", "two, or one at the beginning", "The guest reads an empty word there.");
    column += word.length + 1;
  }
  if (words.length === 0 && code !== "") throw bad(at(1), "an empty line", "one of blanks", "The guest reads an empty word there.");
  // A UTF-16 unit takes three bytes at most: short words need no counting.
  const long = words.find(({ text: word }) => word.length * 3 > WORD_BYTES_MAX && UTF8.encode(word).length > WORD_BYTES_MAX);
  if (long !== undefined)
    throw bad(
      at(long.column),
      `a word of at most ${WORD_BYTES_MAX} bytes`,
      `${UTF8.encode(long.text).length}`,
      "The guest's buffer ends there.",
    );
  return words;
}

const describe = (word: Word | undefined): string => (word === undefined ? "the end of the line" : `"${word.text}"`);

const bad = (where: string, expected: string, found: string, hint?: string): HiperisoError =>
  new HiperisoError({ what: "read the manifest", where, expected, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });

/**
 * Definitions run in order, so a variable that is read before anything sets it is empty there. Where its own definition further down then
 * rests on the one that reads it, no order makes sense of the two: that is a circle. What the configuration or an earlier line sets is known
 * and starts none, so `define: X = ( X == True || Y == True )` behind another definition of X is in order.
 */
function refuseCycles(lines: readonly ManifestLine[], where: string): void {
  const defines = lines.filter((line) => line.directive === "define");
  const first = new Map<string, ManifestLine>();
  for (const define of defines) if (!first.has(define.name)) first.set(define.name, define);
  /** Variables that `define` reads and that only it or a later line sets. */
  const unsetReads = (define: ManifestLine): readonly string[] =>
    [...new Set([...variablesOf(define.value), ...variablesOf(define.predicate)])].filter((name) => {
      const setter = first.get(name);
      return setter !== undefined && setter.line >= define.line && !CONFIGURATION_NAMES.has(name);
    });
  const dependsOn = (define: ManifestLine): readonly string[] => [...variablesOf(define.value), ...variablesOf(define.predicate)];
  for (const define of defines) {
    for (const name of unsetReads(define)) {
      const way = wayTo(define.name, name, (variable) => {
        const setter = first.get(variable);
        return setter === undefined || CONFIGURATION_NAMES.has(variable) ? [] : dependsOn(setter);
      });
      if (way === undefined) continue;
      throw bad(
        `${where}:${define.line}:1`,
        "definitions that rest on what is set before them",
        `a circle: ${[define.name, ...way].join(" → ")}`,
        "Definitions run in the order of the lines; let one of them rest on the configuration alone.",
      );
    }
  }
}

/** The names from `from` to `goal`, both included, by way of what each rests on; undefined where there is no way. */
function wayTo(goal: string, from: string, dependsOn: (name: string) => readonly string[]): readonly string[] | undefined {
  const seen = new Set<string>();
  const ways: (readonly string[])[] = [[from]];
  for (let way = ways.shift(); way !== undefined; way = ways.shift()) {
    const last = way[way.length - 1]!;
    if (last === goal) return way;
    if (seen.has(last)) continue;
    seen.add(last);
    for (const name of dependsOn(last)) ways.push([...way, name]);
  }
  return undefined;
}
