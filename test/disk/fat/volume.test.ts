import { describe, expect, test } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { type BlockStore, memoryStore, sparseStore } from "../../../src/disk/block-store.ts";
import { checkFat } from "../../../src/disk/fat/check.ts";
import { planFat } from "../../../src/disk/fat/layout.ts";
import { makeFat } from "../../../src/disk/fat/make.ts";
import { FILE_BYTES_MAX, openFat } from "../../../src/disk/fat/volume.ts";
import { decodeFatBoot, FAT_FLAG, fatPlaces } from "../../../src/formats/fat-boot.ts";
import { bytesOf } from "../exfat/volumes.ts";
import {
  changed,
  contentOf,
  freshVolume,
  fsckSays,
  hasDosfstools,
  hasMtools,
  KINDS,
  listeningJob,
  mtools,
  mtoolsContent,
  namesIn,
  put,
  TIME_MS,
  treeOf,
} from "./volumes.ts";

const MIB = 1 << 20;

describe.each(KINDS)("$name", ({ bytes: size, options }) => {
  test("holds files and folders, and fsck.fat and mtools agree", async () => {
    const volume = await freshVolume(size, options);
    if (hasDosfstools) expect(fsckSays(volume)).toBe("clean");
    const wanted = new Map<string, string | null>([["/folder", null]]);
    await changed(volume, async (open) => {
      expect([open.format, open.label]).toEqual([`fat${options.bits}`, "TEST"]);
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
      await expect(open.rename("/a", "/a/b/a")).rejects.toThrow(/outside the folder/);
      await expect(open.remove("/a")).rejects.toThrow(/empty folder/);
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

  test("says that it is being changed until it is flushed", async () => {
    const volume = await freshVolume(size, options);
    const open = await openFat(memoryStore(volume), {}, quietJob);
    const ids = async () => (await checkFat(memoryStore(volume), quietJob)).problems.map(({ id }) => id);
    await put(open, "/a", "1");
    expect(await ids()).toContain("dirty");
    const job = listeningJob();
    await openFat(memoryStore(volume.slice()), {}, job);
    expect(job.warnings).toEqual([expect.stringMatching(/not closed properly/)]);
    await open.flush();
    expect(await ids()).toEqual([]);
    expect(decodeFatBoot(volume, "volume").flags & FAT_FLAG.dirty).toBe(0);
    expect(Buffer.from(volume).equals(await changedAgain(volume))).toBe(true); // closing an unchanged one writes nothing
  });
});

const changedAgain = async (volume: Uint8Array): Promise<Uint8Array> =>
  await changed(volume.slice(), async (open) => void (await namesIn(open, "/")));

describe("a volume that is made", () => {
  test("is the same to the byte for the same options, and differs with each of them", async () => {
    const one = await freshVolume(MIB);
    expect(Buffer.from(await freshVolume(MIB)).equals(one)).toBe(true);
    for (const options of [
      { serial: 2 },
      { label: "OTHER" },
      { partitionOffset: 1n << 20n },
      { clusterBytes: 1024 },
      { timeMs: 0 },
      { rootEntries: 128 },
    ]) {
      expect(Buffer.from(await freshVolume(MIB, options)).equals(one)).toBe(false);
    }
  });

  test("as the ESP of 64 MiB has the parameters that fsck.fat, GRUB, OVMF and Ventoy were seen to take", async () => {
    const volume = await freshVolume(64 * MIB, { label: "VTOYEFI", partitionOffset: 2048n * 512n });
    const boot = decodeFatBoot(volume, "ESP");
    expect(boot).toMatchObject({
      bits: 16,
      clusterSectors: 4,
      reservedSectors: 4,
      rootEntries: 512,
      sectors: 131_072,
      fatSectors: 128,
      trackSectors: 32,
      heads: 8,
      hiddenSectors: 2048,
    });
    expect(fatPlaces(boot)).toEqual({ rootSector: 260, dataSector: 292, clusterCount: 32_695 });
    expect(Buffer.from(volume.subarray(43, 54)).toString()).toBe("VTOYEFI    ");
    expect(Buffer.from(volume.subarray(260 * 512, 260 * 512 + 12)).toString("latin1")).toBe("VTOYEFI    \x08");
    if (hasDosfstools) expect(fsckSays(volume)).toBe("clean");
    if (hasMtools) expect(mtools(volume, "mdir", "::")).toMatch(/is VTOYEFI/);
  });

  test("over an old file system holds nothing of its tables", async () => {
    const old = bytesOf(1, 8 * MIB);
    await makeFat(memoryStore(old), { serial: 1 }, quietJob);
    expect(await checkFat(memoryStore(old), quietJob)).toMatchObject({ problems: [], fatal: undefined });
    expect(await treeOf(memoryStore(old))).toEqual(new Map());
  });

  test("of any size stays 16 clusters off the edges between the types, and its FAT is no sector longer than it must be", () => {
    for (const sectorBytes of [512, 4096]) {
      for (let sectors = 300n; sectors < 1n << 31n; sectors += sectors / 7n + 13n) {
        const boot = planFat(sectors * BigInt(sectorBytes), sectorBytes, { serial: 1 });
        const { clusterCount, dataSector } = fatPlaces(boot);
        for (const edge of [4085, 65_525]) expect(Math.abs(clusterCount - edge)).toBeGreaterThanOrEqual(16);
        expect(boot.bits).toBe(clusterCount < 4085 ? 12 : clusterCount < 65_525 ? 16 : 32);
        expect(dataSector % boot.clusterSectors).toBe(0);
        expect(boot.sectors % boot.trackSectors).toBe(0);
        const needed = Math.ceil(((clusterCount + 2) * boot.bits) / 8 / sectorBytes);
        expect(boot.fatSectors - needed).toBeLessThanOrEqual(1);
      }
    }
  });

  test.each([
    ["a label that is too long", MIB, { label: "TWELVE CHARS" }],
    ["FAT32 of 8 MiB", 8 * MIB, { bits: 32 as const }],
    ["FAT12 of 64 MiB in clusters of 512 bytes", 64 * MIB, { bits: 12 as const, clusterBytes: 512 }],
    ["clusters of 64 KiB", 64 * MIB, { clusterBytes: 65_536 }],
    ["a volume of nothing", 512, {}],
  ])("cannot have %s", async (_, bytes, options) => {
    await expect(freshVolume(bytes, options)).rejects.toMatchObject({ kind: "usage" });
  });

  test.each(
    [512, 1024, 4096, 32_768]
      .flatMap((cluster) => [512, 4096].map((sector) => [cluster, sector] as const))
      .filter(([cluster, sector]) => cluster >= sector),
  )("with clusters of %i bytes and sectors of %i holds files and folders", async (clusterBytes, sectorBytes) => {
    const volume = await freshVolume(clusterBytes * 5000, { clusterBytes, bits: 16 }, sectorBytes);
    const content = bytesOf(1, 3 * clusterBytes + 7);
    await changed(
      volume,
      async (open) => {
        await open.makeDirectory("/folder", TIME_MS);
        for (let index = 0; index < 40; index += 1) await put(open, `/folder/some file, number ${index}`, content.subarray(index));
      },
      sectorBytes,
    );
    expect(await checkFat(memoryStore(volume, sectorBytes), quietJob)).toMatchObject({ problems: [], files: 40, directories: 2 });
    if (hasDosfstools) expect(fsckSays(volume)).toBe("clean");
  });
});

describe("names", () => {
  const volumeWith = async (...names: string[]): Promise<Uint8Array> =>
    await changed(await freshVolume(MIB), async (open) => {
      for (const name of names) await put(open, `/${name}`, name);
    });

  test("are found by any case, and by their 8.3 name", async () => {
    const bytes = await volumeWith("Füße in Ägypten.txt");
    await changed(bytes, async (open) => {
      for (const path of ["/füße in ägypten.TXT", "/F__EIN~1.TXT", "/f__ein~1.txt"])
        expect((await open.stat(path))?.name).toBe("Füße in Ägypten.txt");
      await expect(put(open, "/F__EIN~1.TXT", "")).rejects.toMatchObject({ kind: "usage" });
    });
  });

  test("of 255 units, of unpaired surrogates, of characters beyond 16 bits are kept", async () => {
    const names = [
      "x".repeat(255),
      "a\ud800b",
      "\udc00",
      "😀".repeat(100),
      "日本語",
      " leading",
      "a.b.c.d",
      "..x",
      "README.TXT",
      "readme.TXT2",
    ];
    const bytes = await volumeWith(...names);
    await changed(bytes, async (open) => {
      expect(await namesIn(open, "/")).toEqual(names);
      for (const name of names) expect((await contentOf(open, `/${name}`)).toString()).toBe(Buffer.from(name).toString());
    });
    expect((await checkFat(memoryStore(bytes), quietJob)).problems).toEqual([]);
    if (hasDosfstools) expect(fsckSays(bytes)).toBe("clean");
  });

  test.each(["", "a/b".slice(0, 0), "x".repeat(256), "a:b", "a.", "b ", "\u0007"].filter((name) => name !== ""))(
    "%j is refused",
    async (name) => {
      await changed(await freshVolume(MIB), async (open) => {
        await expect(put(open, `/${name}`, "")).rejects.toMatchObject({ kind: "usage" });
        await expect(open.makeDirectory(`/${name}`, TIME_MS)).rejects.toMatchObject({ kind: "usage" });
      });
    },
  );

  test("that differ in their case alone: the one is renamed to the other in place", async () => {
    const bytes = await volumeWith("a long name.txt", "SHORT");
    await changed(bytes, async (open) => {
      await open.rename("/a long name.txt", "/A LONG NAME.TXT");
      await open.rename("/SHORT", "/short");
      await expect(open.rename("/short", "/A long name.txt")).rejects.toMatchObject({ kind: "usage" });
      expect(await namesIn(open, "/")).toEqual(["A LONG NAME.TXT", "short"]);
    });
    if (hasDosfstools) expect(fsckSays(bytes)).toBe("clean");
  });

  test("in a code page: of 8.3 names that another system wrote", async () => {
    const bytes = await volumeWith("XSTEN");
    bytes[Buffer.from(bytes).indexOf("XSTEN   ")] = 0x9d;
    for (const [codePage, name] of [
      [437, "¥STEN"],
      [850, "ØSTEN"],
    ] as const) {
      const open = await openFat(memoryStore(bytes), { codePage, readOnly: true }, quietJob);
      expect(await namesIn(open, "/")).toEqual([name]);
      expect((await open.stat(`/${name}`))?.kind).toBe("file");
    }
  });
});

describe("room", () => {
  test("a fixed root ends; a file that does not fit is refused before anything is written", async () => {
    const bytes = await freshVolume(MIB, { rootEntries: 16 });
    await changed(bytes, async (open) => {
      for (let index = 0; index < 15; index += 1) await put(open, `/F${index}`, "");
      await expect(put(open, "/F15", "")).rejects.toThrow(/16 entries of this root/);
      const { freeBytes } = await open.space();
      await expect(put(open, "/F1", new Uint8Array(Number(freeBytes) + 1), true)).rejects.toMatchObject({ kind: "usage" });
      await open.remove("/F3");
      await put(open, "/F15", new Uint8Array(Number(freeBytes)));
      expect((await open.space()).freeBytes).toBe(0n);
      await open.remove("/F15");
      await put(open, "/F3", new Uint8Array(Number(freeBytes))); // what was removed is free again at once
    });
    if (hasDosfstools) expect(fsckSays(bytes)).toBe("clean");
  });

  test("in pieces holds a file too, and where there is room in a row it lies in a row", async () => {
    const bytes = await changed(await freshVolume(MIB), async (open) => {
      for (let index = 0; index < 100; index += 1) await put(open, `/F${index}`, bytesOf(index, 512));
      for (let index = 0; index < 100; index += 2) await open.remove(`/F${index}`);
      await open.flush();
      const extentsOf = async (path: string) => {
        let count = 0;
        for await (const { bytes: length } of open.extents(path)) count += length > 0n ? 1 : 0;
        return count;
      };
      await put(open, "/row", bytesOf(7, 20_000));
      expect(await extentsOf("/row")).toBe(1);
      const { freeBytes } = await open.space();
      await put(open, "/pieces", bytesOf(8, Number(freeBytes)));
      expect(await extentsOf("/pieces")).toBeGreaterThan(40);
      expect((await contentOf(open, "/pieces")).equals(bytesOf(8, Number(freeBytes)))).toBe(true);
      expect((await contentOf(open, "/pieces", 1000n, 3000n)).equals(bytesOf(8, Number(freeBytes)).subarray(1000, 4000))).toBe(true);
      expect((await contentOf(open, "/pieces", freeBytes - 5n, 3000n)).length).toBe(5);
    });
    if (hasDosfstools) expect(fsckSays(bytes)).toBe("clean");
  });

  test("deleted entries are used again: a folder does not grow for as many files as it held before", async () => {
    await changed(await freshVolume(MIB), async (open) => {
      await open.makeDirectory("/folder", TIME_MS);
      const fill = async (round: number) => {
        for (let index = 0; index < 30; index += 1) await put(open, `/folder/file ${index} of round ${round}`, "");
      };
      await fill(0);
      const before = (await open.stat("/folder"))?.sizeBytes;
      for (let round = 1; round < 5; round += 1) {
        for (let index = 0; index < 30; index += 1) await open.remove(`/folder/file ${index} of round ${round - 1}`);
        await fill(round);
      }
      expect((await open.stat("/folder"))?.sizeBytes).toBe(before);
    });
  });

  // One byte less is written in test/real/disk-fat.long.test.ts.
  test("a file of 4 GiB is refused before anything is written, and why", async () => {
    const store = sparseStore(5n << 30n);
    await makeFat(store, { serial: 1, clusterBytes: 32_768 }, quietJob);
    const open = await openFat(store, {}, quietJob);
    const tooLarge = open.write("/large", [], { modifiedMs: TIME_MS, sizeBytes: FILE_BYTES_MAX + 1n }, quietJob);
    await expect(tooLarge).rejects.toThrow(/at most 4294967295 bytes \(4 GiB - 1\)/);
    expect((await checkFat(store, quietJob)).problems).toEqual([]);
  });

  test("content that is shorter or longer than announced is an error, and leaves no file", async () => {
    const bytes = await freshVolume(MIB);
    await changed(bytes, async (open) => {
      for (const length of [99, 101]) {
        const content = [new Uint8Array(length)];
        await expect(open.write("/a", content, { sizeBytes: 100n, modifiedMs: TIME_MS }, quietJob)).rejects.toMatchObject({
          kind: "usage",
        });
      }
      expect(await namesIn(open, "/")).toEqual([]);
    });
    expect((await checkFat(memoryStore(bytes), quietJob)).problems).toEqual([]);
  });
});

describe("a label", () => {
  test.each(KINDS)("of a $name is set, changed and removed in both places", async ({ bytes: size, options }) => {
    const bytes = await freshVolume(size, { ...options, label: "" });
    const labels: string[] = [];
    for (const label of ["first", "SECOND ONE", "", "Third"]) {
      await changed(bytes, async (open) => await open.setLabel(label));
      labels.push((await openFat(memoryStore(bytes), { readOnly: true }, quietJob)).label);
      expect((await checkFat(memoryStore(bytes), quietJob)).problems).toEqual([]);
      if (hasDosfstools) expect(fsckSays(bytes)).toBe("clean");
    }
    expect(labels).toEqual(["FIRST", "SECOND ONE", "", "THIRD"]);
    await changed(bytes, async (open) => await expect(open.setLabel("a*b")).rejects.toMatchObject({ kind: "usage" }));
  });
});

describe("a volume that cannot be written", () => {
  test.each<[string, (bytes: Uint8Array) => BlockStore, boolean, string]>([
    ["opened for reading", (bytes) => memoryStore(bytes), true, "it was opened for reading only"],
    [
      "of smaller sectors than its disk",
      (bytes) => memoryStore(bytes, 4096),
      false,
      "its sectors of 512 bytes are smaller than those of the disk, 4096",
    ],
  ])("(%s) is read, and says why", async (_, storeOf, readOnly, because) => {
    const bytes = await changed(await freshVolume(MIB), async (open) => await put(open, "/a", "1"));
    const before = bytes.slice();
    const open = await openFat(storeOf(bytes), { readOnly }, quietJob);
    expect(open.readOnlyBecause).toBe(because);
    expect((await contentOf(open, "/a")).toString()).toBe("1");
    await expect(put(open, "/b", "")).rejects.toMatchObject({ kind: "usage" });
    await open.flush();
    expect(Buffer.from(bytes).equals(before)).toBe(true);
  });
});
