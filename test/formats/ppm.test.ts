import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { decodePpm, differingBox, drawnPixels, type Pixmap } from "../../src/formats/ppm.ts";

function encoded(width: number, height: number, fill = 0, header = `P6\n${width} ${height}\n255\n`): Uint8Array {
  return Uint8Array.from([...Buffer.from(header, "latin1"), ...Buffer.alloc(width * height * 3, fill)]);
}

const blank = (width: number, height: number): Pixmap => ({ width, height, pixels: new Uint8Array(width * height * 3) });

/** `blank` with these pixels white. */
function drawn(width: number, height: number, dots: readonly (readonly [x: number, y: number])[]): Pixmap {
  const picture = blank(width, height);
  for (const [x, y] of dots) picture.pixels.fill(255, (y * width + x) * 3, (y * width + x) * 3 + 3);
  return picture;
}

describe("a screen dump", () => {
  test("as QEMU writes it", () => {
    expect(decodePpm(encoded(4, 3, 7), "x")).toEqual({ width: 4, height: 3, pixels: new Uint8Array(36).fill(7) });
  });

  test("pixels that look like white space belong to the picture", () => {
    const { pixels } = decodePpm(encoded(2, 1, 0x0a), "x");
    expect([...pixels]).toEqual(Array(6).fill(0x0a));
  });

  test("other white space, a comment, and bytes after the picture", () => {
    expect(decodePpm(encoded(1, 2, 1, "P6 # made by hand\n# twice\n 1\t2\r255 "), "x").height).toBe(2);
    expect(decodePpm(Buffer.concat([encoded(1, 1), Buffer.from("more")]), "x").pixels.length).toBe(3);
  });

  test("cut at any byte is an error that says what is missing", () => {
    const whole = encoded(3, 2, 9);
    for (let length = 0; length < whole.length; length += 1) {
      expect(() => decodePpm(whole.subarray(0, length), "screen.ppm"), `${length} bytes`).toThrow(HiperisoError);
    }
    expect(() => decodePpm(whole.subarray(0, whole.length - 1), "screen.ppm")).toThrow(/screen\.ppm.*18 bytes of pixels.*17/);
  });

  test.each([
    ["P5\n1 1\n255\n", "grey"],
    ["P6\n1 1\n65535\n", "two bytes a channel"],
    ["P6\n99999 99999\n255\n", "a size that is not there"],
    ["P6\n-1 1\n255\n", "a negative size"],
    ["", "nothing"],
  ])("%j is refused: %s", (header) => {
    expect(() => decodePpm(encoded(1, 1, 0, header), "x")).toThrow(HiperisoError);
  });

  test("any bytes give a picture as large as it says, or a HiperisoError", () => {
    const start = fc.constantFrom("P6\n2 2\n255\n", "P6 1 1 255 ", "P6", "");
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 40 }), (header, rest) => {
        try {
          const { width, height, pixels } = decodePpm(Buffer.concat([Buffer.from(header), rest]), "x");
          expect(pixels.length).toBe(width * height * 3);
        } catch (error) {
          expect(error).toBeInstanceOf(HiperisoError);
        }
      }),
    );
  });
});

describe("what differs", () => {
  test("nothing, one pixel, one channel of it, and a box around all", () => {
    expect(differingBox(blank(9, 9), blank(9, 9))).toBeNull();
    expect(differingBox(blank(9, 9), drawn(9, 9, [[8, 8]]))).toEqual({ width: 1, height: 1 });
    const green = blank(9, 9);
    green.pixels[(4 * 9 + 4) * 3 + 1] = 1;
    expect(differingBox(blank(9, 9), green)).toEqual({ width: 1, height: 1 });
    const corners = [
      [2, 1],
      [5, 7],
    ] as const;
    expect(differingBox(blank(9, 9), drawn(9, 9, corners))).toEqual({ width: 4, height: 7 });
  });

  test("another size differs everywhere", () => {
    expect(differingBox(blank(4, 9), blank(7, 2))).toEqual({ width: 7, height: 9 });
  });

  test("the box is the same both ways and holds every changed pixel", () => {
    const dot = fc.tuple(fc.nat(11), fc.nat(6));
    fc.assert(
      fc.property(fc.uniqueArray(dot, { minLength: 1, maxLength: 9, selector: String }), (dots) => {
        const after = drawn(12, 7, dots);
        const columns = dots.map(([x]) => x);
        const rows = dots.map(([, y]) => y);
        const box = { width: Math.max(...columns) - Math.min(...columns) + 1, height: Math.max(...rows) - Math.min(...rows) + 1 };
        expect(differingBox(blank(12, 7), after)).toEqual(box);
        expect(differingBox(after, blank(12, 7))).toEqual(box);
      }),
    );
  });
});

test("drawn pixels are those that differ from the first", () => {
  expect(drawnPixels(blank(5, 5))).toBe(0);
  expect(
    drawnPixels(
      drawn(5, 5, [
        [1, 1],
        [2, 4],
      ]),
    ),
  ).toBe(2);
  expect(drawnPixels(drawn(5, 5, [[0, 0]]))).toBe(24);
  expect(drawnPixels(blank(0, 0))).toBe(0);
});
