import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { viewOf } from "../../src/formats/bytes.ts";
import { decodeLzma } from "../../src/formats/lzma.ts";

/** xz writes streams that end by a mark and say no size; here the size is known. */
function packed(bytes: Uint8Array, options = "lc=3,lp=0,pb=2"): Uint8Array {
  const { status, stdout } = spawnSync("xz", ["--format=lzma", `--lzma1=${options}`, "-c"], { input: bytes, maxBuffer: 2 ** 26 });
  if (status !== 0) throw new Error(`xz ended with ${status}`);
  const out = new Uint8Array(stdout);
  viewOf(out).setBigUint64(5, BigInt(bytes.length), true);
  return out;
}

const MEBIBYTE = 2 ** 20;
const text = new Uint8Array(Buffer.from("the quick brown fox jumps over the lazy dog, and again the quick brown fox; ".repeat(40)));

describe("LZMA, packed by xz", () => {
  test.each(["lc=3,lp=0,pb=2", "lc=0,lp=2,pb=0", "lc=4,lp=0,pb=4", "lc=0,lp=4,pb=1", "lc=1,lp=1,pb=3,dict=4096"])("with %s", (options) => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.integer({ min: 1, max: 400 }),
        fc.uint8Array({ maxLength: 600 }),
        (piece, times, rest) => {
          const bytes = new Uint8Array(Buffer.concat([...Array.from({ length: times }, () => piece), rest, piece, rest]));
          expect(Buffer.compare(decodeLzma(packed(bytes, options), MEBIBYTE, "x"), bytes)).toBe(0);
        },
      ),
      { numRuns: 25 },
    );
  });

  test("long matches and far distances", () => {
    const far = new Uint8Array(3 * MEBIBYTE);
    for (let at = 0, seed = 1; at < 500_000; at++) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      far[at] = seed >>> 24;
    }
    far.copyWithin(2 * MEBIBYTE, 0, 500_000);
    expect(Buffer.compare(decodeLzma(packed(far), far.length, "x"), far)).toBe(0);
  });

  test("what stands behind the stream is left alone", () => {
    const longer = new Uint8Array(Buffer.concat([packed(text), Buffer.from("something else")]));
    expect(Buffer.compare(decodeLzma(longer, MEBIBYTE, "x"), text)).toBe(0);
  });
});

describe("damage", () => {
  test("cut at any byte", () => {
    const whole = packed(text);
    const end = whole.length - 12; // the mark at its end and what the range coder still holds are not needed
    for (let length = 0; length < end; length++) {
      expect(() => decodeLzma(whole.subarray(0, length), MEBIBYTE, "firmware.fd")).toThrow(/cannot unpack LZMA data: firmware\.fd/);
    }
  });

  test("a size beyond the limit is refused before anything is unpacked; so is none", () => {
    expect(() => decodeLzma(packed(text), text.length - 1, "x")).toThrow(/an unpacked size of at most/);
    const unsized = packed(text);
    viewOf(unsized).setBigUint64(5, 2n ** 64n - 1n, true);
    expect(() => decodeLzma(unsized, MEBIBYTE, "x")).toThrow(/found none/);
  });

  test("properties that there are not, and a range coder that begins wrongly", () => {
    const wrong = packed(text);
    wrong[0] = 225;
    expect(() => decodeLzma(wrong, MEBIBYTE, "x")).toThrow(/properties below 225/);
    const second = packed(text);
    second[13] = 1;
    expect(() => decodeLzma(second, MEBIBYTE, "x")).toThrow(/first byte of zero/);
  });

  test("flipped bits and any bytes at all give bytes or an error, and never more than was promised", () => {
    const whole = packed(text);
    fc.assert(
      fc.property(fc.nat(whole.length * 8 - 1), (flip) => {
        const bytes = new Uint8Array(whole);
        bytes[flip >> 3]! ^= 1 << (flip & 7);
        expectBytesOrError(bytes);
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 18, maxLength: 300 }), fc.nat(5000), (rest, size) => {
        const bytes = new Uint8Array(rest);
        viewOf(bytes).setBigUint64(5, BigInt(size), true);
        bytes[13] = 0;
        expectBytesOrError(bytes);
      }),
      { numRuns: 500 },
    );
  });
});

function expectBytesOrError(bytes: Uint8Array): void {
  const promised = viewOf(bytes).getBigUint64(5, true);
  let out: Uint8Array | undefined;
  try {
    out = decodeLzma(bytes, MEBIBYTE, "x");
  } catch (error) {
    expect(error).toMatchObject({ name: "HiperisoError", what: "unpack LZMA data" });
    return;
  }
  expect(BigInt(out.length)).toBe(promised);
}
