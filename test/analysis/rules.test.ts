import { describe, expect, test } from "vitest";
import { textsOf } from "../../src/analysis/console-scan.ts";
import { RULES } from "../../src/analysis/rules.ts";
import { STAGE_MARKS } from "../../src/analysis/stage-marks.ts";
import { decodePrintk } from "../../src/formats/printk.ts";

const messagesOf = (line: string) => textsOf(line).map((text) => decodePrintk(text).message);

describe.each([...STAGE_MARKS, ...RULES])("$id", (row) => {
  test.each([...row.matches])("matches %s", (line) => {
    expect(messagesOf(line).some((message) => row.pattern.test(message))).toBe(true);
  });
  test.each([...row.ignores])("ignores %s", (line) => {
    expect(messagesOf(line).some((message) => row.pattern.test(message))).toBe(false);
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
