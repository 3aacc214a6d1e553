import { describe, expect, test } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { memoryStore } from "../../../src/disk/block-store.ts";
import { checkExfat } from "../../../src/disk/exfat/check.ts";
import { ENTRY_BYTES } from "../../../src/formats/exfat-entries.ts";
import { cutEach, type Operation, operationsOf, SECTOR, volumeWithFolders, WAYS } from "./cutting.ts";
import { bytesOf, changed, freshVolume, put, TIME_MS } from "./volumes.ts";

describe("a cut after each write", () => {
  // A hundred operations, and the other seeds, are in test/real/disk-exfat.long.test.ts.
  test.each([
    ["a write", 12],
    ["a sector of a write", 6],
    ["a sector of a write, the last one first", 6],
  ] as const)("of %s: %i operations lose nothing that was there before", async (way, count) => {
    const { cuts, damaged } = await cutEach(await volumeWithFolders(), operationsOf(count, count), WAYS[way]);
    expect(cuts).toBeGreaterThan(count * 4);
    expect(damaged).toBeGreaterThan(0); // the cuts did leave something to mend
  });

  test("where another system laid a set across two sectors: replaced, renamed, its folder grown", async () => {
    const bytes = await freshVolume(1, { clusterBytes: 2 * SECTOR });
    await changed(bytes, async (volume) => {
      for (let index = 0; index < 4; index += 1) await put(volume, `/f${index}`, "old");
      await volume.makeDirectory("/folder", TIME_MS);
    });
    // Slots 3 to 14 hold four files; we leave slot 15 unused and start at 16. Another system starts at 15, the last of its sector.
    const at = Buffer.from(bytes).indexOf(Buffer.from("folder", "utf16le")) - 2 - 2 * ENTRY_BYTES;
    expect((at / ENTRY_BYTES) % 16).toBe(0);
    bytes.copyWithin(at - ENTRY_BYTES, at, at + 3 * ENTRY_BYTES);
    bytes.fill(0, at + 2 * ENTRY_BYTES, at + 3 * ENTRY_BYTES);
    expect((await checkExfat(memoryStore(bytes), quietJob)).problems).toEqual([]);
    const operations: Operation[] = [
      async (volume) => {
        for (let index = 0; index < 12; index += 1) await put(volume, `/folder/${index}`, bytesOf(index, 700)); // it needs a second cluster
      },
      async (volume) => await volume.rename("/folder", "/FOLDER"),
      async (volume) => await put(volume, "/f3", "new", true),
      async (volume) => await volume.remove("/folder", { recursive: true }),
    ];
    const { cuts } = await cutEach(bytes, operations, WAYS["a write"]);
    expect(cuts).toBeGreaterThan(20);
  });
});
