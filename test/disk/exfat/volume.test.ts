import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { type BlockStore, memoryStore, sparseStore, windowStore } from "../../../src/disk/block-store.ts";
import { checkExfat } from "../../../src/disk/exfat/check.ts";
import { makeExfat } from "../../../src/disk/exfat/make.ts";
import { openExfat } from "../../../src/disk/exfat/volume.ts";
import { ENTRY_BYTES, withSetChecksum } from "../../../src/formats/exfat-entries.ts";
import {
  bytesOf,
  changed,
  contentOf,
  freshVolume,
  fsckSays,
  hasExfatprogs,
  listeningJob,
  namesIn,
  put,
  randomOf,
  TIME_MS,
  treeOf,
} from "./volumes.ts";

const problemsOf = async (store: BlockStore) => (await checkExfat(store, quietJob)).problems;

describe("a volume that is made", () => {
  test("is the same to the byte for the same options, and differs with each of them", async () => {
    const one = await freshVolume(1);
    expect(Buffer.from(await freshVolume(1)).equals(one)).toBe(true);
    for (const options of [{ serial: 2 }, { label: "OTHER" }, { partitionOffset: 1n << 20n }, { clusterBytes: 512 }]) {
      expect(Buffer.from(await freshVolume(1, options)).equals(one)).toBe(false);
    }
  });

  test("over an old file system holds nothing of its tables", async () => {
    const old = bytesOf(1, 4 << 20);
    await makeExfat(memoryStore(old), { serial: 1 }, quietJob);
    expect(await problemsOf(memoryStore(old))).toEqual([]);
    expect(await treeOf(memoryStore(old))).toEqual(new Map());
  });

  test.each([512, 4096, 32_768, 1 << 20, 1 << 25].flatMap((cluster) => [512, 4096].map((sector) => [cluster, sector] as const)))(
    "with clusters of %i bytes and sectors of %i holds files and folders",
    async (clusterBytes, sectorBytes) => {
      const store = sparseStore(512n << 20n, { sectorBytes });
      const make = makeExfat(store, { serial: 1, clusterBytes }, quietJob);
      if (clusterBytes < sectorBytes) return await expect(make).rejects.toThrow(/clusters of a power of two from 4096 bytes/);
      await make;
      {
        await using volume = await openExfat(store, {}, quietJob);
        await volume.makeDirectory("/a", TIME_MS);
        await put(volume, "/a/b", bytesOf(7, 100_000));
        expect(await volume.space()).toMatchObject({ clusterBytes });
      }
      expect((await treeOf(store)).get("/a/b")).toBe(Buffer.from(bytesOf(7, 100_000)).toString("base64"));
      expect(await problemsOf(store)).toEqual([]);
    },
  );

  test("of 2 TiB takes files at its end", async () => {
    const store = sparseStore(2n << 40n);
    await makeExfat(store, { serial: 1, label: "LARGE" }, quietJob);
    await using volume = await openExfat(store, {}, quietJob);
    await put(volume, "/small", "x");
    expect((await volume.space()).totalBytes).toBeGreaterThan((2n << 40n) - (1n << 28n));
    expect(await problemsOf(store)).toMatchObject([{ id: "dirty" }]);
  });

  test.each([
    [1n << 19n, {}, /a volume of 1 MiB to 128 PiB/],
    [4n << 20n, { label: "twelve units" }, /a label of at most 11 characters/],
    [4n << 20n, { clusterBytes: 3000 }, /clusters of a power of two/],
    [4n << 20n, { clusterBytes: 1 << 26 }, /clusters of a power of two/],
    [4n << 20n, { clusterBytes: 1 << 25 }, /clusters small enough/],
    [4n << 20n, { serial: 2 ** 32 }, /a serial of 32 bits/],
    [4n << 20n, { partitionOffset: 100n }, /a partition that starts at a sector/],
  ] as const)("that cannot be is refused: %#", async (size, options, message) => {
    await expect(makeExfat(sparseStore(size), { serial: 1, ...options }, quietJob)).rejects.toThrow(message);
  });

  test.skipIf(!hasExfatprogs).each([1, 2, 5, 16])("of %i MiB is clean for fsck.exfat", async (megabytes) => {
    expect(fsckSays(await freshVolume(megabytes))).toBe("clean");
  });
});

describe("files and folders", () => {
  test("are written, listed, read in ranges, renamed, moved and removed", async () => {
    const content = bytesOf(3, 3_000_000);
    const bytes = await freshVolume(16);
    await changed(bytes, async (volume) => {
      await volume.makeDirectory("/ISOs", TIME_MS);
      await volume.makeDirectory("/ISOs/deep", TIME_MS);
      await put(volume, "/ISOs/one.iso", content);
      await put(volume, "/ISOs/empty", "");
      await volume.rename("/isos/ONE.ISO", "/ISOs/deep/Eins.iso");
      expect(await namesIn(volume, "/ISOs")).toEqual(["deep", "empty"]);
      expect((await contentOf(volume, "/isos/deep/eins.ISO")).equals(content)).toBe(true);
      for (const [from, length] of [
        [0, 1],
        [1_048_575, 3],
        [2_999_999, 10],
        [3_000_000, 1],
        [4096, 2_000_000],
      ] as const) {
        const piece = await contentOf(volume, "/ISOs/deep/Eins.iso", BigInt(from), BigInt(length));
        expect(piece.equals(content.subarray(from, from + length))).toBe(true);
      }
      expect(await volume.stat("/ISOs/deep/eins.iso")).toEqual({
        name: "Eins.iso",
        kind: "file",
        sizeBytes: 3_000_000n,
        modifiedMs: TIME_MS,
        readOnly: false,
        hidden: false,
        system: false,
      });
      await volume.rename("/ISOs/deep", "/DEEP");
      await volume.rename("/DEEP/Eins.iso", "/DEEP/EINS.iso"); // another case only
      expect(await namesIn(volume, "/deep")).toEqual(["EINS.iso"]);
      await volume.remove("/ISOs/empty");
      await volume.remove("/ISOs");
      await volume.setLabel("new \u00e4");
      expect(volume.label).toBe("new \u00e4");
    });
    expect([...(await treeOf(memoryStore(bytes))).keys()]).toEqual(["/DEEP", "/DEEP/EINS.iso"]);
    expect(await problemsOf(memoryStore(bytes))).toEqual([]);
    expect((await openExfat(memoryStore(bytes), {}, quietJob)).label).toBe("new \u00e4");
  });

  test("that cannot be are refused, and nothing changes", async () => {
    const bytes = await freshVolume(4);
    await changed(bytes, async (volume) => {
      await volume.makeDirectory("/d", TIME_MS);
      await put(volume, "/d/f", "x");
      await put(volume, "/g", "y");
    });
    const before = Buffer.from(bytes);
    await changed(bytes, async (volume) => {
      await expect(put(volume, "/d/F", "z")).rejects.toThrow(/no file of that name, found one/);
      await expect(put(volume, "/D", "z", true)).rejects.toThrow(/no folder of that name/);
      await expect(put(volume, "/x/y", "z")).rejects.toThrow(/\/x: expected a folder, found nothing/);
      await expect(put(volume, "/g/y", "z")).rejects.toThrow(/\/g: expected a folder, found a file/);
      await expect(put(volume, "/a?b", "z")).rejects.toThrow(/a name that exFAT can hold, found the character U\+003F/);
      await expect(put(volume, "/..", "z")).rejects.toThrow(/reserved name/);
      await expect(volume.makeDirectory("/d", TIME_MS)).rejects.toThrow(/nothing of that name/);
      await expect(volume.makeDirectory("/", TIME_MS)).rejects.toThrow(/below the root/);
      await expect(volume.rename("/d", "/d/e")).rejects.toThrow(/outside the folder/);
      await expect(volume.rename("/d", "/g")).rejects.toThrow(/nothing of that name/);
      await expect(volume.rename("/nope", "/x")).rejects.toThrow(/a file or folder/);
      await expect(volume.remove("/d")).rejects.toThrow(/an empty folder/);
      await expect(volume.remove("/")).rejects.toThrow(/the root/);
      await expect(volume.setLabel("twelve units")).rejects.toThrow(/11 characters/);
      await expect(contentOf(volume, "/d")).rejects.toThrow(/a file, found a folder/);
      await expect(namesIn(volume, "/g")).rejects.toThrow(/a folder, found a file/);
      expect(await volume.stat("/g/x")).toBeUndefined();
      const huge = { sizeBytes: 1n << 40n, modifiedMs: TIME_MS };
      await expect(volume.write("/huge", [], huge, quietJob)).rejects.toThrow(/at most \d+ bytes/);
    });
    const tree = await treeOf(memoryStore(bytes));
    expect([...tree.keys()]).toEqual(["/d", "/d/f", "/g"]);
    expect(before.equals(bytes)).toBe(true);
  });

  test("whose content is not as long as announced are not there, and their room is free", async () => {
    const bytes = await freshVolume(4);
    await changed(bytes, async (volume) => {
      const { freeBytes } = await volume.space();
      for (const sizeBytes of [2n, 5n]) {
        await expect(volume.write("/f", [Buffer.from("abc")], { sizeBytes, modifiedMs: TIME_MS }, quietJob)).rejects.toThrow(
          /bytes of content, as announced/,
        );
      }
      expect(await volume.space()).toMatchObject({ freeBytes });
      expect(await namesIn(volume, "/")).toEqual([]);
    });
    expect(await problemsOf(memoryStore(bytes))).toEqual([]);
  });

  test("fill the volume to its last cluster in pieces, with a chain in the FAT, and leave it as empty as it was", async () => {
    const bytes = await freshVolume(1, { clusterBytes: 512 });
    await changed(bytes, async (volume) => {
      const { freeBytes } = await volume.space();
      for (let index = 0; index < 80; index += 1) await put(volume, `/f${index}`, bytesOf(index, 1500));
      for (let index = 0; index < 80; index += 2) await volume.remove(`/f${index}`);
      const rest = (await volume.space()).freeBytes;
      await put(volume, "/rest", bytesOf(9, Number(rest) - 1));
      expect((await volume.space()).freeBytes).toBe(0n);
      await expect(put(volume, "/more", "x")).rejects.toThrow(/512 bytes free, found 0/);
      const extents = [];
      for await (const extent of volume.extents("/rest")) extents.push(extent);
      expect(extents.length).toBeGreaterThan(30);
      expect(extents.reduce((sum, { bytes: length }) => sum + length, 0n)).toBe(rest - 1n);
      expect((await contentOf(volume, "/rest")).equals(bytesOf(9, Number(rest) - 1))).toBe(true);
      await volume.flush();
      expect(await problemsOf(memoryStore(bytes))).toEqual([]);
      if (hasExfatprogs) expect(fsckSays(bytes)).toBe("clean");
      for (const name of await namesIn(volume, "/")) await volume.remove(`/${name}`);
      // The root has grown: it keeps its clusters.
      expect(freeBytes - (await volume.space()).freeBytes).toBeLessThan(64n * 512n);
    });
    expect(await problemsOf(memoryStore(bytes))).toEqual([]);
  });

  test("in folders that grow, in a row and scattered, the root too", async () => {
    const bytes = await freshVolume(2, { clusterBytes: 512 });
    await changed(bytes, async (volume) => {
      await volume.makeDirectory("/many", TIME_MS);
      for (let index = 0; index < 60; index += 1) {
        await volume.makeDirectory(`/many/a folder with a rather long name ${index}`, TIME_MS);
        await put(volume, `/in the root, with a rather long name ${index}`, `${index}`);
      }
      expect((await volume.stat("/many"))?.sizeBytes).toBeGreaterThanOrEqual(60n * 5n * 32n);
      expect((await namesIn(volume, "/many")).length).toBe(60);
      await volume.remove("/many", { recursive: true });
    });
    expect((await treeOf(memoryStore(bytes))).size).toBe(60);
    expect(await problemsOf(memoryStore(bytes))).toEqual([]);
    if (hasExfatprogs) expect(fsckSays(bytes)).toBe("clean");
  });

  test("with unpaired surrogates and other letters in their names are found by them", async () => {
    const names = ["\ud800", "\udfff\ud800", "\u{1f600}", "ä", "\u0130x", "\uffff", "ﬀ", " leading", "trailing.", "x".repeat(255)];
    const bytes = await freshVolume(4);
    await changed(bytes, async (volume) => {
      for (const name of names) await put(volume, `/${name}`, name.length.toString());
      expect(await namesIn(volume, "/")).toEqual(names);
      expect((await volume.stat("/Ä"))?.name).toBe("ä");
      expect((await volume.stat(`/${"X".repeat(255)}`))?.name).toBe("x".repeat(255));
      expect(await volume.stat("/\ud801")).toBeUndefined();
    });
    expect(await problemsOf(memoryStore(bytes))).toEqual([]);
  });

  test("over 4 GiB are written in a row and read in ranges", async () => {
    const size = (4n << 30n) + 3_000_000n;
    const store = forgetfulOfZeros(sparseStore(16n << 30n));
    await makeExfat(store, { serial: 1 }, quietJob);
    await using volume = await openExfat(store, {}, quietJob);
    const tail = bytesOf(5, 3_000_000);
    const zeros = new Uint8Array(4 << 20);
    const content = function* () {
      for (let index = 0; index < 1024; index += 1) yield zeros;
      yield tail;
    };
    await volume.write("/large", content(), { sizeBytes: size, modifiedMs: TIME_MS }, quietJob);
    expect((await volume.stat("/large"))?.sizeBytes).toBe(size);
    expect((await contentOf(volume, "/large", (4n << 30n) - 1n, 3_000_001n)).equals(Buffer.concat([Uint8Array.of(0), tail]))).toBe(true);
    const extents = [];
    for await (const extent of volume.extents("/large")) extents.push(extent.bytes);
    expect(extents).toEqual([size]);
  });

  test("are changed one after another, however they are asked for", async () => {
    const bytes = await freshVolume(4);
    await changed(bytes, async (volume) => {
      await Promise.all(Array.from({ length: 30 }, (_, index) => put(volume, `/f${index}`, bytesOf(index, 5000))));
      await Promise.all(
        Array.from({ length: 30 }, (_, index) =>
          index % 2 === 0 ? volume.remove(`/f${index}`) : volume.rename(`/f${index}`, `/g${index}`),
        ),
      );
    });
    expect((await treeOf(memoryStore(bytes))).size).toBe(15);
    expect(await problemsOf(memoryStore(bytes))).toEqual([]);
  });
});

/** Keeps no page of zeros that is written where nothing was: a file of 4 GiB in a few of memory. */
function forgetfulOfZeros(store: BlockStore): BlockStore {
  const zeros = Buffer.alloc(1 << 20);
  return {
    ...store,
    write: async (offset, bytes) => (bytes.length === zeros.length && zeros.equals(bytes) ? undefined : await store.write(offset, bytes)),
  };
}

describe("what the volume itself says", () => {
  test("the dirty flag stands from the first change to the flush, and stays where it was before", async () => {
    const bytes = await freshVolume(4);
    const volume = await openExfat(memoryStore(bytes), {}, quietJob);
    expect(bytes[106]).toBe(0);
    await put(volume, "/a", "x");
    expect(bytes[106]).toBe(2);
    await volume.flush();
    expect(bytes[106]).toBe(0);
    await volume.remove("/a");
    expect(bytes[106]).toBe(2);
    const job = listeningJob();
    await (await openExfat(memoryStore(bytes), {}, job))[Symbol.asyncDispose]();
    expect(job.warnings).toEqual([expect.stringContaining("was not closed properly")]);
    const again = await openExfat(memoryStore(bytes), {}, quietJob);
    await put(again, "/b", "x");
    await again.flush();
    expect(bytes[106]).toBe(2);
  });

  test("the percentage in use follows", async () => {
    const bytes = await freshVolume(4);
    await changed(bytes, async (volume) => await put(volume, "/half", new Uint8Array(2 << 20)));
    expect(bytes[112]).toBeGreaterThan(50);
    await changed(bytes, async (volume) => await volume.remove("/half"));
    expect(bytes[112]).toBe(0);
  });

  test("a damaged main boot region is read by the backup, and not written", async () => {
    const bytes = await changed(await freshVolume(4), async (volume) => await put(volume, "/a", "x"));
    bytes.fill(0x55, 0, 512);
    const job = listeningJob();
    const volume = await openExfat(memoryStore(bytes), {}, job);
    expect(await namesIn(volume, "/")).toEqual(["a"]);
    expect(job.warnings[0]).toMatch(/cannot read the exFAT boot sector: memory@3/);
    await expect(put(volume, "/b", "x")).rejects.toThrow(/main boot region is damaged: repair it first/);
  });

  test("two FATs (TexFAT): the ones in force are read, nothing is written", async () => {
    const bytes = await changed(await freshVolume(4), async (volume) => await put(volume, "/a", "x"));
    const { encodeExfatBootRegion, decodeExfatBootSector } = await import("../../../src/formats/exfat-boot.ts");
    const boot = decodeExfatBootSector(bytes, "b");
    // The second FAT lies behind the first: there is room for it in front of the heap.
    const region = encodeExfatBootRegion({ ...boot, fatCount: 2, fatSectors: Math.floor((boot.heapSector - boot.fatSector) / 2) });
    bytes.set(region);
    bytes.set(region, region.length);
    const volume = await openExfat(memoryStore(bytes), {}, quietJob);
    expect((await contentOf(volume, "/a")).toString()).toBe("x");
    expect(volume.readOnlyBecause).toMatch(/TexFAT/);
    await expect(volume.remove("/a")).rejects.toThrow(/TexFAT/);
  });

  test("sectors smaller than the disk's: nothing is written", async () => {
    const bytes = await freshVolume(4);
    const volume = await openExfat(memoryStore(bytes, 4096), {}, quietJob);
    await expect(put(volume, "/a", "x")).rejects.toThrow(/smaller than those of the disk, 4096/);
  });

  test("it lies in a partition as well as on a whole disk", async () => {
    const disk = new Uint8Array(8 << 20);
    const store = windowStore(memoryStore(disk), 1n << 20n, 5n << 20n);
    await makeExfat(store, { serial: 1, partitionOffset: 1n << 20n }, quietJob);
    await changed(disk.subarray(1 << 20, 6 << 20), async (volume) => await put(volume, "/a", "x"));
    expect(await problemsOf(store)).toEqual([]);
    expect(disk.subarray(0, 1 << 20).every((byte) => byte === 0)).toBe(true);
  });
});

describe("a vendor's entries", () => {
  /** A volume with a file of which a vendor's entry owns a cluster too, and a benign entry of the volume beside it. */
  async function withVendor(kind: number): Promise<{ readonly bytes: Uint8Array; readonly cluster: number }> {
    const bytes = await freshVolume(4);
    await changed(bytes, async (volume) => {
      await put(volume, "/spare", bytesOf(1, 4096));
      await put(volume, "/file", "content");
    });
    const at = (name: string) => Buffer.from(bytes).indexOf(Buffer.from(name, "utf16le")) - 2 - 2 * ENTRY_BYTES;
    const [spare, file] = [at("spare"), at("file")] as const;
    const cluster = Buffer.from(bytes).readUInt32LE(spare + ENTRY_BYTES + 20);
    // The spare file becomes a vendor's entry of /file: same cluster, behind the name.
    const set = new Uint8Array([...bytes.subarray(file, file + 3 * ENTRY_BYTES), ...new Uint8Array(ENTRY_BYTES)]);
    set.set([kind, 3], 3 * ENTRY_BYTES);
    new DataView(set.buffer).setUint32(3 * ENTRY_BYTES + 20, cluster, true);
    new DataView(set.buffer).setBigUint64(3 * ENTRY_BYTES + 24, 4096n, true);
    set[1] = 3;
    bytes.set(withSetChecksum(set), spare);
    bytes.fill(0, spare + set.length, file + 3 * ENTRY_BYTES);
    return { bytes, cluster };
  }

  test("are kept when the file is renamed or replaced, and their clusters freed when it is removed (8.2)", async () => {
    const { bytes, cluster } = await withVendor(0xe1);
    expect(await problemsOf(memoryStore(bytes))).toEqual([]);
    await changed(bytes, async (volume) => {
      await volume.rename("/file", "/a file with a name of more entries.txt");
      await put(volume, "/a file with a name of more entries.txt", "new", true);
      expect((await contentOf(volume, "/a file with a name of more entries.txt")).toString()).toBe("new");
    });
    expect(await problemsOf(memoryStore(bytes))).toEqual([]);
    const vendor = Buffer.from(bytes).indexOf(Buffer.from([0xe1, 3]));
    expect(Buffer.from(bytes).readUInt32LE(vendor + 20)).toBe(cluster);
    await changed(bytes, async (volume) => await volume.remove("/a file with a name of more entries.txt"));
    expect(await problemsOf(memoryStore(bytes))).toEqual([]);
  });

  test("that are critical and unknown: the file is listed and removed, not opened or renamed (8.2)", async () => {
    const { bytes } = await withVendor(0xc9);
    await changed(bytes, async (volume) => {
      expect(await namesIn(volume, "/")).toEqual(["file"]);
      await expect(contentOf(volume, "/file")).rejects.toThrow(/unknown critical kind 0xc9/);
      await expect(volume.rename("/file", "/other")).rejects.toThrow(/entries that are known/);
      await expect(put(volume, "/file", "x", true)).rejects.toThrow(/entries are known/);
      await volume.remove("/file");
    });
    expect(await problemsOf(memoryStore(bytes))).toEqual([]);
  });
});

describe.skipIf(!hasExfatprogs)("beside exfatprogs", () => {
  test.each([
    [4, []],
    [16, ["-c", "512"]],
    [24, ["-c", "32K", "-L", "FOREIGN"]],
    [20, ["-c", "128K"]],
  ])("a volume of %i MiB that mkfs.exfat %j made is read and changed", async (megabytes, options) => {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-mkfs-"));
    try {
      const image = join(folder, "x.img");
      writeFileSync(image, "");
      truncateSync(image, megabytes << 20);
      expect(spawnSync("mkfs.exfat", [...options, image]).status).toBe(0);
      const bytes = new Uint8Array(readFileSync(image));
      // mkfs.exfat writes 0 percent, whatever its own tables take.
      expect((await problemsOf(memoryStore(bytes))).filter(({ id }) => id !== "percent-in-use")).toEqual([]);
      await changed(bytes, async (volume) => {
        expect(volume.label).toBe(options.includes("-L") ? "FOREIGN" : "");
        await volume.makeDirectory("/folder", TIME_MS);
        for (let index = 0; index < 40; index += 1) await put(volume, `/folder/file ${index}`, bytesOf(index, index * 1000));
        await volume.setLabel("OURS");
      });
      expect(await problemsOf(memoryStore(bytes))).toEqual([]);
      expect(fsckSays(bytes)).toBe("clean");
      writeFileSync(image, bytes);
      const dump = spawnSync("dump.exfat", [image], { encoding: "utf8" }).stdout;
      expect(dump).toMatch(/Volume label:\s+OURS/);
      const volume = await openExfat(memoryStore(bytes), { readOnly: true }, quietJob);
      const { freeBytes, clusterBytes } = await volume.space();
      expect(dump).toMatch(new RegExp(`Free Clusters:\\s+${freeBytes / BigInt(clusterBytes)}\\b`));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("a set is never laid across three clusters of 512 bytes, wherever in its folder it may start", async () => {
    for (let before = 0; before < 16; before += 1) {
      const bytes = await freshVolume(2, { clusterBytes: 512 });
      await changed(bytes, async (volume) => {
        await volume.makeDirectory("/folder", TIME_MS);
        // Sets of three, four and five entries, to start at any slot; then some that go, so that the long ones find holes too.
        for (let index = 0; index < before; index += 1) await put(volume, `/folder/${"x".repeat(1 + (index % 3) * 15)}${index}`, "");
        for (const letter of "abc") await put(volume, `/folder/${letter.repeat(255)}`, "");
        await volume.remove(`/folder/${"b".repeat(255)}`);
        for (let index = 0; index < before; index += 2) await volume.remove(`/folder/${"x".repeat(1 + (index % 3) * 15)}${index}`);
        for (const letter of "de") await put(volume, `/folder/${letter.repeat(255)}`, "");
      });
      expect([before, fsckSays(bytes), await problemsOf(memoryStore(bytes))]).toEqual([before, "clean", []]);
    }
  });

  test.each([1, 2])("after random operations (seed %i) fsck.exfat finds nothing, and all is there", async (seed) => {
    const random = randomOf(seed);
    const bytes = await freshVolume(2, { clusterBytes: seed === 1 ? 512 : 4096 });
    const model = new Map<string, string | null>();
    const volume = await openExfat(memoryStore(bytes), {}, quietJob);
    const pick = (keys: readonly string[]) => keys[random(keys.length)];
    for (let step = 0; step < 300; step += 1) {
      const folders = ["", ...[...model].filter(([, content]) => content === null).map(([path]) => path)];
      const files = [...model].filter(([, content]) => content !== null).map(([path]) => path);
      const fresh = `${pick(folders)}/${"n".repeat(1 + random(40))}${step}`;
      const kind = random(10);
      const victim = pick([...model.keys()]);
      if (kind < 3) {
        const content = bytesOf(step + 1, random(9000));
        await put(volume, fresh, content);
        model.set(fresh, Buffer.from(content).toString("base64"));
      } else if (kind < 5) {
        const path = pick(files);
        if (path === undefined) continue;
        const content = bytesOf(step + 1, random(20_000));
        await put(volume, path, content, true);
        model.set(path, Buffer.from(content).toString("base64"));
      } else if (kind === 5 && folders.length < 12) {
        await volume.makeDirectory(fresh, TIME_MS);
        model.set(fresh, null);
      } else if (kind < 8 && victim !== undefined && !`${fresh}/`.startsWith(`${victim}/`)) {
        await volume.rename(victim, fresh);
        for (const [path, content] of [...model]) {
          if (path !== victim && !path.startsWith(`${victim}/`)) continue;
          model.delete(path);
          model.set(`${fresh}${path.slice(victim.length)}`, content);
        }
      } else if (victim !== undefined) {
        await volume.remove(victim, { recursive: true });
        for (const path of [...model.keys()]) if (path === victim || path.startsWith(`${victim}/`)) model.delete(path);
      }
      if (step % 100 !== 99) continue;
      await volume.flush();
      expect(fsckSays(bytes)).toBe("clean");
      expect(await problemsOf(memoryStore(bytes))).toEqual([]);
      const tree = await treeOf(memoryStore(bytes));
      expect([...tree].sort()).toEqual([...model].sort());
    }
  });
});
