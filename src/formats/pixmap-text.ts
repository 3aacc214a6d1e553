/**
 * A picture in text: what a screen shows, coarsely, on a terminal that shows no pictures. With 256 colours a cell is two square pixels, the
 * upper half block in one colour on the other; with fewer it is one of four shades, tall as a cell is; without Unicode a letter that is as dark.
 */
import type { Pixmap } from "./ppm.ts";
import type { Line, Looks, ScreenSize, Span } from "./terminal-frame.ts";

const SHADES = " ░▒▓█";
const LETTERS = " .:-=+*#%@";
/** Letters of a text screen are thin, and most of their cell is background: without this they would be lost in it. */
const GAMMA = 0.6;

/** The picture as large as it fits into `size`, its shape kept, centred. As many lines as it takes, at most `size.rows`; none where there is no room. */
export function pictureLines(picture: Pixmap, size: ScreenSize, looks: Looks): Line[] {
  const { columns, rows } = sizeIn(picture, size);
  if (columns < 1 || rows < 1) return [];
  const halves = looks.colours === 256 && looks.unicode;
  const pixels = shrunk(picture, columns, halves ? rows * 2 : rows);
  const margin = " ".repeat(Math.floor((size.columns - columns) / 2));
  return Array.from({ length: rows }, (_, row) => {
    const spans: Span[] = [{ text: margin }];
    for (let column = 0; column < columns; column += 1)
      spans.push(
        halves
          ? halfBlocks(pixels, (2 * row * columns + column) * 3, ((2 * row + 1) * columns + column) * 3)
          : shade(pixels, (row * columns + column) * 3, looks),
      );
    return joined(spans);
  });
}

/** A cell is twice as high as it is wide. */
function sizeIn({ width, height }: Pick<Pixmap, "width" | "height">, size: ScreenSize): ScreenSize {
  if (width < 1 || height < 1) return { columns: 0, rows: 0 };
  const columns = Math.min(size.columns, Math.floor((size.rows * 2 * width) / height));
  return { columns, rows: Math.min(size.rows, Math.max(1, Math.round((columns * height) / width / 2))) };
}

/** Each pixel of the small picture is the mean of those that it stands for. Red, green, blue; 3 × columns × rows bytes. */
function shrunk({ width, height, pixels }: Pixmap, columns: number, rows: number): Uint8Array {
  const small = new Uint8Array(3 * columns * rows);
  for (let row = 0; row < rows; row += 1) {
    const top = Math.floor((row * height) / rows);
    const bottom = Math.max(top + 1, Math.floor(((row + 1) * height) / rows));
    for (let column = 0; column < columns; column += 1) {
      const left = Math.floor((column * width) / columns);
      const right = Math.max(left + 1, Math.floor(((column + 1) * width) / columns));
      let [red, green, blue] = [0, 0, 0];
      for (let y = top; y < bottom; y += 1)
        for (let at = (y * width + left) * 3; at < (y * width + right) * 3; at += 3) {
          red += pixels[at]!;
          green += pixels[at + 1]!;
          blue += pixels[at + 2]!;
        }
      const count = (bottom - top) * (right - left);
      small.set([red / count, green / count, blue / count].map(brighter), (row * columns + column) * 3);
    }
  }
  return small;
}

const brighter = (value: number): number => Math.round(255 * (value / 255) ** GAMMA);

function halfBlocks(pixels: Uint8Array, upper: number, lower: number): Span {
  const [above, below] = [nearest256(pixels, upper), nearest256(pixels, lower)];
  return above === below ? { text: " ", style: { behind: above } } : { text: "▀", style: { colour: above, behind: below } };
}

/** Of xterm's palette: the cube of 6 × 6 × 6 colours (0, 95, 135 … 255) or the 24 greys (8, 18 … 238), whichever is nearer. */
function nearest256(pixels: Uint8Array, at: number): number {
  const colour = [pixels[at]!, pixels[at + 1]!, pixels[at + 2]!] as const;
  const [red, green, blue] = colour.map((value) => (value < 48 ? 0 : value < 115 ? 1 : Math.min(5, Math.floor((value - 35) / 40))));
  const cube = [red!, green!, blue!].map((step) => (step === 0 ? 0 : 55 + 40 * step));
  const mean = (colour[0] + colour[1] + colour[2]) / 3;
  const grey = Math.max(0, Math.min(23, Math.round((mean - 8) / 10)));
  const distance = (other: readonly number[]) => other.reduce((sum, value, index) => sum + (value - colour[index]!) ** 2, 0);
  const greyLevel = 8 + 10 * grey;
  return distance([greyLevel, greyLevel, greyLevel]) < distance(cube) ? 232 + grey : 16 + 36 * red! + 6 * green! + blue!;
}

function shade(pixels: Uint8Array, at: number, { colours, unicode }: Looks): Span {
  const [red, green, blue] = [pixels[at]!, pixels[at + 1]!, pixels[at + 2]!];
  // ITU-R BT.601: how bright a colour seems.
  const light = (299 * red + 587 * green + 114 * blue) / 255_000;
  const ramp = unicode ? SHADES : LETTERS;
  const text = ramp[Math.min(ramp.length - 1, Math.floor(light * ramp.length))]!;
  if (colours === 0 || text === " ") return { text };
  const brightest = Math.max(red, green, blue);
  const colour = [red, green, blue].reduce((bits, value, index) => (value * 2 > brightest ? bits | (1 << index) : bits), 0);
  return colour === 7 ? { text } : { text, style: { colour } };
}

/** Cells that look alike as one span. */
function joined(spans: readonly Span[]): Line {
  const out: Span[] = [];
  for (const span of spans) {
    const last = out.at(-1);
    const alike = last !== undefined && last.style?.colour === span.style?.colour && last.style?.behind === span.style?.behind;
    if (alike) out[out.length - 1] = { ...last, text: last.text + span.text };
    else out.push(span);
  }
  return out;
}
