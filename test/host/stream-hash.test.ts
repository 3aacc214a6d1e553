/** A sum that is reckoned beside other work. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sha256Stream } from "../../src/host/stream-hash.ts";

const SMALL = 1n;
const LARGE = 1n << 30n;

describe.each([
  ["in this thread", SMALL],
  ["in a thread of its own", LARGE],
])("a sum %s", (_, sizeBytes) => {
  test("is SHA-256 of all pieces, whatever their lengths; their memory may be used again at once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3 << 20 }), { maxLength: 6 }), async (lengths) => {
        await using hash = sha256Stream(sizeBytes);
        const expected = createHash("sha256");
        const memory = new Uint8Array(3 << 20);
        for (const [index, length] of lengths.entries()) {
          const piece = memory.subarray(0, length).fill(index + length);
          expected.update(piece);
          await hash.update(piece);
        }
        expect(await hash.digest()).toBe(expected.digest("hex"));
      }),
      { numRuns: 12 },
    );
  });

  test("of nothing is that of no bytes", async () => {
    await using hash = sha256Stream(sizeBytes);
    expect(await hash.digest()).toBe(createHash("sha256").digest("hex"));
  });

  test("that nobody asks for keeps nothing waiting", async () => {
    const hash = sha256Stream(sizeBytes);
    await hash.update(new Uint8Array(100));
    await hash[Symbol.asyncDispose]();
  });
});
