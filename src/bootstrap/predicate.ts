/**
 * Logic in a manifest, as the script generator of the bootstrap reads it: `( V == x )`, `( V != x )`, several joined by `&&` and `||`
 * inside one pair of brackets, a space around every word. No precedence: the right side of a join is all the rest, so
 * `a || b && c` is `a || (b && c)` and `a && b || c` is `a && (b || c)`. No nesting, negation or quoting.
 *
 * A word that stands alone is a constant and not the name of a variable: `( X )` is the text "X", and only `( True )` holds.
 */

/** A word of a line and the column where it begins, counted in characters from 1. */
export interface Word {
  readonly text: string;
  readonly column: number;
}

export interface Comparison {
  readonly kind: "compare";
  readonly variable: string;
  readonly operator: "==" | "!=";
  readonly value: string;
}

/** A constant can only stand last: a join needs a comparison on its left. */
export type Logic =
  | { readonly kind: "constant"; readonly value: string }
  | Comparison
  | { readonly kind: "join"; readonly operator: "&&" | "||"; readonly left: Comparison; readonly right: Logic };

/** What is wrong with the words, and where; the caller knows the file and the line. */
export interface LogicFault {
  readonly column: number;
  readonly expected: string;
  readonly found: string;
}

export type ParsedLogic = { readonly logic: Logic; readonly next: number } | { readonly fault: LogicFault };

const RESERVED = new Set(["(", ")", "==", "!=", "&&", "||"]);

/**
 * Reads the bracketed logic that begins at `words[at]`, which is `(`. `next` is the index behind its `)`.
 * `endColumn` is where the line ends, for faults about what is not there.
 */
export function parseLogic(words: readonly Word[], at: number, endColumn: number): ParsedLogic {
  const fault = (index: number, expected: string): ParsedLogic => {
    const word = words[index];
    return { fault: { column: word?.column ?? endColumn, expected, found: word === undefined ? "the end of the line" : `"${word.text}"` } };
  };
  const opened = words[at];
  if (opened?.text !== "(") return fault(at, 'a predicate that begins with "("');
  const comparisons: Comparison[] = [];
  const joins: ("&&" | "||")[] = [];
  let index = at + 1;
  for (;;) {
    const left = words[index];
    if (left === undefined || RESERVED.has(left.text)) return fault(index, "the name of a variable");
    const operator = words[index + 1]?.text;
    if (operator === ")") return { logic: joined(comparisons, joins, { kind: "constant", value: left.text }), next: index + 2 };
    if (operator !== "==" && operator !== "!=") return fault(index + 1, '"==", "!=" or ")"');
    const right = words[index + 2];
    if (right === undefined || RESERVED.has(right.text)) return fault(index + 2, `a value to compare ${left.text} with`);
    const comparison: Comparison = { kind: "compare", variable: left.text, operator, value: right.text };
    const after = words[index + 3]?.text;
    if (after === ")") return { logic: joined(comparisons, joins, comparison), next: index + 4 };
    if (after !== "&&" && after !== "||") return fault(index + 3, '"&&", "||" or ")"');
    comparisons.push(comparison);
    joins.push(after);
    index += 4;
  }
}

/** Right-associative: the last term is innermost. */
function joined(comparisons: readonly Comparison[], operators: readonly ("&&" | "||")[], last: Logic): Logic {
  return comparisons.reduceRight<Logic>((right, left, index) => ({ kind: "join", operator: operators[index]!, left, right }), last);
}

const TRUE = "True";

/** The text that logic comes to: a constant as it stands, else `True` or `False`. A variable that is not set is the empty text. */
export function evaluate(logic: Logic, lookUp: (variable: string) => string): string {
  switch (logic.kind) {
    case "constant":
      return logic.value;
    case "compare":
      return (lookUp(logic.variable) === logic.value) === (logic.operator === "==") ? TRUE : "False";
    case "join": {
      const [left, right] = [evaluate(logic.left, lookUp) === TRUE, evaluate(logic.right, lookUp) === TRUE];
      return (logic.operator === "&&" ? left && right : left || right) ? TRUE : "False";
    }
  }
}

/** Whether a line with this predicate runs. */
export function holds(logic: Logic | undefined, lookUp: (variable: string) => string): boolean {
  return logic === undefined || evaluate(logic, lookUp) === TRUE;
}

/** The variables that are looked up, each once, in order. */
export function variablesOf(logic: Logic | undefined): readonly string[] {
  if (logic === undefined || logic.kind === "constant") return [];
  if (logic.kind === "compare") return [logic.variable];
  return [...new Set([logic.left.variable, ...variablesOf(logic.right)])];
}

/** As it is written in a manifest. */
export function encodeLogic(logic: Logic): string {
  const inner = (part: Logic): string => {
    if (part.kind === "constant") return part.value;
    if (part.kind === "compare") return `${part.variable} ${part.operator} ${part.value}`;
    return `${inner(part.left)} ${part.operator} ${inner(part.right)}`;
  };
  return `( ${inner(logic)} )`;
}
