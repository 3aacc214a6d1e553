import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeCatalystSpec } from "../../../src/live/catalyst/spec-file.ts";

const read = (text: string) => {
  const { keys, faults } = decodeCatalystSpec(text, "x.spec");
  return {
    keys: Object.fromEntries([...keys].map(([key, { words }]) => [key, words])),
    faults: faults.map(({ line, severity, text: says }) => `${line} ${severity}: ${says}`),
  };
};

describe("catalyst's syntax", () => {
  test("keys, values on one line and on several, comments, blank lines", () => {
    expect(
      read(`# a comment
subarch: amd64
livecd/packages:
  app-editors/vim   sys-apps/pciutils # and a comment

	net-misc/dhcpcd
sys-apps/usbutils
livecd/volid: "Gentoo Live 2026"
`),
    ).toEqual({
      keys: {
        subarch: ["amd64"],
        "livecd/packages": ["app-editors/vim", "sys-apps/pciutils", "net-misc/dhcpcd", "sys-apps/usbutils"],
        "livecd/volid": ["Gentoo", "Live", "2026"],
      },
      faults: [],
    });
  });

  test("values may go on behind the first; where a line stands in the file is known", () => {
    const { keys } = decodeCatalystSpec("a: 1\nb/c: x\n  y\n\n#\nd: z:w\n", "x.spec");
    expect([...keys]).toEqual([
      ["a", { words: ["1"], line: 1 }],
      ["b/c", { words: ["x", "y"], line: 2 }],
      ["d", { words: ["z:w"], line: 6 }],
    ]);
  });

  test("a value of a key before it, and a per cent sign", () => {
    expect(read("version_stamp: 2026.1\nsource_subpath: default/stage3-%(version_stamp)s\nx: 100%%\n")).toEqual({
      keys: { version_stamp: ["2026.1"], source_subpath: ["default/stage3-2026.1"], x: ["100%"] },
      faults: [],
    });
  });

  test("what comes twice, has no value, or is none", () => {
    expect(read("a: 1\na: 2\nb:\nc: None\nd: none of it\n")).toEqual({
      keys: { a: ["2"], d: ["none", "of", "it"] },
      faults: ["2 warning: a comes a second time: the values of line 1 do not count", "3 warning: b has no value and counts as not there"],
    });
  });

  test("line ends of every kind, and a byte order mark", () => {
    expect(read("\ufeffa: 1\r\nb: 2\rc: 3\n").keys).toEqual({ a: ["1"], b: ["2"], c: ["3"] });
  });
});

describe("what catalyst would take for something else than it says", () => {
  test.each([
    ["a value before any key", "word\na: 1\n", /^1 error: a value before any key$/],
    ["a colon alone", "a: 1\n: 2\n", /^2 error: a colon without a key/],
    [
      "a slot in a list of packages",
      "p:\n  cat/one\n  cat/two other:0\n",
      /^3 error: a line with a colon begins a key, and "cat\/two other" is none/,
    ],
    ["a blank before the colon", "a : 1\n", /^1 error: the key "a" has a blank before its colon/],
    ["a key that does not come before", "a: %(b)s\nb: 1\n", /^1 error: %\(b\)s stands for a key that does not come before it/],
    ["a key with several values", "b: 1 2\na: %(b)s\n", /^2 error: %\(b\)s stands for a key with several values/],
    ["a single per cent sign", "a: 50% x\n", /^1 error: a single %/],
    ["a reference that does not end", "a: %(b\n", /^1 error: a single %/],
  ])("%s", (_, text, fault) => {
    expect(read(text).faults).toEqual([expect.stringMatching(fault)]);
  });

  test("what follows a wrong key is not taken for the key before it", () => {
    expect(read("a: 1\nwrong key: 2\n  3\nb: 4\n").keys).toEqual({ a: ["1"], b: ["4"] });
  });
});

describe("hostile files", () => {
  test("any text is read without an error, and every word is from it", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^([a-c%(): #"\n\t]|%\(a\)s|none){0,60}$/)), (text) => {
        const { keys, faults } = decodeCatalystSpec(text, "x.spec");
        const lines = text.split(/\r\n|\r|\n/).length;
        for (const { words, line } of keys.values()) {
          expect(words.length).toBeGreaterThan(0);
          expect(words.every((word) => !/\s|#/.test(word))).toBe(true);
          expect(line).toBeGreaterThan(0);
        }
        for (const { line } of faults) expect(line).toBeLessThanOrEqual(lines);
      }),
      { numRuns: 1000 },
    );
  });

  test("keys and words that are written are read back", () => {
    const word = fc.stringMatching(/^[A-Za-z0-9/@=.*_+-]{1,12}$/).filter((text) => text.toLowerCase() !== "none");
    const key = fc.stringMatching(/^[a-z][a-z0-9_/-]{0,12}$/);
    fc.assert(
      fc.property(
        fc.dictionary(key, fc.array(word, { minLength: 1, maxLength: 6 }), { noNullPrototype: true }),
        fc.boolean(),
        (spec, onOneLine) => {
          const text = Object.entries(spec).map(
            ([name, words]) => `${name}:${onOneLine ? ` ${words.join(" ")}` : words.map((one) => `\n\t${one}`).join("")}\n`,
          );
          expect(read(text.join(""))).toEqual({ keys: { ...spec }, faults: [] });
        },
      ),
    );
  });

  test("names that objects have by birth are keys like others", () => {
    expect([...decodeCatalystSpec("__proto__: 1\nconstructor: 2\nx: %(toString)s\n", "x").keys.keys()]).toEqual([
      "__proto__",
      "constructor",
      "x",
    ]);
  });
});
