import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConsoleTap, type TappedLine } from "../../src/session/console-tap.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const tapOf = (...parts: readonly string[]): ConsoleTap => {
  const tap = new ConsoleTap();
  for (const part of parts) tap.push(bytes(part));
  return tap;
};
const texts = (tap: ConsoleTap) => [...tap.unread()].map(({ text }) => text);

describe("the lines of a console", () => {
  test("have their numbers in serial.log; the unfinished one is the last", () => {
    expect([...tapOf("one\r\ntwo\n\nthree").unread()]).toEqual([
      { index: 0, number: 1, text: "one", ended: true },
      { index: 1, number: 2, text: "two", ended: true },
      { index: 2, number: 3, text: "", ended: true },
      { index: 3, number: 4, text: "three", ended: false },
    ]);
  });

  test.each([
    ["login: ", "login: "],
    ["~ # \x1b[6n", "~ # "],
    ["\x1b[1;32mroot@demo\x1b[0m:~# ", "root@demo:~# "],
    ["\x1b]0;title\x07$ ", "$ "],
    ["Loading...\rDone.     ", "Loading...\nDone.     "],
    ["\x1b[", ""],
  ])("of %j a person sees %j, blanks at the end of a prompt too", (raw, seen) => {
    expect(texts(tapOf(raw)).join("")).toBe(seen);
  });

  test("a character that comes in two parts is one", () => {
    const tap = new ConsoleTap();
    for (const byte of bytes("größer\n€")) tap.push(new Uint8Array([byte]));
    expect(texts(tap)).toEqual(["größer", "€"]);
  });

  test("bytes that are no text stop nothing", () => {
    const tap = new ConsoleTap();
    tap.push(new Uint8Array([0xff, 0xfe, 0x00, 0x0a, 0x61]));
    expect(texts(tap).at(-1)).toBe("a");
  });
});

describe("what was read", () => {
  const read = (tap: ConsoleTap, wanted: string) => {
    const line = [...tap.unread()].find(({ text }) => text.includes(wanted))!;
    tap.markRead(line, line.text.indexOf(wanted) + wanted.length);
  };

  test("is not read again, and what stands behind it in its line is", () => {
    const tap = tapOf("one two three\nfour\n");
    read(tap, "two");
    expect(texts(tap)).toEqual([" three", "four"]);
    read(tap, "four");
    expect(texts(tap)).toEqual([]);
  });

  test("of an unfinished line stays read when the line grows and when it ends", () => {
    const tap = tapOf("demo login: ");
    read(tap, "login: ");
    expect(texts(tap)).toEqual([""]);
    tap.push(bytes("root"));
    expect(texts(tap)).toEqual(["root"]);
    tap.push(bytes("\r\nPassword: "));
    expect(texts(tap)).toEqual(["root", "Password: "]);
  });

  test("of a line that is drawn over is what both have in common", () => {
    const tap = tapOf("12 %");
    read(tap, "12 %");
    tap.push(bytes("\b\b\b\b13 %"));
    expect(texts(tap)).toEqual(["3 %"]);
  });

  test("of plain text, wherever it is cut and read, is every character once", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", " ", "\n", "é"), maxLength: 60 });
    fc.assert(
      fc.property(text, fc.array(fc.nat(8), { maxLength: 30 }), fc.array(fc.nat(6), { maxLength: 30 }), (whole, cuts, reads) => {
        const tap = new ConsoleTap();
        let rest = bytes(`${whole}.`);
        let got = "";
        for (const [index, cut] of [...cuts, rest.length].entries()) {
          tap.push(rest.subarray(0, cut));
          rest = rest.subarray(cut);
          const lines = [...tap.unread()];
          const line = lines[(reads[index] ?? 0) % Math.max(lines.length, 1)];
          if (line === undefined) continue;
          const length = Math.min(reads[index] ?? 0, line.text.length);
          for (const before of lines.slice(0, lines.indexOf(line))) got += before.text;
          got += line.text.slice(0, length);
          tap.markRead(line, length);
        }
        got += texts(tap).join("");
        // Blanks of an ended line may be cut off at its end; all else is there, in order.
        expect(got.replaceAll(" ", "")).toBe(`${whole.replaceAll(/[ \n]/g, "")}.`);
      }),
    );
  });
});

describe("a guest that floods", () => {
  test("a line that never ends is handed on in pieces, and all of it", () => {
    const told: TappedLine[] = [];
    const tap = new ConsoleTap();
    tap.onLine = (line) => told.push(line);
    for (let index = 0; index < 10; index += 1) tap.push(bytes("x".repeat(9_000)));
    tap.push(bytes("\nend\n"));
    const ended = told.filter((line) => line.ended);
    expect(ended.map(({ text }) => text).join("")).toBe(`${"x".repeat(90_000)}end`);
    expect(ended.at(-1)).toMatchObject({ number: 2, text: "end" });
    expect(Math.max(...told.map(({ text }) => text.length))).toBeLessThanOrEqual(16_384);
  });

  test("lines that nobody reads are forgotten, the oldest first, and counted", () => {
    const tap = new ConsoleTap();
    for (let index = 0; index < 3_000; index += 1) tap.push(bytes(`${index} ${"y".repeat(990)}\n`));
    const lines = [...tap.unread()];
    expect(lines.length + tap.forgottenLines).toBe(3_000);
    expect(tap.forgottenLines).toBeGreaterThan(1_000);
    expect(lines.at(-1)!.text).toMatch(/^2999 y/);
    tap.markAllRead();
    expect([...tap.unread()]).toEqual([]);
  });
});
