/** Directories as real tools write them: xorriso and mtools make the volumes and say what is in them. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, open, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Problem } from "../../src/formats/problem.ts";
import { memorySource, openImage } from "../../src/image/block-source.ts";
import { fatTree, readFatVolume } from "../../src/image/fat-tree.ts";
import { type IsoNames, isoTree, readIsoVolume } from "../../src/image/iso-tree.ts";
import { probeImage } from "../../src/image/probe.ts";
import { findInTree, readTreeFile, type TreeNode, type VolumeTree, walkTree } from "../../src/image/volume-tree.ts";
import { both32, buildIso, directoryRecord, SECTOR, text } from "./build-image.ts";

let folder: string;
let root: string;
const path = (name: string) => join(folder, name);
const run = (program: string, ...options: string[]) =>
  execFileSync(program, options, {
    env: { ...process.env, MTOOLS_SKIP_CHECK: "1" },
    stdio: ["ignore", "pipe", "ignore"],
    encoding: "utf8",
  });

const DEEP = "1/2/3/4/5/6/7/8/9/10/11";
const LONG = `${"a name as long as they may be ".repeat(9)}`.slice(0, 240);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-tree-"));
  root = path("root");
  await mkdir(join(root, DEEP), { recursive: true });
  await writeFile(join(root, DEEP, "deep.txt"), "deep");
  await writeFile(join(root, LONG), "long");
  await writeFile(join(root, "Grüße, 世界 🚀.txt"), "unicode");
  await mkdir(join(root, "boot", "grub"), { recursive: true });
  await writeFile(join(root, "boot", "grub", "grub.cfg"), "menuentry x {}\n");
  await writeFile(
    join(root, "boot", "random.bin"),
    Buffer.from(Array.from({ length: 700_000 }, (_, index) => (index * 2654435761) >>> 24)),
  );
  await writeFile(join(root, "empty"), "");
  await symlink("boot/grub/grub.cfg", join(root, "link"));
  await mkdir(join(root, "many"));
  for (let number = 0; number < 150; number += 1) await writeFile(join(root, "many", `file number ${number} of the many`), `${number}`);
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

interface Opened {
  readonly tree: VolumeTree;
  readonly problems: Problem[];
}

async function openIso(name: string, names?: IsoNames): Promise<Opened & AsyncDisposable> {
  const problems: Problem[] = [];
  const source = await openImage(path(name));
  const volume = await readIsoVolume(source, (problem) => problems.push(problem));
  const tree = isoTree(volume!, (problem) => problems.push(problem), names) as VolumeTree;
  return { tree, problems, [Symbol.asyncDispose]: () => source[Symbol.asyncDispose]() };
}

async function pathsOf<Node extends TreeNode>(tree: VolumeTree<Node>): Promise<string[]> {
  const paths: string[] = [];
  for await (const { path } of walkTree(tree)) paths.push(path);
  return paths.sort();
}

async function contentOf<Node extends TreeNode>(tree: VolumeTree<Node>, path: string, start?: bigint): Promise<Buffer> {
  const node = await findInTree(tree, path);
  expect(node, path).toBeDefined();
  const pieces: Uint8Array[] = [];
  for await (const piece of readTreeFile(tree, node!, start)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const sha256 = (content: Uint8Array): string => createHash("sha256").update(content).digest("hex");

describe("ISO 9660 by xorriso", () => {
  const listing = () => run("find", root, "-mindepth", "1", "-printf", "/%P\n").trim().split("\n").sort();

  test.each([
    ["deep paths as they are", ["-r"]],
    ["deep paths relocated", ["-r", "-hide-rr-moved"]],
    ["with Joliet beside", ["-r", "-J", "-joliet-long"]],
  ])("Rock Ridge, %s: the same names, sizes, bytes", async (_, options) => {
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", path("rr.iso"), ...options, root);
    await using iso = await openIso("rr.iso");
    const { tree, problems } = iso;
    // A child link, where paths were to be moved; 12 bytes, version 1.
    expect((await readFile(path("rr.iso"))).includes("CL\x0c\x01")).toBe(options.includes("-hide-rr-moved"));
    expect((await pathsOf(tree)).filter((path) => path !== "/.rr_moved")).toEqual(listing());
    expect(problems).toEqual([]);
    expect((await contentOf(tree, `/${DEEP}/deep.txt`)).toString()).toBe("deep");
    expect((await contentOf(tree, "/Grüße, 世界 🚀.txt")).toString()).toBe("unicode");
    expect((await contentOf(tree, `/${LONG}`)).toString()).toBe("long");
    const random = await readFile(join(root, "boot", "random.bin"));
    expect(sha256(await contentOf(tree, "/boot/random.bin"))).toBe(sha256(random));
    expect(sha256(await contentOf(tree, "/boot/random.bin", 300_001n))).toBe(sha256(random.subarray(300_001)));
    expect(await contentOf(tree, "/empty")).toEqual(Buffer.alloc(0));
    expect((await findInTree(tree, "/link"))?.symbolicLink).toBe(true);
    expect(await findInTree(tree, "/boot/GRUB")).toBeUndefined();
  });

  test("Joliet names alone", async () => {
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", path("joliet.iso"), "--norock", "-J", root);
    await using iso = await openIso("joliet.iso");
    const { tree, problems } = iso;
    expect(problems).toEqual([]);
    expect((await contentOf(tree, "/BOOT/grub/Grub.cfg")).toString()).toBe("menuentry x {}\n");
    // Joliet counts UTF-16 units, and this tool puts "_" for what lies beyond the first 65,536 characters.
    expect(await pathsOf(tree)).toContain("/many/file number 149 of the many");
  });

  test("plain names, when asked for or when there are no others", async () => {
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", path("plain.iso"), "--norock", root);
    await using iso = await openIso("plain.iso");
    expect((await contentOf(iso.tree, "/boot/grub/grub.cfg")).toString()).toBe("menuentry x {}\n");
    await using rockRidge = await openIso("rr.iso", "plain");
    expect(await pathsOf(rockRidge.tree)).toContain("/BOOT/GRUB/GRUB.CFG");
  });

  test("a file of more than 4 GiB in several extents", async () => {
    // Extents are what is tested, not copying: the image is made here and is as sparse as its file.
    const { bytes } = buildIso({ tree: { file: text("x") } });
    const iso = path("big.iso");
    const root = new Uint8Array(SECTOR);
    const first = 0xffff_f800;
    const records = [
      directoryRecord(Uint8Array.of(0), { lba: 18, bytes: SECTOR }, { directory: true }),
      directoryRecord(Uint8Array.of(1), { lba: 18, bytes: SECTOR }, { directory: true }),
      directoryRecord(text("BIG.BIN;1"), { lba: 100, bytes: first }, { moreExtents: true }),
      directoryRecord(text("BIG.BIN;1"), { lba: 100 + first / SECTOR, bytes: 14_393 }),
      directoryRecord(text("Z.TXT;1"), { lba: 99, bytes: 3 }),
    ];
    let at = 0;
    for (const record of records) {
      root.set(record, at);
      at += record.length;
    }
    bytes.set(root, 18 * SECTOR);
    const sectors = 100 + first / SECTOR + 8;
    bytes.set(both32(sectors), 16 * SECTOR + 80);
    await writeFile(iso, bytes);
    await truncate(iso, sectors * SECTOR);
    const tail = Buffer.from("the end");
    await using handle = await open(iso, "r+");
    await handle.write(tail, 0, tail.length, 100 * SECTOR + first + 14_393 - tail.length);

    await using opened = await openIso("big.iso");
    const node = await findInTree(opened.tree, "/big.bin");
    expect(node?.sizeBytes).toBe(BigInt(2 ** 32 + 12_345));
    expect((await contentOf(opened.tree, "/big.bin", BigInt(2 ** 32 + 12_345 - 20))).toString("latin1")).toBe(`${"\0".repeat(13)}the end`);
    expect(await pathsOf(opened.tree)).toEqual(["/BIG.BIN", "/Z.TXT"]);
    expect(opened.problems).toEqual([]);
  });

  test("the boot catalogue as xorriso reports it", async () => {
    run("mformat", "-C", "-i", path("esp.img"), "-f", "1440", "::");
    await mkdir(path("bootroot"), { recursive: true });
    await writeFile(join(path("bootroot"), "bios.img"), Buffer.alloc(4096, 0x90));
    await writeFile(join(path("bootroot"), "esp.img"), await readFile(path("esp.img")));
    const options = ["-b", "bios.img", "-no-emul-boot", "-boot-load-size", "4", "-eltorito-alt-boot", "-e", "esp.img", "-no-emul-boot"];
    run("xorriso", "-as", "mkisofs", "-quiet", "-o", path("boot.iso"), "-V", "BOOTME", ...options, path("bootroot"));
    const report = run("xorriso", "-indev", path("boot.iso"), "-report_el_torito", "plain");
    // El Torito boot img :   1  BIOS  y   none  0x0000  0x00      4          35
    const rows = [...report.matchAll(/^El Torito boot img : +(\d+) +(\w+) +(\w) +(\w+) +(0x\w+) +0x\w+ +(\d+) +(\d+)$/gm)];
    await using source = await openImage(path("boot.iso"));
    const facts = await probeImage(source, new AbortController().signal);
    expect(facts.iso?.volumeId).toBe("BOOTME");
    expect(rows).toHaveLength(2);
    expect(
      facts.iso?.elTorito.map(({ number, platform, bootable, emulation, loadSectors, lba }) => [
        number,
        platform,
        bootable,
        emulation,
        loadSectors,
        lba,
      ]),
    ).toEqual(
      rows.map(([, number, platform, bootable, emulation, , sectors, lba]) =>
        [Number(number), platform, bootable, emulation, Number(sectors), Number(lba)].map((value) =>
          value === "BIOS" ? "bios" : value === "UEFI" ? "uefi" : value === "y" ? true : value,
        ),
      ),
    );
    expect(facts.iso?.elTorito.map(({ path }) => path)).toEqual(["/bios.img", "/esp.img"]);
    expect(facts.problems).toEqual([]);
  });
});

describe("FAT by mtools", () => {
  test.each([
    ["12", 1440, ["-T", "2880", "-h", "2", "-s", "18"]],
    ["16", 32_768, ["-T", "65536", "-h", "16", "-s", "32", "-c", "4"]],
    ["32", 66_000, ["-T", "132000", "-h", "16", "-s", "32", "-F", "-c", "1"]],
  ])("FAT%s: the same names and bytes", async (bits, kib, geometry) => {
    const image = path(`fat${bits}.img`);
    await writeFile(image, "");
    await truncate(image, kib * 1024);
    run("mformat", "-i", image, "-v", "LABELLED", ...geometry, "::");
    run("mmd", "-i", image, "::/EFI", "::/EFI/BOOT", "::/A directory of a long name");
    run("mcopy", "-i", image, join(root, "boot", "random.bin"), "::/EFI/BOOT/BOOTX64.EFI");
    run("mcopy", "-i", image, join(root, "boot", "grub", "grub.cfg"), "::/A directory of a long name/Grüße of some length.cfg");
    run("mcopy", "-i", image, join(root, "empty"), "::/empty");
    const problems: Problem[] = [];
    await using source = await openImage(image);
    const volume = await readFatVolume(source, (problem) => problems.push(problem));
    expect(volume?.layout.fatBits).toBe(Number(bits));
    expect(volume?.label).toBe("LABELLED");
    const tree = fatTree(volume!, (problem) => problems.push(problem));
    expect(await pathsOf(tree)).toEqual([
      "/A directory of a long name",
      "/A directory of a long name/Grüße of some length.cfg",
      "/EFI",
      "/EFI/BOOT",
      "/EFI/BOOT/BOOTX64.EFI",
      "/empty",
    ]);
    expect(sha256(await contentOf(tree, "/efi/boot/bootx64.efi"))).toBe(sha256(await readFile(join(root, "boot", "random.bin"))));
    expect((await contentOf(tree, "/a DIRECTORY of a long name/Grüße of some length.cfg")).toString()).toBe("menuentry x {}\n");
    expect(problems).toEqual([]);
  });

  test("a file in pieces, and one whose chain goes in a circle", async () => {
    const image = path("pieces.img");
    run("mformat", "-C", "-i", image, "-f", "1440", "::");
    for (const name of ["a", "b", "c"]) run("mcopy", "-i", image, join(root, "many", "file number 1 of the many"), `::/${name}`);
    run("mdel", "-i", image, "::/b");
    run("mcopy", "-i", image, join(root, "boot", "random.bin"), "::/random.bin");
    const bytes = await readFile(image);
    const problems: Problem[] = [];
    const openFat = async () => {
      const volume = await readFatVolume(memorySource(bytes), (problem) => problems.push(problem));
      return fatTree(volume!, (problem) => problems.push(problem));
    };
    expect(sha256(await contentOf(await openFat(), "/random.bin"))).toBe(sha256(await readFile(join(root, "boot", "random.bin"))));
    expect(problems).toEqual([]);

    // The second cluster of the file points back at the first: FAT12 entries from byte 512.
    const file = await findInTree(await openFat(), "/random.bin");
    const { firstCluster } = file!;
    const entry = 512 + firstCluster + (firstCluster >> 1);
    const old = bytes.readUInt16LE(entry);
    bytes.writeUInt16LE(firstCluster % 2 === 0 ? (old & 0xf000) | firstCluster : (old & 0x000f) | (firstCluster << 4), entry);
    expect((await contentOf(await openFat(), "/random.bin")).length).toBeLessThan(700_000);
    expect(problems).toMatchObject([
      { structure: `FAT entry of cluster ${firstCluster}`, expected: "a chain that ends", found: "a circle" },
      { structure: "FAT directory entry", expected: "clusters for 700000 bytes" },
    ]);
  });
});

describe("bounds", () => {
  test("a walk stops at its limits and says so", async () => {
    const tree = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`d${index}`, { inside: text("x") }]));
    const { bytes } = buildIso({ tree, rockRidge: true });
    const volume = await readIsoVolume(memorySource(bytes), () => {});
    const walked = async (limits: { depth: number; entries: number; directoryBytes: bigint }) => {
      const walk = walkTree(
        isoTree(volume!, () => {}),
        limits,
      );
      let count = 0;
      let step = await walk.next();
      for (; step.done !== true; step = await walk.next()) count += 1;
      return { count, complete: step.value };
    };
    const enough = { depth: 9, entries: 1000, directoryBytes: 1n << 30n };
    expect(await walked(enough)).toEqual({ count: 60, complete: true });
    expect(await walked({ ...enough, entries: 40 })).toEqual({ count: 40, complete: false });
    expect(await walked({ ...enough, depth: 0 })).toEqual({ count: 30, complete: false });
    expect(await walked({ ...enough, directoryBytes: 4096n * 4n })).toMatchObject({ complete: false });
  });

  test("directories of boot files are entered before others", async () => {
    const tree = { aaa: { "x.txt": text("x") }, boot: { grub: { "grub.cfg": text("x") } }, bbb: { "y.txt": text("y") } };
    const { bytes } = buildIso({ tree, rockRidge: true });
    const volume = await readIsoVolume(memorySource(bytes), () => {});
    const paths: string[] = [];
    for await (const { path } of walkTree(isoTree(volume!, () => {}))) paths.push(path);
    expect(paths).toEqual(["/aaa", "/boot", "/bbb", "/boot/grub", "/boot/grub/grub.cfg", "/aaa/x.txt", "/bbb/y.txt"]);
  });
});
