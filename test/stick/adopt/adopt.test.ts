import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ADOPTION } from "../../../src/contract/adoption.ts";
import { quietJob } from "../../../src/contract/job.ts";
import { type BlockStore, cutStore, PowerCut, sparseStore } from "../../../src/disk/block-store.ts";
import { readContents } from "../../../src/disk/disk-table.ts";
import { checkVolume, openVolume } from "../../../src/disk/open-volume.ts";
import type { Volume } from "../../../src/disk/volume.ts";
import { type AdoptWish, adoptStick, planAdoption, removeAdoption } from "../../../src/stick/adopt/adopt.ts";
import { openVentoyStick } from "../../../src/stick/adopt/ventoy-stick.ts";
import { volumeData } from "../../../src/stick/data.ts";
import { mendAfterCut } from "../../../src/stick/mend.ts";
import { judgeStick, openStick } from "../../../src/stick/open-stick.ts";
import { partitionStore } from "../../../src/stick/volumes.ts";
import { isoBytes } from "../../cli/stick-commands.ts";
import { MIB, memoryStick } from "../memory-stick.ts";
import { type Files, VENTOY_DISK_GUID, VENTOY_SIGNATURE, ventoyStick } from "./ventoy-fixture.ts";

const NOW_MS = Date.UTC(2026, 10, 21, 9);
const file = (path: string, content: string) => ({ path, from: Buffer.from(content) });
const runtime = (version = "1") => ({
  files: [
    file("/EFI/BOOT/BOOTX64.EFI", "loader"),
    file("/EFI/hiperiso/vmlinuz", `kernel ${version}`.repeat(500)),
    file("/EFI/hiperiso/initramfs.cpio.gz", `initramfs ${version}`),
    file("/EFI/hiperiso/runtime.squashfs", `squashfs ${version}`.repeat(5000)),
    file("/EFI/hiperiso/trace/standard.events", "memory_region_ops_read\n"),
    ...(version === "1" ? [file("/EFI/hiperiso/of-version-1", "gone in 2")] : []),
  ],
});
const FILES: Files = {
  "/ISO/debian.iso": isoBytes(MIB, 1),
  "/ISO/a $b 'c' ü.iso": isoBytes(MIB, 2),
  "/ventoy/ventoy.json": JSON.stringify({
    menu_alias: [
      { image: "/ISO/debian.iso", alias: "Debian" },
      { dir: "/ISO", alias: "Images" },
    ],
    control: [{ VTOY_MENU_TIMEOUT: "7" }],
  }),
};

const wishFor = (changes: Partial<AdoptWish> = {}): AdoptWish => ({
  runtime: runtime(),
  diskId: VENTOY_DISK_GUID.toLowerCase(),
  mode: "uefi",
  replaceConfig: false,
  timeMs: NOW_MS,
  version: "1.0.0",
  ...changes,
});

async function onData<T>(medium: BlockStore, use: (data: ReturnType<typeof volumeData>, volume: Volume) => Promise<T>): Promise<T> {
  const { dataStore } = await openVentoyStick(medium, undefined, quietJob);
  await mendAfterCut(dataStore, quietJob);
  await using volume = await openVolume(dataStore, { readOnly: false }, quietJob);
  return await use(volumeData(volume, dataStore), volume);
}

const adopt = (medium: BlockStore, changes?: Partial<AdoptWish>, verify = true) =>
  onData(medium, async (data) => {
    const wish = wishFor(changes);
    const plan = await planAdoption(data, wish, quietJob);
    return { plan, adoption: await adoptStick(data, plan, wish, { verify, forget: async () => {} }, quietJob) };
  });
const remove = (medium: BlockStore) => onData(medium, (data) => removeAdoption(data, { write: true, timeMs: NOW_MS }, quietJob));

/** Paths, and of files sum and time. */
async function treeOf(medium: BlockStore): Promise<Readonly<Record<string, string>>> {
  const tree: Record<string, string> = {};
  await onData(medium, async (_, volume) => {
    const visit = async (folder: string): Promise<void> => {
      for await (const { name, kind, modifiedMs } of volume.list(folder)) {
        const path = folder === "/" ? `/${name}` : `${folder}/${name}`;
        if (kind === "directory") {
          tree[`${path}/`] = "";
          await visit(path);
        } else {
          const hash = createHash("sha256");
          for await (const piece of volume.read(path)) hash.update(piece);
          tree[path] = `${hash.digest("hex")} ${modifiedMs}`;
        }
      }
    };
    await visit("/");
  });
  return tree;
}

/** All of the disk but the first partition. */
async function outside(medium: BlockStore): Promise<string> {
  const { table } = await readContents(medium);
  const data = table!.partitions.find(({ number }) => number === 1)!;
  const hash = createHash("sha256");
  for (const [from, to] of [
    [0n, data.offset],
    [data.offset + data.sizeBytes, medium.sizeBytes],
  ] as const)
    for (let at = from; at < to; at += 1n << 20n) hash.update(await medium.read(at, Number(to - at < 1n << 20n ? to - at : 1n << 20n)));
  return hash.digest("hex"); // biome-ignore format: a table
}

const text = async (medium: BlockStore, path: string): Promise<string> =>
  await onData(medium, async (_, volume) => {
    const pieces: Uint8Array[] = [];
    for await (const piece of volume.read(path)) pieces.push(piece);
    return Buffer.concat(pieces).toString();
  });

const write = (medium: BlockStore, path: string, content: string) =>
  onData(medium, async (_, volume) => {
    const bytes = Buffer.from(content);
    const folder = path.slice(0, path.lastIndexOf("/"));
    if (folder !== "" && (await volume.stat(folder)) === undefined) await volume.makeDirectory(folder, NOW_MS);
    await volume.write(path, [bytes], { sizeBytes: BigInt(bytes.length), modifiedMs: NOW_MS, replace: true }, quietJob);
  });

describe.each(["gpt", "mbr"] as const)("a Ventoy stick with a %s", (scheme) => {
  test("is known, and by what the first process on it looks for", async () => {
    const medium = await ventoyStick({ scheme, files: FILES });
    expect(judgeStick(await readContents(medium)).kind).toBe("ventoy");
    const { diskId } = await openVentoyStick(medium, undefined, quietJob);
    expect(diskId).toBe(scheme === "gpt" ? VENTOY_DISK_GUID.toLowerCase() : VENTOY_SIGNATURE.toString(16));
    await expect(openStick(medium)).rejects.toThrow(/a Ventoy stick.*stick adopt/);
  });

  test("gets runtime, menu and entry on its data partition, and keeps all else byte by byte; then it is as it was", async () => {
    const medium = await ventoyStick({ scheme, files: FILES });
    const [before, rest] = [await treeOf(medium), await outside(medium)];
    const { adoption } = await adopt(medium);
    expect(await outside(medium)).toBe(rest);
    const after = await treeOf(medium);
    expect(after).toMatchObject(before);
    expect(
      Object.keys(after)
        .filter((path) => !(path in before))
        .sort(),
    ).toEqual([
      "/hiperiso/",
      "/hiperiso/.ventoyignore",
      "/hiperiso/adopted.json",
      "/hiperiso/hiperiso.json",
      ...["/hiperiso/runtime/", "/hiperiso/runtime/EFI/", "/hiperiso/runtime/EFI/BOOT/", "/hiperiso/runtime/EFI/BOOT/grub.cfg"],
      ...["/hiperiso/runtime/EFI/debian/", "/hiperiso/runtime/EFI/debian/grub.cfg", "/hiperiso/runtime/EFI/hiperiso/"],
      ...[
        "grub/",
        "grub/menu.cfg",
        "hiperiso.json",
        "initramfs.cpio.gz",
        "menu.json",
        "of-version-1",
        "runtime.squashfs",
        "trace/",
        "trace/standard.events",
        "vmlinuz",
      ].map((name) => `/hiperiso/runtime/EFI/hiperiso/${name}`),
      "/ventoy/ventoy_grub.cfg",
    ]);
    expect(adoption).toMatchObject({ complete: true, mode: "uefi", menu_existed: false, config_existed: false });
    const { dataStore } = await openVentoyStick(medium, undefined, quietJob);
    expect(await checkVolume(dataStore, quietJob)).toMatchObject({ problems: [] });

    expect(await remove(medium)).toMatchObject({ kept: [] });
    expect(await treeOf(medium)).toEqual(before);
    expect(await outside(medium)).toBe(rest);
    await expect(remove(medium)).rejects.toThrow(/Nothing was added to it/);
  });
});

describe("what is added", () => {
  test("starts the kernel from the data partition, and tells it which disk and which folder", async () => {
    const medium = await ventoyStick({ files: FILES });
    await adopt(medium);
    const menu = await text(medium, "/hiperiso/runtime/EFI/BOOT/grub.cfg");
    expect(menu).toContain("'/hiperiso/runtime/EFI/hiperiso/vmlinuz'");
    expect(menu).toContain(`hiperiso_stick=${VENTOY_DISK_GUID.toLowerCase()}`);
    expect(menu).toContain("hiperiso_runtime=/hiperiso/runtime");
    const part = await text(medium, "/hiperiso/runtime/EFI/hiperiso/grub/menu.cfg");
    expect(part).toMatch(/'\/ISO\/debian\.iso' 'Debian'/);
    expect(part).toMatch(/submenu .*'Images\/'/);
    expect(part).toContain("a $b '\\''c'\\'' ü.iso");
    expect(part).toContain("set timeout=7");
    expect(await text(medium, ADOPTION.ventoyMenu)).toMatch(/configfile "\(\$vtoydev,1\)\/hiperiso\/runtime\/EFI\/BOOT\/grub\.cfg"/);
  });

  test("is the same when it is added twice, and of another version nothing of the first is left", async () => {
    const medium = await ventoyStick({ files: FILES });
    await adopt(medium);
    const once = await treeOf(medium);
    await adopt(medium);
    expect(await treeOf(medium)).toEqual(once);
    await adopt(medium, { runtime: runtime("2"), version: "2.0.0" });
    const fresh = await ventoyStick({ files: FILES });
    await adopt(fresh, { runtime: runtime("2"), version: "2.0.0" });
    expect(await treeOf(medium)).toEqual(await treeOf(fresh));
  });

  test("onto FAT32 as onto exFAT", async () => {
    const medium = await ventoyStick({ files: FILES, dataFormat: "fat32" });
    const before = await treeOf(medium);
    await adopt(medium);
    await remove(medium);
    expect(await treeOf(medium)).toEqual(before);
  });

  test("beside a menu of the person's own, which is kept aside, and has what was added since when ours goes", async () => {
    const own = "menuentry 'mine' { true; }";
    const medium = await ventoyStick({ files: { ...FILES, "/ventoy/ventoy_grub.cfg": own } });
    await adopt(medium);
    expect(await text(medium, ADOPTION.ventoyMenu)).toMatch(/^menuentry 'mine'[\s\S]*menuentry 'hiperiso'/);
    expect(await text(medium, "/hiperiso/before/ventoy_grub.cfg")).toBe(own);
    await write(medium, ADOPTION.ventoyMenu, `${await text(medium, ADOPTION.ventoyMenu)}menuentry 'new' { true; }\n`);
    await adopt(medium);
    expect(await remove(medium)).toMatchObject({ restored: [ADOPTION.ventoyMenu] });
    expect(await text(medium, ADOPTION.ventoyMenu)).toBe(`${own}menuentry 'new' { true; }\n`);
  });

  test("leaves a hiperiso.json that somebody wrote or changed, unless it shall be replaced: then it is kept aside, and comes back", async () => {
    const medium = await ventoyStick({ files: FILES });
    await adopt(medium);
    const ours = await text(medium, "/hiperiso/hiperiso.json");
    expect(ours).toContain('"alias": "Debian"');
    await write(medium, "/hiperiso/hiperiso.json", '{ "control": { "timeout": 99 } }');
    expect((await adopt(medium)).plan.config.fate).toBe("kept");
    expect(await text(medium, "/hiperiso/runtime/EFI/hiperiso/grub/menu.cfg")).toContain("set timeout=99");
    expect((await adopt(medium, { replaceConfig: true })).plan.config.fate).toBe("made");
    expect(await text(medium, "/hiperiso/hiperiso.json")).toBe(ours);
    expect(await remove(medium)).toMatchObject({ restored: ["/hiperiso/hiperiso.json"], kept: ["/hiperiso/hiperiso.json"] });
    expect(await text(medium, "/hiperiso/hiperiso.json")).toBe('{ "control": { "timeout": 99 } }');
  });

  test("is taken away but for sessions and what somebody put there, which Ventoy does not list", async () => {
    const medium = await ventoyStick({ files: FILES });
    await adopt(medium);
    await write(medium, "/hiperiso/logs/index.jsonl", "{}\n");
    await write(medium, "/hiperiso/FAILURE.txt", "x");
    await write(medium, "/hiperiso/cache/x", "x");
    const { kept, removed } = await remove(medium);
    expect(kept.toSorted()).toEqual(["/hiperiso/FAILURE.txt", "/hiperiso/logs"]);
    expect(removed).toContain("/hiperiso/cache");
    expect(Object.keys(await treeOf(medium)).filter((path) => path.startsWith("/hiperiso"))).toEqual(
      expect.arrayContaining(["/hiperiso/.ventoyignore", "/hiperiso/logs/index.jsonl"]),
    );
  });

  test("is taken away by what is there where its record is damaged or gone", async () => {
    for (const damage of ["", "{", '{"version": 2}']) {
      const medium = await ventoyStick({ files: FILES });
      await adopt(medium);
      await write(medium, ADOPTION.record, damage);
      const { kept } = await remove(medium);
      expect(kept).toEqual(["/hiperiso/hiperiso.json"]);
      expect(Object.keys(await treeOf(medium))).not.toContain("/hiperiso/runtime/");
    }
  });

  test("to a stick whose ventoy.json is broken says so, and takes nothing from it", async () => {
    const medium = await ventoyStick({ files: { ...FILES, "/ventoy/ventoy.json": '{ "control": [ /* no */ ] }' } });
    const { plan } = await adopt(medium);
    expect(plan.findings).toMatchObject([{ line: 1, column: 16, message: expect.stringMatching(/takes nothing/) }]);
    expect(plan.lines).toEqual([]);
  });
});

describe("after a cut of power at any write", () => {
  const counted = async (work: (medium: BlockStore) => Promise<unknown>, prepare: (medium: BlockStore) => Promise<unknown>) => {
    const medium = await ventoyStick({ sizeBytes: 64n << 20n, files: FILES });
    await prepare(medium);
    const store = cutStore(medium, Number.POSITIVE_INFINITY);
    await work(store);
    return store.written;
  };
  const small = () => ventoyStick({ sizeBytes: 64n << 20n, files: FILES });
  const cutAt = async (medium: BlockStore, writes: number, work: (store: BlockStore) => Promise<unknown>) => {
    await work(cutStore(medium, writes)).catch((error: unknown) => {
      if (!(error instanceof PowerCut)) throw error;
    });
  };
  /** A few places, among them the first and the last. */
  const places = (count: number) => [...new Set(Array.from({ length: 16 }, (_, index) => Math.floor((index * (count - 1)) / 15)))];

  test("of adopting: the entry is there only when all is, doing it again ends as if nothing had been, and undoing it too", async () => {
    const total = await counted(
      (store) => adopt(store, {}, false),
      async () => {},
    );
    const whole = await small();
    const before = await treeOf(whole);
    await adopt(whole);
    const after = await treeOf(whole);
    for (const writes of places(total)) {
      const medium = await small();
      await cutAt(medium, writes, (store) => adopt(store, {}, false));
      const left = await treeOf(medium);
      expect(left).toMatchObject(before);
      if ("/ventoy/ventoy_grub.cfg" in left) {
        for (const [path, sum] of Object.entries(after)) if (path.startsWith("/hiperiso/runtime")) expect(left[path]).toBe(sum);
      }
      const again = sparseStore(medium.sizeBytes, { below: medium });
      await adopt(again, {}, false);
      expect(await treeOf(again)).toEqual(after);
      if (Object.keys(left).some((path) => path.endsWith("adopted.json"))) {
        await remove(medium);
        expect(await treeOf(medium)).toEqual(before);
      }
    }
  });

  test("of taking it away: the entry goes first, and doing it again ends as it was before", async () => {
    const total = await counted(remove, adopt);
    const before = await treeOf(await small());
    for (const writes of places(total)) {
      const medium = await small();
      await adopt(medium, {}, false);
      const adopted = await treeOf(medium);
      await cutAt(medium, writes, remove);
      const left = await treeOf(medium);
      if ("/ventoy/ventoy_grub.cfg" in left) expect(left).toEqual(adopted);
      if ("/hiperiso/adopted.json" in left) await remove(medium);
      const rest = await treeOf(medium);
      expect({ "/hiperiso/": "", ...rest }).toEqual({ "/hiperiso/": "", ...before });
    }
  });
});

describe("refused, and left as it is", () => {
  const refusal = async (medium: BlockStore, changes?: Partial<AdoptWish>) => {
    const whole = async () =>
      createHash("sha256")
        .update(await medium.read(0n, Number(medium.sizeBytes)))
        .digest("hex");
    const before = await whole();
    const thrown = await adopt(medium, changes).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(await whole()).toBe(before);
    return `${thrown}`;
  };

  test("a stick of ours, an empty disk, another table", async () => {
    expect(await refusal(await memoryStick())).toMatch(/a stick of hiperiso/);
    expect(await refusal(sparseStore(64n << 20n, { name: "disk.img" }))).toMatch(/nothing that is known/);
  });

  test("a disk that is divided like one, without what Ventoy has on its second partition", async () => {
    const medium = await ventoyStick({ files: FILES });
    const { partitions } = (await readContents(medium)).table!;
    const boot = partitionStore(medium, partitions.find(({ number }) => number === 2)!, 2);
    {
      await using volume = await openVolume(boot, { readOnly: false }, quietJob);
      await volume.remove("/ventoy/ventoy.cpio");
    }
    expect(await refusal(medium)).toMatch(/there is no \/ventoy\/ventoy\.cpio on its second partition/);
    await boot.write(0n, new Uint8Array(512));
    expect(await refusal(medium)).toMatch(/holds nothing that is known and not FAT/);
  });

  test("a data partition of a kind that is only read here", async () => {
    const medium = await ventoyStick({ files: FILES });
    const ntfs = new Uint8Array(512);
    ntfs.set(Buffer.from("\xeb\x52\x90NTFS    ", "latin1"));
    ntfs.set([0, 2, 8], 11);
    ntfs.set([0x55, 0xaa], 510);
    await medium.write(1n << 20n, ntfs);
    expect(await refusal(medium)).toMatch(/expected exFAT or FAT on its first partition/);
  });

  test("no room, and a runtime that lacks its kernel", async () => {
    const medium = await ventoyStick({ sizeBytes: 64n << 20n, files: FILES });
    const large = { files: [...runtime().files, { path: "/EFI/hiperiso/large", from: new Uint8Array(30 * MIB) }] };
    expect(await refusal(medium, { runtime: large })).toMatch(/expected room for \d+ bytes, found \d+ bytes free/);
    expect(await refusal(medium, { runtime: { files: [] } })).toMatch(/a runtime with \/EFI\/hiperiso\/vmlinuz/);
  });

  test("a partition table that says more than there is", async () => {
    const medium = await ventoyStick({ files: FILES });
    const cut: BlockStore = { ...medium, sizeBytes: medium.sizeBytes - (8n << 20n) };
    expect(await refusal(cut)).toMatch(/bytes or more/);
  });
});
