import { describe, expect, test } from "vitest";
import type { Pixmap } from "../../src/formats/ppm.ts";
import { describeScreen, screenMoved } from "../../src/session/screen.ts";

/** A screen of 720×400 with character cells of 9×16 pixels, these ones filled with this brightness. */
function screen(cells: Readonly<Record<string, number>>, width = 720, height = 400): Pixmap {
  const pixels = new Uint8Array(width * height * 3);
  for (const [place, brightness] of Object.entries(cells)) {
    const [column, row] = place.split(",").map(Number) as [number, number];
    for (let y = row * 16; y < (row + 1) * 16; y += 1)
      pixels.fill(brightness, (y * width + column * 9) * 3, (y * width + (column + 1) * 9) * 3);
  }
  return { width, height, pixels };
}

describe("movement", () => {
  test("none where nothing changed", () => {
    expect(screenMoved(screen({ "1,1": 99 }), screen({ "1,1": 99 }))).toBe(false);
  });

  test("a cursor that blinks is none, wherever it stands", () => {
    for (const place of ["0,0", "79,24", "40,12"]) expect(screenMoved(screen({}), screen({ [place]: 255 })), place).toBe(false);
  });

  test("a cursor that went on to another place is some, and so are two digits of a clock", () => {
    expect(screenMoved(screen({ "3,5": 255 }), screen({ "5,5": 255 }))).toBe(true);
    expect(screenMoved(screen({ "3,5": 255 }), screen({ "3,8": 255 }))).toBe(true);
    expect(screenMoved(screen({}), screen({ "70,0": 200, "71,0": 100 }))).toBe(true);
  });

  test("another mode is some, also when both are blank", () => {
    expect(screenMoved(screen({}), screen({}, 1024, 768))).toBe(true);
  });
});

test.each([
  [720, 400, "text 80x25"],
  [640, 400, "text 80x25"],
  [1024, 768, "1024x768"],
  [640, 480, "640x480"],
])("a screen of %d×%d is called %s", (width, height, name) => {
  expect(describeScreen({ width, height, pixels: new Uint8Array() })).toBe(name);
});
