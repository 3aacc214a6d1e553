import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { decodeKmodIndex, encodeKmodIndex, type KmodEntry } from "../../src/formats/kmod-index.ts";

const anyEntry: fc.Arbitrary<KmodEntry> = fc.record({
  // Few letters, so that keys share their beginnings.
  key: fc.string({ unit: fc.constantFrom("a", "b", ":", "*", "\x7f"), maxLength: 6 }),
  value: fc.string({ unit: fc.constantFrom("x", "y", "/", " "), maxLength: 4 }),
  priority: fc.nat(3),
});
const byKey = (a: KmodEntry, b: KmodEntry): number => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.priority - b.priority);

const small = encodeKmodIndex([
  { key: "scsi:t-0x05*", value: "sr_mod", priority: 2 },
  { key: "scsi:t-0x00*", value: "sd_mod", priority: 1 },
  { key: "block_major_11_*", value: "sr_mod", priority: 2 },
]);

describe("an index of kernel modules", () => {
  test("is read back as it was, sorted", () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { maxLength: 30 }), (entries) => {
        expect([...decodeKmodIndex(encodeKmodIndex(entries), "index")].sort(byKey)).toEqual([...entries].sort(byKey));
      }),
    );
  });

  test("has the bytes that the format's description gives", () => {
    const index = encodeKmodIndex([
      { key: "ab", value: "x", priority: 1 },
      { key: "ac", value: "y", priority: 2 },
    ]);
    const hex = Buffer.from(index).toString("hex");
    // Header; the leaves "b" and "c"; their parent, reached by "a": children from b to c; the root: children from a to a.
    expect(hex).toBe(
      [
        ...["b007f457", "00020001", "2000002a"],
        ...["00000001", "00000001", "7800"],
        ...["00000001", "00000002", "7900"],
        ...["6263", "4000000c", "40000016"],
        ...["6161", "20000020"],
      ].join(""),
    );
  });

  test("that is cut anywhere is refused", () => {
    for (let length = 0; length < small.length; length += 1) {
      expect(() => decodeKmodIndex(small.subarray(0, length), "cut")).toThrow(HiperisoError);
    }
  });

  test("with any bit flipped is read or refused with a place, and never for ever", () => {
    const flipped = small.slice();
    for (let bit = 0; bit < small.length * 8; bit += 1) {
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      try {
        decodeKmodIndex(flipped, "flipped");
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
        expect((error as HiperisoError).where).toMatch(/^flipped@\d+$/);
      }
      flipped[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  test("takes no key that it could not hold", () => {
    for (const key of ["ä", "a\0b"]) {
      expect(() => encodeKmodIndex([{ key, value: "", priority: 0 }])).toThrow(/expected a key of 7-bit letters/);
    }
  });
});
