import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeLogic, evaluate, holds, type Logic, parseLogic, variablesOf, type Word } from "../../src/bootstrap/predicate.ts";

const wordsOf = (text: string): readonly Word[] => {
  let column = 1;
  return text.split(" ").map((word) => {
    const at = column;
    column += word.length + 1;
    return { text: word, column: at };
  });
};

function parsed(text: string): Logic {
  const result = parseLogic(wordsOf(text), 0, text.length + 1);
  if ("fault" in result) throw new Error(`${result.fault.column}: ${result.fault.expected}, ${result.fault.found}`);
  return result.logic;
}

const lookUp =
  (variables: Readonly<Record<string, string>>) =>
  (name: string): string =>
    variables[name] ?? "";

describe("logic", () => {
  test.each([
    ["( A == x )", { A: "x" }, "True"],
    ["( A == x )", { A: "y" }, "False"],
    ["( A != x )", {}, "True"],
    ["( A != x )", { A: "x" }, "False"],
    // A word alone is a text, not a variable.
    ["( A )", { A: "True" }, "A"],
    ["( True )", {}, "True"],
    // No precedence: the right side of a join is all the rest.
    ["( A == 1 || B == 1 && C == 1 )", { A: "1" }, "True"],
    ["( A == 1 && B == 1 || C == 1 )", { C: "1" }, "False"],
    ["( A == 1 && B == 1 || C == 1 )", { A: "1", C: "1" }, "True"],
    ["( A == 1 && True )", { A: "1" }, "True"],
    ["( A == 1 && B )", { A: "1", B: "True" }, "False"],
  ])("%s under %o is %s", (text, variables, value) => {
    expect(evaluate(parsed(text), lookUp(variables))).toBe(value);
  });

  test("without a predicate a line runs", () => {
    expect(holds(undefined, () => "")).toBe(true);
    expect(holds(parsed("( A )"), () => "True")).toBe(false);
  });

  test("names its variables once, in order", () => {
    expect(variablesOf(parsed("( B == 1 && A == 1 || B == 2 )"))).toEqual(["B", "A"]);
    expect(variablesOf(parsed("( B )"))).toEqual([]);
  });

  test.each([
    ["( A == x", 9, '"&&", "||" or ")"', "the end of the line"],
    ["( A", 4, '"==", "!=" or ")"', "the end of the line"],
    ["(", 2, "the name of a variable", "the end of the line"],
    ["( )", 3, "the name of a variable", '")"'],
    ["( A = x )", 5, '"==", "!=" or ")"', '"="'],
    ["( A == )", 8, "a value to compare A with", '")"'],
    ["( A == x B == y )", 10, '"&&", "||" or ")"', '"B"'],
    ["( ( A == x ) )", 3, "the name of a variable", '"("'],
    ["( A == x && )", 13, "the name of a variable", '")"'],
    ["A == x", 1, 'a predicate that begins with "("', '"A"'],
  ])("%s is refused at column %d", (text, column, expected, found) => {
    expect(parseLogic(wordsOf(text), 0, text.length + 1)).toEqual({ fault: { column, expected, found } });
  });
});

const name = fc.stringMatching(/^[A-Za-z_][\w.-]{0,8}$/);
const comparison = fc.record({
  kind: fc.constant("compare" as const),
  variable: name,
  operator: fc.constantFrom("==" as const, "!=" as const),
  value: name,
});
const last: fc.Arbitrary<Logic> = fc.oneof(comparison, fc.record({ kind: fc.constant("constant" as const), value: name }));
const logic: fc.Arbitrary<Logic> = fc
  .tuple(fc.array(fc.tuple(comparison, fc.constantFrom("&&" as const, "||" as const)), { maxLength: 6 }), last)
  .map(([terms, end]) => terms.reduceRight<Logic>((right, [left, operator]) => ({ kind: "join", operator, left, right }), end));

describe("any logic", () => {
  test("is read back as it was written", () => {
    fc.assert(
      fc.property(logic, (value) => {
        expect(parsed(encodeLogic(value))).toEqual(value);
      }),
    );
  });

  test("cut after any word is refused at the end of the line", () => {
    fc.assert(
      fc.property(logic, (value) => {
        const words = wordsOf(encodeLogic(value));
        for (let length = 1; length < words.length; length++) {
          const result = parseLogic(words.slice(0, length), 0, 999);
          expect(result).toMatchObject({ fault: { column: 999, found: "the end of the line" } });
        }
      }),
    );
  });
});
