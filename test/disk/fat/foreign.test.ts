/** Volumes of mkfs.fat and mtools read and changed by us, ours by them; fsck.fat as referee of both. */
import { describe, expect, test } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { memoryStore } from "../../../src/disk/block-store.ts";
import { checkFat } from "../../../src/disk/fat/check.ts";
import { openFat } from "../../../src/disk/fat/volume.ts";
import { bytesOf } from "../exfat/volumes.ts";
import { FOREIGN, takeTurns } from "./foreign.ts";
import { changed, contentOf, freshVolume, fsckSays, hasDosfstools, hasMtools, mtools, namesIn, put, TIME_MS, treeOf } from "./volumes.ts";

describe.runIf(hasDosfstools && hasMtools)("a volume of mkfs.fat", () => {
  // The others are in test/real/disk-fat.long.test.ts.
  test.each(FOREIGN.filter(({ quick }) => quick).map((foreign) => [foreign.name, foreign] as const))(
    "(%s) is read, changed by us and by mtools in turns, and stays in order",
    async (_, foreign) => await takeTurns(foreign, 2),
  );
});

describe.runIf(hasMtools && hasDosfstools)("what we write", () => {
  test("mdir shows with times, sizes, attributes and both names", async () => {
    const volume = await changed(await freshVolume(1 << 20, { label: "vtoyefi" }), async (open) => {
      await put(open, "/grub.cfg", "abc");
      await put(open, "/A name with capitals.conf", "defg");
      await open.makeDirectory("/EFI", TIME_MS);
    });
    const lines = mtools(volume, "mdir", "-a", "::").split("\n");
    expect(lines[0]).toMatch(/ is VTOYEFI/);
    expect(lines[1]).toMatch(/ is 1234-ABCD$/);
    expect(lines.filter((line) => /2026-11-21/.test(line)).map((line) => line.replace(/ +/g, " "))).toEqual([
      "GRUB CFG 3 2026-11-21 11:30 grub.cfg",
      "ANAMEW~1 CON 4 2026-11-21 11:30 A name with capitals.conf",
      "EFI <DIR> 2026-11-21 11:30 ",
    ]);
  });

  test("mshortname gives the names that Windows would", async () => {
    const names = Array.from({ length: 6 }, (_, index) => `Program Files ${index}`);
    const volume = await changed(await freshVolume(1 << 20), async (open) => {
      for (const name of names) await put(open, `/${name}`, "");
    });
    const shorts = names.map((name) => mtools(volume, "mshortname", `::/${name}`).trim().slice("::/".length));
    expect(shorts.slice(0, 4)).toEqual(["PROGRA~1", "PROGRA~2", "PROGRA~3", "PROGRA~4"]);
    expect(shorts.slice(4).every((short) => /^PR[0-9A-F]{4}~1$/.test(short))).toBe(true);
    expect(new Set(shorts).size).toBe(6);
  });

  test("the small letters of Windows NT are read, and kept when the file is replaced", async () => {
    const volume = await changed(await freshVolume(1 << 20), async (open) => await put(open, "/READ.ME", "1"));
    const at = Buffer.from(volume).indexOf("READ    ME ");
    volume[at + 12] = 8 | 16;
    expect(mtools(volume, "mdir", "-b", "::").trim()).toBe("::/read.me");
    await changed(volume, async (open) => {
      expect(await namesIn(open, "/")).toEqual(["read.me"]);
      await put(open, "/Read.Me", "2", true);
      expect(await namesIn(open, "/")).toEqual(["read.me"]);
      await open.rename("/read.me", "/READ.ME");
      expect(await namesIn(open, "/")).toEqual(["READ.ME"]);
    });
    expect(await treeOf(memoryStore(volume))).toEqual(new Map([["/READ.ME", Buffer.from("2").toString("base64")]]));
    expect(fsckSays(volume)).toBe("clean");
  });

  test("a volume of which one FAT alone is kept, as its flags say, is read and written by that one", async () => {
    const volume = await changed(await freshVolume(34 << 20, { bits: 32 }), async (open) => await put(open, "/a", bytesOf(1, 5000)));
    const boot = new DataView(volume.buffer);
    const fatBytes = boot.getUint32(36, true) * 512;
    const first = boot.getUint16(14, true) * 512;
    for (const sector of [0, 6]) boot.setUint16(sector * 512 + 40, 0x81, true);
    volume.fill(0, first + 12, first + fatBytes);
    const before = volume.slice(first, first + fatBytes);
    await changed(volume, async (open) => {
      expect((await contentOf(open, "/a")).equals(bytesOf(1, 5000))).toBe(true);
      await put(open, "/b", bytesOf(2, 5000));
    });
    expect(Buffer.from(volume.subarray(first, first + fatBytes)).equals(before)).toBe(true);
    expect((await checkFat(memoryStore(volume), quietJob)).problems).toEqual([]);
    const again = await openFat(memoryStore(volume), {}, quietJob);
    expect((await contentOf(again, "/b")).equals(bytesOf(2, 5000))).toBe(true);
  });
});
