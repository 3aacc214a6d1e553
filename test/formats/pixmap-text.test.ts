import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pictureLines } from "../../src/formats/pixmap-text.ts";
import type { Pixmap } from "../../src/formats/ppm.ts";
import { columnsOf, frameOf, type Line, type Looks } from "../../src/formats/terminal-frame.ts";

/** A picture by its colours, row by row. */
function picture(width: number, height: number, colour: (x: number, y: number) => readonly [number, number, number]): Pixmap {
  const pixels = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) pixels.set(colour(x, y), 3 * (y * width + x));
  return { width, height, pixels };
}

const textOf = (lines: readonly Line[]): string[] => lines.map((line) => line.map(({ text }) => text).join(""));
const GREY: Looks = { colours: 0, unicode: true };
const ASCII: Looks = { colours: 0, unicode: false };
const MANY: Looks = { colours: 256, unicode: true };

describe("a picture in text", () => {
  test("left is left, top is top, and light is light", () => {
    const quarters = picture(640, 400, (x, y) => (x < 320 === y < 200 ? [255, 255, 255] : [0, 0, 0]));
    const rows = textOf(pictureLines(quarters, { columns: 12, rows: 4 }, GREY));
    expect(rows).toEqual(["██████      ", "██████      ", "      ██████", "      ██████"]);
    expect(textOf(pictureLines(quarters, { columns: 12, rows: 4 }, ASCII))[0]).toBe("@@@@@@      ");
  });

  test("with 256 colours a cell is two pixels of their own colours", () => {
    const halves = picture(2, 2, (_, y) => (y === 0 ? [255, 0, 0] : [0, 0, 255]));
    const [line] = pictureLines(halves, { columns: 2, rows: 1 }, MANY);
    expect(line?.filter(({ text }) => text !== "")).toEqual([{ text: "▀▀", style: { colour: 196, behind: 21 } }]);
    const grey = picture(2, 2, () => [60, 60, 60]);
    expect(pictureLines(grey, { columns: 2, rows: 1 }, MANY)[0]?.at(-1)?.style?.behind).toBeGreaterThanOrEqual(232);
  });

  test("with eight a cell is a shade in the nearest of them", () => {
    const red = picture(4, 4, () => [200, 20, 20]);
    const span = pictureLines(red, { columns: 4, rows: 2 }, { colours: 8, unicode: true })[0]?.at(-1);
    expect(span?.style).toEqual({ colour: 1 });
    expect(span?.text).toMatch(/^[░▒▓█]+$/);
  });

  test("fits into every screen, its shape kept, whatever the picture", () => {
    const sizes = fc.record({ columns: fc.integer({ min: 0, max: 60 }), rows: fc.integer({ min: 0, max: 30 }) });
    const looks = fc.constantFrom(GREY, ASCII, MANY);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 90 }), fc.integer({ min: 0, max: 90 }), sizes, looks, (width, height, size, looked) => {
        const lines = pictureLines(
          picture(width, height, (x, y) => [x, y, 128]),
          size,
          looked,
        );
        expect(lines.length).toBeLessThanOrEqual(size.rows);
        for (const line of textOf(lines)) expect(columnsOf(line, looked)).toBeLessThanOrEqual(size.columns);
        expect(frameOf(lines, size, looked).length).toBe(lines.length);
      }),
      { numRuns: 60 },
    );
  });
});
