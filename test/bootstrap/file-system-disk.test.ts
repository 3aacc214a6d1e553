import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { type FileSystemDisk, makeFileSystemDisk, uuidOf } from "../../src/bootstrap/file-system-disk.ts";
import { MADE_MTIME_MS } from "../../src/bootstrap/target-tree.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { quietJob } from "../../src/contract/job.ts";
import { decodeMbr } from "../../src/formats/mbr.ts";
import { packageHint } from "../../src/host/tools.ts";
import { shell, testFolder } from "./folder.ts";

const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
const hasMke2fs = spawnSync("mke2fs", ["-V"], { env }).status === 0;
const MIB = 1024n * 1024n;

const folder = testFolder("fs-disk");
/** The same files, made at another time and in another order, and read since. */
function makeFiles(name: string, order: readonly string[]): void {
  mkdirSync(folder.at(`${name}/distfiles/deep`), { recursive: true });
  for (const file of order) writeFileSync(folder.at(`${name}/distfiles/${file}`), `content of ${file}\n`.repeat(300));
  shell('cd "$1"; chmod 750 distfiles/deep; chmod 4755 "distfiles/b c"; find . -print0 | xargs -0 touch -d @1600000000', folder.at(name));
}
beforeAll(() => {
  makeFiles("one", ["a", "b c", "deep/ü", "z"]);
  makeFiles("other", ["z", "deep/ü", "a", "b c"]);
});

const disk = (name: string, change: Partial<FileSystemDisk> = {}): FileSystemDisk => ({
  folder: folder.at(name),
  sizeBytes: 24n * MIB,
  partitionOffsetBytes: MIB,
  name: "external.img",
  ...change,
});
const make = async (name: string, image: string, change: Partial<FileSystemDisk> = {}): Promise<Buffer> => {
  await makeFileSystemDisk(disk(name, change), folder.at(image), { env }, quietJob);
  return readFileSync(folder.at(image));
};
const debugfs = (image: string, request: string): string =>
  shell('debugfs -R "$2" "$1?offset=1048576" 2>/dev/null', folder.at(image), request);

describe.skipIf(!hasMke2fs)("a disk with a file system", () => {
  test("has the same bytes when it is made again, from files that were made in another order", async () => {
    expect((await make("one", "one.img")).equals(await make("other", "other.img"))).toBe(true);
  });

  test("holds the files of the folder, root's, with modes and one time each; e2fsck finds nothing", async () => {
    await make("one", "read.img");
    mkdirSync(folder.at("read"));
    debugfs("read.img", `rdump / ${folder.at("read")}`);
    shell('rm -r "$1/lost+found"; diff -r "$1" "$2"', folder.at("read"), folder.at("one"));
    const stat = debugfs("read.img", 'stat "distfiles/b c"');
    expect(stat).toMatch(/Mode: {2}04755/);
    expect(stat).toMatch(/User: {5}0 {3}Group: {5}0/);
    expect(new Set([...stat.matchAll(/^ [acm]time: (0x[0-9a-f]+)/gm)].map(([, time]) => time))).toEqual(
      new Set([`0x${(1_600_000_000).toString(16)}`]),
    );
    expect(debugfs("read.img", "stat distfiles/deep")).toMatch(/Mode: {2}0750/);
    expect(debugfs("read.img", "show_super_stats -h")).toContain(
      "Filesystem features:      has_journal ext_attr resize_inode dir_index filetype sparse_super large_file\n",
    );
    expect(shell('e2fsck -fn "$1?offset=1048576" 2>&1', folder.at("read.img"))).toMatch(/files \(/);
  });

  test("has its identifiers by its name, and its clock stands still", async () => {
    await make("one", "named.img");
    const named = debugfs("named.img", "show_super_stats -h");
    expect(named).toContain(`Filesystem UUID:          ${uuidOf("external.img")}\n`);
    expect(named).toMatch(/Filesystem created: .* 2024\n/);
    expect(new Date(MADE_MTIME_MS).toISOString()).toBe("2024-01-01T00:00:00.000Z");
    expect(uuidOf("external.img")).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(uuidOf("disk.img")).not.toBe(uuidOf("external.img"));
  });

  test("has one partition, from where it was asked for to the end", async () => {
    const bytes = await make("one", "table.img");
    const mbr = decodeMbr(bytes.subarray(0, 512), { offset: 0n, report: () => expect.unreachable() });
    expect(mbr?.entries).toMatchObject([{ type: 0x83, active: false, firstLba: 2048, sectors: 23 * 2048 }]);
    expect(shell('sfdisk --dump "$1" 2>/dev/null || parted --script "$1" unit s print', folder.at("table.img"))).toMatch(/2048/);
  });

  test("begins at 1 GiB where it has to boot a kernel, and takes no room for what is empty", async () => {
    await makeFileSystemDisk(
      disk("one", { sizeBytes: 1100n * MIB, partitionOffsetBytes: 1024n * MIB, name: "disk.img" }),
      folder.at("boot.img"),
      { env },
      quietJob,
    );
    const { size, blocks } = statSync(folder.at("boot.img"));
    expect(size).toBe(Number(1100n * MIB));
    expect(blocks * 512).toBeLessThan(Number(16n * MIB));
    expect(shell('debugfs -R "ls -p /distfiles" "$1?offset=1073741824" 2>/dev/null', folder.at("boot.img"))).toContain("/b c/");
  });

  test.each([
    ["is too small for its partition", { sizeBytes: MIB + 4096n }, /a disk of at least/],
    ["is too small for the files", { folder: "large" }, /--target-size sets the size/],
  ])("that %s is refused, and nothing is left", async (_, change, message) => {
    mkdirSync(folder.at("large"), { recursive: true });
    writeFileSync(folder.at("large/file"), Buffer.alloc(25 * 1024 * 1024, 1));
    mkdirSync(folder.at("refused"), { recursive: true });
    const asked = disk("one", "folder" in change ? { folder: folder.at(change.folder) } : change);
    const error = await makeFileSystemDisk(asked, folder.at("refused/x.img"), { env }, quietJob).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(HiperisoError);
    expect((error as HiperisoError).message).toMatch(message);
    expect(readdirSync(folder.at("refused"))).toEqual([]);
  });

  test("that is aborted leaves nothing", async () => {
    mkdirSync(folder.at("aborted"));
    const control = new AbortController();
    const job = { signal: control.signal, progress: { ...quietJob.progress, say: () => control.abort() } };
    await expect(makeFileSystemDisk(disk("one"), folder.at("aborted/x.img"), { env }, job)).rejects.toThrow();
    expect(readdirSync(folder.at("aborted"))).toEqual([]);
  });
});

test("where mke2fs is missing, its package is named", () => {
  expect(packageHint("mke2fs")).toContain("e2fsprogs (Debian, Ubuntu)");
});
