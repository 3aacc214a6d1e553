import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConsoleScan, textsOf } from "../../src/analysis/console-scan.ts";
import { createGoal } from "../../src/analysis/goal.ts";
import { GRAPHICS_MARKS } from "../../src/analysis/graphics.ts";
import { MACHINE_RULES } from "../../src/analysis/machine-findings.ts";
import { needlesOf } from "../../src/analysis/needles.ts";
import type { Rule } from "../../src/analysis/rule.ts";
import { RULES } from "../../src/analysis/rules.ts";
import { STAGE_MARKS } from "../../src/analysis/stage-marks.ts";
import { decodePrintk } from "../../src/formats/printk.ts";

interface Row {
  readonly pattern: RegExp;
  readonly except?: RegExp;
}

const messagesOf = (line: string) => textsOf(line).map((text) => decodePrintk(text).message);
const hits = ({ pattern, except }: Row, line: string) =>
  messagesOf(line).some((message) => pattern.test(message) && except?.test(message) !== true);
const ROWS = [...STAGE_MARKS, ...GRAPHICS_MARKS, ...RULES];

describe.each(ROWS)("$id", (row) => {
  test.each([...row.matches])("matches %s", (line) => {
    expect(hits(row, line)).toBe(true);
  });
  test.each([...row.ignores])("ignores %s", (line) => {
    expect(hits(row, line)).toBe(false);
  });
  test("has examples of both sorts, and its pattern keeps no state", () => {
    expect(row.matches.length).toBeGreaterThan(0);
    expect(row.ignores.length).toBeGreaterThan(0);
    expect(row.pattern.global || row.pattern.sticky).toBe(false);
  });
  test("names a text that the sieve can look for, and each example holds one", () => {
    const needles = needlesOf(row.pattern).map((text) => text.toLowerCase());
    expect(needles.length).toBeGreaterThan(0);
    expect(Math.min(...needles.map(({ length }) => length))).toBeGreaterThanOrEqual(2);
    for (const line of row.matches) {
      // An example ends where a prompt would go on.
      const text = messagesOf(line).join("\n").toLowerCase();
      expect(needles.some((needle) => text.includes(needle))).toBe(true);
    }
  });
});

/** The finding that a console with this one line gives, among those of the rule's kind. */
function found(rule: Rule, line: string): readonly string[] {
  const scan = new ConsoleScan({ goal: createGoal("never") });
  scan.push(Buffer.from(`${line}\n`));
  scan.end();
  return scan.boots.flatMap(({ findings }) => findings).flatMap((finding) => (finding.rule.kind === rule.kind ? [finding.rule.id] : []));
}

describe("no rule hides another", () => {
  test.each(RULES.flatMap((rule) => rule.matches.map((line) => ({ rule, line }))))("$rule.id speaks for $line", ({ rule, line }) => {
    expect(found(rule, line)).toEqual([rule.id]);
  });
});

test("every id is there once, and every place in a sentence has its group", () => {
  const ids = [...ROWS, ...MACHINE_RULES].map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThan(120);
  for (const { id, pattern, explanation, hint } of RULES) {
    for (const [, name] of `${explanation} ${hint}`.matchAll(/\{(\w+)\}/g)) expect(`${id} ${pattern.source}`).toContain(`(?<${name}>`);
  }
});

test("every sentence ends like one", () => {
  for (const { id, explanation, hint } of [...RULES, ...MACHINE_RULES]) {
    expect(`${id}: ${explanation}`).toMatch(/[.}:][^.]{0,3}$/);
    expect(`${id}: ${hint}`).toMatch(/[.)]$/);
  }
});

/**
 * A pattern with exponentially many ways to match would not come back from this in a lifetime, one with a high power of the length not before
 * the test's time is up: lines as long as the analyser tries them, made of the pattern's own words over and over.
 */
test("no line keeps a pattern busy", () => {
  const pieces = ROWS.flatMap(({ matches, pattern }) => [...matches, ...needlesOf(pattern)]);
  for (const { pattern, matches } of ROWS) {
    const own = [...needlesOf(pattern), ...matches.map((line) => line.slice(0, 12)), " ", "0", "a", ":", "/"];
    for (const piece of own) {
      const line = piece.repeat(Math.ceil(4096 / piece.length)).slice(0, 4096);
      pattern.test(line);
      pattern.test(`${matches[0]}${line}`.slice(0, 4096));
    }
  }
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces, " ", "\t", "[", "]", "0", "x"), { minLength: 1, maxLength: 40 }), (parts) => {
      const line = parts.join("").repeat(20).slice(0, 4096);
      for (const { pattern, except } of ROWS as readonly Row[]) {
        pattern.test(line);
        except?.test(line);
      }
    }),
    { numRuns: 100 },
  );
});
