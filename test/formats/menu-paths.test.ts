import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchesName, normalPath } from "../../src/formats/menu-paths.ts";

describe("paths and names", () => {
  it.each([
    ["/a//b/./c/../d", "/a/b/d"],
    ["../../x", "/x"],
    ["", "/"],
  ])("%j is %j", (path, expected) => {
    expect(normalPath(path)).toBe(expected);
  });

  it("a pattern takes what a regular expression of the same meaning takes", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "."), maxLength: 8 });
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "b", ".", "*", "?"), maxLength: 6 }), letters, (pattern, name) => {
        const meant = new RegExp(`^${pattern.replace(/\./g, "\\.").replace(/\*/g, ".*").replace(/\?/g, ".")}$`);
        expect(matchesName(pattern, name)).toBe(meant.test(name));
      }),
    );
  });
});
