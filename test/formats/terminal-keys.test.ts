import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Key, KeyDecoder } from "../../src/formats/terminal-keys.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const shown = (key: Key): string =>
  key.type === "text" ? key.text : key.type === "named" ? `<${key.name}>` : `<at ${key.row} ${key.column}>`;
/** All keys of a text, with what is left when nothing more comes. */
const keysOf = (text: string): string => {
  const decoder = new KeyDecoder();
  return [...decoder.push(bytes(text)), ...decoder.settle()].map(shown).join("");
};

describe("keys of a terminal", () => {
  test.each([
    ["abc", "abc"],
    ["ä€日🐧", "ä€日🐧"],
    ["\r", "<enter>"],
    ["\n", "<enter>"],
    ["\x7f\b", "<backspace><backspace>"],
    ["\t\x1b[Z", "<tab><shift tab>"],
    ["\x1b[A\x1b[B\x1b[C\x1b[D", "<up><down><right><left>"],
    ["\x1bOA\x1bOB\x1bOC\x1bOD", "<up><down><right><left>"],
    ["\x1b[H\x1b[F\x1bOH\x1bOF\x1b[1~\x1b[4~\x1b[7~\x1b[8~", "<home><end><home><end><home><end><home><end>"],
    ["\x1b[2~\x1b[3~\x1b[5~\x1b[6~", "<insert><delete><page up><page down>"],
    ["\x1bOP\x1bOQ\x1bOR\x1bOS\x1b[15~\x1b[21~\x1b[24~", "<f1><f2><f3><f4><f5><f10><f12>"],
    ["\x1b[11~\x1b[12~\x1b[13~", "<f1><f2><f3>"],
    ["\x1b[[A\x1b[[B\x1b[[E", "<f1><f2><f5>"],
    ["\x1b[1;5A\x1b[3;2~", "<up><delete>"],
    ["\x01\x03\x0c\x1a", "<ctrl-a><ctrl-c><ctrl-l><ctrl-z>"],
    ["\x1b", "<escape>"],
    ["\x1b\x1b", "<escape><escape>"],
    ["\x1bx", "<escape>x"],
    ["\x1b[25;80R", "<at 25 80>"],
    ["\x1b[999X\x1b[200~a", "a"],
    ["\x1b[\rb", "<enter>b"],
    ["\x9b", ""],
    ["\0", ""],
  ])("%j is %s", (text, keys) => {
    expect(keysOf(text)).toBe(keys);
  });

  test("are the same wherever the bytes are cut", () => {
    const text = "a\x1b[A\x1bOB\x1b[[C\x1b[5~日\x1b[12;40R\x1b[1;2Dü\r";
    for (let at = 0; at <= bytes(text).length; at += 1) {
      const decoder = new KeyDecoder();
      const keys = [...decoder.push(bytes(text).subarray(0, at)), ...decoder.push(bytes(text).subarray(at)), ...decoder.settle()];
      expect(keys.map(shown).join("")).toBe("a<up><down><f3><page up>日<at 12 40><left>ü<enter>");
    }
  });

  test("the beginning of one is pending, and ESC alone is a key when nothing follows", () => {
    const decoder = new KeyDecoder();
    expect(decoder.push(bytes("\x1b"))).toEqual([]);
    expect(decoder.isPending).toBe(true);
    expect(decoder.settle().map(shown)).toEqual(["<escape>"]);
    expect(decoder.isPending).toBe(false);
    expect(decoder.push(bytes("\x1b[3"))).toEqual([]);
    expect(decoder.settle()).toEqual([]);
    expect(decoder.push(bytes("~")).map(shown)).toEqual(["~"]);
  });

  test("any bytes give keys that hold no control character, and a sequence that never ends is given up", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), (chunks) => {
        const decoder = new KeyDecoder();
        const keys = [...chunks.flatMap((chunk) => decoder.push(chunk)), ...decoder.settle()];
        for (const key of keys) if (key.type === "text") expect(key.text).toMatch(/^[^\p{Cc}\p{Cs}]$/u);
      }),
    );
    const decoder = new KeyDecoder();
    decoder.push(bytes(`\x1b[${"1".repeat(100)}`));
    expect(decoder.push(bytes("z")).map(shown)).toEqual(["z"]);
  });
});
