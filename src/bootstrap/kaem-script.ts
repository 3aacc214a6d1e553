/**
 * Scripts for kaem, the shell of a bootstrap before bash (mescc-tools 1.7.0). It looks like sh and is not: what it does not know it takes for a
 * word, and much that sh joins or splits it does otherwise. A script passes here when kaem runs it as a reader of sh would expect.
 *
 *   script    commands, each ended by a newline or ";"; "#" at a word's start begins a comment; the last line needs its newline
 *   command   NAME=value | if command | then | else | fi | builtin words | program words
 *   builtin   alias NAME=value, cd PATH, echo words, exec program words, pwd, set -[aex], unset NAMES
 *   word      characters, \x, "strings" (which end the word); ${NAME}, ${NAME:-text}, $@ as a whole word
 *
 * An "if" holds no other: kaem keeps no stack, and the first "fi" ends whichever is read (if_cmd of kaem.c).
 */
import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";

/** MAX_STRING of kaem.h, with the NUL. */
const WORD_BYTES_MAX = 4095;
/** MAX_ARRAY of kaem.h, with the NULL. */
const WORDS_MAX = 511;

export interface KaemProblem {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
  readonly text: string;
}

export interface KaemOptions {
  /** Names of the programs that are there when the script runs. Left out: any. */
  readonly programs?: ReadonlySet<string>;
}

/** All that kaem would refuse, or read otherwise than it is meant, in the order of the text. */
export function kaemProblems(script: string, { programs }: KaemOptions = {}): readonly KaemProblem[] {
  const { commands, problems } = scan(script);
  return [...problems, ...checkCommands(commands, programs, endOf(script))].sort(
    (one, other) => one.line - other.line || one.column - other.column,
  );
}

/** Throws on the first problem, as `where:line:column`, and says how many there are. */
export function requireKaemScript(script: string, where: string, options: KaemOptions = {}): void {
  const problems = kaemProblems(script, options);
  const [first] = problems;
  if (first === undefined) return;
  throw new HiperisoError({
    what: "use a script for kaem",
    where: `${where}:${first.line}:${first.column}`,
    expected: "only what kaem can do",
    found: first.text + (problems.length === 1 ? "" : ` (and ${problems.length - 1} more)`),
    kind: "usage",
  });
}

interface Place {
  readonly line: number;
  readonly column: number;
}

interface Word extends Place {
  /** Without quotes and backslashes; variables as they are written. */
  readonly text: string;
}

interface Command extends Place {
  readonly words: readonly Word[];
  readonly endedBy: "newline" | ";" | "comment";
}

interface Scanned {
  readonly commands: readonly Command[];
  readonly problems: readonly KaemProblem[];
}

// Words.

const BLANKS = " \t";
const OPERATORS: Readonly<Record<string, string>> = {
  "|": "pipes",
  "&": '"&&" and background commands',
  "<": "redirections",
  ">": "redirections",
  "(": "subshells",
  ")": "subshells",
  "`": "command substitution",
  "*": "patterns",
  "?": "patterns",
  "[": "patterns",
  "'": "single quotes",
  "\r": "carriage returns",
  "\0": "NULs",
};

function scan(script: string): Scanned {
  const problems: KaemProblem[] = [];
  const commands: Command[] = [];
  let at = 0;
  let line = 1;
  let lineStart = 0;
  let words: Word[] = [];

  const here = (): Place => ({ line, column: at - lineStart + 1 });
  const complain = (place: Place, text: string) => problems.push({ line: place.line, column: place.column, text });
  const step = (): string => {
    const char = script[at]!;
    at += 1;
    if (char === "\n") {
      line += 1;
      lineStart = at;
    }
    return char;
  };

  function endCommand(place: Place, endedBy: Command["endedBy"]): void {
    const [first] = words;
    if (first !== undefined) commands.push({ words, line: first.line, column: first.column, endedBy });
    else if (endedBy === ";") complain(place, 'there is no command before this ";"');
    if (words.length > WORDS_MAX) complain(words[WORDS_MAX]!, `a command has at most ${WORDS_MAX} words`);
    words = [];
  }

  /** `$` and what belongs to it. */
  function variable(inString: boolean): string {
    const place = here();
    const rest = script.slice(at);
    const plain = /^\$\{[A-Za-z_][A-Za-z0-9_]*\}/.exec(rest)?.[0];
    const withDefault = (inString ? /^\$\{[A-Za-z_][A-Za-z0-9_]*:-[^${}"\\\n]*\}/ : /^\$\{[A-Za-z_][A-Za-z0-9_]*:-[^${}"'\\\s;#]*\}/).exec(
      rest,
    )?.[0];
    const found = plain ?? withDefault ?? (rest.startsWith("$@") ? "$@" : undefined);
    if (found === undefined) complain(place, `kaem knows \${NAME}, \${NAME:-text} and $@, and no other "$"`);
    const text = found ?? "$";
    at += text.length;
    return text;
  }

  function string(): string {
    const opened = here();
    step();
    let text = "";
    while (at < script.length && script[at] !== '"') {
      const place = here();
      if (script[at] === "$") {
        text += variable(true);
        continue;
      }
      const char = step();
      if (char !== "\\" || at === script.length) {
        if (char === "\0") complain(place, "kaem has no NULs");
        text += char;
        continue;
      }
      const escaped = step();
      // sh keeps most backslashes in a string, and kaem none; a newline becomes the byte FF.
      if (escaped !== '"' && escaped !== "\\") complain(place, 'in a string only \\" and \\\\ are what they are in sh');
      text += escaped;
    }
    if (at === script.length) complain(opened, "this string has no end");
    else step();
    if (at < script.length && !`${BLANKS}\n;`.includes(script[at]!)) complain(here(), "kaem ends a word where a string ends");
    return text;
  }

  function word(): void {
    const start = here();
    let text = "";
    let quoted = false;
    while (at < script.length && !`${BLANKS}\n;`.includes(script[at]!)) {
      const place = here();
      const char = script[at]!;
      if (char === '"') {
        text += string();
        quoted = true;
        break;
      }
      if (char === "$") {
        text += variable(false);
        continue;
      }
      if (char === "\\") {
        // The backslash of a line that goes on is no word, and belongs to none.
        if (script[at + 1] === "\n") {
          step();
          step();
          if (at < script.length && !`${BLANKS}\n#`.includes(script[at]!))
            complain(here(), "the line behind a backslash begins with a blank, or kaem loses its first word");
          break;
        }
        step();
        if (at === script.length) break;
        const escaped = step();
        if (escaped === "n" || escaped === "r")
          complain(place, `kaem reads \\${escaped} as ${escaped === "n" ? "a newline" : "a carriage return"}`);
        if (escaped === "$") complain(place, "kaem expands a variable behind a backslash too");
        text += escaped;
        continue;
      }
      if (char === "#") complain(place, "kaem begins a comment here, inside of a word");
      else if (OPERATORS[char] !== undefined) complain(place, `kaem has no ${OPERATORS[char]}`);
      else if (char === "~" && text === "") complain(place, 'kaem has no "~"');
      text += step();
    }
    if (text === "" && !quoted) return;
    if (text === "") complain(start, "kaem drops an empty word");
    if (Buffer.byteLength(text) > WORD_BYTES_MAX) complain(start, `a word has at most ${WORD_BYTES_MAX} bytes`);
    if (text.includes("$@") && text !== "$@") complain(start, "kaem drops what stands before $@ in a word");
    if (/\$\{\w+\}.*:-/s.test(text)) complain(start, 'kaem takes a later ":-" for that of the first variable in a word');
    words.push({ ...start, text });
  }

  while (at < script.length) {
    const place = here();
    const char = script[at]!;
    if (BLANKS.includes(char)) step();
    else if (char === "\n" || char === ";") {
      step();
      endCommand(place, char === ";" ? ";" : "newline");
    } else if (char === "#") {
      while (at < script.length && script[at] !== "\n") step();
      endCommand(place, "comment");
    } else word();
  }
  if (script !== "" && !script.endsWith("\n")) complain(endOf(script), "the last line has no newline, and kaem does not run it");
  return { commands: words.length === 0 ? commands : [...commands, { words, ...words[0]!, endedBy: "newline" }], problems };
}

function endOf(script: string): Place {
  const lines = script.split("\n");
  return { line: lines.length, column: lines.at(-1)!.length + 1 };
}

// Commands.

/** Words of sh that kaem would look for on PATH. */
const SH_ONLY = new Set(
  "! { } [[ . : break case command continue declare do done elif esac eval exit export for function getopts hash in let local read readonly return select shift source times trap type ulimit umask until wait while".split(
    " ",
  ),
);
const KEYWORDS = new Set(["if", "then", "else", "fi"]);

/** What is wrong with the words of a builtin, or undefined. */
const BUILTINS: Readonly<Record<string, (words: readonly string[]) => string | undefined>> = {
  alias: (words) => (words.length === 1 && /^[^=]+=./s.test(words[0]!) ? undefined : "alias takes one NAME=value"),
  cd: (words) => (words.length === 1 ? undefined : "cd takes one folder"),
  echo: (words) => (/^-[neE]+$/.test(words[0] ?? "") ? "echo has no options, and prints this word" : undefined),
  exec: () => undefined,
  pwd: (words) => (words.length === 0 ? undefined : "pwd takes no words"),
  set: (words) => (words.length === 1 && /^-[aex]+$/.test(words[0]!) ? undefined : "set takes one word, of -a, -e and -x"),
  unset: (words) => (words.length > 0 ? undefined : "unset takes names"),
};

function checkCommands(commands: readonly Command[], programs: ReadonlySet<string> | undefined, end: Place): readonly KaemProblem[] {
  const problems: KaemProblem[] = [];
  const aliases = new Set<string>();
  let open: { readonly place: Place; readonly part: "condition" | "then" | "else" } | undefined;
  const complain = ({ line, column }: Place, text: string) => problems.push({ line, column, text });

  function checkProgram({ words }: { readonly words: readonly Word[] }): void {
    const [first] = words;
    if (first === undefined || first.text.includes("$")) return;
    const name = printable(first.text);
    if (SH_ONLY.has(first.text)) complain(first, `kaem has no "${name}"`);
    else if (first.text === "[")
      return; // its character was complained of
    else if (!/[./]/.test(first.text[0]!) && programs?.has(first.text) === false) complain(first, `there is no program "${name}" yet`);
  }

  function checkSimple(command: Command): void {
    const [first, ...rest] = command.words as readonly [Word, ...Word[]];
    for (const word of rest) if (aliases.has(word.text)) complain(word, `kaem puts the alias "${printable(word.text)}" in here too`);
    if (first.text.includes("=")) {
      if (!/^[A-Za-z_][A-Za-z0-9_]*=/.test(first.text)) complain(first, 'kaem takes a first word with a "=" for an assignment');
      if (rest[0] !== undefined) complain(rest[0], "kaem does not run what stands behind an assignment");
      return;
    }
    const builtin = Object.hasOwn(BUILTINS, first.text) ? BUILTINS[first.text] : undefined;
    if (builtin === undefined) {
      checkProgram(command);
      return;
    }
    const wrong = builtin(rest.map(({ text }) => text));
    if (wrong !== undefined) complain(rest[0] ?? first, wrong);
    // if_cmd looks at the word that the builtin stopped at.
    const argument = rest[0]?.text ?? "";
    if (open !== undefined && first.text !== "echo" && first.text !== "unset" && (argument === "else" || argument === "fi"))
      complain(rest[0]!, `kaem takes this for the "${argument}" of the if`);
    if (first.text === "alias" && wrong === undefined) aliases.add(argument.slice(0, argument.indexOf("=")));
    if (first.text === "exec") {
      if (rest[0] === undefined) complain(first, "exec takes a program");
      else if (isBuiltinOrKeyword(rest[0].text)) complain(rest[0], `"${rest[0].text}" is no program`);
      else checkProgram({ words: rest });
    }
  }

  function checkIf(command: Command): void {
    const [keyword, condition, ...rest] = command.words as readonly [Word, ...Word[]];
    if (open !== undefined) complain(keyword, 'kaem has no "if" inside of another: the first "fi" would end both');
    open = { place: keyword, part: "condition" };
    if (condition === undefined) complain(keyword, "there is no command behind this if");
    else if (isBuiltinOrKeyword(condition.text) || condition.text.includes("="))
      complain(condition, "a condition is a program: kaem finds every builtin and assignment true");
    else checkProgram({ words: [condition, ...rest] });
  }

  for (const command of commands) {
    const [first, behind] = command.words as readonly [Word, ...Word[]];
    if (open?.part === "condition" && first.text !== "then") complain(first, 'there is no "then" behind the if');
    if (open?.part === "condition") open = { ...open, part: "then" };
    else if (first.text === "then") complain(first, 'there is no "if" before this "then"');
    if (first.text !== "if" && KEYWORDS.has(first.text) && behind !== undefined)
      complain(behind, `kaem does not run what stands behind "${first.text}" in its line`);
    if ((first.text === "then" || first.text === "else") && command.endedBy === ";")
      complain(first, `in sh there is no ";" behind "${first.text}"`);
    switch (first.text) {
      case "if":
        checkIf(command);
        break;
      case "then":
        break;
      case "else":
        if (open === undefined) complain(first, 'there is no "if" before this "else"');
        else if (open.part === "else") complain(first, 'this is the second "else" of one if');
        else open = { ...open, part: "else" };
        break;
      case "fi":
        if (open === undefined) complain(first, 'there is no "if" before this "fi"');
        open = undefined;
        break;
      default:
        checkSimple(command);
    }
  }
  if (open !== undefined) complain(end, `the if of line ${open.place.line} has no "fi"`);
  return problems;
}

const isBuiltinOrKeyword = (text: string): boolean => Object.hasOwn(BUILTINS, text) || KEYWORDS.has(text);
