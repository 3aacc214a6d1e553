import fc from "fast-check";
import { expect, test } from "vitest";
import { matchesPath } from "../../../src/config/overrides.ts";
import { matchPosix } from "../../../src/formats/posix-regexp.ts";
import { grubPattern } from "../../../src/stick/menu/grub-pattern.ts";

/** GRUB matches bytes: so does this, a character for each. */
const bytesOf = (text: string): string => Buffer.from(text).toString("latin1");
const asksGrub = (glob: string, path: string): boolean => {
  const found = matchPosix(bytesOf(grubPattern(glob)!), bytesOf(path));
  expect(found, glob).not.toBe(undefined);
  return typeof found === "object";
};

test.each([
  ["*.iso", "/ISOs/a.iso", true],
  ["*.iso", "/ISOs/a.iso.gz", false],
  ["/ISOs/*", "/ISOs/deep/a.iso", false],
  ["/ISOs/**", "/ISOs/deep/a.iso", true],
  ["*./win*.iso", "/a/b/windows.iso", true],
  ["*/win*.iso", "/windows.iso", true],
  ["?.iso", "/ISOs/ä.iso", true],
  ["?.iso", "/ISOs/漢.iso", true],
  ["?.iso", "/ISOs/ab.iso", false],
  ["[äb].iso", "/ISOs/ä.iso", true],
  ["[!ä].iso", "/ISOs/b.iso", true],
  ["[z-a].iso", "/ISOs/b.iso", false],
  ["[/].iso", "/ISOs/[/].iso", false],
  ["[.iso", "/ISOs/[.iso", true],
  ["a\\*.iso", "/ISOs/a*.iso", true],
  ["/ISOs/it [1].iso", "/ISOs/it [1].iso", true],
  ["/ISOs/it [1].iso", "/ISOs/it 1.iso", true],
  ["a.(b)+{1}^$|", "/x/a.(b)+{1}^$|", true],
])("%s and %s: %s", (glob, path, expected) => {
  expect(asksGrub(glob, path)).toBe(expected);
  expect(matchesPath(glob, path)).toBe(expected);
});

test("asks what the globs of the configuration mean, of any ASCII name", () => {
  const part = fc.constantFrom(
    "*",
    "?",
    "**/",
    "*./",
    "/",
    "[a-c]",
    "[!a]",
    "[^b-d]",
    "[]x]",
    "[a/b]",
    "\\*",
    "a",
    "b",
    "c",
    ".",
    "+",
    "$",
    "(",
    "|",
    "iso",
  );
  const name = fc.array(fc.constantFrom(..."abcx./*$(+|]["), { maxLength: 10 }).map((letters) => `/${letters.join("")}`);
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 7 }), name, (parts, path) => {
      const glob = parts.join("");
      expect(asksGrub(glob, path.replace(/\/{2,}/g, "/"))).toBe(matchesPath(glob, path.replace(/\/{2,}/g, "/")));
    }),
    { numRuns: 2000 },
  );
});

test("a glob that is longer than anybody writes is not asked", () => {
  expect(grubPattern("[a-z]".repeat(100))).toBe(undefined);
});
