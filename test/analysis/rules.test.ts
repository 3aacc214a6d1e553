import { describe, expect, test } from "vitest";
import { textsOf } from "../../src/analysis/console-scan.ts";
import { RULES } from "../../src/analysis/rules.ts";
import { STAGE_MARKS } from "../../src/analysis/stage-marks.ts";
import { decodePrintk } from "../../src/formats/printk.ts";

const hits = (row: { readonly pattern: RegExp; readonly except?: RegExp }, line: string) =>
  textsOf(line)
    .map((text) => decodePrintk(text).message)
    .some((message) => row.pattern.test(message) && row.except?.test(message) !== true);

describe.each([...STAGE_MARKS, ...RULES])("$id", (row) => {
  test.each([...row.matches])("matches %s", (line) => {
    expect(hits(row, line)).toBe(true);
  });
  test.each([...row.ignores])("ignores %s", (line) => {
    expect(hits(row, line)).toBe(false);
  });
  test("has examples of both sorts, and keeps no state", () => {
    expect(row.matches.length).toBeGreaterThan(0);
    expect(row.ignores.length).toBeGreaterThan(0);
    expect(row.pattern.global || row.pattern.sticky).toBe(false);
  });
});

test("every id is there once", () => {
  const ids = [...STAGE_MARKS, ...RULES].map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThan(30);
});
