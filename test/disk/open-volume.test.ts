import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { quietJob } from "../../src/contract/job.ts";
import { memoryStore, openFileStore } from "../../src/disk/block-store.ts";
import { readContents } from "../../src/disk/disk-table.ts";
import { makeExfat } from "../../src/disk/exfat/make.ts";
import { makeFat } from "../../src/disk/fat/make.ts";
import { checkVolume, openForReading, openPlace, openVolume, repairVolume } from "../../src/disk/open-volume.ts";
import { eraseEnds } from "../../src/disk/partitions/erase.ts";
import { recognise } from "../../src/disk/recognise.ts";
import { readTarget } from "../../src/disk/target.ts";
import { blankImage, bytesOf, hasTool, MIB, ran, stickImage } from "./disk-images.ts";

let folder: string;
let stick: Uint8Array;
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-open-"));
  // Not a Buffer: its slices would be the same bytes.
  stick = new Uint8Array(bytesOf(await stickImage(at("stick.img")), 0, 16 * MIB));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("recognise", () => {
  const made: readonly (readonly [string, readonly string[], number])[] = [
    ["ext4", ["mke2fs", "-q", "-t", "ext4", "-L", "LABEL"], 8],
    ["ext2", ["mke2fs", "-q", "-t", "ext2", "-L", "LABEL"], 8],
    ["swap", ["mkswap", "-L", "LABEL"], 8],
    ["ntfs", ["mkntfs", "-q", "-F", "-L", "LABEL"], 8],
    ["exfat", ["mkfs.exfat", "-L", "LABEL"], 8],
    ["fat12", ["mkfs.fat", "-F", "12", "-n", "LABEL"], 2],
    ["fat16", ["mkfs.fat", "-F", "16", "-n", "LABEL"], 16],
    ["fat32", ["mkfs.fat", "-F", "32", "-n", "LABEL"], 64],
  ];
  for (const [format, [tool = "", ...words], mebibytes] of made)
    test.skipIf(!hasTool(tool))(`${format} as ${tool} makes it`, async () => {
      ran(tool, ...words, blankImage(at(format), mebibytes * MIB));
      await using store = await openForReading({ medium: at(format), isDevice: false });
      expect((await recognise(store))?.format).toBe(format);
      expect((await readContents(store)).table).toBeUndefined();
    });

  test.each([512, 4096])("volumes that have lost their boot sector of %i bytes and not its copy", async (sectorBytes) => {
    const exfat = memoryStore(new Uint8Array(8 * MIB), sectorBytes);
    await makeExfat(exfat, { serial: 1 }, quietJob);
    await exfat.write(0n, new Uint8Array(sectorBytes));
    expect((await recognise(exfat))?.format).toBe("exfat");
    const fat = memoryStore(new Uint8Array(sectorBytes === 512 ? 40 * MIB : 300 * MIB), sectorBytes);
    await makeFat(fat, { serial: 1, bits: 32 }, quietJob);
    await fat.write(0n, new Uint8Array(sectorBytes));
    expect((await recognise(fat))?.format).toBe("fat32");
    await using volume = await openVolume(fat, { readOnly: false }, quietJob);
    expect(volume.readOnlyBecause).toMatch(/repair/);
  });

  test("nothing in zeros, in noise or in nothing", async () => {
    for (const bytes of [0, 1, 511, 512, 4096, MIB]) {
      expect(await recognise(memoryStore(new Uint8Array(bytes)))).toBeUndefined();
      expect(await recognise(memoryStore(new Uint8Array(bytes).fill(0xf6)))).toBeUndefined();
    }
  });
});

describe("readContents", () => {
  test("a table goes before what is left of a volume, and a volume before what is left of a table", async () => {
    const volume = memoryStore(stick.slice());
    await makeExfat(volume, { serial: 1 }, quietJob);
    expect(await readContents(volume)).toMatchObject({ table: undefined, whole: { format: "exfat" } });
    expect(await readContents(memoryStore(stick.slice()))).toMatchObject({ table: { scheme: "gpt" }, whole: undefined });
  });

  test("free room is what no partition holds", async () => {
    const { table } = await readContents(memoryStore(stick.slice()));
    expect(table?.free).toEqual([]);
    const larger = new Uint8Array(20 * MIB);
    larger.set(stick);
    expect((await readContents(memoryStore(larger))).table?.problems.map(({ id }) => id)).toEqual(
      expect.arrayContaining(["backup-not-at-end", "protective-mbr-size"]),
    );
  });

  test.skipIf(!hasTool("parted"))("logical partitions can be opened, the extended one cannot", async () => {
    ran("parted", "-s", blankImage(at("mbr"), 16 * MIB), "mklabel", "msdos", "mkpart", "extended", "1MiB", "15MiB", "mkpart", "logical", "2MiB", "10MiB"); // biome-ignore format: one command
    await using medium = await openForReading({ medium: at("mbr"), isDevice: false });
    const place = await openPlace(medium, await readTarget(`${at("mbr")}:5/`), { needsVolume: true });
    expect([place.store.name, place.store.sizeBytes]).toEqual([`${at("mbr")}:5`, BigInt(8 * MIB)]);
    await expect(openPlace(medium, await readTarget(`${at("mbr")}:1`), { needsVolume: true })).rejects.toThrow(
      /extended one, which holds others/,
    );
    await expect(openPlace(medium, await readTarget(`${at("mbr")}:6`), { needsVolume: true })).rejects.toThrow(/partitions 1 .*, 5/);
  });

  test("a protective MBR without a GPT is a problem", async () => {
    const bytes = stick.slice(0, MIB);
    bytes.fill(0, 512);
    expect((await readContents(memoryStore(bytes))).table?.problems.map(({ id }) => id)).toContain("gpt-missing");
  });

  test("damage anywhere in a head is told, or an error of ours, and no fault", async () => {
    const head = 40_960;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(2),
        fc.array(fc.tuple(fc.nat(head - 1), fc.nat(255)), { minLength: 1, maxLength: 12 }),
        async (which, changes) => {
          const from = which === 0 ? 0 : which === 1 ? MIB : 9 * MIB;
          const bytes = stick.slice(from, from + 7 * MIB);
          for (const [place, value] of changes) bytes[place] = value;
          const store = memoryStore(bytes);
          const { whole } = await readContents(store);
          if (whole === undefined) return;
          try {
            await using volume = await openVolume(store, { readOnly: true }, quietJob);
            for await (const _ of volume.list("/")); // to its end
            await volume.space();
          } catch (error) {
            expect(error).toBeInstanceOf(HiperisoError);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("opened for reading", () => {
  test("a write is an error, on the medium and on a partition", async () => {
    const target = await readTarget(`${at("stick.img")}:1/`);
    await using medium = await openForReading(target);
    await expect(medium.write(0n, new Uint8Array(512))).rejects.toThrow(/for reading only/);
    const { store } = await openPlace(medium, target, { needsVolume: true });
    await expect(store.write(0n, new Uint8Array(512))).rejects.toThrow(/for reading only/);
    await using volume = await openVolume(store, { readOnly: true }, quietJob);
    expect(volume.label).toBe("DATA");
    await expect(volume.makeDirectory("/x", 0)).rejects.toThrow(/opened for reading only/);
  });

  test("what cannot be checked or repaired is said", async () => {
    const zeros = memoryStore(new Uint8Array(MIB));
    expect(await checkVolume(zeros, quietJob)).toBeUndefined();
    await expect(repairVolume(zeros, quietJob)).rejects.toThrow(/FAT or exFAT/);
    await expect(openVolume(zeros, { readOnly: true }, quietJob)).rejects.toThrow(/nothing that is known/);
  });
});

test("eraseEnds leaves what is kept, and a sparse image sparse", async () => {
  const path = blankImage(at("sparse"), 64 * MIB);
  await using store = await openFileStore(path);
  await store.write(0n, new Uint8Array(512).fill(1));
  await store.write(BigInt(MIB / 2), new Uint8Array(512).fill(2));
  await store.write(BigInt(64 * MIB - 512), new Uint8Array(512).fill(3));
  await eraseEnds(store, [{ offset: BigInt(MIB / 2), bytes: 100n }]);
  expect((await store.read(0n, 512)).every((byte) => byte === 0)).toBe(true);
  const kept = await store.read(BigInt(MIB / 2), 512);
  expect([kept.subarray(0, 100).every((byte) => byte === 2), kept.subarray(100).every((byte) => byte === 0)]).toEqual([true, true]);
  expect((await store.read(BigInt(64 * MIB - 512), 512)).every((byte) => byte === 0)).toBe(true);
  expect(Number(spawnSync("du", ["-k", path], { encoding: "utf8" }).stdout.split("\t")[0])).toBeLessThan(1024);
});
