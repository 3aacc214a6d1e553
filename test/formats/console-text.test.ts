import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { consoleTexts } from "../../src/formats/console-text.ts";

describe("what a person saw of a raw line", () => {
  test.each<[string, readonly string[]]>([
    ["plain", ["plain"]],
    ["", []],
    ["   \t", []],
    ["trailing   \r", ["trailing"]],
    ["[\x1b[0;32m  OK  \x1b[0m] Reached \x1b[0;1;39mX\x1b[0m.", ["[  OK  ] Reached X."]],
    ["one\rtwo", ["one", "two"]],
    ["a\0b\x07c", ["abc"]],
    ["3 \b\b\b 2", ["2".padStart(2)]],
    ["\x1b[2J\x1b[01;01Hmenu\x1b[5;1Hentry", ["menu", "entry"]],
    ["\x1b[1;1HG\x1b[1;2HR\x1b[1;3HU\x1b[1;4HB", ["GRUB"]],
    ["\x1b[1;1Ha\x1b[1;9Hb", ["a b"]],
    ["Welcome to \x1b[9;11H\x1b[9;12HGRUB!", ["Welcome to GRUB!"]],
    ["a word w\x1b[10;8H\x1b[10;9Hith", ["a word with"]],
    ["a word\x1b[10;6H over", ["a word", " over"]],
    ["\x1b[2;1Hone\x1b[3;4Htwo", ["one", "two"]],
    ["a\x1b[3Cb", ["a b"]],
    ["\x1b]0;title\x07text", ["text"]],
    ["\x1b(Btext", ["text"]],
    ["[^[[0;1;31mFAILED^[[0m] x", ["[FAILED] x"]],
    ["#033[1mbold#033[0m", ["bold"]],
    ["a\tb", ["a\tb"]],
  ])("%j", (raw, texts) => {
    expect(consoleTexts(raw)).toEqual(texts);
  });

  test("nothing that a terminal acts on is left, and nothing is made up", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("a", "Z", " ", "\x1b[", "\x1b]", "\x1b", "m", "H", "1;2", "\r", "\b", "\0", "\x9b", "^[[0m"), {
          maxLength: 60,
        }),
        (parts) => {
          const raw = parts.join("");
          for (const text of consoleTexts(raw)) {
            expect(text).not.toMatch(/[\0-\x08\x0b-\x1f\x7f]/);
            expect(text.trim()).not.toBe("");
            expect([...text].filter((letter) => letter !== " ").every((letter) => raw.includes(letter))).toBe(true);
          }
        },
      ),
    );
  });
});
