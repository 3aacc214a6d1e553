import fc from "fast-check";
import { expect, test } from "vitest";
import { patternWays } from "../../src/analysis/pattern-ways.ts";

test.each([
  ["^widget gone", 1, 0],
  ["a*b+c{2,}d?e{3}", 1, 3],
  ["\\d{1,3}(?:\\.\\d{1,3}){3}", 27, 0],
  ["(?:a{1,30}){1,30}", 30 * 30 ** 30, 0],
  ["(?:a?){40}", 2 ** 40, 0],
  ["(?:a|b|c){2}", 9, 0],
  ["(?:ab){1,9}", 1, 0],
  ["(?<name>(?:a|b){3}){2}", 64, 0],
  ["(?:a{1,3})*", Number.POSITIVE_INFINITY, 1],
  ["(?:ab)*", 1, 1],
  ["(?=a|b)c", 1, 0],
  ["\\(a|b\\){3}", 1, 0],
  ["[(|*]{3}[\\]*]x", 1, 0],
])("%s", (source, repeatedGroup, unbounded) => {
  const ways = patternWays(source);
  expect([ways.repeatedGroup, ways.unbounded]).toEqual([repeatedGroup, unbounded]);
});

test("ends for any text, also for what is no pattern", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(..."a\\()[]{}|*+?^$.,:=!<>019"), { maxLength: 60 }), (characters) => {
      expect(patternWays(characters.join("")).repeatedGroup).toBeGreaterThanOrEqual(1);
    }),
  );
});
