/**
 * Up-case tables of exFAT (specification 7.2): which two names are one. Each volume carries its own and is read by that; the one that we
 * write maps as the specification recommends (7.2.5.1).
 *
 * On the volume: 16-bit little-endian words, one a character from U+0000 on. 0xFFFF and a count stand for that many characters that map to
 * themselves; a 0xFFFF that is the last word, or stands for U+FFFF itself, is U+FFFF.
 */
import { HiperisoError } from "../contract/error.ts";
import { viewOf } from "./bytes.ts";

/** What each UTF-16 unit becomes: 65,536 of them. Characters beyond U+FFFF, in two units, have no case in exFAT. */
export type UpcaseTable = Uint16Array;

const UNITS = 0x10000;
/** Words of a table that is not compressed at all, in bytes. */
export const UPCASE_BYTES_MAX = UNITS * 2;
const RUN = 0xffff;
/** Shorter runs are written out: with this, our bytes are those that the specification prints, with its sum. */
const RUN_MIN = 512;

/** First and last character of a run, the step from one to the next, and what the first becomes: the others follow by the same step. */
// biome-ignore format: a table
const RECOMMENDED: readonly (readonly [first: number, last: number, step: number, to: number])[] = [
  [0x61, 0x7a, 1, 0x41], [0xe0, 0xf6, 1, 0xc0], [0xf8, 0xfe, 1, 0xd8], [0xff, 0xff, 1, 0x178], [0x101, 0x12f, 2, 0x100],
  [0x133, 0x137, 2, 0x132], [0x13a, 0x148, 2, 0x139], [0x14b, 0x177, 2, 0x14a], [0x17a, 0x17e, 2, 0x179], [0x180, 0x180, 1, 0x243],
  [0x183, 0x185, 2, 0x182], [0x188, 0x188, 1, 0x187], [0x18c, 0x18c, 1, 0x18b], [0x192, 0x192, 1, 0x191], [0x195, 0x195, 1, 0x1f6],
  [0x199, 0x199, 1, 0x198], [0x19a, 0x19a, 1, 0x23d], [0x19e, 0x19e, 1, 0x220], [0x1a1, 0x1a5, 2, 0x1a0], [0x1a8, 0x1a8, 1, 0x1a7],
  [0x1ad, 0x1ad, 1, 0x1ac], [0x1b0, 0x1b0, 1, 0x1af], [0x1b4, 0x1b6, 2, 0x1b3], [0x1b9, 0x1b9, 1, 0x1b8], [0x1bd, 0x1bd, 1, 0x1bc],
  [0x1bf, 0x1bf, 1, 0x1f7], [0x1c6, 0x1c6, 1, 0x1c4], [0x1c9, 0x1c9, 1, 0x1c7], [0x1cc, 0x1cc, 1, 0x1ca], [0x1ce, 0x1dc, 2, 0x1cd],
  [0x1dd, 0x1dd, 1, 0x18e], [0x1df, 0x1ef, 2, 0x1de], [0x1f3, 0x1f3, 1, 0x1f1], [0x1f5, 0x1f5, 1, 0x1f4], [0x1f9, 0x21f, 2, 0x1f8],
  [0x223, 0x233, 2, 0x222], [0x23a, 0x23a, 1, 0x2c65], [0x23c, 0x23c, 1, 0x23b], [0x23e, 0x23e, 1, 0x2c66], [0x242, 0x242, 1, 0x241],
  [0x247, 0x24f, 2, 0x246], [0x253, 0x253, 1, 0x181], [0x254, 0x254, 1, 0x186], [0x256, 0x257, 1, 0x189], [0x259, 0x259, 1, 0x18f],
  [0x25b, 0x25b, 1, 0x190], [0x260, 0x260, 1, 0x193], [0x263, 0x263, 1, 0x194], [0x268, 0x268, 1, 0x197], [0x269, 0x269, 1, 0x196],
  [0x26b, 0x26b, 1, 0x2c62], [0x26f, 0x26f, 1, 0x19c], [0x272, 0x272, 1, 0x19d], [0x275, 0x275, 1, 0x19f], [0x27d, 0x27d, 1, 0x2c64],
  [0x280, 0x280, 1, 0x1a6], [0x283, 0x283, 1, 0x1a9], [0x288, 0x288, 1, 0x1ae], [0x289, 0x289, 1, 0x244], [0x28a, 0x28b, 1, 0x1b1],
  [0x28c, 0x28c, 1, 0x245], [0x292, 0x292, 1, 0x1b7], [0x37b, 0x37d, 1, 0x3fd], [0x3ac, 0x3ac, 1, 0x386], [0x3ad, 0x3af, 1, 0x388],
  [0x3b1, 0x3c1, 1, 0x391], [0x3c2, 0x3c2, 1, 0x3a3], [0x3c3, 0x3cb, 1, 0x3a3], [0x3cc, 0x3cc, 1, 0x38c], [0x3cd, 0x3ce, 1, 0x38e],
  [0x3d9, 0x3ef, 2, 0x3d8], [0x3f2, 0x3f2, 1, 0x3f9], [0x3f8, 0x3f8, 1, 0x3f7], [0x3fb, 0x3fb, 1, 0x3fa], [0x430, 0x44f, 1, 0x410],
  [0x450, 0x45f, 1, 0x400], [0x461, 0x481, 2, 0x460], [0x48b, 0x4bf, 2, 0x48a], [0x4c2, 0x4ce, 2, 0x4c1], [0x4cf, 0x4cf, 1, 0x4c0],
  [0x4d1, 0x513, 2, 0x4d0], [0x561, 0x586, 1, 0x531], [0x1d7d, 0x1d7d, 1, 0x2c63], [0x1e01, 0x1e95, 2, 0x1e00],
  [0x1ea1, 0x1ef9, 2, 0x1ea0], [0x1f00, 0x1f07, 1, 0x1f08], [0x1f10, 0x1f15, 1, 0x1f18], [0x1f20, 0x1f27, 1, 0x1f28],
  [0x1f30, 0x1f37, 1, 0x1f38], [0x1f40, 0x1f45, 1, 0x1f48], [0x1f51, 0x1f57, 2, 0x1f59], [0x1f60, 0x1f67, 1, 0x1f68],
  [0x1f70, 0x1f71, 1, 0x1fba], [0x1f72, 0x1f75, 1, 0x1fc8], [0x1f76, 0x1f77, 1, 0x1fda], [0x1f78, 0x1f79, 1, 0x1ff8],
  [0x1f7a, 0x1f7b, 1, 0x1fea], [0x1f7c, 0x1f7d, 1, 0x1ffa], [0x1f80, 0x1f87, 1, 0x1f88], [0x1f90, 0x1f97, 1, 0x1f98],
  [0x1fa0, 0x1fa7, 1, 0x1fa8], [0x1fb0, 0x1fb1, 1, 0x1fb8], [0x1fb3, 0x1fb3, 1, 0x1fbc], [0x1fcc, 0x1fcc, 1, 0x1fc3],
  [0x1fd0, 0x1fd1, 1, 0x1fd8], [0x1fe0, 0x1fe1, 1, 0x1fe8], [0x1fe5, 0x1fe5, 1, 0x1fec], [0x1ffc, 0x1ffc, 1, 0x1ff3],
  [0x214e, 0x214e, 1, 0x2132], [0x2170, 0x217f, 1, 0x2160], [0x2184, 0x2184, 1, 0x2183], [0x24d0, 0x24e9, 1, 0x24b6],
  [0x2c30, 0x2c5e, 1, 0x2c00], [0x2c61, 0x2c61, 1, 0x2c60], [0x2c68, 0x2c6c, 2, 0x2c67], [0x2c76, 0x2c76, 1, 0x2c75],
  [0x2c81, 0x2ce3, 2, 0x2c80], [0x2d00, 0x2d25, 1, 0x10a0], [0xff41, 0xff5a, 1, 0xff21],
];

/**
 * The specification's own table. It holds the cases of Unicode 5.0 with some slips (U+023A becomes its small letter), which are kept: names are
 * one where all implementations say so.
 */
export function recommendedUpcaseTable(): UpcaseTable {
  const table = identity();
  for (const [first, last, step, to] of RECOMMENDED) {
    for (let unit = first; unit <= last; unit += step) table[unit] = to + unit - first;
  }
  return table;
}

function identity(): UpcaseTable {
  const table = new Uint16Array(UNITS);
  for (let unit = 0; unit < UNITS; unit += 1) table[unit] = unit;
  return table;
}

/** Compressed. The recommended table gives 5,836 bytes with the sum 0xE619D30D. */
export function encodeUpcaseTable(table: UpcaseTable): Uint8Array {
  const words: number[] = [];
  for (let unit = 0; unit < UNITS; ) {
    let same = unit;
    while (same < UNITS && table[same] === same) same += 1;
    if (same - unit >= RUN_MIN) {
      const count = Math.min(same - unit, RUN); // a count of 16 bits does not hold 65,536
      words.push(RUN, count);
      unit += count;
    } else {
      words.push(table[unit]!);
      unit += 1;
    }
  }
  const bytes = new Uint8Array(words.length * 2);
  const view = viewOf(bytes);
  words.forEach((word, index) => {
    view.setUint16(index * 2, word, true);
  });
  return bytes;
}

/**
 * `bytes` as they stand on the volume, compressed or not. A table that ends early leaves the rest as it is, as Linux and Windows take it.
 * Throws with the offset of what is wrong: half a word, more than 65,536 characters, one of the first 128 mapped otherwise than
 * the specification demands (7.2.5, table 24).
 */
export function decodeUpcaseTable(bytes: Uint8Array, where: string, offset = 0n): UpcaseTable {
  const bad = (at: number, expected: string, found: string) =>
    new HiperisoError({ what: "read the up-case table", where: `${where}@${offset + BigInt(at)}`, expected, found });
  if (bytes.length % 2 !== 0) throw bad(bytes.length - 1, "words of two bytes", `${bytes.length} bytes`);
  const table = identity();
  const view = viewOf(bytes);
  let unit = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    const word = view.getUint16(at, true);
    if (word === RUN && at + 2 < bytes.length && unit !== RUN) {
      at += 2;
      unit += view.getUint16(at, true);
    } else {
      if (unit < UNITS) table[unit] = word;
      unit += 1;
    }
    if (unit > UNITS) throw bad(at, "65,536 characters at most", `${unit}`);
  }
  for (let ascii = 0; ascii < 128; ascii += 1) {
    const expected = ascii >= 0x61 && ascii <= 0x7a ? ascii - 32 : ascii;
    if (table[ascii] !== expected) throw bad(0, `character ${ascii} mapped to ${expected}`, `${table[ascii]}`);
  }
  return table;
}

/** Unit by unit; a surrogate, paired or not, is taken for what it is. */
export function upcase(name: string, table: UpcaseTable): string {
  let changed = false;
  const units: number[] = new Array(name.length);
  for (let index = 0; index < name.length; index += 1) {
    const unit = name.charCodeAt(index);
    const upper = table[unit]!;
    if (upper !== unit) changed = true;
    units[index] = upper;
  }
  return changed ? String.fromCharCode(...units) : name;
}
