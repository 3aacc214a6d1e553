/**
 * Portable pixmap, binary (P6), 8 bits a channel: what QEMU's `screendump` writes.
 * Header: "P6", white space, width, white space, height, white space, 255, one white space; then 3 bytes a pixel, row by row.
 * Netpbm: ppm(5).
 */
import { HiperisoError } from "../contract/error.ts";

export interface Pixmap {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue; 3 × width × height bytes. */
  readonly pixels: Uint8Array;
}

const HEADER = /^P6\s+(?:#[^\n]*\n\s*)*(\d{1,5})\s+(\d{1,5})\s+255\s/;
const HEADER_BYTES_MAX = 256;

/** Throws unless `bytes` hold a whole pixmap; bytes after it are ignored. */
export function decodePpm(bytes: Uint8Array, where: string): Pixmap {
  const bad = (expected: string, found: string) => new HiperisoError({ what: "read a screen dump", where, expected, found });
  const header = HEADER.exec(String.fromCharCode(...bytes.subarray(0, HEADER_BYTES_MAX)));
  if (header === null) throw bad("a P6 header with 8 bits a channel", `${bytes.length} bytes that begin otherwise`);
  const width = Number(header[1]);
  const height = Number(header[2]);
  const size = width * height * 3;
  const start = header[0].length;
  if (bytes.length < start + size) throw bad(`${size} bytes of pixels`, `${bytes.length - start}`);
  return { width, height, pixels: bytes.subarray(start, start + size) };
}

/** Smallest box that holds every pixel that differs; null where none does. Different sizes differ everywhere. */
export function differingBox(a: Pixmap, b: Pixmap): { readonly width: number; readonly height: number } | null {
  if (a.width !== b.width || a.height !== b.height) return { width: Math.max(a.width, b.width), height: Math.max(a.height, b.height) };
  if (Buffer.compare(a.pixels, b.pixels) === 0) return null;
  const rowBytes = a.width * 3;
  let [top, bottom, left, right] = [-1, -1, rowBytes, -1];
  for (let row = 0; row < a.height; row++) {
    const one = a.pixels.subarray(row * rowBytes, (row + 1) * rowBytes);
    const other = b.pixels.subarray(row * rowBytes, (row + 1) * rowBytes);
    if (Buffer.compare(one, other) === 0) continue;
    if (top < 0) top = row;
    bottom = row;
    let first = 0;
    while (one[first] === other[first]) first++;
    let last = rowBytes - 1;
    while (one[last] === other[last]) last--;
    left = Math.min(left, first);
    right = Math.max(right, last);
  }
  return { width: Math.floor(right / 3) - Math.floor(left / 3) + 1, height: bottom - top + 1 };
}

/** How many pixels differ from the first one: 0 is a blank screen. */
export function drawnPixels({ pixels }: Pixmap): number {
  let drawn = 0;
  for (let at = 0; at < pixels.length; at += 3) {
    if (pixels[at] !== pixels[0] || pixels[at + 1] !== pixels[1] || pixels[at + 2] !== pixels[2]) drawn++;
  }
  return drawn;
}
