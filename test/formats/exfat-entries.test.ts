import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeFileSet,
  decodeLabelEntry,
  ENTRY_BYTES,
  encodeFileSet,
  encodeLabelEntry,
  labelFault,
  mendedName,
  nameFault,
  withAllocation,
  withName,
  withSums,
} from "../../src/formats/exfat-entries.ts";
import { recommendedUpcaseTable } from "../../src/formats/exfat-upcase.ts";

const table = recommendedUpcaseTable();
const allocation = { firstCluster: 77, dataBytes: 5n << 32n, noFatChain: true };
const timeMs = Date.UTC(2026, 10, 21, 11, 30, 1, 230);
const setOf = (name: string) => encodeFileSet({ name, directory: false, timeMs, allocation }, table);

/** Any UTF-16 that exFAT can hold, unpaired surrogates too. */
const anyName = fc
  .array(fc.integer({ min: 0x20, max: 0xffff }), { minLength: 1, maxLength: 255 })
  .map((units) => String.fromCharCode(...units))
  .filter((name) => nameFault(name) === undefined);

describe("a file's set", () => {
  test("is read back as it was, whatever its name", () => {
    fc.assert(
      fc.property(anyName, (name) => {
        const entries = setOf(name);
        expect(entries.length).toBe((2 + Math.ceil(name.length / 15)) * ENTRY_BYTES);
        const { set, faults } = decodeFileSet(entries, table);
        expect(faults).toEqual([]);
        expect(set).toMatchObject({
          name,
          allocation,
          validBytes: 5n << 32n,
          modifiedMs: timeMs,
          createdMs: timeMs,
          attributes: 0x20,
          extras: [],
        });
      }),
    );
  });

  test("renamed keeps all but its name, a vendor's entries too", () => {
    fc.assert(
      fc.property(anyName, anyName, (before, after) => {
        const vendor = new Uint8Array(ENTRY_BYTES).fill(7);
        vendor.set([0xe1, 3]);
        const entries = new Uint8Array([...setOf(before), ...vendor]);
        entries[1]! += 1;
        const renamed = withName(entries, after, table);
        const { set, faults } = decodeFileSet(renamed, table);
        expect(faults).toEqual([]);
        expect(set).toMatchObject({ name: after, allocation, modifiedMs: timeMs });
        expect(set?.extras).toHaveLength(1);
        expect(renamed.subarray(-ENTRY_BYTES)).toEqual(vendor);
        expect(withName(renamed, before, table)).toEqual(withSums(entries, table));
      }),
    );
  });

  test("with other clusters keeps its name, its time of making and its vendor's bits", () => {
    const { set } = decodeFileSet(
      withAllocation(setOf("a"), { firstCluster: 0, dataBytes: 0n, noFatChain: true }, { modifiedMs: timeMs + 5000 }),
      table,
    );
    expect(set).toMatchObject({
      name: "a",
      createdMs: timeMs,
      modifiedMs: timeMs + 5000,
      allocation: { firstCluster: 0, dataBytes: 0n, noFatChain: false },
    });
  });

  test("with any bit flipped has a fault, or is another set whose sum is right", () => {
    const entries = setOf("a long name of two entries.iso");
    for (let bit = 0; bit < entries.length * 8; bit += 1) {
      const flipped = entries.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const { faults } = decodeFileSet(flipped, table);
      expect(faults.length, `bit ${bit}`).toBeGreaterThan(0);
    }
  });

  test("of fewer entries than a file needs has no set", () => {
    const entries = setOf("a");
    for (const length of [1, 2]) expect(decodeFileSet(entries.subarray(0, length * ENTRY_BYTES), table).set).toBeUndefined();
  });

  test("with an unknown critical entry says which", () => {
    const critical = new Uint8Array(ENTRY_BYTES);
    critical[0] = 0xc5;
    const entries = new Uint8Array([...setOf("a"), ...critical]);
    entries[1]! += 1;
    expect(decodeFileSet(withSums(entries, table), table)).toMatchObject({ set: { unknownCritical: 0xc5 }, faults: [] });
  });
});

describe("names and labels", () => {
  test.each([
    ["", "an empty name"],
    [".", "the reserved name ."],
    ["..", "the reserved name .."],
    ["a/b", "the character U+002F"],
    ["a\u0000", "the character U+0000"],
    ["a:b", "the character U+003A"],
    ["x".repeat(256), "256 UTF-16 units, more than 255"],
  ])("%j cannot be a name", (name, fault) => {
    expect(nameFault(name)).toBe(fault);
    expect(nameFault(mendedName(name))).toBeUndefined();
  });

  test("a label of 11 units is read back, a longer one is refused", () => {
    expect(decodeLabelEntry(encodeLabelEntry("HIPERISO \ud83d\ude00"))).toBe("HIPERISO \ud83d\ude00");
    expect(labelFault("twelve units")).toMatch("more than 11");
    expect(labelFault("a|b")).toBe("the character U+007C");
    expect(labelFault("")).toBeUndefined();
  });
});
