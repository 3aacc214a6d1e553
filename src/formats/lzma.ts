/**
 * LZMA in its oldest container, `.lzma`: what firmware volumes are packed with (LZMA specification, I. Pavlov, draft of 2015). Decoding only.
 *
 *    0  1  properties: (pb * 5 + lp) * 9 + lc        1  4  dictionary size, little-endian        5  8  unpacked size, little-endian
 *   13     the range coder's bytes, the first of them zero
 */
import { HiperisoError } from "../contract/error.ts";
import { viewOf } from "./bytes.ts";

const HEADER_BYTES = 13;
/** Unpacked size of a stream that ends by a mark of its own. */
const UNKNOWN_SIZE = 0xffff_ffff_ffff_ffffn;

const PROBABILITY_BITS = 11;
const HALF = 1 << (PROBABILITY_BITS - 1);
const MOVE_BITS = 5;
const STATES = 12;
const POSITION_STATES = 16;
const ALIGN_BITS = 4;
const FULL_DISTANCES = 128;
const FIRST_MODEL_SLOT = 4;
const END_MODEL_SLOT = 14;
const MATCH_MIN = 2;

/**
 * The bytes of an `.lzma` stream at the beginning of `packed`; what stands behind it is left alone. `limitBytes`: more is refused before anything is unpacked, since the
 * header of a foreign file may promise any size. Throws where the stream is damaged or cut.
 */
export function decodeLzma(packed: Uint8Array, limitBytes: number, where: string): Uint8Array {
  const bad = (expected: string, found: string) => new HiperisoError({ what: "unpack LZMA data", where, expected, found });
  if (packed.length < HEADER_BYTES + 5) throw bad(`at least ${HEADER_BYTES + 5} bytes`, `${packed.length}`);
  const view = viewOf(packed);
  const properties = view.getUint8(0);
  if (properties >= 9 * 5 * 5) throw bad("properties below 225", `${properties}`);
  const literalContextBits = properties % 9;
  const rest = Math.floor(properties / 9);
  const literalPositionBits = rest % 5;
  const positionBits = Math.floor(rest / 5);
  const size = view.getBigUint64(5, true);
  if (size === UNKNOWN_SIZE || size > BigInt(limitBytes)) {
    throw bad(`an unpacked size of at most ${limitBytes} bytes`, size === UNKNOWN_SIZE ? "none" : `${size}`);
  }
  if (packed[HEADER_BYTES] !== 0) throw bad("a first byte of zero in the range coder's data", `${packed[HEADER_BYTES]}`);

  const out = new Uint8Array(Number(size));
  let written = 0;
  let input = HEADER_BYTES + 5;
  let code = view.getUint32(HEADER_BYTES + 1, false);
  let range = 0xffff_ffff;

  function normalise(): void {
    if (range >= 0x0100_0000) return;
    if (input >= packed.length) throw bad("more data", `the end after ${written} of ${size} bytes`);
    range = (range << 8) >>> 0;
    code = ((code << 8) | packed[input++]!) >>> 0;
  }

  function bit(table: Uint16Array, index: number): 0 | 1 {
    const probability = table[index]!;
    const bound = (range >>> PROBABILITY_BITS) * probability;
    if (code < bound) {
      range = bound;
      table[index] = probability + (((1 << PROBABILITY_BITS) - probability) >> MOVE_BITS);
      normalise();
      return 0;
    }
    range -= bound;
    code -= bound;
    table[index] = probability - (probability >> MOVE_BITS);
    normalise();
    return 1;
  }

  function directBits(count: number): number {
    let value = 0;
    for (let left = count; left > 0; left--) {
      range = (range >>> 1) >>> 0;
      const taken = code >= range;
      if (taken) code -= range;
      value = (value << 1) | (taken ? 1 : 0);
      normalise();
    }
    return value >>> 0;
  }

  /** The tree's `1 << bits` probabilities stand from `offset`. */
  function treeBits(table: Uint16Array, offset: number, bits: number): number {
    let index = 1;
    for (let left = bits; left > 0; left--) index = (index << 1) | bit(table, offset + index);
    return index - (1 << bits);
  }

  function reverseTreeBits(table: Uint16Array, offset: number, bits: number): number {
    let index = 1;
    let value = 0;
    for (let at = 0; at < bits; at++) {
      const taken = bit(table, offset + index);
      index = (index << 1) | taken;
      value |= taken << at;
    }
    return value;
  }

  const fresh = (length: number) => new Uint16Array(length).fill(HALF);
  const literals = fresh(0x300 << (literalContextBits + literalPositionBits));
  const isMatch = fresh(STATES * POSITION_STATES);
  const isRepeat = fresh(STATES);
  const isRepeat0 = fresh(STATES);
  const isRepeat0Long = fresh(STATES * POSITION_STATES);
  const isRepeat1 = fresh(STATES);
  const isRepeat2 = fresh(STATES);
  const slots = fresh(4 * 64);
  const specialDistances = fresh(FULL_DISTANCES - END_MODEL_SLOT + 1);
  const align = fresh(1 << ALIGN_BITS);
  const matchLength = lengthTables(fresh);
  const repeatLength = lengthTables(fresh);

  function lengthOf({ choice, low, middle, high }: LengthTables, positionState: number): number {
    if (bit(choice, 0) === 0) return treeBits(low, positionState << 3, 3);
    if (bit(choice, 1) === 0) return 8 + treeBits(middle, positionState << 3, 3);
    return 16 + treeBits(high, 0, 8);
  }

  function distanceOf(length: number): number {
    const slot = treeBits(slots, Math.min(length, 3) << 6, 6);
    if (slot < FIRST_MODEL_SLOT) return slot;
    const direct = (slot >> 1) - 1;
    const base = ((2 | (slot & 1)) << direct) >>> 0;
    if (slot < END_MODEL_SLOT) return base + reverseTreeBits(specialDistances, base - slot, direct);
    const high = directBits(direct - ALIGN_BITS);
    return base + high * (1 << ALIGN_BITS) + reverseTreeBits(align, 0, ALIGN_BITS);
  }

  function literal(state: number, distance: number): number {
    const before = written > 0 ? out[written - 1]! : 0;
    const position = ((written & ((1 << literalPositionBits) - 1)) << literalContextBits) + (before >> (8 - literalContextBits));
    const offset = 0x300 * position;
    let symbol = 1;
    if (state >= 7) {
      // Behind a match the byte at the last distance is a guess: as long as it holds, its bits choose the probabilities.
      let guess = out[written - distance - 1]!;
      do {
        const guessBit = (guess >> 7) & 1;
        guess = (guess << 1) & 0xff;
        const taken = bit(literals, offset + ((1 + guessBit) << 8) + symbol);
        symbol = (symbol << 1) | taken;
        if (guessBit !== taken) break;
      } while (symbol < 0x100);
    }
    while (symbol < 0x100) symbol = (symbol << 1) | bit(literals, offset + symbol);
    return symbol - 0x100;
  }

  let state = 0;
  let distances: readonly [number, number, number, number] = [0, 0, 0, 0];
  while (written < out.length) {
    const positionState = written & ((1 << positionBits) - 1);
    if (bit(isMatch, state * POSITION_STATES + positionState) === 0) {
      const byte = literal(state, distances[0]); // it looks at `written`, which must not have moved yet
      out[written++] = byte;
      state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
      continue;
    }
    let length: number;
    if (bit(isRepeat, state) === 1) {
      if (written === 0) throw bad("a byte before the first match", "none");
      const [first, second, third, fourth] = distances;
      if (bit(isRepeat0, state) === 0) {
        if (bit(isRepeat0Long, state * POSITION_STATES + positionState) === 0) {
          state = state < 7 ? 9 : 11;
          if (first >= written) throw bad(`a distance of at most ${written}`, `${first + 1}`);
          out[written] = out[written - first - 1]!;
          written += 1;
          continue;
        }
      } else if (bit(isRepeat1, state) === 0) distances = [second, first, third, fourth];
      else if (bit(isRepeat2, state) === 0) distances = [third, first, second, fourth];
      else distances = [fourth, first, second, third];
      length = lengthOf(repeatLength, positionState);
      state = state < 7 ? 8 : 11;
    } else {
      length = lengthOf(matchLength, positionState);
      state = state < 7 ? 7 : 10;
      distances = [distanceOf(length), distances[0], distances[1], distances[2]];
      if (distances[0] === 0xffff_ffff) throw bad(`${size} bytes`, `an end mark after ${written}`);
    }
    const distance = distances[0];
    if (distance >= written) throw bad(`a distance of at most ${written}`, `${distance + 1}`);
    // What a match promises beyond the end is no fault of the bytes before it.
    const end = Math.min(written + length + MATCH_MIN, out.length);
    for (; written < end; written++) out[written] = out[written - distance - 1]!;
  }
  return out;
}

interface LengthTables {
  readonly choice: Uint16Array;
  readonly low: Uint16Array;
  readonly middle: Uint16Array;
  readonly high: Uint16Array;
}

const lengthTables = (fresh: (length: number) => Uint16Array): LengthTables => ({
  choice: fresh(2),
  low: fresh(POSITION_STATES << 3),
  middle: fresh(POSITION_STATES << 3),
  high: fresh(256),
});
