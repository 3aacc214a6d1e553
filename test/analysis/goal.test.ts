import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { backtrackingRisk } from "../../src/analysis/backtracking.ts";
import { createGoal, matchesGoal, stageMeetsGoal } from "../../src/analysis/goal.ts";
import { needlesOf } from "../../src/analysis/needles.ts";
import { HiperisoError } from "../../src/contract/error.ts";

describe("a goal", () => {
  test.each([
    "",
    "logins",
    "text:",
    "pattern:",
    "pattern:(",
    "pattern:(a+)+$",
    "pattern:(a|a)*b",
    "pattern:(.)\\1",
    "pattern:.*a.*b.*c.*d",
  ])("%j is refused as wrong usage", (spec) => {
    expect(() => createGoal(spec)).toThrow(HiperisoError);
    expect(() => createGoal(spec)).toThrow(expect.objectContaining({ kind: "usage", where: "--until" }));
  });

  test("a stage is reached by a later one too", () => {
    expect(stageMeetsGoal(createGoal("kernel"), "login")).toBe(true);
    expect(stageMeetsGoal(createGoal("kernel"), "bootloader")).toBe(false);
    expect(stageMeetsGoal(createGoal("kernel"), undefined)).toBe(false);
    expect(stageMeetsGoal(createGoal("never"), "login")).toBe(false);
  });

  test("a text is looked for as it stands, a pattern as one", () => {
    expect(matchesGoal(createGoal("text:a.c"), "abc a.c")).toBe(true);
    expect(matchesGoal(createGoal("text:a.c"), "abc")).toBe(false);
    expect(matchesGoal(createGoal("pattern:a.c"), "abc")).toBe(true);
  });
});

describe("backtracking", () => {
  test.each(["a+b*c{2,}", "^\\[ *\\d+\\] foo", "(?:foo|bar) baz", "[(a+)+]x", "\\(a+\\)+", "(abc)+"])("%s is safe", (source) => {
    expect(backtrackingRisk(source)).toBeUndefined();
  });
  test.each([
    ["(a*)*", "a repetition inside a repetition"],
    ["((a+)b?)+", "a repetition inside a repetition"],
    ["(?:a|b)+", "a choice inside a repetition"],
    ["(a{1,}){2,}", "a repetition inside a repetition"],
    ["\\k<x>(?<x>a)", "a back reference"],
    ["(?:a{1,30}){1,30}", "a part that fits in several ways inside a repetition"],
    ["(?:a?){40}", "a part that fits in several ways inside a repetition"],
  ])("%s is not: %s", (source, risk) => {
    expect(backtrackingRisk(source)).toBe(risk);
  });
});

describe("needles", () => {
  test.each<[RegExp, readonly string[]]>([
    [/^SeaBIOS \(version /, ["SeaBIOS (version "]],
    [/foo(?:bar|baz)qux/, ["foobarqux", "foobazqux"]],
    [/\w+ panic: \d+/, [" panic: "]],
    [/ab?c/, ["abc", "ac"]],
    [/(?:abc)*/, []],
    [/a|\d/, []],
    [/(?<name>long word)+x/, ["long word"]],
    [/(?!no)yes/, ["yes"]],
  ])("%s", (pattern, needles) => {
    expect(needlesOf(pattern)).toEqual(needles);
  });

  test("every match of a pattern made at random holds one of them", () => {
    const literal = fc.stringMatching(/^[a-c]{1,3}$/);
    const source = fc.letrec<{ pattern: string; atom: string }>((tie) => ({
      atom: fc.oneof(
        literal,
        fc.constantFrom("[ab]", "[a-c]", "\\w", "."),
        tie("pattern").map((inner) => `(?:${inner})`),
      ),
      pattern: fc.oneof(
        { maxDepth: 3 },
        literal,
        fc
          .tuple(tie("atom"), fc.constantFrom("", "?", "*", "+", "{2}", "{0,2}"), tie("atom"))
          .map(([a, quantifier, b]) => `${a}${quantifier}${b}`),
        fc.tuple(tie("atom"), tie("atom")).map(([a, b]) => `${a}|${b}`),
      ),
    })).pattern;
    fc.assert(
      fc.property(source, fc.stringMatching(/^[a-c]{0,12}$/), (pattern, text) => {
        const match = new RegExp(pattern).exec(text);
        const needles = needlesOf(new RegExp(pattern));
        if (match !== null && needles.length > 0) expect(needles.some((needle) => match[0].includes(needle))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});
