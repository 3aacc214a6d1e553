/** ISO and disk images with each boot loader, from stand-ins of kernel and loaders: what is in them, read back by our own readers and by others. */
import { spawnSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, open, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { quietJob } from "../../../src/contract/job.ts";
import { openFileStore, windowStore } from "../../../src/disk/block-store.ts";
import { checkFat } from "../../../src/disk/fat/check.ts";
import { openFat } from "../../../src/disk/fat/volume.ts";
import { checkGpt } from "../../../src/disk/partitions/gpt-check.ts";
import { lookForTool } from "../../../src/host/tools.ts";
import { STANDARD_RULES } from "../../../src/image/disk-format.ts";
import { openBootMenus } from "../../../src/image/menus/open-menus.ts";
import { openImageFacts } from "../../../src/image/probe.ts";
import { buildPlan } from "../../../src/live/runner.ts";
import { stageKind } from "../../../src/live/stage.ts";
import { STAGE_KINDS } from "../../../src/live/stages/kinds.ts";
import { sha256 } from "../../../src/live/tool.ts";
import { buildBzImage, buildEfiProgram } from "../../image/build-image.ts";

const ISOLINUX = "/usr/lib/ISOLINUX";
const SYSLINUX_MODULES = "/usr/lib/syslinux/modules/bios";
const GRUB = "/usr/lib/grub/i386-pc/boot_hybrid.img";

const RELEASE = "6.1.0-test";
const Options = z.strictObject({
  init: z.string().default("own"),
  modules: z.array(z.string()).default([RELEASE]),
  verity: z.boolean().default(false),
  hugeImage: z.boolean().default(false),
  without: z.string().default("none"),
});
const parts = stageKind({
  kind: "parts",
  revision: 1,
  options: Options,
  inputs: {},
  ingredients: async () => ({}),
  run: async ({ init, modules, verity, hugeImage, without }, { output }) => {
    const put = async (path: string, content: string | Uint8Array) => {
      if (path.startsWith(without)) return;
      await mkdir(dirname(join(output, path)), { recursive: true });
      await writeFile(join(output, path), content);
    };
    await put("vmlinuz", buildBzImage(`${RELEASE} (builder)`));
    await put("release", `${RELEASE}\n`);
    await put("initrd.img", Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]));
    await put("live.json", JSON.stringify({ initramfs: init, release: RELEASE }));
    await put("root.squashfs", "hsqs and more");
    if (hugeImage) await truncate(join(output, "root.squashfs"), HUGE_BYTES);
    if (verity) await put("root.verity", "a hash tree");
    const image = {
      format: "squashfs",
      file: "root.squashfs",
      sizeBytes: 13,
      modules,
      ...(verity ? { verity: { rootHash: "ab".repeat(32) } } : {}),
    };
    await put("image.json", JSON.stringify(image));
    await put("grub/BOOTX64.EFI", buildEfiProgram());
    await put("grub/bios.img", new Uint8Array(150_000).fill(0x90));
    await copyFile(GRUB, join(output, "grub/boot_hybrid.img"));
    await put("shim/BOOTX64.EFI", buildEfiProgram(0x8664, true));
    await put("shim/grubx64.efi", buildEfiProgram(0x8664, true));
    await put("shim/mmx64.efi", buildEfiProgram(0x8664, true));
    await put("systemd-boot/systemd-bootx64.efi", buildEfiProgram());
    await put("memtest/memtest.bin", "memtest for BIOS");
    await put("memtest/memtest.efi", "memtest for UEFI");
    if (without === "isolinux") return;
    await mkdir(join(output, "isolinux"));
    for (const name of ["isolinux.bin", "isohdpfx.bin"]) await copyFile(join(ISOLINUX, name), join(output, "isolinux", name));
    for (const name of ["ldlinux.c32", "libcom32.c32", "libutil.c32", "menu.c32"])
      await copyFile(join(SYSLINUX_MODULES, name), join(output, "isolinux", name));
  },
});
/** A file of 4 GiB and a bit, nearly all of it a hole. */
const HUGE_BYTES = 2 ** 32 + 4096;

const isThere = async (path: string) =>
  (await open(path).then(
    (file) => file.close(),
    () => "no",
  )) === undefined;
const hasTools =
  (await lookForTool("xorriso", process.env)) !== undefined &&
  (await Promise.all([GRUB, join(ISOLINUX, "isolinux.bin"), join(SYSLINUX_MODULES, "menu.c32")].map(isThere))).every(Boolean);
const hasExt4 = (await Promise.all(["mke2fs", "debugfs", "e2fsck"].map((name) => lookForTool(name, process.env)))).every(
  (path) => path !== undefined,
);

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-media-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

let count = 0;
async function build(kind: "iso" | "disk", options: string, { partOptions = "", store = "store" } = {}): Promise<string> {
  const file = kind === "iso" ? "m.iso" : "m.img";
  const own = kind === "iso" ? "volume_id: MEDIUM, " : "";
  const path = join(folder, `spec-${++count}.yaml`);
  await writeFile(
    path,
    `name: media\nepoch: 1767225600\nresult: { stage: m, file: ${file} }\nstages:\n  parts: { kind: parts${partOptions} }\n` +
      `  m: { kind: ${kind}, inputs: { root: parts, kernel: parts, payloads: parts }, file: ${file}, ${own}title: A medium${options} }\n`,
  );
  return (await buildPlan(path, { store: join(folder, store), env: process.env, kinds: [...STAGE_KINDS, parts] }, quietJob)).output;
}
const factsOf = (image: string) => openImageFacts(image, quietJob.signal);
const menusOf = async (image: string) => await openBootMenus(image, await factsOf(image), STANDARD_RULES, quietJob.signal);
const contentsOf = async (image: string): Promise<unknown> => JSON.parse(await readFile(join(dirname(image), "contents.json"), "utf8"));

function extract(image: string, path: string): string {
  const target = join(folder, `extracted-${++count}`);
  const { status, stderr } = spawnSync("xorriso", ["-osirrox", "on", "-indev", image, "-extract", path, target], { encoding: "utf8" });
  expect(status, stderr).toBe(0);
  return target;
}

const ENTRIES = ", entries: [live, toram, serial, persistence, memtest, firmware], default: toram, kernel_arguments: [quiet]";

describe.skipIf(!hasTools)("an ISO image", () => {
  test("has its kernel and initramfs at places that inspect shows, in a menu that starts the chosen entry", async () => {
    const image = await build("iso", ENTRIES);
    const facts = await factsOf(image);
    expect(facts.kernels.map(({ path }) => path)).toEqual(["/boot/vmlinuz"]);
    expect(facts.initrds.map(({ path }) => path)).toEqual(["/boot/initrd.img"]);
    const menus = await menusOf(image);
    expect(menus.notes).toEqual([]);
    expect(menus.standard).toMatchObject({ id: "toram", title: "A medium (copied to memory)", kernel: { path: "/boot/vmlinuz" } });
    const medium = /^hiperiso\.medium=\/\.disk\/hiperiso-[0-9a-f]{16} quiet toram$/;
    expect(menus.standard?.arguments).toMatch(medium);
    expect(await contentsOf(image)).toMatchObject({
      file: "m.iso",
      volume_id: "MEDIUM",
      uuid: facts.iso?.uuid,
      kernel: "/boot/vmlinuz",
      initrd: "/boot/initrd.img",
      image: "/live/root.squashfs",
    });
    expect(await readFile(extract(image, "/live/root.squashfs"), "utf8")).toBe("hsqs and more");
    // In the middle of the menu another medium's GRUB reads, our image lies in its file.
    expect(await readFile(extract(image, "/boot/grub/loopback.cfg"), "utf8")).toContain(`"iso-scan/filename=\${iso_path}"`);
  });

  test.each([
    ["grub", "grub"],
    ["grub", "systemd-boot"],
    ["isolinux", "grub"],
    ["isolinux", "systemd-boot"],
    ["grub", "none"],
    ["none", "grub"],
  ])("boots with %s for BIOS and %s for UEFI, as a CD and as a stick", async (bios, uefi) => {
    const image = await build("iso", `${ENTRIES}, bios: ${bios}, uefi: ${uefi}`);
    const { boots, problems } = await factsOf(image);
    expect(problems).toEqual([]);
    for (const as of ["cd", "usb"] as const) {
      expect(boots.bios[as].can).toBe(bios !== "none");
      expect(boots.uefi[as].can).toBe(uefi !== "none");
    }
    const { entries } = await menusOf(image);
    const loaders = new Set(entries.map(({ source }) => source.loader));
    // Entries that two menus have in common are told once: GRUB's own first.
    expect(loaders.has("syslinux")).toBe(bios === "isolinux" && uefi !== "grub");
    expect(loaders.has("systemd-boot")).toBe(uefi === "systemd-boot");
    for (const { kernel, id } of entries) if (["live", "toram", "serial", "persistence"].includes(id)) expect(kernel).not.toBeNull();
  });

  test("has shim, and the redirect wherever a signed GRUB looks for it, under Secure Boot", async () => {
    const image = await build("iso", ", secure_boot: true");
    const { efiBootFiles } = await factsOf(image);
    const esp = efiBootFiles.filter(({ volume }) => volume.startsWith("fat"));
    expect(esp.map(({ path, pe }) => [path, pe?.signed]).sort()).toEqual([
      ["/EFI/BOOT/BOOTX64.EFI", true],
      ["/EFI/BOOT/grubx64.efi", true],
      ["/EFI/BOOT/mmx64.efi", true],
    ]);
    for (const name of ["debian", "ubuntu", "fedora", "BOOT"]) {
      expect(await readFile(extract(image, `/EFI/${name}/grub.cfg`), "utf8")).toMatch(
        /^search --no-floppy --set=root --file '\/\.disk\/hiperiso-/,
      );
    }
  });

  test("tells of a hash tree in the arguments, and carries it", async () => {
    const image = await build("iso", "", { partOptions: ", verity: true" });
    expect((await menusOf(image)).standard?.arguments).toContain(`hiperiso.verity=${"ab".repeat(32)}`);
    expect(await readFile(extract(image, "/live/root.verity"), "utf8")).toBe("a hash tree");
  });

  test("has its root image under a name of its own for live-boot too, which takes no room", async () => {
    const plain = await build("iso", "");
    const image = await build("iso", "", { partOptions: ", init: live-boot" });
    const folder = /live-media-path=(\/live-[0-9a-f]{16})/.exec((await menusOf(image)).standard?.arguments ?? "")?.[1];
    expect(await readFile(extract(image, `${folder}/root.squashfs`), "utf8")).toBe("hsqs and more");
    expect(await readFile(extract(image, "/live/root.squashfs"), "utf8")).toBe("hsqs and more");
    expect(await contentsOf(image)).toMatchObject({ image: "/live/root.squashfs" });
    const sizes = await Promise.all([plain, image].map(async (path) => (await factsOf(path)).sizeBytes));
    expect(Math.abs(Number(sizes[0]) - Number(sizes[1]))).toBeLessThan(65_536);
  });

  test("names the volume by its UUID for dracut", async () => {
    const image = await build("iso", "", { partOptions: ", init: dracut" });
    expect((await menusOf(image)).standard?.arguments).toContain(`root=live:UUID=${(await factsOf(image)).iso?.uuid} rd.live.dir=/live`);
  });

  test("has a list of its files' digests that sha256sum takes", async () => {
    await mkdir(join(folder, "extra/docs"), { recursive: true });
    await writeFile(join(folder, "extra/docs/readme.txt"), "read me\n");
    const image = await build("iso", ", checksums: true, files: extra");
    const tree = extract(image, "/");
    const { status, stdout, stderr } = spawnSync("sha256sum", ["-c", "sha256sum.txt"], { cwd: tree, encoding: "utf8" });
    expect(status, stderr).toBe(0);
    expect(stdout).toContain("./docs/readme.txt: OK");
    expect(stdout).toContain("./live/root.squashfs: OK");
    spawnSync("chmod", ["-R", "u+w", tree]);
  });

  test.each([
    [
      ", bios: isolinux",
      "isolinux",
      /take a boot loader from the payloads: isolinux\/isolinux\.bin: .*`bios: isolinux`.*Ask the payloads stage for isolinux/s,
    ],
    [", uefi: systemd-boot", "systemd-boot", /systemd-boot\/systemd-bootx64\.efi/],
    [", secure_boot: true", "shim", /shim\/BOOTX64\.EFI.*secure_boot: true/],
    [", entries: [live, memtest]", "memtest", /memtest\/memtest\.bin.*entries: memtest/],
  ])("%s without that loader says what is missing", async (options, without, says) => {
    await expect(build("iso", options, { partOptions: `, without: ${without}` })).rejects.toThrow(says);
  });

  test("refuses a root without the kernel's modules, unless told", async () => {
    await expect(build("iso", "", { partOptions: ", modules: []" })).rejects.toThrow(
      /modules of kernel 6\.1\.0-test.*no modules.*input `kernel`/,
    );
    await expect(build("iso", "", { partOptions: ", modules: [5.10.0-1]" })).rejects.toThrow(/those of 5\.10\.0-1/);
    await build("iso", ", modules: elsewhere", { partOptions: ", modules: []" });
  });

  test.each([
    [", bios: none, uefi: none", /boots by BIOS, by UEFI or by both/],
    [", secure_boot: true, uefi: systemd-boot", /secure_boot: it needs `uefi: grub`/],
    [", default: nothing", /default: there is no entry "nothing"/],
    [", entries: [live, live]", /there is an entry "live" already/],
    [", entries: [lvie]", /expected one of live, toram/],
    [", files: ../..", /expected a path inside/],
    [", volume_ids: X", /unknown key "volume_ids"/],
  ])("%s is refused with its place", async (options, says) => {
    await expect(build("iso", options)).rejects.toThrow(says);
  });
});

describe.skipIf(!hasTools)("a disk image", () => {
  const esp = async (image: string) => {
    const store = await openFileStore(image);
    const partition = (await factsOf(image)).gpt?.partitions.find(({ name }) => name === "live");
    const offset = BigInt(partition!.firstLba) * 512n;
    return { store, window: windowStore(store, offset, (BigInt(partition!.lastLba) - BigInt(partition!.firstLba) + 1n) * 512n) };
  };

  test("has a sound table, a sound FAT volume with all files on it, and boots by BIOS and UEFI", async () => {
    const image = await build("disk", `${ENTRIES}, free: 16M`);
    const facts = await factsOf(image);
    expect(facts.problems).toEqual([]);
    expect(facts.gpt?.partitions.map(({ name }) => name)).toEqual(["BIOS boot", "live"]);
    expect(facts.boots.uefi.usb.can).toBe(true);
    expect(facts.kernels.map(({ path }) => path)).toEqual(["/boot/vmlinuz"]);
    const { store, window } = await esp(image);
    await using _store = store;
    expect((await checkGpt(store))?.problems).toEqual([]);
    expect((await checkFat(window, quietJob)).problems).toEqual([]);
    await using volume = await openFat(window, { readOnly: true }, quietJob);
    expect((await volume.stat("/live/root.squashfs"))?.sizeBytes).toBe(13n);
    expect((await volume.space()).freeBytes).toBeGreaterThan(16n << 20n);
    expect((await menusOf(image)).standard?.id).toBe("toram");
    const { status, stdout } = spawnSync("sgdisk", ["-v", image], { encoding: "utf8" });
    expect([status, stdout]).toEqual([0, expect.stringContaining("No problems found")]);
    expect(stdout).not.toContain("Caution");
  });

  test("starts GRUB for BIOS from where it stands", async () => {
    const image = await readFile(await build("disk", ""));
    const first = 2048; // of partition 1, in sectors
    expect(image.readBigUInt64LE(0x1b0)).toBe(BigInt(first + 4));
    expect(image.readBigUInt64LE(first * 512 + 2048 + 500)).toBe(BigInt(first + 5));
    expect(image[first * 512]).toBe(0x90);
    expect(image.subarray(0, 2).toString("hex")).toBe((await readFile(GRUB)).subarray(0, 2).toString("hex"));
    const without = await readFile(await build("disk", ", bios: none"));
    expect(without.subarray(0, 440).every((byte) => byte === 0)).toBe(true);
  });

  test.skipIf(!hasExt4)("keeps changes on a partition of its own, which is the same each time", async () => {
    const image = await build("disk", ", persistence: 64M, entries: [live, persistence]");
    const partition = (await factsOf(image)).gpt?.partitions[2];
    expect(partition).toMatchObject({ name: "persistence" });
    const ext4 = join(folder, "persistence.ext4");
    const bytes = await readFile(image);
    await writeFile(ext4, bytes.subarray(Number(partition!.firstLba) * 512, (Number(partition!.lastLba) + 1) * 512));
    const checked = spawnSync("e2fsck", ["-fn", ext4], { encoding: "utf8" });
    expect([checked.status, checked.stdout]).toEqual([0, expect.stringContaining("persistence: 12/")]);
    expect(spawnSync("debugfs", ["-R", "cat persistence.conf", ext4], { encoding: "utf8" }).stdout).toBe("/ union\n");
    expect(spawnSync("debugfs", ["-R", "stat persistence.conf", ext4], { encoding: "utf8" }).stdout).toMatch(/User: +0 +Group: +0/);
    const again = await build("disk", ", persistence: 64M, entries: [live, persistence]", { store: "another store" });
    expect(sha256(await readFile(again))).toBe(sha256(bytes));
  });

  test("refuses what FAT cannot hold, and other people's sizes", async () => {
    await expect(build("disk", "", { partOptions: ", hugeImage: true" })).rejects.toThrow(
      /live\/root\.squashfs: expected less than 4 GiB.*kind iso/,
    );
    await expect(build("disk", ", persistence: much")).rejects.toThrow(/expected a size like 512M/);
  });
});
