/** What takes long of exFAT: a hundred operations cut at each write, the largest volumes, a hundred thousand files. */
import { describe, expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { memoryStore, sparseStore } from "../../src/disk/block-store.ts";
import { checkExfat } from "../../src/disk/exfat/check.ts";
import { makeExfat } from "../../src/disk/exfat/make.ts";
import { openExfat } from "../../src/disk/exfat/volume.ts";
import { cutEach, operationsOf, volumeWithFolders, WAYS } from "../disk/exfat/cutting.ts";
import { folderOfOneName, put, TIME_MS } from "../disk/exfat/volumes.ts";

describe("exFAT", () => {
  test.each(Object.entries(WAYS).flatMap(([name, way]) => [1, 2].map((seed) => [name, seed, way] as const)))(
    "a cut after each %s of a hundred operations (seed %i) loses nothing that was there before",
    async (_, seed, way) => {
      const { cuts, damaged } = await cutEach(await volumeWithFolders(), operationsOf(seed, 100), way);
      expect(cuts).toBeGreaterThan(400);
      expect(damaged).toBeGreaterThan(0);
    },
  );

  test("2 TiB in clusters of 512 bytes: 2^32 of them, a bitmap of half a GiB, a FAT of 16", async () => {
    const store = sparseStore(2n << 40n);
    await makeExfat(store, { serial: 1, clusterBytes: 512 }, quietJob);
    const volume = await openExfat(store, {}, quietJob);
    await put(volume, "/a", "x");
    await volume.makeDirectory("/b", TIME_MS);
    await volume.flush();
    expect((await volume.space()).clusterBytes).toBe(512);
    expect((await checkExfat(store, quietJob)).problems).toEqual([]);
  });

  test("a hundred thousand files in a thousand folders are written, checked and removed", async () => {
    const bytes = new Uint8Array(256 << 20);
    await makeExfat(memoryStore(bytes), { serial: 1, clusterBytes: 4096 }, quietJob);
    const volume = await openExfat(memoryStore(bytes), {}, quietJob);
    await volume.makeDirectory("/all", TIME_MS);
    for (let folder = 0; folder < 1000; folder += 1) {
      await volume.makeDirectory(`/all/${folder}`, TIME_MS);
      for (let file = 0; file < 100; file += 1) await put(volume, `/all/${folder}/file ${file}`, "");
    }
    await volume.flush();
    expect(await checkExfat(memoryStore(bytes), quietJob)).toMatchObject({ problems: [], files: 100_000, directories: 1002 });
    await volume.remove("/all", { recursive: true });
    await volume.flush();
    expect(await checkExfat(memoryStore(bytes), quietJob)).toMatchObject({ problems: [], files: 0, directories: 1 });
  });

  test("a folder of a million entries, all of one name, is checked within its limits", async () => {
    const check = await checkExfat(await folderOfOneName(1 << 25), quietJob);
    expect(check).toMatchObject({ files: Math.floor(((1 << 25) - 96) / 96), cut: true });
    expect(check.problems).toHaveLength(1000);
  });
});
