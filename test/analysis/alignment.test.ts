import fc from "fast-check";
import { expect, test } from "vitest";
import { align } from "../../src/analysis/alignment.ts";

test("an alignment pairs equal elements, ascending on both sides, and finds all of a subsequence", () => {
  const values = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 40 });
  fc.assert(
    fc.property(values, values, fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }), (a, b, keep) => {
      const pairs = align(Int32Array.from(a), Int32Array.from(b));
      for (const [index, [atA, atB]] of pairs.entries()) {
        expect(a[atA]).toBe(b[atB]);
        if (index > 0) expect(atA > pairs[index - 1]![0] && atB > pairs[index - 1]![1]).toBe(true);
      }
      const part = a.filter((_, index) => keep[index]);
      expect(align(Int32Array.from(a), Int32Array.from(part))).toHaveLength(part.length);
    }),
  );
});

test("large pieces are aligned at lines that stand once on each side", () => {
  const a = Int32Array.from({ length: 3000 }, (_, index) => index);
  const b = Int32Array.from({ length: 3000 }, (_, index) => (index % 3 === 0 ? index : -1));
  b[0] = -1;
  b[2999] = -1;
  expect(align(a, b)).toHaveLength(999);
});
