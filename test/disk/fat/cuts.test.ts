import { describe, expect, test } from "vitest";
import { operationsOf, WAYS } from "../exfat/cutting.ts";
import { cutEach, volumeWithFolders } from "./cutting.ts";
import { KINDS } from "./volumes.ts";

const kindOf = (name: string) => KINDS.find((kind) => kind.name === name)!;

describe("a cut after each write", () => {
  // Fifty operations on each type of FAT, and the other seeds, are in test/real/disk-fat.long.test.ts.
  test.each([
    ["FAT12", "a write", 6],
    ["FAT16", "a write", 3],
    ["FAT12", "a sector of a write", 3],
    ["FAT16", "a sector of a write, the last one first", 3],
  ] as const)("on %s of %s: %i operations lose nothing that was there before", async (kind, way, count) => {
    const { cuts, damaged } = await cutEach(await volumeWithFolders(kindOf(kind)), operationsOf(count, count), WAYS[way]);
    expect(cuts).toBeGreaterThan(count * 4);
    expect(damaged).toBeGreaterThan(0); // the cuts did leave something to mend
  });
});
