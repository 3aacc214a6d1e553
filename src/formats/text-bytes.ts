/**
 * Text as bytes that grows: for millions of short lines, where a string for each number would cost more than all else. ASCII, but for what is put in
 * with `utf8` or as bytes.
 */
export class TextBytes {
  #bytes = Buffer.allocUnsafe(64 * 1024);
  #length = 0;
  /** Nothing but ASCII so far. */
  #plain = true;

  get length(): number {
    return this.#length;
  }

  /** What has been put in, as a string; then it is empty. */
  takeUtf8(): string {
    // Half the time where there is nothing to decode.
    const text = this.#bytes.toString(this.#plain ? "latin1" : "utf8", 0, this.#length);
    this.#length = 0;
    this.#plain = true;
    return text;
  }

  /** The same, each byte a character (ISO 8859-1). */
  takeLatin1(): string {
    const text = this.#bytes.toString("latin1", 0, this.#length);
    this.#length = 0;
    this.#plain = true;
    return text;
  }

  byte(code: number): void {
    this.#room(1);
    this.#bytes[this.#length++] = code;
  }

  /** `count` times; nothing where that is negative. */
  fill(code: number, count: number): void {
    if (count <= 0) return;
    this.#room(count);
    const end = this.#length + count;
    for (let at = this.#length; at < end; at++) this.#bytes[at] = code;
    this.#length = end;
  }

  /** Text in UTF-8 as far as it is not ASCII: then `utf8` is what takes it. */
  bytes(source: Uint8Array, from = 0, to = source.length): void {
    const count = to - from;
    this.#room(count);
    const into = this.#bytes;
    let at = this.#length;
    // Short pieces are the rule, and a call of the engine's own copy costs more than they do.
    if (count > 64) into.set(source.subarray(from, to), at);
    else for (let index = from; index < to; index++) into[at++] = source[index]!;
    this.#length += count;
  }

  utf8(text: string): void {
    const bytes = Buffer.from(text, "utf8");
    if (bytes.length !== text.length) this.#plain = false;
    this.bytes(bytes);
  }

  /** Characters up to 0xff. */
  latin1(text: string): void {
    this.bytes(Buffer.from(text, "latin1"));
  }

  /** 64 bits in two halves, without a prefix; at least `width` characters, filled with `pad`. */
  hex(high: number, low: number, width: number, pad: number): void {
    const count = high === 0 ? hexLength(low) : 8 + hexLength(high);
    this.fill(pad, width - count);
    this.#room(count);
    const bytes = this.#bytes;
    const start = this.#length;
    let rest = low;
    for (let at = start + count - 1; at >= start; at--) {
      if (at === start + count - 9) rest = high;
      bytes[at] = HEX[rest & 15]!;
      rest >>>= 4;
    }
    this.#length = start + count;
  }

  /** Whole numbers from 0 to 2^53-1; at least `width` characters, filled with `pad`. */
  decimal(value: number, width: number, pad: number): void {
    const count = decimalLength(value);
    this.fill(pad, width - count);
    this.#room(count);
    const bytes = this.#bytes;
    let at = this.#length + count;
    this.#length = at;
    let rest = value;
    // Above 32 bits a division is one of floating point numbers: slow, and rare.
    while (rest > 0xffff_ffff) {
      const next = Math.floor(rest / 10);
      bytes[--at] = 48 + (rest - next * 10);
      rest = next;
    }
    // Two digits a division.
    while (rest > 99) {
      const next = (rest / 100) >>> 0;
      const pair = (rest - next * 100) << 1;
      bytes[--at] = PAIRS[pair + 1]!;
      bytes[--at] = PAIRS[pair]!;
      rest = next;
    }
    if (rest > 9) {
      bytes[--at] = PAIRS[(rest << 1) + 1]!;
      bytes[--at] = PAIRS[rest << 1]!;
    } else if (at > this.#length - count) bytes[--at] = 48 + rest;
  }

  #room(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const wider = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(wider, 0, 0, this.#length);
    this.#bytes = wider;
  }
}

/** The digits of 00 to 99. */
const PAIRS = Buffer.from(Array.from({ length: 100 }, (_, index) => String(index).padStart(2, "0")).join(""), "latin1");

function decimalLength(value: number): number {
  if (value < 1000) return value < 10 ? 1 : value < 100 ? 2 : 3;
  let count = 4;
  for (let limit = 10_000; value >= limit; limit *= 10) count++;
  return count;
}

const HEX = Buffer.from("0123456789abcdef", "latin1");

const hexLength = (value: number): number => Math.max(1, (35 - Math.clz32(value)) >> 2);
