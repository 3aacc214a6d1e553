import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { planGc } from "../../src/live/gc.ts";
import type { KeptOutput, StoreInventory } from "../../src/live/store.ts";

const DAY = 86_400_000;
const NOW = 1000 * DAY;
const output = (hash: string, days: number, more: Partial<KeptOutput> = {}): KeptOutput => ({
  hash,
  kind: "k",
  sizeBytes: 100,
  usedMs: NOW - days * DAY,
  isLatest: false,
  isPinned: false,
  ...more,
});
const inventory: StoreInventory = {
  outputs: [output("old", 40), output("young", 2), output("latest", 50, { isLatest: true }), output("pinned", 60, { isPinned: true })],
  failed: [{ name: "p.s", sizeBytes: 30, failedMs: NOW - 10 * DAY }],
};
const gone = (wish: Parameters<typeof planGc>[1]) => {
  const { outputs, failed } = planGc(inventory, wish, NOW);
  return [...failed.map(({ name }) => name), ...outputs.map(({ hash }) => hash)];
};

describe("cleaning", () => {
  test("takes what the last builds do not need, and what failed stages left", () => {
    expect(gone({})).toEqual(["p.s", "old", "young"]);
    expect(gone({ all: true })).toEqual(["p.s", "old", "young", "latest"]);
  });

  test("takes only what was not used for as long as was said", () => {
    expect(gone({ unusedMs: 30 * DAY })).toEqual(["old"]);
    expect(gone({ unusedMs: 5 * DAY })).toEqual(["p.s", "old"]);
  });

  test("takes only as much as is needed, the oldest first, what is needed last", () => {
    expect(gone({ maxBytes: 430 })).toEqual([]);
    expect(gone({ maxBytes: 429 })).toEqual(["p.s"]);
    expect(gone({ maxBytes: 399 })).toEqual(["p.s", "old"]);
    expect(gone({ maxBytes: 0 })).toEqual(["p.s", "old", "young"]);
    expect(gone({ maxBytes: 150, all: true })).toEqual(["p.s", "old", "young", "latest"]);
  });

  test("never takes what a build uses, nor without being asked what the last builds need; sizes add up", () => {
    const any = fc.record({
      outputs: fc.array(
        fc.record({
          hash: fc.string(),
          kind: fc.constant("k"),
          sizeBytes: fc.nat(1000),
          usedMs: fc.nat(NOW),
          isLatest: fc.boolean(),
          isPinned: fc.boolean(),
        }),
        { maxLength: 20 },
      ),
      failed: fc.array(fc.record({ name: fc.string(), sizeBytes: fc.nat(1000), failedMs: fc.nat(NOW) }), { maxLength: 4 }),
    });
    const wish = fc.record({
      unusedMs: fc.option(fc.nat(NOW), { nil: undefined }),
      maxBytes: fc.option(fc.nat(9000), { nil: undefined }),
      all: fc.boolean(),
    });
    fc.assert(
      fc.property(any, wish, (all, wanted) => {
        const plan = planGc(all, wanted, NOW);
        expect(plan.outputs.some(({ isPinned }) => isPinned)).toBe(false);
        if (!wanted.all) expect(plan.outputs.some(({ isLatest }) => isLatest)).toBe(false);
        const total = [...all.outputs, ...all.failed].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
        expect(plan.freedBytes + plan.keptBytes).toBe(total);
        for (const { usedMs } of plan.outputs) expect(NOW - usedMs).toBeGreaterThanOrEqual(wanted.unusedMs ?? 0);
        if (wanted.maxBytes !== undefined && total <= wanted.maxBytes) expect(plan.freedBytes).toBe(0);
      }),
    );
  });
});
