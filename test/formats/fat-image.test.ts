import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeFatBootSector,
  decodeFatDirectory,
  decodeFatLink,
  type FatEntry,
  type FatLayout,
  fatLinkRange,
} from "../../src/formats/fat.ts";
import { encodeFatImage, type FatImageOptions } from "../../src/formats/fat-image.ts";
import { completeTree, type TreeEntry } from "../../src/formats/file-tree.ts";
import { keeping } from "./damage.ts";
import { plainTree } from "./tree-arbitrary.ts";

const OPTIONS: FatImageOptions = { label: "VTOYEFI", serial: 0x1234_abcd, mtimeS: 1_767_225_600 };
const MEBIBYTE = 1024 * 1024;

const file = (path: string, bytes: number): TreeEntry => ({
  kind: "file",
  path,
  mode: 0o644,
  content: Uint8Array.from({ length: bytes }, (_, at) => at * 7),
});

/** The files of a volume by path, followed cluster by cluster with the reader that foreign volumes are read with. */
function readVolume(volume: Uint8Array): Map<string, Uint8Array | "folder"> {
  const layout = decodeFatBootSector(volume, keeping())!;
  const fat = volume.subarray(Number(layout.fatOffset));
  const found = new Map<string, Uint8Array | "folder">();
  const visit = (directory: Uint8Array, prefix: string): void => {
    for (const entry of decodeFatDirectory(directory, layout).entries) {
      const path = `${prefix}${entry.name}`;
      const content = chain(volume, fat, layout, entry);
      found.set(path, entry.directory ? "folder" : content.subarray(0, entry.bytes));
      if (entry.directory) visit(content, `${path}/`);
    }
  };
  visit(volume.subarray(Number(layout.rootOffset), Number(layout.rootOffset) + layout.rootBytes), "");
  return found;
}

function chain(volume: Uint8Array, fat: Uint8Array, layout: FatLayout, { firstCluster }: FatEntry): Uint8Array {
  const blocks: Uint8Array[] = [];
  for (let cluster = firstCluster; cluster !== 0; ) {
    const start = Number(layout.dataOffset) + (cluster - 2) * layout.clusterBytes;
    blocks.push(volume.subarray(start, start + layout.clusterBytes));
    const { at, bytes } = fatLinkRange(layout, cluster);
    const link = decodeFatLink(layout, cluster, fat.subarray(at, at + bytes));
    if (link === "end") break;
    if ("bad" in link) throw new Error(`cluster ${cluster} leads to ${link.bad}`);
    cluster = link.next;
  }
  return Buffer.concat(blocks);
}

/** What FAT cannot tell apart, or does not take. */
const fitsFat = (entries: readonly TreeEntry[]): boolean => {
  const paths = completeTree(entries).map(({ path }) => path);
  return new Set(paths.map((path) => path.toUpperCase())).size === paths.length && !paths.some((path) => /[ .](\/|$)/.test(path));
};

describe("a FAT volume", () => {
  test("holds the files that went in", () => {
    fc.assert(
      fc.property(plainTree.filter(fitsFat), fc.constantFrom(undefined, 2 * MEBIBYTE, 8 * MEBIBYTE), (entries, volumeBytes) => {
        const volume = encodeFatImage(entries, { ...OPTIONS, ...(volumeBytes === undefined ? {} : { volumeBytes }) });
        const expected = completeTree(entries).map((entry) => [entry.path, entry.kind === "file" ? entry.content : "folder"] as const);
        const found = readVolume(volume);
        expect([...found.keys()].sort()).toEqual(expected.map(([path]) => path).sort());
        for (const [path, content] of expected) expect(found.get(path)).toEqual(content === "folder" ? content : Buffer.from(content));
      }),
      { numRuns: 40 },
    );
  });

  test.each([
    [1, 12],
    [2, 12],
    [8, 16],
    [64, 16],
    [512, 16],
  ])("of %d MiB is FAT%d, with clusters away from the borders", (mebibytes, fatBits) => {
    const layout = decodeFatBootSector(encodeFatImage([], { ...OPTIONS, volumeBytes: mebibytes * MEBIBYTE }), keeping())!;
    expect(layout).toMatchObject({
      fatBits,
      label: "VTOYEFI",
      serial: "1234-ABCD",
      volumeBytes: BigInt(mebibytes * MEBIBYTE),
      bootMessageOnly: true,
    });
    for (const border of [4085, 65_525]) expect(Math.abs(layout.clusterCount - border)).toBeGreaterThan(16);
  });

  test("is the same for the same tree in any order", () => {
    const tree = [file("b", 3000), file("a/c", 5), file("a/B and more", 1)];
    expect(Buffer.from(encodeFatImage(tree, OPTIONS)).equals(encodeFatImage([...tree].reverse(), OPTIONS))).toBe(true);
  });

  test("is as small as whole MiB allow, unless a size is given", () => {
    expect(encodeFatImage([file("a", 100)], OPTIONS)).toHaveLength(MEBIBYTE);
    expect(encodeFatImage([file("a", 3 * MEBIBYTE)], OPTIONS)).toHaveLength(4 * MEBIBYTE);
  });

  test.each<[string, readonly TreeEntry[], Partial<FatImageOptions>, RegExp]>([
    ["more than fits", [file("a", 2 * MEBIBYTE)], { volumeBytes: MEBIBYTE }, /a tree that fits into 1048576 bytes/],
    ["names that differ in case alone", [file("a", 1), file("A", 1)], {}, /names that differ in more than case/],
    ["a name that FAT does not take", [file("a:b", 1)], {}, /without " \* \/ : < >/],
    ["a link", [{ kind: "symlink", path: "l", target: "x" }], {}, /l: expected files and folders, found a symlink/],
    ["a label of small letters", [], { label: "esp" }, /1 to 11 characters of A-Z/],
    ["a time before 1980", [], { mtimeS: 0 }, /a year from 1980 to 2107, found 1970/],
    ["half a sector", [], { volumeBytes: 1000 }, /whole sectors of 512 bytes/],
    ["too many files in the root", Array.from({ length: 600 }, (_, at) => file(`F${at}`, 0)), {}, /at most 512 entries in the root/],
  ])("refuses %s", (_, entries, options, message) => {
    expect(() => encodeFatImage(entries, { ...OPTIONS, ...options })).toThrow(message);
  });
});

describe("by the judgement of others", () => {
  const has = (tool: string): boolean => spawnSync(tool, ["--version"]).error === undefined;
  const tree = [
    file("FOO~1.TXT", 600),
    file("foo bar.txt", 5000),
    file("foo baz.txt", 0),
    file("EFI/BOOT/BOOTX64.EFI", 300_000),
    file("ünï-cödé 名前.conf", 3),
    file("exactly13unit", 13),
    { kind: "directory", path: "empty", mode: 0o755 } as const,
    ...Array.from({ length: 200 }, (_, at) => file(`many/file number ${at}.dat`, at)),
  ];

  function withImage<T>(volumeBytes: number | undefined, use: (path: string) => T): T {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-fat-"));
    try {
      const path = join(folder, "volume.img");
      writeFileSync(path, encodeFatImage(tree, { ...OPTIONS, ...(volumeBytes === undefined ? {} : { volumeBytes }) }));
      return use(path);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  test.skipIf(!has("fsck.fat")).each([undefined, 2 * MEBIBYTE, 64 * MEBIBYTE])(
    "fsck.fat finds nothing to mend (%s bytes)",
    (volumeBytes) => {
      const { status, stdout } = withImage(volumeBytes, (path) => spawnSync("fsck.fat", ["-n", "-v", path], { encoding: "utf8" }));
      expect(stdout).toContain(`: ${completeTree(tree).length + 1} files`); // it counts the label as one
      expect(status).toBe(0);
    },
  );

  test.skipIf(!has("mdir"))("mtools reads names and contents", () => {
    withImage(undefined, (path) => {
      const env = { ...process.env, LC_ALL: "C.UTF-8", MTOOLS_SKIP_CHECK: "0" };
      const list = spawnSync("mdir", ["-/", "-b", "-i", path, "::"], { encoding: "utf8", env }).stdout.trim().split("\n");
      const expected = completeTree(tree).map((entry) => `::/${entry.path}${entry.kind === "directory" ? "/" : ""}`);
      expect(list.sort()).toEqual(expected.sort());
      for (const name of ["foo bar.txt", "FOO~1.TXT", "EFI/BOOT/BOOTX64.EFI", "many/file number 199.dat"]) {
        const entry = tree.find((candidate) => candidate.path === name);
        const read = spawnSync("mcopy", ["-i", path, `::${name}`, "-"], { env, maxBuffer: 2 * MEBIBYTE }).stdout;
        expect(entry?.kind === "file" && read.equals(entry.content)).toBe(true);
      }
    });
  });
});
