/** What takes long of FAT: fifty operations cut at each write, the largest file, the largest folders, each volume of mkfs.fat. */
import { describe, expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { type BlockStore, memoryStore, sparseStore } from "../../src/disk/block-store.ts";
import { checkFat, repairFat } from "../../src/disk/fat/check.ts";
import { makeFat } from "../../src/disk/fat/make.ts";
import { FILE_BYTES_MAX, openFat } from "../../src/disk/fat/volume.ts";
import { operationsOf, WAYS } from "../disk/exfat/cutting.ts";
import { cutEach, volumeWithFolders } from "../disk/fat/cutting.ts";
import { FOREIGN, takeTurns } from "../disk/fat/foreign.ts";
import { folderOfMillions, freshVolume, fsckSays, hasDosfstools, hasMtools, KINDS, namesIn, put, TIME_MS } from "../disk/fat/volumes.ts";

describe("FAT", () => {
  test.each(KINDS.flatMap((kind) => Object.entries(WAYS).map(([name, way]) => [kind.name, name, kind, way] as const)))(
    "%s: a cut after each %s of fifty operations loses nothing that was there before",
    async (_, __, kind, way) => {
      const { cuts, damaged } = await cutEach(await volumeWithFolders(kind), operationsOf(3, 50), way);
      expect(cuts).toBeGreaterThan(200);
      expect(damaged).toBeGreaterThan(0);
    },
  );

  test.runIf(hasDosfstools && hasMtools).each(FOREIGN.map((foreign) => [foreign.name, foreign] as const))(
    "a volume of mkfs.fat (%s) is changed by us and by mtools in turns",
    async (_, foreign) => await takeTurns(foreign, 6),
  );

  test("a file of 4 GiB - 1 takes all clusters that it needs, and goes again", async () => {
    const kept = sparseStore(5n << 30n);
    // What is written in large pieces is the file's zeros: they need not be kept.
    const store: BlockStore = {
      ...kept,
      write: async (offset, bytes) => (bytes.length === 1 << 20 ? undefined : await kept.write(offset, bytes)),
    };
    await makeFat(store, { serial: 1, clusterBytes: 4096 }, quietJob);
    const volume = await openFat(store, {}, quietJob);
    const before = await volume.space();
    const zeros = new Uint8Array(1 << 20);
    async function* content(): AsyncGenerator<Uint8Array> {
      for (let left = FILE_BYTES_MAX; left > 0n; left -= BigInt(zeros.length)) {
        yield left < BigInt(zeros.length) ? zeros.subarray(0, Number(left)) : zeros;
      }
    }
    await volume.write("/large", content(), { sizeBytes: FILE_BYTES_MAX, modifiedMs: TIME_MS }, quietJob);
    await volume.flush();
    expect((await volume.stat("/large"))?.sizeBytes).toBe(FILE_BYTES_MAX);
    expect((await checkFat(store, quietJob)).problems).toEqual([]);
    await volume.remove("/large");
    await volume.flush();
    expect(await volume.space()).toEqual(before);
    expect((await checkFat(store, quietJob)).problems).toEqual([]);
  });

  test("a folder takes 65,536 entries and no more, and is emptied again", async () => {
    const bytes = await freshVolume(40 << 20, { bits: 32, clusterBytes: 512 });
    const volume = await openFat(memoryStore(bytes), {}, quietJob);
    await volume.makeDirectory("/folder", TIME_MS);
    const files = (65_536 - 2) / 2;
    for (let index = 0; index < files; index += 1) await put(volume, `/folder/f${index}`, "");
    await expect(put(volume, "/folder/one more", "")).rejects.toThrow(/65,536/);
    await volume.flush();
    expect(await checkFat(memoryStore(bytes), quietJob)).toMatchObject({ problems: [], files, directories: 2 });
    if (hasDosfstools) expect(fsckSays(bytes)).toBe("clean");
    await volume.remove("/folder", { recursive: true });
    await volume.flush();
    expect(await namesIn(volume, "/")).toEqual([]);
    expect((await checkFat(memoryStore(bytes), quietJob)).problems).toEqual([]);
  });

  test("a folder of a million entries, all of one name, is checked within its limits", async () => {
    const check = await checkFat(memoryStore(await folderOfMillions(1 << 20)), quietJob);
    expect(check).toMatchObject({ files: (1 << 20) - 2, cut: true });
    expect(check.problems).toHaveLength(1000);
  });

  test("sixty thousand files of one name and of sizes that cannot be are mended", async () => {
    const bytes = await folderOfMillions(60_000);
    expect(await repairFat(memoryStore(bytes), quietJob)).toMatchObject({ problems: [], fatal: undefined });
    if (hasDosfstools) expect(fsckSays(bytes)).toBe("clean");
  });
});
