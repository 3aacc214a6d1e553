import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeGentooLicences, decodeLicences, isSatisfied, licencesText } from "../../src/formats/licence-expression.ts";

const text = (source: string) => {
  const expression = decodeLicences(source);
  return expression === undefined ? undefined : licencesText(expression);
};

describe("licences of a package", () => {
  test.each([
    ["GPL-2+", "GPL-2+"],
    ["GPL-2+ with OpenSSL exception", "GPL-2+ with OpenSSL exception"],
    ["GPL-1+ or Artistic", "GPL-1+ OR Artistic"],
    // Debian's copyright format, "Syntax of the License field": "and" binds first, a comma makes it bind last.
    ["A or B and C", "A OR (B AND C)"],
    ["A or B, and C", "(A OR B) AND C"],
    ["GPL-2+, MIT", "GPL-2+ AND MIT"],
    ["(MIT OR Apache-2.0) AND Unicode-3.0", "(MIT OR Apache-2.0) AND Unicode-3.0"],
    ["((MIT))", "MIT"],
    ["GPL-2.0-only AND (LGPL-2.1-or-later OR", "GPL-2.0-only AND LGPL-2.1-or-later"],
    ["MIT ) BSD", "MIT AND BSD"],
    ["Oracle", "Oracle"],
    ["  ", undefined],
    ["and or ()", undefined],
  ])("%s", (source, expected) => {
    expect(text(source)).toBe(expected);
  });

  test.each([
    ["GPL-2 LGPL-2.1", "GPL-2 AND LGPL-2.1"],
    ["|| ( GPL-2 MIT ) BSD", "(GPL-2 OR MIT) AND BSD"],
    ["ssl? ( openssl ) || ( A ( B C ) )", "openssl AND (A OR (B AND C))"],
    ["|| ( A", "A"],
    [") A )", "A"],
    ["", undefined],
  ])("of Gentoo: %s", (source, expected) => {
    const expression = decodeGentooLicences(source);
    expect(expression === undefined ? undefined : licencesText(expression)).toBe(expected);
  });

  test("a choice is satisfied by one side, a sum by all", () => {
    const takes = (source: string, ...names: string[]) => isSatisfied(decodeLicences(source)!, (name) => names.includes(name));
    expect(takes("A or B", "B")).toBe(true);
    expect(takes("A and B", "B")).toBe(false);
    expect(takes("A or B, and C", "A")).toBe(false);
    expect(takes("A or B, and C", "A", "C")).toBe(true);
  });

  test("no text is too strange: it is read, and what is written of it is read alike", () => {
    const word = fc.constantFrom("and", "or", ",", "(", ")", "||", "A", "B+", "x?", "and/or");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(word, { maxLength: 40 }).map((words) => words.join(" ")),
          fc.string(),
        ),
        (source) => {
          decodeGentooLicences(source);
          const once = text(source);
          if (once !== undefined) {
            expect(text(once)).toBe(once);
          }
        },
      ),
    );
    expect(text("(".repeat(10_000))).toBe(undefined);
  });
});
