import { describe, expect, test } from "vitest";
import { memoryStore } from "../../../src/disk/block-store.ts";
import { bytesOf } from "../exfat/volumes.ts";
import {
  changed,
  freshVolume,
  fsckSays,
  hasDosfstools,
  hasMtools,
  KINDS,
  mtools,
  mtoolsContent,
  namesIn,
  put,
  TIME_MS,
  treeOf,
} from "./volumes.ts";

describe.each(KINDS)("$name", ({ bytes: size, options }) => {
  test("holds files and folders, and fsck.fat and mtools agree", async () => {
    const volume = await freshVolume(size, options);
    if (hasDosfstools) expect(fsckSays(volume)).toBe("clean");
    const wanted = new Map<string, string | null>([["/folder", null]]);
    await changed(volume, async (open) => {
      await open.makeDirectory("/folder", TIME_MS);
      for (let index = 0; index < 60; index += 1) {
        const path = `/folder/a file with a long name, number ${index}`;
        const content = bytesOf(index + 1, index * 97);
        await put(open, path, content);
        wanted.set(path, Buffer.from(content).toString("base64"));
      }
    });
    expect(await treeOf(memoryStore(volume))).toEqual(wanted);
    if (hasDosfstools) expect(fsckSays(volume)).toBe("clean");
    if (!hasMtools) return;
    expect(mtools(volume, "mdir", "-/", "-b", "::").trim().split("\n").length).toBe(61);
    expect(mtoolsContent(volume, "/folder/a file with a long name, number 59").equals(bytesOf(60, 59 * 97))).toBe(true);
  });

  test("loses what is removed, and keeps what is moved", async () => {
    const volume = await freshVolume(size, options);
    await changed(volume, async (open) => {
      await open.makeDirectory("/a", TIME_MS);
      await open.makeDirectory("/b", TIME_MS);
      await put(open, "/a/one", "1");
      await put(open, "/a/two", "2");
      await open.rename("/a/one", "/b/One, but with a long name");
      await open.rename("/b", "/a/b");
      await open.remove("/a/two");
      await put(open, "/a/b/One, but with a long name", "11", true);
    });
    expect([...(await treeOf(memoryStore(volume))).keys()]).toEqual(["/a", "/a/b", "/a/b/One, but with a long name"]);
    if (hasDosfstools) expect(fsckSays(volume)).toBe("clean");
    await changed(volume, async (open) => {
      const before = await open.space();
      await open.remove("/a", { recursive: true });
      expect((await open.space()).freeBytes).toBe(before.freeBytes + 3n * BigInt(before.clusterBytes));
      expect(await namesIn(open, "/")).toEqual([]);
    });
    if (hasDosfstools) expect(fsckSays(volume)).toBe("clean");
  });
});
