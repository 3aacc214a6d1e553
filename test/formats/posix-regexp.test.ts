import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchPosix } from "../../src/formats/posix-regexp.ts";

const groups = (pattern: string, text: string) => {
  const match = matchPosix(pattern, text);
  return typeof match === "object" ? match.groups : match;
};

describe("POSIX extended regular expressions", () => {
  it.each([
    ["a", "cab", ["a"]],
    ["^a", "cab", "none"],
    ["^(.*)/([^/]*)\\.iso$", "/isos/a.b.iso", ["/isos/a.b.iso", "/isos", "a.b"]],
    ["a|b+", "cbb", ["bb"]],
    ["(a|b)*c", "abac", ["abac", "a"]],
    ["x{2,3}", "xxxx", ["xxx"]],
    ["x{2}", "x", "none"],
    ["x{2,}y", "xxxy", ["xxxy"]],
    ["[[:digit:]]+[a-c]", "x12b", ["12b"]],
    ["[]a]+", "]a]", ["]a]"]],
    ["[^]a]", "]ab", ["b"]],
    ["[a-]+", "-a-", ["-a-"]],
    ["\\.", "a.b", ["."]],
    ["()", "a", ["", ""]],
    ["(x)?y", "y", ["y", undefined]],
    ["a??", "a", ["a"]],
    ["(a*)*", "b", ["", undefined]],
    ["(", "a", undefined],
    ["a)", "a", undefined],
    ["*a", "a", undefined],
    ["[a", "a", undefined],
    ["x{3,2}", "x", undefined],
    ["x{300}", "x", undefined],
    ["a\\", "a", undefined],
    ["[[:none:]]", "a", undefined],
  ])("%s on %j", (pattern, text, expected) => {
    const found = groups(pattern, text);
    expect(found).toEqual(expected);
  });

  it("gives up on patterns that would take for ever, and on text that is too deep", () => {
    expect(matchPosix("(a*)*(a*)*b", "a".repeat(40))).toBe("given up");
    expect(matchPosix("((a|ab)(c|bcd)*)*x", "abcd".repeat(5000))).toBe("given up");
    expect(matchPosix("(".repeat(100), "a")).toBeUndefined();
    expect(matchPosix("a".repeat(5000), "a")).toBeUndefined();
  });

  it("finds what the engine of the language finds, where both mean the same", () => {
    const atom = fc.constantFrom("a", "b", ".", "[ab]", "[^a]", "(a|b)", "(ab)", "^", "$");
    const pattern = fc
      .array(fc.tuple(atom, fc.constantFrom("", "", "*", "+", "?", "{2}")), { maxLength: 5 })
      .map((parts) => parts.map(([one, repeat]) => (one === "^" || one === "$" ? one : one + repeat)).join(""));
    fc.assert(
      fc.property(pattern, fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 8 }), (text, subject) => {
        const theirs = new RegExp(text, "s").exec(subject);
        expect(groups(text, subject)).toEqual(theirs === null ? "none" : [...theirs]);
      }),
      { numRuns: 500 },
    );
  });

  it("takes every pattern", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."ab()[]{}|*+?^$.\\-,:1") }), fc.string({ maxLength: 20 }), (pattern, text) => {
        matchPosix(pattern, text);
      }),
      { numRuns: 500 },
    );
  });
});
