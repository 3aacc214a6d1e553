import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ScreenFilter } from "../../src/formats/escape-screen.ts";

const shown = (text: string): string => new ScreenFilter().write(Buffer.from(text));

describe("what a menu draws with passes", () => {
  test.each([
    "plain text\r\n\ttab\b",
    "ünï ☃ 😀",
    "\x1b[2J\x1b[H\x1b[5;10H\x1b[3A\x1b[K\x1b[1;24r",
    "\x1b[0;1;37;44m\x1b[38;5;8m\x1b[48;2;8;8;8mx\x1b[m",
    "\x1b(0lqqk\x1b(B\x0e\x0f",
    "\x1b7\x1b8\x1bM\x1bD\x1b=\x1b>\x1bc",
    "\x1b[?25l\x1b[?25h\x1b[?1049h\x1b[?1049l\x1b[?7l\x1b[4h",
    "\x1b[s\x1b[u",
    "\x1b[22A\x1b[M\x1b[22B",
  ])("%j", (text) => {
    expect(shown(text)).toBe(text);
  });
});

describe("what acts on more than the screen does not", () => {
  test.each([
    ["a window's title", "\x1b]0;title\x07x", "x"],
    ["the clipboard", "\x1b]52;c;aGk=\x1b\\x", "x"],
    ["a device control string", "\x1bP1$r0m\x1b\\x", "x"],
    ["questions", "\x1b[c\x1b[5n\x1b[6n\x1b[>c\x1bZ\x05x", "x"],
    ["window changes", "\x1b[8;1;1t\x1b[3tx", "x"],
    ["the mouse, pasting and focus", "\x1b[?1000h\x1b[?2004h\x1b[?1004hx", "x"],
    ["of several modes those that are unknown", "\x1b[?25;1000;7h", "\x1b[?25;7h"],
    ["printing", "\x1b[5ix", "x"],
    ["the bell, and other controls", "\x07\x00\x0b\x7fx", "x"],
    ["concealed text", "\x1b[8mx\x1b[1;8;31my", "x\x1b[1;31my"],
    ["8-bit control strings", "\u009d0;title\u009cx\u0090q\u009cy", "xy"],
    ["text that turns around", "\u202ex", String.raw`\u202ex`],
    ["a sequence within a sequence", "\x1b[\x1b]0;t\x07x", "x"],
  ])("%s", (_, text, left) => {
    expect(shown(text)).toBe(left);
  });

  test("a string that never ends does not silence the console for ever", () => {
    expect(shown(`\x1b]0;${"a".repeat(5000)}visible`)).toContain("visible");
    expect(shown("\x1b]0;never ended\nvisible")).toBe("\nvisible");
  });
});

test("wherever the bytes are cut, the same is shown", () => {
  const piece = fc.constantFrom("\x1b", "[", "]", "0", "8", ";", "?25", "h", "m", "\\", "\x07", "é", "text", "\n", "\u009b", "P", "(", "c");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.infiniteStream(fc.integer({ min: 1, max: 3 })), (pieces, cuts) => {
      const bytes = Buffer.from(pieces.join(""));
      const filter = new ScreenFilter();
      let out = "";
      for (let at = 0; at < bytes.length; ) {
        const length = cuts.next().value as number;
        out += filter.write(bytes.subarray(at, at + length));
        at += length;
      }
      expect(out).toBe(new ScreenFilter().write(bytes));
    }),
  );
});

test("of any bytes nothing comes through that is not on the list", () => {
  const sequence = String.raw`(?:[78DEMHc=>]|[()*+][0-9A-Z]|\[[\d;:]*[A-HJ-MPSTXZ@\x60adefgmr]|\[[su]|\[\??[\d;]+[hl])`;
  const known = new RegExp(`\x1b${sequence}|[\b\t\n\r\x0e\x0f]`, "g");
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const rest = new ScreenFilter().write(bytes).replace(known, "");
      expect(Array.from(rest).filter((character) => character < " " || (character >= "\x7f" && character <= "\x9f"))).toEqual([]);
    }),
    { numRuns: 2000 },
  );
});

test("the end leaves a terminal as a shell expects it, and says nothing where nothing was changed", () => {
  const plain = new ScreenFilter();
  plain.write(Buffer.from("only text\n"));
  expect(plain.end()).toBe("");
  const drawn = new ScreenFilter();
  drawn.write(Buffer.from("\x1b[?25l\x1b[44m\x1b]0;cut"));
  expect(drawn.end()).toContain("\x1b[?25h");
  expect(drawn.end()).toContain("\x1b[0m");
});
