import { expect, test } from "vitest";
import { count, duration, size } from "../../src/analysis/quantities.ts";

test.each([
  [0, "0 s"],
  [4, "0 s"],
  [350, "0.35 s"],
  [5849, "5.85 s"],
  [10_000, "10 s"],
  [21_657, "21.7 s"],
  [59_999, "60 s"],
  [60_000, "1 min"],
  [125_400, "2 min 5 s"],
  [3_600_000, "1 h"],
  [12_000_000, "3 h 20 min"],
])("%d ms is said as %s", (ms, words) => {
  expect(duration(ms)).toBe(words);
});

test.each([
  [1, "1 byte"],
  [431, "431 bytes"],
  [9999, "9,999 bytes"],
  [26_756, "27 kB"],
  [1_500_000, "1.5 MB"],
  [210_000_000, "210 MB"],
])("%d bytes are said as %s", (bytes, words) => {
  expect(size(bytes)).toBe(words);
});

test("numbers are grouped by thousands", () => {
  expect([1, 999, 1000, 1_234_567].map((number) => count(number, "line"))).toEqual([
    "1 line",
    "999 lines",
    "1,000 lines",
    "1,234,567 lines",
  ]);
});
