import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type BlockStore, cutStore, memoryStore, openFileStore, PowerCut, sparseStore, windowStore } from "../../src/disk/block-store.ts";
import { memorySource } from "../../src/image/block-source.ts";

const BYTES = 200_000;
const folder = mkdtempSync(join(tmpdir(), "hiperiso-store-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const KINDS: readonly (readonly [string, () => Promise<BlockStore>])[] = [
  ["memory", async () => memoryStore(new Uint8Array(BYTES))],
  ["sparse", async () => sparseStore(BigInt(BYTES))],
  ["sparse over zeros", async () => sparseStore(BigInt(BYTES), { below: memorySource(new Uint8Array(BYTES)) })],
  ["window", async () => windowStore(memoryStore(new Uint8Array(BYTES + 1000)), 500n, BigInt(BYTES))],
  [
    "file",
    async () => {
      files += 1;
      const path = join(folder, `${files}.img`);
      writeFileSync(path, new Uint8Array(BYTES));
      return await openFileStore(path);
    },
  ],
];

describe.each(KINDS)("a store in %s", (_name, make) => {
  test("gives back what was written, wherever and in whatever order", async () => {
    const piece = fc.record({ at: fc.integer({ min: 0, max: BYTES - 1 }), bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 20 }), async (pieces) => {
        await using store = await make();
        const model = new Uint8Array(BYTES);
        for (const { at, bytes } of pieces) {
          const fitting = bytes.subarray(0, BYTES - at);
          await store.write(BigInt(at), fitting);
          model.set(fitting, at);
        }
        await store.flush();
        expect(Buffer.from(await store.read(0n, BYTES)).equals(model)).toBe(true);
        expect(await store.read(BigInt(BYTES - 3), 10)).toHaveLength(3);
      }),
      { numRuns: 20 },
    );
  });

  test("refuses to write beyond its end, and before its start", async () => {
    await using store = await make();
    await expect(store.write(BigInt(BYTES - 1), new Uint8Array(2))).rejects.toThrow("an end at byte");
    await expect(store.write(-1n, new Uint8Array(1))).rejects.toThrow("an end at byte");
  });
});

test("a sparse store leaves what lies below as it is", async () => {
  const below = new Uint8Array(1000).fill(7);
  const store = sparseStore(1000n, { below: memorySource(below) });
  await store.write(10n, Uint8Array.of(1));
  expect(await store.read(9n, 3)).toEqual(Uint8Array.of(7, 1, 7));
  expect(below.every((byte) => byte === 7)).toBe(true);
});

test("a cut store fails every write and flush after the last one it lets through", async () => {
  const store = cutStore(memoryStore(new Uint8Array(10)), 2);
  await store.write(0n, Uint8Array.of(1));
  await store.flush();
  await store.write(1n, Uint8Array.of(2));
  expect(store.written).toBe(2);
  await expect(store.write(2n, Uint8Array.of(3))).rejects.toThrow(PowerCut);
  await expect(store.flush()).rejects.toThrow(PowerCut);
  expect(await store.read(0n, 3)).toEqual(Uint8Array.of(1, 2, 0));
});
