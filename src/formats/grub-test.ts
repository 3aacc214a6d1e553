/**
 * GRUB's `test` command (GRUB manual 2.06, "test"): an expression in words. It differs from the shell's: `=` compares text, `<` and `>` (quoted)
 * compare text too, and a number may stand anywhere that text may.
 */

/** What an expression asks of files. Paths are as written. */
export interface FileQuestions {
  kind(path: string): Promise<"file" | "directory" | undefined>;
  /** Undefined where there is no such file. */
  sizeBytes(path: string): Promise<bigint | undefined>;
}

/** Brackets in brackets. */
const DEPTH_MAX = 32;

/** False also where the words are no expression, as for GRUB. */
export async function evaluateGrubTest(words: readonly string[], files: FileQuestions): Promise<boolean> {
  const expression = new Expression(words, files);
  const value = await expression.either(0);
  return value && expression.atEnd;
}

const TEXT: Readonly<Record<string, (order: number) => boolean>> = {
  "=": (order) => order === 0,
  "==": (order) => order === 0,
  "!=": (order) => order !== 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
};

const NUMBERS: Readonly<Record<string, (order: number) => boolean>> = {
  eq: (order) => order === 0,
  ne: (order) => order !== 0,
  lt: (order) => order < 0,
  le: (order) => order <= 0,
  gt: (order) => order > 0,
  ge: (order) => order >= 0,
};

class Expression {
  readonly #words: readonly string[];
  readonly #files: FileQuestions;
  #at = 0;

  constructor(words: readonly string[], files: FileQuestions) {
    this.#words = words;
    this.#files = files;
  }

  get atEnd(): boolean {
    return this.#at >= this.#words.length;
  }

  async either(depth: number): Promise<boolean> {
    let value = await this.#both(depth);
    while (this.#words[this.#at] === "-o") {
      this.#at += 1;
      const other = await this.#both(depth);
      value = value || other;
    }
    return value;
  }

  /** Terms follow each other with or without -a. */
  async #both(depth: number): Promise<boolean> {
    let value = await this.#term(depth);
    for (;;) {
      const next = this.#words[this.#at];
      if (next === undefined || next === "-o" || next === ")") return value;
      if (next === "-a") this.#at += 1;
      const other = await this.#term(depth);
      value = value && other;
    }
  }

  async #term(depth: number): Promise<boolean> {
    let negated = false;
    while (this.#words[this.#at] === "!") {
      negated = !negated;
      this.#at += 1;
    }
    return (await this.#primary(depth)) !== negated;
  }

  async #primary(depth: number): Promise<boolean> {
    const word = this.#words[this.#at];
    if (word === undefined) return false;
    const operator = this.#words[this.#at + 1];
    const other = this.#words[this.#at + 2];
    const compare = operator !== undefined && other !== undefined ? comparison(operator, word, other) : undefined;
    if (compare !== undefined) {
      this.#at += 3;
      return compare;
    }
    if (word === "(" && depth < DEPTH_MAX) {
      this.#at += 1;
      const value = await this.either(depth + 1);
      if (this.#words[this.#at] !== ")") return false;
      this.#at += 1;
      return value;
    }
    if (operator !== undefined && /^-[defsnz]$/.test(word)) {
      this.#at += 2;
      return await this.#unary(word, operator);
    }
    this.#at += 1;
    return word !== "";
  }

  async #unary(question: string, word: string): Promise<boolean> {
    switch (question) {
      case "-n":
        return word !== "";
      case "-z":
        return word === "";
      case "-d":
        return (await this.#files.kind(word)) === "directory";
      case "-e":
        return (await this.#files.kind(word)) !== undefined;
      case "-f":
        return (await this.#files.kind(word)) === "file";
      default:
        return ((await this.#files.sizeBytes(word)) ?? 0n) > 0n;
    }
  }
}

/** Undefined where `operator` is none. File times (-nt, -ot) are not compared: both are false. */
function comparison(operator: string, one: string, other: string): boolean | undefined {
  const text = Object.hasOwn(TEXT, operator) ? TEXT[operator] : undefined;
  if (text !== undefined) return text(one < other ? -1 : one > other ? 1 : 0);
  if (/^-[no]t$/.test(operator)) return false;
  const parts = /^-(p?)(eq|ne|lt|le|gt|ge)$/.exec(operator);
  if (parts === null) return undefined;
  // With p the words start alike ("hd0", "hd10"), and what follows is the number.
  const start = parts[1] === "p" ? commonStart(one, other) : 0;
  const [a, b] = [numberOf(one.slice(start)), numberOf(other.slice(start))];
  return NUMBERS[parts[2]!]!(a < b ? -1 : a > b ? 1 : 0);
}

function commonStart(one: string, other: string): number {
  let at = 0;
  while (at < one.length && one[at] === other[at] && !/[0-9]/.test(one[at]!)) at += 1;
  return at;
}

/** The number that the text starts with, as strtol reads it; 0 where there is none. */
function numberOf(text: string): bigint {
  const match = /^\s*(-?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})/.exec(text);
  if (match === null) return 0n;
  const magnitude = BigInt(match[2]!);
  return match[1] === "-" ? -magnitude : magnitude;
}
