import fc from "fast-check";
import { expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { keysOf, keysOfText, keyValues } from "../../src/machine/keys.ts";

test.each<[string, readonly string[]]>([
  ["ctrl-alt-f2", ["ctrl", "alt", "f2"]],
  ["Ctrl+Alt+Delete", ["ctrl", "alt", "delete"]],
  ["alt-sysrq-b", ["alt", "sysrq", "b"]],
  ["enter", ["ret"]],
  ["PgUp", ["pgup"]],
  ["shift_r", ["shift_r"]],
  ["win-r", ["meta_l", "r"]],
  ["-", ["minus"]],
  ["+", ["shift", "equal"]],
  ["ctrl-:", ["ctrl", "shift", "semicolon"]],
  ["shift-:", ["shift", "semicolon"]],
  ["A", ["a"]],
])("%s", (chord, keys) => {
  expect(keysOf(chord)).toEqual(keys);
});

test.each([
  ["ctrl-entr", "enter is one"],
  ["constructor", '"constructor"'],
  ["", '""'],
  ["ctrl-", '""'],
  ["ctrl-\x1b[2J", String.raw`\x1b`],
  ["é", '"é"'],
  ["1-2-3-4-5-6-7-8-9", "9"],
])("%j is no key", (chord, found) => {
  let thrown: unknown;
  try {
    keysOf(chord);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(HiperisoError);
  expect(thrown).toMatchObject({ kind: "usage", found: expect.stringContaining(found) });
});

test("a text is typed key by key", () => {
  expect(keysOfText("Ab 1!\r\n|")).toEqual([["shift", "a"], ["b"], ["spc"], ["1"], ["shift", "1"], ["ret"], ["shift", "backslash"]]);
  expect(() => keysOfText("grün")).toThrow(/ü/);
});

test("every printable ASCII character has keys of its own", () => {
  const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));
  const chords = printable.map((character) => keysOfText(character)[0]!.join("-"));
  expect(new Set(chords).size).toBe(95);
});

test("a text becomes one chord a character, or is refused whole", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const known = /^[\x20-\x7f\n\r\t\b\x1b]*$/.test(text);
      if (known) expect(keysOfText(text)).toHaveLength(text.replaceAll("\r\n", "\n").length);
      else expect(() => keysOfText(text)).toThrow(HiperisoError);
    }),
  );
});

test("as QMP wants them", () => {
  expect(keyValues(["ctrl", "c"])).toEqual([
    { type: "qcode", data: "ctrl" },
    { type: "qcode", data: "c" },
  ]);
});
