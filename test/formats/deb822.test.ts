import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeDeb822 } from "../../src/formats/deb822.ts";

const read = (text: string) => [...decodeDeb822(text)].map((paragraph) => Object.fromEntries(paragraph));

test("paragraphs are apart by empty lines; names without regard to case; the last of two fields counts", () => {
  expect(read("Package: a\nVersion: 1\nVERSION: 2\n\n \t\nPackage: b\r\n")).toEqual([{ package: "a", version: "2" }, { package: "b" }]);
});

test("longer values keep their lines; a dot is an empty one; comments and what is no field are left out", () => {
  expect(read("License: MIT\n Permission\n .\n  granted\n# a comment\n more\nnonsense\n lost\n: none\nX:\n y")).toEqual([
    { license: "MIT\nPermission\n\n granted\nmore", x: "\ny" },
  ]);
});

test("any text is read", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("a", ":", " ", "\n", "\t", ".", "#") }), (text) => {
      for (const paragraph of decodeDeb822(text)) {
        expect(paragraph.size).toBeGreaterThan(0);
      }
    }),
  );
});
