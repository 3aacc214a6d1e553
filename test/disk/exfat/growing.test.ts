import { describe, expect, test } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { cutStore, memoryStore, PowerCut } from "../../../src/disk/block-store.ts";
import { checkExfat } from "../../../src/disk/exfat/check.ts";
import { openExfat } from "../../../src/disk/exfat/volume.ts";
import type { GrowingFiles, Volume } from "../../../src/disk/volume.ts";
import { bytesOf, contentOf, freshVolume, fsckSays, hasExfatprogs, put, TIME_MS } from "./volumes.ts";

const CLUSTER = 4096;

function growingOf({ growing }: Volume): GrowingFiles {
  if (growing === undefined) throw new Error("exFAT has growing files");
  return growing;
}

async function opened<T>(bytes: Uint8Array, use: (volume: Volume, growing: GrowingFiles) => Promise<T>): Promise<T> {
  await using volume = await openExfat(memoryStore(bytes), {}, quietJob);
  return await use(volume, growingOf(volume));
}

const file = (sizeBytes: number) => ({ sizeBytes: BigInt(sizeBytes), modifiedMs: TIME_MS });
const extend = (growing: GrowingFiles, path: string, content: Uint8Array) =>
  growing.extend(path, [content], BigInt(content.length), quietJob);

describe("a file that grows", () => {
  test("has its room at once, and remembers what came over closing and opening", async () => {
    const bytes = await freshVolume(2);
    const content = bytesOf(1, 3 * CLUSTER + 100);
    const freeBefore = await opened(bytes, async (volume) => (await volume.space()).freeBytes);
    await opened(bytes, async (volume, growing) => {
      await growing.reserve("/big.iso", file(content.length));
      expect(await growing.writtenBytes("/big.iso")).toBe(0n);
      expect((await volume.space()).freeBytes).toBe(freeBefore - BigInt(4 * CLUSTER));
      await extend(growing, "/big.iso", content.subarray(0, 2 * CLUSTER));
    });
    if (hasExfatprogs) expect(fsckSays(bytes)).toBe("clean");
    await opened(bytes, async (volume, growing) => {
      expect(await growing.writtenBytes("/big.iso")).toBe(BigInt(2 * CLUSTER));
      const read = await contentOf(volume, "/big.iso");
      expect(Buffer.from(read).equals(Buffer.concat([content.subarray(0, 2 * CLUSTER), Buffer.alloc(CLUSTER + 100)]))).toBe(true);
      await extend(growing, "/big.iso", content.subarray(2 * CLUSTER));
      expect(await growing.writtenBytes("/big.iso")).toBe(BigInt(content.length));
      expect(Buffer.from(await contentOf(volume, "/big.iso")).equals(content)).toBe(true);
      await volume.rename("/big.iso", "/done.iso");
      expect((await volume.stat("/done.iso"))?.modifiedMs).toBe(TIME_MS);
    });
    if (hasExfatprogs) expect(fsckSays(bytes)).toBe("clean");
    expect((await checkExfat(memoryStore(bytes), quietJob)).problems).toEqual([]);
  });

  test("in pieces, between other files, is the same", async () => {
    const bytes = await freshVolume(1);
    const content = bytesOf(2, 20 * CLUSTER + 1);
    await opened(bytes, async (volume, growing) => {
      for (let index = 0; index < 200; index += 1) {
        const written = await put(volume, `/fill ${index}`, bytesOf(index, 2 * CLUSTER)).then(
          () => true,
          () => false,
        );
        if (!written) break;
      }
      for (let index = 0; index < 40; index += 2) await volume.remove(`/fill ${index}`);
      await volume.flush();
      await growing.reserve("/big.iso", file(content.length));
      for (let at = 0; at < content.length; at += 3 * CLUSTER) await extend(growing, "/big.iso", content.subarray(at, at + 3 * CLUSTER));
      expect(Buffer.from(await contentOf(volume, "/big.iso")).equals(content)).toBe(true);
      let extents = 0;
      for await (const _ of volume.extents("/big.iso")) extents += 1;
      expect(extents).toBeGreaterThan(3);
    });
    if (hasExfatprogs) expect(fsckSays(bytes)).toBe("clean");
  });

  test("cut before any write holds what it counts, and nothing else is harmed", async () => {
    const content = bytesOf(3, 6 * CLUSTER);
    let cuts = 0;
    for (let writes = 0; ; writes += 1) {
      const bytes = await freshVolume(1);
      await opened(bytes, (volume) => put(volume, "/other", "other"));
      const store = cutStore(memoryStore(bytes), writes);
      let whole = false;
      try {
        const volume = await openExfat(store, {}, quietJob);
        const growing = growingOf(volume);
        await growing.reserve("/big.iso", file(content.length));
        for (let at = 0; at < content.length; at += 2 * CLUSTER) await extend(growing, "/big.iso", content.subarray(at, at + 2 * CLUSTER));
        await volume[Symbol.asyncDispose]();
        whole = true;
      } catch (error) {
        if (!(error instanceof PowerCut) && !/cut before/.test(String((error as Error).message))) throw error;
        cuts += 1;
      }
      await opened(bytes, async (volume, growing) => {
        expect(Buffer.from(await contentOf(volume, "/other")).toString()).toBe("other");
        if ((await volume.stat("/big.iso")) === undefined) return;
        const written = Number(await growing.writtenBytes("/big.iso"));
        const read = await contentOf(volume, "/big.iso");
        expect(Buffer.from(read.subarray(0, written)).equals(content.subarray(0, written))).toBe(true);
      });
      if (whole) break;
    }
    expect(cuts).toBeGreaterThan(10);
  });

  test("refuses more than its size, a beginning that is not whole clusters, and names that are taken", async () => {
    const bytes = await freshVolume(1);
    await opened(bytes, async (volume, growing) => {
      await put(volume, "/taken", "x");
      await expect(growing.reserve("/TAKEN", file(10))).rejects.toThrow(/nothing of that name/);
      await growing.reserve("/a", file(2 * CLUSTER));
      await expect(extend(growing, "/a", bytesOf(1, 2 * CLUSTER + 1))).rejects.toThrow(/at most 8192 bytes more/);
      await extend(growing, "/a", bytesOf(1, 100));
      await expect(extend(growing, "/a", bytesOf(1, 100))).rejects.toThrow(/multiple of 4096/);
      await expect(growing.reserve("/huge", { sizeBytes: 1n << 40n, modifiedMs: 0 })).rejects.toMatchObject({ kind: "usage" });
    });
    expect((await checkExfat(memoryStore(bytes), quietJob)).problems).toEqual([]);
  });
});
