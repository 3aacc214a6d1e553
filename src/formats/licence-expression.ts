/**
 * What packages say of their licences: names joined by "and" and "or", as SPDX (Annex D), Debian's copyright format 1.0 ("License" field: "and" binds
 * before "or", a comma before either makes it bind last) and Gentoo (`|| ( A B )`) write it.
 */

export type LicenceExpression =
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "all" | "any"; readonly of: readonly LicenceExpression[] };

/** Deeper than anybody writes. */
const DEPTH_MAX = 50;

/** Undefined where the text names no licence. Whatever is not understood becomes part of a name: nothing is lost, and nothing is made easier. */
export function decodeLicences(text: string): LicenceExpression | undefined {
  const words = text
    .replace(/[()]/g, " $& ")
    .replace(/,\s*(and|or)\b/gi, " ,$1 ")
    .replace(/,(?=\s|$)/g, " ,and ")
    .split(/\s+/)
    .filter((word) => word !== "");
  return new Parser(words).whole();
}

type Operator = "and" | "or" | ",and" | ",or";
/** From what binds last to what binds first. */
const LEVELS: readonly (readonly Operator[])[] = [[",or"], [",and"], ["or"], ["and"]];

const operatorOf = (word: string): Operator | undefined => {
  const lower = word.toLowerCase();
  if (lower === "and" || lower === "&" || lower === "+") return "and";
  if (lower === "or" || lower === "|" || lower === "and/or") return "or";
  return lower === ",and" || lower === ",or" ? lower : undefined;
};

class Parser {
  readonly #words: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  whole(): LicenceExpression | undefined {
    const parts: LicenceExpression[] = [];
    while (this.#at < this.#words.length) {
      const part = this.#level(0);
      if (part !== undefined) parts.push(part);
      // A bracket or an operator that belongs to nothing.
      if (part === undefined || this.#words[this.#at] === ")") this.#at += 1;
    }
    return joinedBy("all", parts);
  }

  #level(level: number): LicenceExpression | undefined {
    const operators = LEVELS[level];
    if (operators === undefined) return this.#one();
    const parts = [this.#level(level + 1)];
    for (;;) {
      const word = this.#words[this.#at];
      const operator = word === undefined ? undefined : operatorOf(word);
      if (operator === undefined || !operators.includes(operator)) break;
      this.#at += 1;
      parts.push(this.#level(level + 1));
    }
    return joinedBy(
      operators[0]!.endsWith("and") ? "all" : "any",
      parts.filter((part) => part !== undefined),
    );
  }

  /** A name of one or more words, or a bracket. */
  #one(): LicenceExpression | undefined {
    const words: string[] = [];
    for (; this.#at < this.#words.length; this.#at += 1) {
      const word = this.#words[this.#at]!;
      if (word === ")" || operatorOf(word) !== undefined) break;
      if (word === "(" && words.length > 0) break;
      if (word === "(") return this.#bracket();
      words.push(word);
    }
    return words.length === 0 ? undefined : { kind: "name", name: words.join(" ") };
  }

  #bracket(): LicenceExpression | undefined {
    if (this.#depth === DEPTH_MAX) {
      this.#at += 1;
      return undefined;
    }
    this.#depth += 1;
    this.#at += 1;
    const inside = this.#level(0);
    if (this.#words[this.#at] === ")") this.#at += 1;
    this.#depth -= 1;
    return inside;
  }
}

function joinedBy(kind: "all" | "any", parts: readonly LicenceExpression[]): LicenceExpression | undefined {
  return parts.length < 2 ? parts[0] : { kind, of: parts };
}

/** `LICENSE` of Gentoo (PMS, 8.2): blanks mean "and"; `|| ( … )` is a choice; a USE flag's condition is taken as met. */
export function decodeGentooLicences(text: string): LicenceExpression | undefined {
  const words = text.split(/\s+/).filter((word) => word !== "");
  let at = 0;
  const group = (depth: number): LicenceExpression[] => {
    const parts: LicenceExpression[] = [];
    while (at < words.length && words[at] !== ")") {
      const word = words[at++]!;
      if (word === "||" || word.endsWith("?") || word === "(") {
        if (word !== "(" && words[at] === "(") at += 1;
        if (depth === DEPTH_MAX) continue;
        const inside = joinedBy(word === "||" ? "any" : "all", group(depth + 1));
        at += 1;
        if (inside !== undefined) parts.push(inside);
      } else parts.push({ kind: "name", name: word });
    }
    return parts;
  };
  const all: LicenceExpression[] = [];
  while (at < words.length) {
    all.push(...group(0));
    at += 1;
  }
  return joinedBy("all", all);
}

/** As SPDX would write it, names as they are. */
export function licencesText(expression: LicenceExpression, isInside = false): string {
  if (expression.kind === "name") return expression.name;
  const text = expression.of.map((part) => licencesText(part, true)).join(expression.kind === "all" ? " AND " : " OR ");
  return isInside ? `(${text})` : text;
}

/** Whether one of the choices that the expression leaves is made of accepted names only. */
export function isSatisfied(expression: LicenceExpression, accepts: (name: string) => boolean): boolean {
  if (expression.kind === "name") return accepts(expression.name);
  return expression.kind === "all"
    ? expression.of.every((part) => isSatisfied(part, accepts))
    : expression.of.some((part) => isSatisfied(part, accepts));
}
