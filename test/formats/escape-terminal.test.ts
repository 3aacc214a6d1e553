import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { printable, printableBytes, printableJson, TerminalFilter } from "../../src/formats/escape-terminal.ts";

/** What a terminal acts on, or turns around, or does not show. */
const HARMFUL = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/u;
const anyText = fc.string({ unit: "binary" });

describe("printable", () => {
  test.each([
    ["\x1b[31mred", "\\x1b[31mred"],
    ["a\0b\rc\x7f", "a\\x00b\\x0dc\\x7f"],
    ["\x9b31m", "\\x9b31m"],
    ["a\tb\nc", "a\tb\\x0ac"],
    ["gpj.\u202eexe", "gpj.\\u202eexe"],
    ["\u2066a\u2069\u200f\u061c", "\\u2066a\\u2069\\u200f\\u061c"],
    ["\ufeff\u2028", "\\ufeff\\u2028"],
    ["a\ud800b\udc00", "a\\ud800b\\udc00"],
    ["\u{e0041}", "\\u{e0041}"],
    ["Ärger 光 🙂 می‌خواهم", "Ärger 光 🙂 می‌خواهم"],
  ])("writes %j as %j", (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  test("keeps line feeds where they are asked for", () => {
    expect(printable("a\nb\r\n", { keepNewlines: true })).toBe("a\nb\\x0d\n");
  });

  test("leaves nothing that a terminal acts on, whatever it is given", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(printable(text)).not.toMatch(HARMFUL);
        expect(printable(text)).not.toContain("\n");
      }),
      { numRuns: 2000 },
    );
  });

  test("changes nothing in what it has made harmless", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(printable(printable(text))).toBe(printable(text));
      }),
    );
  });
});

describe("printableBytes", () => {
  test("writes well-formed UTF-8 as printable does", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        expect(printableBytes(new TextEncoder().encode(text))).toBe(printable(text));
      }),
    );
  });

  test.each([
    ["EFI PART", "EFI PART"],
    ["\xff\x00a", "\\xff\\x00a"],
    ["\xc3", "\\xc3"],
    ["\xc0\x80", "\\xc0\\x80"], // an overlong NUL
    ["\xed\xa0\x80", "\\xed\\xa0\\x80"], // a surrogate
    ["\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"], // above U+10FFFF
    ["\xe2\x80\xae", "\\u202e"],
    ["\xc2\x9b", "\\x9b"],
    ["\xf0\x9f\x99\x82\xf0\x9f\x99", "🙂\\xf0\\x9f\\x99"],
  ])("writes the bytes %j as %j", (bytes, shown) => {
    expect(printableBytes(Buffer.from(bytes, "latin1"))).toBe(shown);
  });

  test("agrees with the platform's decoder on what is UTF-8", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), (bytes) => {
        const decoded = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
        const isWellFormed = Buffer.from(decoded).equals(Buffer.from(bytes));
        if (isWellFormed) expect(printableBytes(bytes)).toBe(printable(decoded));
        else expect(printableBytes(bytes)).toMatch(/\\x[89a-f][0-9a-f]/);
        expect(printableBytes(bytes)).not.toMatch(HARMFUL);
      }),
      { numRuns: 5000 },
    );
  });
});

describe("printableJson", () => {
  test("means the same to a program and nothing to a terminal", () => {
    fc.assert(
      fc.property(fc.jsonValue({ stringUnit: "binary" }), fc.constantFrom(0, 2), (value, indent) => {
        const text = printableJson(value, indent);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(text).not.toMatch(HARMFUL);
        if (indent === 0) expect(text).not.toContain("\n");
      }),
      { numRuns: 1000 },
    );
  });

  test("writes C1, bidirectional and tag characters as escapes", () => {
    expect(printableJson({ "a\u009b": "\u202e\u{e0041}ä" })).toBe('{"a\\u009b":"\\u202e\\udb40\\udc41ä"}');
  });
});

const filtered = (text: string, colours = false): string => {
  const filter = new TerminalFilter({ colours });
  return filter.write(Buffer.from(text)) + filter.end();
};

describe("a guest's console on its way to the terminal", () => {
  test.each([
    ["text, line ends and tabs", "a\tb\r\nä🙂\n", "a\tb\r\nä🙂\n"],
    ["colours", "\x1b[1;31merror\x1b[0m", "error"],
    ["a window title (OSC, BEL)", "a\x1b]0;rm -rf\x07b", "ab"],
    ["a clipboard write (OSC, ST)", "a\x1b]52;c;ZXZpbA==\x1b\\b", "ab"],
    ["a clipboard write in C1 controls", "a\u009d52;c;ZXZpbA==\u009cb", "ab"],
    ["a DCS string (DECRQSS)", 'a\x1bP$q"p\x1b\\b', "ab"],
    ["APC, PM and SOS", "a\x1b_x\x1b\\b\x1b^y\x1b\\c\x1bXz\x1b\\d", "abcd"],
    ["a question for the cursor's place", "a\x1b[6nb\x1b[cc\x1b[>0qd", "abcd"],
    ["the alternate screen and mouse reports", "\x1b[?1049h\x1b[?1000ha", "a"],
    ["a character set switch", "\x1b(0qqq\x1b(B", "qqq"],
    ["a bell, backspace, NUL, shift out", "a\x07\x08\0\x0eb", "ab"],
    ["DEL and C1 controls", "a\x7f\u0085\u008db", "ab"],
    ["a bidirectional override", "\u202etxt.exe", "\\u202etxt.exe"],
    ["a sequence in a sequence", "a\x1b[3\x1b[31mb", "ab"],
    ["a sequence that was cancelled", "a\x1b[31\x18b\x1b]0;t\x1ac", "abc"],
    ["a line end in a sequence", "a\x1b[3\n1mb", "a\nb"],
    ["a menu drawn by coordinates", "\x1b[2J\x1b[01;01Hone\x1b[02;01Htwo", "one\ntwo"],
    ["a string that never ends, given up at its line's end", "a\x1b]0;title\nb", "a\nb"],
    ["a string that never ends, given up at its limit", `\x1b]0;${"x".repeat(4100)}`, /^x{1,8}$/],
    ["a sequence at the very end", "a\x1b[3", "a"],
  ])("loses what is not text: %s", (_, text, shown) => {
    if (typeof shown === "string") expect(filtered(text)).toBe(shown);
    else expect(filtered(text)).toMatch(shown);
  });

  test.each([
    ["\x1b[1;31mx", "\x1b[1;31mx\x1b[0m"],
    ["\x1b[31mx\x1b[m", "\x1b[31mx\x1b[m"],
    ["\x1b[38;5;8mx\x1b[0m", "\x1b[38;5;8mx\x1b[0m"],
    ["\x1b[38;2;8;8;8;8mx\x1b[0m", "\x1b[38;2;8;8;8mx\x1b[0m"],
    ["\x1b[8mhidden", "hidden"],
    ["\x1b[1;08mhidden\x1b[0m", "\x1b[1mhidden\x1b[0m"],
    ["\x1b[>4;2mx", "x"],
    ["\x1b[?25mx", "x"],
  ])("keeps colours but concealed text: %j is shown as %j", (text, shown) => {
    expect(filtered(text, true)).toBe(shown);
  });

  const hostile = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          "\x1b",
          "[",
          "]",
          "P",
          "\\",
          "\x07",
          "\u009b",
          "\u009d",
          "\u009c",
          "m",
          "8",
          ";",
          "31",
          "n",
          "H",
          "J",
          "2",
          "\n",
          "\r",
          "\t",
          "\x18",
          "ä",
          "🙂",
          "c",
          "(",
        ),
        fc.string({ unit: "binary", maxLength: 3 }),
      ),
      { maxLength: 40 },
    )
    .map((parts) => parts.join(""));

  test("leaves nothing but text, line ends, tabs and colours, whatever the guest prints", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          hostile.map((text) => new TextEncoder().encode(text)),
          fc.uint8Array(),
        ),
        fc.boolean(),
        (bytes, colours) => {
          const filter = new TerminalFilter({ colours });
          const shown = filter.write(bytes) + filter.end();
          const rest = colours ? shown.replace(/\x1b\[[0-9;:]*m/g, "") : shown;
          expect(rest.replace(/[\n\r\t]/g, "")).not.toMatch(HARMFUL);
        },
      ),
      { numRuns: 5000 },
    );
  });

  test("shows the same however the chunks are cut", () => {
    fc.assert(
      fc.property(hostile, fc.array(fc.nat(200)), fc.boolean(), (text, cuts, colours) => {
        const bytes = new TextEncoder().encode(text);
        const filter = new TerminalFilter({ colours });
        let shown = "";
        let start = 0;
        for (const cut of [...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b), bytes.length]) {
          shown += filter.write(bytes.subarray(start, cut));
          start = cut;
        }
        expect(shown + filter.end()).toBe(filtered(Buffer.from(bytes).toString(), colours));
      }),
      { numRuns: 2000 },
    );
  });
});
