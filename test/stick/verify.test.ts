import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { type BlockStore, cutStore, sparseStore } from "../../src/disk/block-store.ts";
import { makeExfat } from "../../src/disk/exfat/make.ts";
import { makeFat } from "../../src/disk/fat/make.ts";
import { openFat } from "../../src/disk/fat/volume.ts";
import { seededIds } from "../../src/disk/ids.ts";
import { planGpt } from "../../src/disk/partitions/gpt-layout.ts";
import { writeGpt } from "../../src/disk/partitions/gpt-writer.ts";
import { addImages, planImages } from "../../src/stick/add.ts";
import { listStick } from "../../src/stick/list.ts";
import { refreshMenu } from "../../src/stick/menu-files.ts";
import { stickMenu } from "../../src/stick/menu-maker.ts";
import { openStick } from "../../src/stick/open-stick.ts";
import { planUpdate, type UpdateWish, writeUpdate } from "../../src/stick/update.ts";
import { verifyStick } from "../../src/stick/verify.ts";
import { bytesOf } from "../disk/exfat/volumes.ts";
import { ImageFolder, MIB, memoryStick, NOW_MS, onData } from "./memory-stick.ts";

const problemsOf = async (medium: BlockStore, contents = true) =>
  (await verifyStick(await openStick(medium), { contents }, quietJob)).problems.map(({ id, path }) => [id, path]);

const onEsp = async (medium: BlockStore, use: (esp: Awaited<ReturnType<typeof openFat>>) => Promise<void>) => {
  await using esp = await openFat((await openStick(medium)).espStore, {}, quietJob);
  await use(esp);
};

async function sumOf(medium: BlockStore, offset: bigint, sizeBytes: bigint): Promise<string> {
  const hash = createHash("sha256");
  for (let done = 0n; done < sizeBytes; done += 1n << 20n) hash.update(await medium.read(offset + done, Number(sizeBytes - done < 1n << 20n ? sizeBytes - done : 1n << 20n)));
  return hash.digest("hex");
} // biome-ignore format: one thought

let images: ImageFolder;
beforeEach(() => {
  images = new ImageFolder();
});
afterEach(() => images[Symbol.dispose]());

describe("a stick is verified", () => {
  test("one that was just made is whole", async () => {
    const medium = await memoryStick([await images.image("a.iso", bytesOf(1, 3 * MIB))]);
    const check = await verifyStick(await openStick(medium), { contents: true }, quietJob);
    expect(check).toMatchObject({ problems: [], notes: [], imagesChecked: 1, espFilesChecked: 3 });
  });

  test("images that changed, lost bytes, or went, and files that boot, are named", async () => {
    const sources = [];
    for (const name of ["a.iso", "b.iso", "c.iso", "d.iso"]) sources.push(await images.image(name, bytesOf(name.charCodeAt(0), MIB)));
    const medium = await memoryStick(sources);
    await onData(medium, async ({ volume }) => {
      await volume!.write("/ISOs/a.iso", [bytesOf(9, MIB)], { sizeBytes: BigInt(MIB), modifiedMs: 0, replace: true }, quietJob);
      await volume!.write("/ISOs/b.iso", ["x"].map((text) => Buffer.from(text)), { sizeBytes: 1n, modifiedMs: 0, replace: true }, quietJob); // biome-ignore format: one thought
      await volume!.remove("/ISOs/c.iso");
      await volume!.write("/ISOs/by hand.iso", [], { sizeBytes: 0n, modifiedMs: 0 }, quietJob);
    });
    await onEsp(medium, async (esp) => {
      await esp.remove("/EFI/BOOT/BOOTX64.EFI");
      await esp.write("/EFI/hiperiso/vmlinuz", [Buffer.alloc(6000)], { sizeBytes: 6000n, modifiedMs: 0, replace: true }, quietJob);
      await esp.write("/EFI/BOOT/grub.cfg", [Buffer.from("another menu")], { sizeBytes: 12n, modifiedMs: 0, replace: true }, quietJob);
    });
    expect(await problemsOf(medium)).toEqual([
      ["esp-file-missing", "/EFI/BOOT/BOOTX64.EFI"],
      ["esp-file-changed", "/EFI/hiperiso/vmlinuz"],
      ["image-changed", "/ISOs/a.iso"],
      ["image-changed", "/ISOs/b.iso"],
      ["image-missing", "/ISOs/c.iso"],
    ]);
    expect(await problemsOf(medium, false)).not.toContainEqual(["image-changed", "/ISOs/a.iso"]);
    const states = await onData(medium, async (data) => (await listStick(data, quietJob)).images.map(({ path, state }) => [path, state]));
    expect(states).toEqual([
      ["/ISOs/a.iso", "added"],
      ["/ISOs/b.iso", "changed"],
      ["/ISOs/by hand.iso", "copied"],
      ["/ISOs/c.iso", "missing"],
      ["/ISOs/d.iso", "added"],
    ]);
  });

  test("a table that lost its backup, a configuration with errors and a record that is none are named", async () => {
    const medium = await memoryStick();
    await medium.write(medium.sizeBytes - 512n, new Uint8Array(512));
    await onData(medium, async ({ volume }) => {
      const write = (path: string, text: string) =>
        volume!.write(path, [Buffer.from(text)], { sizeBytes: BigInt(text.length), modifiedMs: 0, replace: true }, quietJob);
      await write("/hiperiso/hiperiso.json", '{ "control": { "default_ram": "much", } }');
      await write("/hiperiso/images.json", "[");
    });
    expect(await problemsOf(medium)).toEqual([
      ["table", undefined],
      ["images-record", "/hiperiso/images.json"],
      ["config", "/hiperiso/hiperiso.json"],
    ]);
  });

  test.each([
    ["FAT", (store: BlockStore) => makeFat(store, { serial: 1 }, quietJob), [["data-format", undefined]]],
    ["an empty exFAT", (store: BlockStore) => makeExfat(store, { serial: 1 }, quietJob), []],
    ["nothing that is known", (store: BlockStore) => store.write(0n, new Uint8Array(MIB)), [["data-format", undefined]]],
  ])("a data partition that was formatted by hand as %s is told, and the ESP is still made anew", async (_, format, problems) => {
    const medium = await memoryStick([await images.image("a.iso", bytesOf(1, MIB))]);
    await format((await openStick(medium)).dataStore);
    expect(await problemsOf(medium)).toEqual(problems);
    const stick = await openStick(medium);
    await writeUpdate(stick, await planUpdate(stick, newer, quietJob), newer, quietJob);
    expect(await problemsOf(medium)).toEqual(problems);
  }); // biome-ignore format: rows

  test("images go onto an exFAT partition that was made by hand, and onto FAT", async () => {
    for (const format of [
      (store: BlockStore) => makeExfat(store, { serial: 1 }, quietJob),
      (store: BlockStore) => makeFat(store, { serial: 1 }, quietJob),
    ]) {
      const medium = await memoryStick();
      const { dataStore, espStore } = await openStick(medium);
      await format(dataStore);
      const { openVolume } = await import("../../src/disk/open-volume.ts");
      const { volumeData } = await import("../../src/stick/data.ts");
      const image = await images.image("a.iso", bytesOf(1, 2 * MIB));
      {
        await using volume = await openVolume(dataStore, { readOnly: false }, quietJob);
        const data = volumeData(volume, dataStore);
        const plan = await planImages(data, { images: [image], replace: false, allowDamaged: false });
        await addImages(data, plan, { nowMs: NOW_MS, verify: true, forget: async () => {} }, quietJob);
      }
      expect(espStore.sizeBytes).toBe(64n << 20n);
      const problems = await problemsOf(medium);
      expect(problems.filter(([id]) => id !== "data-format")).toEqual([]);
    }
  });
});

const newer: UpdateWish = {
  runtime: { files: [{ path: "/EFI/BOOT/BOOTX64.EFI", from: Buffer.from("loader 2") }, { path: "/EFI/hiperiso/new", from: Buffer.alloc(100_000, 7) }] },
  makeMenu: stickMenu,
  timeMs: NOW_MS + 1000,
  version: "2.0.0",
  ids: seededIds("y"),
}; // biome-ignore format: one thought

describe("an update", () => {
  test("replaces the ESP, keeps its serial number, and leaves the data partition's bytes as they were", async () => {
    const medium = await memoryStick([await images.image("a.iso", bytesOf(1, MIB))]);
    const stick = await openStick(medium);
    const before = await sumOf(medium, stick.data.offset, stick.data.sizeBytes);
    const plan = await planUpdate(stick, newer, quietJob);
    expect(plan.before?.hiperiso_version).toBe("1.0.0");
    const manifest = await writeUpdate(stick, plan, newer, quietJob);
    expect(manifest.esp.serial).toBe(plan.before?.esp.serial);
    expect(await sumOf(medium, stick.data.offset, stick.data.sizeBytes)).toBe(before);
    expect(await problemsOf(medium)).toEqual([]);
    await onEsp(medium, async (esp) => {
      expect(await esp.stat("/EFI/hiperiso/vmlinuz")).toBeUndefined();
      expect(await esp.stat("/EFI/hiperiso/new")).toBeDefined();
    });
  });

  test("cut at any write is mended by doing it again, and starts no computer meanwhile", async () => {
    const whole = await memoryStick();
    const onTop = () => sparseStore(whole.sizeBytes, { below: whole, name: "stick.img" });
    const counted = cutStore(onTop(), Number.POSITIVE_INFINITY);
    const uncut = await openStick(counted);
    await writeUpdate(uncut, await planUpdate(uncut, newer, quietJob), newer, quietJob);
    const before = await sumOf(whole, 1n << 20n, 4n << 20n);
    const step = Math.ceil(counted.written / 16);
    for (let writes = 1; writes < counted.written; writes += step) {
      const medium = onTop();
      const cut = await openStick(cutStore(medium, writes));
      await expect(writeUpdate(cut, await planUpdate(cut, newer, quietJob), newer, quietJob)).rejects.toThrow(/cut/);
      const { espStore } = await openStick(medium);
      const esp = await openFat(espStore, { readOnly: true }, quietJob).catch(() => undefined);
      const loader = await esp?.stat("/EFI/BOOT/BOOTX64.EFI").catch(() => undefined);
      if (loader !== undefined) expect(await esp?.stat("/EFI/hiperiso/new")).toMatchObject({ sizeBytes: 100_000n });
      const stick = await openStick(medium);
      await writeUpdate(stick, await planUpdate(stick, newer, quietJob), newer, quietJob);
      expect(await problemsOf(medium, false)).toEqual([]);
      expect(await sumOf(medium, 1n << 20n, 4n << 20n)).toBe(before);
    }
  });

  test("is refused before a write when its files do not fit", async () => {
    const medium = await memoryStick();
    const big: UpdateWish = { ...newer, runtime: { files: [{ path: "/EFI/hiperiso/runtime.squashfs", from: new Uint8Array(64 * MIB) }] } };
    const stick = await openStick(medium);
    await expect(planUpdate(stick, big, quietJob)).rejects.toThrow(/runtime\.squashfs 67108864/);
    expect(await problemsOf(medium)).toEqual([]);
  });
});

describe("what is no stick of ours", () => {
  const table = (wishes: Parameters<typeof planGpt>[1]) => {
    const medium = sparseStore(96n << 20n, { name: "other.img" });
    return writeGpt(medium, planGpt({ sizeBytes: medium.sizeBytes, sectorBytes: 512, diskGuid: seededIds("g").guid() }, wishes)).then(
      () => medium,
    );
  };
  const DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";

  test.each([
    ["Ventoy", [{ name: "Ventoy", size: "rest" as const }, { name: "VTOYEFI", size: 32n << 20n }], /a Ventoy stick.*stick adopt/s],
    ["another's partitions", [{ name: "root", size: 10n << 20n }, { name: "home", size: "rest" as const }], /GPT: 1 "root" of 10 MiB, 2 "home"/],
  ])("%s is shown, refused and not touched", async (_, wishes, message) => {
    const ids = seededIds("w");
    const medium = await table(wishes.map((wish) => ({ typeGuid: DATA, guid: ids.guid(), ...wish })));
    const before = await sumOf(medium, 0n, medium.sizeBytes);
    await expect(openStick(medium)).rejects.toThrow(message);
    await expect(openStick(medium)).rejects.toMatchObject({ kind: "usage" });
    expect(await sumOf(medium, 0n, medium.sizeBytes)).toBe(before);
  }); // biome-ignore format: rows

  test("a stick that was cut is told to be that", async () => {
    const medium = await memoryStick();
    const cut = { ...medium, sizeBytes: medium.sizeBytes - (8n << 20n) };
    await expect(openStick(cut)).rejects.toThrow(/The image was cut/);
  });
});

describe("the menu on the ESP", () => {
  test("follows the images that are there, and is not written where nothing changed", async () => {
    const medium = await memoryStick();
    const stick = await openStick(medium);
    // grub.cfg, the part of the images, the way to it, what it was made from, and the configuration that it was made by
    expect(await refreshMenu(stick, stickMenu, NOW_MS, quietJob)).toBe(5);
    expect(await refreshMenu(stick, stickMenu, NOW_MS, quietJob)).toBe(0);
    await onData(medium, async ({ volume }) => {
      await volume!.write("/ISOs/it's $new {x}.iso", [], { sizeBytes: 0n, modifiedMs: 0 }, quietJob);
    });
    expect(await refreshMenu(stick, stickMenu, NOW_MS, quietJob)).toBe(2);
    await onEsp(medium, async (esp) => {
      const pieces: Uint8Array[] = [];
      for await (const piece of esp.read("/EFI/hiperiso/grub/menu.cfg")) pieces.push(piece);
      expect(Buffer.concat(pieces).toString()).toContain("hiso_entry '/ISOs/it'\\''s $new {x}.iso' 'it'\\''s $new {x}.iso'");
    });
    expect(await problemsOf(medium)).toEqual([]);
  });
});
