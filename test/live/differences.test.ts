import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { encodeCpio } from "../../src/formats/cpio.ts";
import { encodeFatImage } from "../../src/formats/fat-image.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { contentDifferences, firstDifference, folderDifferences } from "../../src/live/differences.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-differences-"));
  for (const name of ["a", "b", "scratch"]) await mkdir(join(folder, name));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const has = async (...names: readonly string[]): Promise<boolean> =>
  (await Promise.all(names.map((name) => lookForTool(name, process.env)))).every((path) => path !== undefined);
const [hasTar, hasSquashfs, hasXorriso, hasXz] = [
  await has("tar"),
  await has("mksquashfs", "unsquashfs"),
  await has("xorriso"),
  await has("xz"),
];

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
}
const found = () =>
  folderDifferences(join(folder, "a"), join(folder, "b"), {
    scratch: join(folder, "scratch"),
    env: process.env,
    signal: new AbortController().signal,
  });
const run = (command: string, ...args: string[]): void => {
  const { status, stderr } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
  expect([status, stderr]).toEqual([0, expect.any(String)]);
};

describe("two folders", () => {
  test("of the same bytes differ in nothing", async () => {
    for (const side of ["a", "b"]) {
      await put(`${side}/x/y`, "same");
      await symlink("y", join(folder, side, "x/link"));
    }
    expect(await found()).toEqual([]);
  });

  test("are told apart by names, kinds, links and the first byte that differs", async () => {
    await put("a/only", "1");
    await put("b/other", "1");
    await put("a/kind", "1");
    await mkdir(join(folder, "b/kind"));
    await symlink("x", join(folder, "a/link"));
    await symlink("y", join(folder, "b/link"));
    await put("a/bytes", "abcdef");
    await put("b/bytes", "abcDef");
    await put("a/length", "abc");
    await put("b/length", "abcd");
    expect((await found()).map(({ path, says }) => [path, says])).toEqual([
      ["bytes", "from byte 3 on"],
      ["kind", "a file, then a folder"],
      ["length", "from byte 3 on"],
      ["link", "a link to x, then a link to y"],
      ["only", "only in the first"],
      ["other", "only in the second"],
    ]);
  });

  test("are compared beyond the first piece that is read", async () => {
    const bytes = new Uint8Array(3 * 1024 * 1024);
    await put("a/big", bytes);
    bytes[2_500_000] = 1;
    await put("b/big", bytes);
    expect(await firstDifference(join(folder, "a/big"), join(folder, "b/big"))).toBe(2_500_000);
  });
});

describe("files inside", () => {
  const inside = async () => (await found()).map(({ inside: lines }) => lines);

  test.skipIf(!hasTar)("an archive are named, with what differs", async () => {
    for (const side of ["a", "b"]) {
      await put(`tree-${side}/etc/same`, "same");
      await put(`tree-${side}/etc/changed`, side);
      await put(`tree-${side}/etc/only-${side}`, "");
      const times = ["--sort=name", "--owner=0", "--group=0", `--mtime=@${side === "a" ? 1 : 2}`];
      run("tar", "-C", `tree-${side}`, "-cf", `${side}/root.tar`, ...times, "etc/same", "etc/changed", `etc/only-${side}`);
    }
    expect(await inside()).toEqual([
      ["etc/changed: time (1 → 2), content", "etc/only-a: only in the first", "etc/only-b: only in the second", "etc/same: time (1 → 2)"],
    ]);
  });

  const packings: readonly (readonly [string, (bytes: Uint8Array) => Uint8Array])[] = [
    ["plain", (bytes) => bytes],
    ["gzip", (bytes) => gzipSync(bytes)],
    ...(hasXz ? [["xz", (bytes: Uint8Array) => spawnSync("xz", ["-c"], { input: bytes }).stdout] as const] : []),
  ];
  test.each(packings)("an initramfs (%s) behind another archive are named", async (_name, pack) => {
    for (const side of ["a", "b"]) {
      const early = encodeCpio([{ kind: "file", path: "early", mode: 0o644, content: new Uint8Array(1) }], { mtimeS: 0 });
      const main = encodeCpio([{ kind: "file", path: "init", mode: 0o755, content: Buffer.from(side) }], { mtimeS: 0 });
      await put(`${side}/initrd.img`, Buffer.concat([early, new Uint8Array(4), pack(main)]));
    }
    expect(await inside()).toEqual([["init: content"]]);
  });

  test.skipIf(!hasSquashfs)("a squashfs are named", async () => {
    for (const side of ["a", "b"]) {
      await put(`tree-${side}/etc/a b`, side);
      await put(`tree-${side}/etc/same`, "same");
      await symlink(side, join(folder, `tree-${side}`, "link"));
      run(
        "mksquashfs",
        `tree-${side}`,
        `${side}/root.squashfs`,
        "-quiet",
        "-no-progress",
        "-all-time",
        "0",
        "-mkfs-time",
        "0",
        "-all-root",
      );
    }
    expect(await inside()).toEqual([["etc/a b: content", "link: more (a → b)"]]);
  });

  test.skipIf(!hasXorriso)("an ISO image are named", async () => {
    for (const side of ["a", "b"]) {
      await put(`tree-${side}/boot/grub.cfg`, side);
      await put(`tree-${side}/boot/same`, "same");
      run("xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", `${side}/x.iso`, `tree-${side}`);
    }
    expect(await inside()).toEqual([["/boot/grub.cfg: content"]]);
  });

  test("a FAT volume are named", async () => {
    for (const side of ["a", "b"]) {
      const entry = { kind: "file" as const, path: "EFI/BOOT/grub.cfg", mode: 0o644, content: Buffer.from(side) };
      await put(
        `${side}/esp.img`,
        encodeFatImage([entry], { volumeBytes: 4 * 1024 * 1024, label: "ESP", serial: 1, mtimeS: 1_767_225_600 }),
      );
    }
    expect(await inside()).toEqual([["/EFI/BOOT/grub.cfg: content"]]);
  });

  test("a damaged archive are not named, and the file is", async () => {
    for (const side of ["a", "b"]) await put(`${side}/x.tar`, Buffer.concat([Buffer.alloc(257), Buffer.from("ustar"), Buffer.from(side)]));
    expect(await found()).toEqual([{ path: "x.tar", says: "from byte 262 on", inside: [] }]);
  });

  test("that only lie elsewhere, or in another order, are told where nothing else differs", () => {
    const one = new Map([
      ["a", { place: "1" }],
      ["b", { place: "2" }],
    ]);
    expect(
      contentDifferences(
        one,
        new Map([
          ["a", { place: "1" }],
          ["b", { place: "3" }],
        ]),
      ),
    ).toEqual(["b: lies elsewhere"]);
    expect(
      contentDifferences(
        one,
        new Map([
          ["b", { place: "2" }],
          ["a", { place: "1" }],
        ]),
      ),
    ).toEqual(["a: in the place of b: another order of files"]);
    const many = new Map(Array.from({ length: 30 }, (_, index) => [`${index}`, { mode: "1" }]));
    expect(contentDifferences(many, new Map()).at(-1)).toBe("and 10 more");
  });
});
