import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeVgaText, VGA_TEXT_BYTES } from "../../src/formats/vga-text.ts";

const CELLS = VGA_TEXT_BYTES / 2;

/** The text window, grey on black, with `text` from `cell` on. */
function windowWith(text: string, cell = 0): Uint8Array {
  const memory = new Uint8Array(VGA_TEXT_BYTES);
  for (let at = 0; at < CELLS; at += 1) memory.set([0x20, 0x07], at * 2);
  [...Buffer.from(text, "latin1")].forEach((byte, index) => {
    memory[((cell + index) % CELLS) * 2] = byte;
  });
  return memory;
}

describe("a text screen", () => {
  test("rows without their trailing blanks, attributes left out", () => {
    const memory = windowWith(`${"No bootable device.".padEnd(80)}  indented`);
    expect(decodeVgaText(memory, 80, 3, 0)).toEqual(["No bootable device.", "  indented", ""]);
  });

  test("the visible page begins where the CRT controller says", () => {
    expect(decodeVgaText(windowWith("scrolled", 160), 80, 1, 160)).toEqual(["scrolled"]);
    expect(decodeVgaText(windowWith("scrolled", 160), 80, 1, 161)).toEqual(["crolled"]);
  });

  test("a page that runs over the end of the window goes on at its beginning", () => {
    const start = CELLS - 40;
    const memory = windowWith(`${"end of the window".padEnd(40)}beginning${" ".repeat(31)}second row`, start);
    expect(decodeVgaText(memory, 80, 2, start)).toEqual(["end of the window                       beginning", "second row"]);
  });

  test("memory that ends early reads as blanks", () => {
    expect(decodeVgaText(windowWith("abc").subarray(0, 4), 80, 2, 0)).toEqual(["ab", ""]);
    expect(decodeVgaText(new Uint8Array(), 80, 1, 5)).toEqual([""]);
  });
});

describe("code page 437", () => {
  const one = (byte: number): string => decodeVgaText(windowWith(String.fromCharCode(0x5b, byte, 0x5d)), 3, 1, 0)[0]!.slice(1, -1);

  test("ASCII is itself", () => {
    for (let byte = 0x20; byte < 0x7f; byte += 1) expect(one(byte)).toBe(String.fromCharCode(byte));
  });

  test.each([
    [0x00, " "],
    [0x01, "☺"],
    [0x0a, "◙"],
    [0x1b, "←"],
    [0x1f, "▼"],
    [0x7f, "⌂"],
    [0x80, "Ç"],
    [0x81, "ü"],
    [0x9f, "ƒ"],
    [0xb0, "░"],
    [0xb3, "│"],
    [0xc4, "─"],
    [0xcd, "═"],
    [0xdb, "█"],
    [0xe1, "ß"],
    [0xf8, "°"],
    [0xfe, "■"],
  ])("0x%s", (byte, character) => {
    expect(one(byte)).toBe(character);
  });

  test("every byte is one visible character: no control character comes out of a screen", () => {
    for (let byte = 0; byte < 256; byte += 1) {
      expect([...one(byte)], `byte ${byte}`).toHaveLength(1);
      expect(one(byte)).not.toMatch(/[\0-\x1f\x7f-\x9f]/);
    }
  });
});

test("any memory and any start give as many rows as asked, none longer than the screen", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.integer({ min: 1, max: 132 }),
      fc.integer({ min: 0, max: 60 }),
      fc.nat(0xffff),
      (...given) => {
        const [memory, columns, rows, start] = given;
        const lines = decodeVgaText(memory, columns, rows, start);
        expect(lines).toHaveLength(rows);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
      },
    ),
  );
});
