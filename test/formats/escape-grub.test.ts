import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { grubWord } from "../../src/formats/escape-grub.ts";

const grubScriptCheck = (script: string) => spawnSync("grub-script-check", [], { input: script });
const hasReferee = grubScriptCheck("true\n").status === 0;

/** How GRUB reads a word (grub-core/script/yylex.l): quotes stand anywhere in it, a backslash outside of them takes the next character. */
function readGrubWord(text: string): string {
  let word = "";
  for (let at = 0; at < text.length; at += 1) {
    if (text[at] === "'") {
      const end = text.indexOf("'", at + 1);
      if (end === -1) throw new Error("a quote is open");
      word += text.slice(at + 1, end);
      at = end;
    } else if (text[at] === "\\") {
      at += 1;
      word += text[at];
    } else {
      throw new Error(`${text[at]} stands outside of quotes`);
    }
  }
  return word;
}

const text = fc.oneof(
  fc.string({ unit: "grapheme" }).filter((word) => !/[\0-\x1f\x7f]/.test(word)),
  fc
    .array(fc.constantFrom("'", '"', "\\", "$root", "$", "{", "}", "{", ";", "#", "*", " ", "ä"), { maxLength: 8 })
    .map((parts) => parts.join("")),
);

describe("a word of grub.cfg", () => {
  test("is read back as it was", () => {
    fc.assert(
      fc.property(text, (word) => {
        expect(readGrubWord(grubWord(word))).toBe(word);
      }),
      { numRuns: 1000 },
    );
  });

  test.skipIf(!hasReferee)("is taken by GRUB's own parser, and ends where it should", () => {
    fc.assert(
      fc.property(fc.array(text, { minLength: 50, maxLength: 100 }), (words) => {
        const script = words
          .map((word) => `menuentry ${grubWord(word)} { linux /vmlinuz ${grubWord(`hiperiso_iso=${word}`)}\n}\n`)
          .join("");
        expect(grubScriptCheck(script).stderr.toString()).toBe("");
      }),
      { numRuns: 10 },
    );
    expect(grubScriptCheck("menuentry 'open { }\n").status).not.toBe(0);
  });

  test.each(["\0", "\n", "\x1b", "\x7f", "\udc00"])("refuses %j", (bad) => {
    expect(() => grubWord(`a${bad}b`)).toThrow(/without control characters/);
  });
});
