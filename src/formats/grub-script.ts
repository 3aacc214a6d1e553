/**
 * GRUB's script language as a tree (GRUB manual 2.06, "Writing GRUB configuration files directly"; what the manual leaves open is as
 * `grub-script-check` has it). Words keep their variables: what these stand for is known only when a script runs (`grub-run.ts`).
 *
 *   words    text, 'text', "text $name", $"text", \x, $name ${name} $1 $# $@ $* $?; a `#` that starts a word starts a comment
 *   commands word word … { block }    name=value    ! command    ends: newline or ;
 *   if … then … elif … else … fi    for name in … do … done    while|until … do … done    function name { … }
 */

/** `quoted`: neither split at blanks nor taken for a pattern. */
export type GrubPart =
  | { readonly kind: "text"; readonly text: string; readonly quoted: boolean }
  | { readonly kind: "variable"; readonly name: string; readonly quoted: boolean };

export type GrubWord = readonly GrubPart[];

export type GrubStatement =
  /** `block`: the last argument, as of `menuentry` and `submenu`. */
  | { readonly kind: "command"; readonly line: number; readonly words: readonly GrubWord[]; readonly block: GrubScript | undefined }
  | { readonly kind: "if"; readonly line: number; readonly arms: readonly GrubArm[]; readonly otherwise: GrubScript }
  | { readonly kind: "for"; readonly line: number; readonly name: string; readonly words: readonly GrubWord[]; readonly body: GrubScript }
  | { readonly kind: "while"; readonly line: number; readonly until: boolean; readonly condition: GrubScript; readonly body: GrubScript }
  | { readonly kind: "function"; readonly line: number; readonly name: string; readonly body: GrubScript };

export interface GrubArm {
  readonly condition: GrubScript;
  readonly body: GrubScript;
}

export type GrubScript = readonly GrubStatement[];

/** `line`: from 1. */
export interface GrubSyntaxError {
  readonly line: number;
  readonly found: string;
}

export interface ParsedGrubScript {
  readonly script: GrubScript;
  /** GRUB goes on behind a statement that it cannot read, and so do we: what was skipped is here. */
  readonly errors: readonly GrubSyntaxError[];
}

/** Blocks in blocks. Menus of distributions reach five. */
const DEPTH_MAX = 32;
const ERRORS_MAX = 20;

/** Takes every text. Of more than `ERRORS_MAX` errors the first are given. */
export function parseGrubScript(text: string): ParsedGrubScript {
  const parser = new Parser(new Tokens(text));
  const script: GrubStatement[] = [];
  const errors: GrubSyntaxError[] = [];
  for (;;) {
    try {
      const statement = parser.next();
      if (statement === undefined) return { script, errors };
      script.push(statement);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      if (errors.length < ERRORS_MAX) errors.push({ line: error.line, found: error.found });
      parser.skipLine();
    }
  }
}

class Unreadable extends Error {
  readonly line: number;
  readonly found: string;
  constructor(line: number, found: string) {
    super(found);
    this.line = line;
    this.found = found;
  }
}

type Token =
  | { readonly kind: "word"; readonly line: number; readonly word: GrubWord; readonly plain: string | undefined }
  | { readonly kind: "newline" | "end" | "{" | "}" | "other"; readonly line: number; readonly text: string };

/** What no unquoted word holds. */
const SEPARATORS = " \t\r\n{}|&;<>";
const VARIABLE = /(?:([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#*@])|\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#*@])\})/y;

class Tokens {
  readonly #text: string;
  #at = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  get line(): number {
    return this.#line;
  }

  /** To the start of the next line. */
  skipLine(): void {
    const end = this.#text.indexOf("\n", this.#at);
    if (end < 0) this.#at = this.#text.length;
    else {
      this.#at = end + 1;
      this.#line += 1;
    }
  }

  next(): Token {
    this.#skipBlanks();
    const line = this.#line;
    const character = this.#text[this.#at];
    if (character === undefined) return { kind: "end", line, text: "the end" };
    if (character === "\n" || character === ";") {
      this.#at += 1;
      if (character === "\n") this.#line += 1;
      return { kind: "newline", line, text: character === "\n" ? "the end of the line" : ";" };
    }
    if ("{}|&<>".includes(character)) {
      this.#at += 1;
      return { kind: character === "{" || character === "}" ? character : "other", line, text: character };
    }
    const word = this.#word();
    return { kind: "word", line, word, plain: plainText(word) };
  }

  #skipBlanks(): void {
    for (; ; this.#at += 1) {
      const character = this.#text[this.#at];
      if (character === "\\" && this.#continues(this.#at)) this.#skipContinuation();
      else if (character === "#") {
        const end = this.#text.indexOf("\n", this.#at);
        this.#at = end < 0 ? this.#text.length : end;
        return;
      } else if (character !== " " && character !== "\t" && character !== "\r") return;
    }
  }

  /** A backslash before the line's end, which may be written CR LF. */
  #continues(at: number): boolean {
    return this.#text[at + 1] === "\n" || (this.#text[at + 1] === "\r" && this.#text[at + 2] === "\n");
  }

  /** Stays on the last character of the line's end. */
  #skipContinuation(): void {
    this.#at += this.#text[this.#at + 1] === "\n" ? 1 : 2;
    this.#line += 1;
  }

  #word(): GrubWord {
    const parts: GrubPart[] = [];
    let text = "";
    const endText = (quoted: boolean, evenEmpty = false) => {
      if (text !== "" || evenEmpty) parts.push({ kind: "text", text, quoted });
      text = "";
    };
    for (; this.#at < this.#text.length; this.#at += 1) {
      const character = this.#text[this.#at]!;
      if (SEPARATORS.includes(character)) break;
      if (character === "'") {
        endText(false);
        text = this.#until("'");
        endText(true, true);
      } else if (character === '"' || (character === "$" && this.#text[this.#at + 1] === '"')) {
        endText(false);
        if (character === "$") this.#at += 1;
        this.#doubleQuoted(parts);
      } else if (character === "\\") {
        if (this.#continues(this.#at)) this.#skipContinuation();
        else {
          endText(false);
          text = this.#text[this.#at + 1] ?? "\\";
          endText(true);
          this.#at += 1;
        }
      } else if (character === "$") {
        const name = this.#variable();
        if (name === undefined) text += character;
        else {
          endText(false);
          parts.push({ kind: "variable", name, quoted: false });
        }
      } else text += character;
    }
    endText(false);
    return parts;
  }

  /** The text up to `quote`, which becomes the current character. */
  #until(quote: string): string {
    const start = this.#at + 1;
    const end = this.#text.indexOf(quote, start);
    if (end < 0) throw this.#unclosed(quote);
    const text = this.#text.slice(start, end);
    for (const character of text) if (character === "\n") this.#line += 1;
    this.#at = end;
    return text;
  }

  #doubleQuoted(parts: GrubPart[]): void {
    const before = parts.length;
    const [startAt, startLine] = [this.#at, this.#line];
    let text = "";
    const endText = () => {
      if (text !== "") parts.push({ kind: "text", text, quoted: true });
      text = "";
    };
    for (this.#at += 1; this.#text[this.#at] !== '"'; this.#at += 1) {
      const character = this.#text[this.#at];
      if (character === undefined) {
        [this.#at, this.#line] = [startAt, startLine];
        throw this.#unclosed('"');
      }
      if (character === "\n") this.#line += 1;
      if (character === "\\") {
        const next = this.#text[this.#at + 1];
        if (this.#continues(this.#at)) this.#skipContinuation();
        else if (next === "\\" || next === '"' || next === "$") {
          text += next;
          this.#at += 1;
        } else text += character;
      } else if (character === "$") {
        const name = this.#variable();
        if (name === undefined) text += character;
        else {
          endText();
          parts.push({ kind: "variable", name, quoted: true });
        }
      } else text += character;
    }
    endText();
    if (parts.length === before) parts.push({ kind: "text", text: "", quoted: true });
  }

  /** The name behind a `$`, whose last character becomes the current one. */
  #variable(): string | undefined {
    VARIABLE.lastIndex = this.#at + 1;
    const match = VARIABLE.exec(this.#text);
    if (match === null) return undefined;
    this.#at += match[0].length;
    return match[1] ?? match[2];
  }

  #unclosed(quote: string): Unreadable {
    return new Unreadable(this.#line, `a ${quote} that is never closed`);
  }
}

/** Undefined where anything is quoted or a variable: then it is no keyword. */
function plainText(word: GrubWord): string | undefined {
  const [only, ...rest] = word;
  return rest.length === 0 && only?.kind === "text" && !only.quoted ? only.text : undefined;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Words that end a list of statements; none of them starts a command. */
const CLOSERS = new Set(["then", "elif", "else", "fi", "do", "done"]);

class Parser {
  readonly #tokens: Tokens;
  #ahead: Token | undefined;
  #depth = 0;

  constructor(tokens: Tokens) {
    this.#tokens = tokens;
  }

  /** The next statement of the file; undefined at its end. Throws Unreadable. */
  next(): GrubStatement | undefined {
    this.#depth = 0;
    this.#skipNewlines();
    return this.#peek().kind === "end" ? undefined : this.#statement();
  }

  /** Behind something unreadable. */
  skipLine(): void {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead?.kind === "newline" && ahead.text !== ";") return;
    this.#tokens.skipLine();
  }

  #peek(): Token {
    this.#ahead ??= this.#tokens.next();
    return this.#ahead;
  }

  #take(): Token {
    const token = this.#peek();
    this.#ahead = undefined;
    return token;
  }

  #skipNewlines(): void {
    while (this.#peek().kind === "newline") this.#take();
  }

  #keyword(): string | undefined {
    const token = this.#peek();
    return token.kind === "word" ? token.plain : undefined;
  }

  /** Takes the keyword, newlines before it passed over. */
  #expect(keyword: string): void {
    this.#skipNewlines();
    if (this.#keyword() !== keyword) throw this.#wrong(`no ${keyword}`);
    this.#take();
  }

  #wrong(instead: string): Unreadable {
    const token = this.#peek();
    const text = token.kind === "word" ? (token.plain ?? "a word") : token.text;
    return new Unreadable(token.line, `${text} and ${instead}`);
  }

  #nested<Result>(parse: () => Result): Result {
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw new Unreadable(this.#tokens.line, `more than ${DEPTH_MAX} blocks in each other`);
    const result = parse();
    this.#depth -= 1;
    return result;
  }

  /** To a keyword of `ends` or a `}`, which stays. */
  #list(ends: ReadonlySet<string>): GrubScript {
    return this.#nested(() => {
      const statements: GrubStatement[] = [];
      for (;;) {
        this.#skipNewlines();
        const token = this.#peek();
        if (token.kind === "}" || token.kind === "end" || (token.kind === "word" && ends.has(token.plain ?? ""))) return statements;
        statements.push(this.#statement());
      }
    });
  }

  #block(): GrubScript {
    this.#take(); // {
    const body = this.#list(new Set());
    if (this.#peek().kind !== "}") throw this.#wrong("no } for a block");
    this.#take();
    return body;
  }

  #statement(): GrubStatement {
    const { line } = this.#peek();
    const keyword = this.#keyword();
    if (keyword !== undefined && CLOSERS.has(keyword)) throw this.#wrong("nothing that it belongs to");
    switch (keyword) {
      case "if":
        return this.#if(line);
      case "for":
        return this.#for(line);
      case "while":
      case "until": {
        this.#take();
        const condition = this.#list(DO);
        return { kind: "while", line, until: keyword === "until", condition, body: this.#loopBody() };
      }
      case "function":
        return this.#function(line);
      default:
        return this.#command(line);
    }
  }

  #if(line: number): GrubStatement {
    const arms: GrubArm[] = [];
    do {
      this.#take(); // if, elif
      const condition = this.#list(THEN);
      this.#expect("then");
      arms.push({ condition, body: this.#list(AFTER_THEN) });
    } while (this.#keyword() === "elif");
    let otherwise: GrubScript = [];
    if (this.#keyword() === "else") {
      this.#take();
      otherwise = this.#list(FI);
    }
    this.#expect("fi");
    return { kind: "if", line, arms, otherwise };
  }

  #for(line: number): GrubStatement {
    this.#take();
    const name = this.#keyword();
    if (name === undefined || !NAME.test(name)) throw this.#wrong("no name for the loop's variable");
    this.#take();
    if (this.#keyword() !== "in") throw this.#wrong("no in");
    this.#take();
    const words: GrubWord[] = [];
    for (let token = this.#peek(); token.kind === "word"; token = this.#peek()) {
      words.push(token.word);
      this.#take();
    }
    if (this.#peek().kind !== "newline") throw this.#wrong("no end of the loop's words");
    return { kind: "for", line, name, words, body: this.#loopBody() };
  }

  #loopBody(): GrubScript {
    this.#expect("do");
    const body = this.#list(DONE);
    this.#expect("done");
    return body;
  }

  #function(line: number): GrubStatement {
    this.#take();
    const name = this.#keyword();
    if (name === undefined) throw this.#wrong("no name for a function");
    this.#take();
    this.#skipNewlines();
    if (this.#peek().kind !== "{") throw this.#wrong("no { for a function");
    return { kind: "function", line, name, body: this.#block() };
  }

  #command(line: number): GrubStatement {
    const words: GrubWord[] = [];
    for (let token = this.#peek(); token.kind === "word"; token = this.#peek()) {
      words.push(token.word);
      this.#take();
    }
    if (words.length === 0) throw this.#wrong("no command");
    const block = this.#peek().kind === "{" ? this.#block() : undefined;
    const after = this.#peek();
    if (after.kind === "other" || after.kind === "{" || after.kind === "word") throw this.#wrong("no end of the command");
    return { kind: "command", line, words, block };
  }
}

const THEN: ReadonlySet<string> = new Set(["then"]);
const AFTER_THEN: ReadonlySet<string> = new Set(["elif", "else", "fi"]);
const FI: ReadonlySet<string> = new Set(["fi"]);
const DO: ReadonlySet<string> = new Set(["do"]);
const DONE: ReadonlySet<string> = new Set(["done"]);
