import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { blankImage, bytesOf, hasTool, MIB, putInto, ran, stickImage } from "../disk/disk-images.ts";
import { cat, disk } from "./disk-commands.ts";

let made: string;
let folder: string;
const at = (...names: string[]): string => join(folder, ...names);

beforeAll(async () => {
  made = mkdtempSync(join(tmpdir(), "hiperiso-disk-made-"));
  await stickImage(join(made, "stick.img"));
});
afterAll(() => rmSync(made, { recursive: true }));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-disk-"));
  cpSync(join(made, "stick.img"), at("stick.img"));
  mkdirSync(at("in/sub/empty"), { recursive: true });
  writeFileSync(at("in/a.txt"), "hello\n");
  writeFileSync(at("in/sub/big"), Buffer.alloc(MIB + 17, "0123456789abcdef"));
  writeFileSync(at("in/ж 日本.txt"), "ж");
  utimesSync(at("in/a.txt"), 1_577_934_246, 1_577_934_246);
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs that have to succeed. */
async function well(...words: string[]): Promise<string> {
  const result = await disk(...words);
  expect(result).toMatchObject({ status: 0 });
  return result.stdout;
}
const lines = (text: string): string[] => text.split("\n").filter((line) => line !== "");

describe("show", () => {
  test("partitions, file systems, labels and free room", async () => {
    expect((await well("show", at("stick.img"))).replace(folder, "")).toMatchInlineSnapshot(`
      "/stick.img  16.0 MiB, sectors of 512 bytes
        GPT  5B548B55-B647-8F2D-B0F5-D69AA2709B50

        #     byte     size  type                  holds
        1  1048576  8.0 MiB  Microsoft basic data  "DATA"  exfat "DATA", 1234-ABCD, 7.9 MiB of 7.9 MiB free
        2  9437184  6.0 MiB  Microsoft basic data  "EFI"  [no-drive-letter]  fat16 "EFI", 0000-0042, 6.0 MiB of 6.0 MiB free
      "
    `);
  });

  test("as JSON the same for programs", async () => {
    const facts = JSON.parse(await well("show", at("stick.img"), "--json"));
    expect(facts.table).toMatchObject({ scheme: "gpt", problems: [] });
    expect(
      facts.table.partitions.map(({ number, name, attributes, volume }: Record<string, unknown>) => [
        number,
        name,
        attributes,
        (volume as { format: string }).format,
      ]),
    ).toEqual([
      [1, "DATA", [], "exfat"],
      [2, "EFI", ["no-drive-letter"], "fat16"],
    ]);
  });

  test("problems of the table, and what a repair does about them", async () => {
    putInto(at("stick.img"), 512, new Uint8Array(512));
    const text = await well("show", at("stick.img"));
    expect(text).toMatch(/problem: .*GPT header.* \(repair: written anew from the backup\)/);
    expect(text).toMatch(/exfat "DATA"/);
  });

  test("an image without a table, an empty one, and a container", async () => {
    writeFileSync(at("volume"), bytesOf(at("stick.img"), MIB, 8 * MIB));
    expect(await well("show", at("volume"))).toMatch(/^\s+exfat "DATA", 1234-ABCD/m);
    expect(await well("show", blankImage(at("zeros"), MIB))).toMatch(/no partition table and no file system/);
    writeFileSync(at("q"), Buffer.concat([Buffer.from("QFI\xfb", "latin1"), Buffer.alloc(4096)]));
    expect(await well("show", at("q"))).toMatch(/no disk byte for byte: qcow2/);
  });

  test("--compare says what differs, with status 1", async () => {
    cpSync(at("stick.img"), at("same.img"));
    expect(await well("show", at("stick.img"), "--compare", at("same.img"))).toMatch(/tables are the same/);
    await well("mkgpt", at("stick.img"), "--force", "8M:data:OTHER");
    const { status, stdout } = await disk("show", at("stick.img"), "--compare", at("same.img"));
    expect(status).toBe(1);
    expect(stdout).toMatch(/partition 1: name "OTHER" and "DATA"/);
    expect(stdout).toMatch(/partition 2 is only in the second/);
  });

  test("names and labels that would act on a terminal are written out", async () => {
    await well("mkgpt", at("evil.img"), "--size", "8M", "4M:data:\x1b]0;x\x07\u202e");
    const text = await well("show", at("evil.img"));
    expect(text).not.toMatch(/[\x1b\x07\u202e]/);
    expect(text).toMatch(/\\u202e/);
  });
});

describe("cp, ls, cat and rm", () => {
  test.each([
    ["1", "exfat"],
    ["2", "fat16"],
  ])("a folder goes in and comes out the same, on partition %s (%s)", async (partition) => {
    const volume = `${at("stick.img")}:${partition}`;
    expect(await well("cp", "-r", at("in"), `${volume}/`)).toMatch(/^3 files copied, 3 folders made, 1\.0 MiB$/m);
    expect(lines(await well("ls", "-R", volume))).toEqual(["in/", "in/a.txt", "in/sub/", "in/ж 日本.txt", "in/sub/big", "in/sub/empty/"]);
    mkdirSync(at("out"));
    await well("cp", "-r", `${volume}/in`, at("out"));
    expect(spawnSync("diff", ["-r", at("in"), at("out/in")], { encoding: "utf8" })).toMatchObject({ status: 0, stdout: "" });
    expect(statSync(at("out/in/a.txt")).mtimeMs).toBe(1_577_934_246_000);
    // `equals`: vitest takes seconds for megabytes.
    const both = Buffer.concat([readFileSync(at("in/sub/big")), readFileSync(at("in/a.txt"))]);
    expect((await cat(`${volume}/in/sub/big`, `${volume}/IN/A.TXT`)).bytes.equals(both)).toBe(true);
    await well("rm", "-r", `${volume}/in/sub`, `${volume}/in/a.txt`);
    expect(lines(await well("ls", `${volume}/in`))).toEqual(["ж 日本.txt"]);
    expect(await disk("check", at("stick.img"))).toMatchObject({ status: 0 });
  });

  test("mkdir makes what is missing, and leaves what is there", async () => {
    const place = `${at("stick.img")}:1/ISOs/linux`;
    for (const words of [[place], [place, `${at("stick.img")}:1/isos/b`]]) await well("mkdir", ...words);
    expect(lines(await well("ls", "-R", `${at("stick.img")}:1`))).toEqual(["ISOs/", "ISOs/b/", "ISOs/linux/"]);
    await well("cp", at("in/a.txt"), `${place}/`);
    expect((await disk("mkdir", `${place}/a.txt/x`)).status).toBe(2);
    expect((await disk("mkdir", place, `${at("stick.img")}:2/x`)).stderr).toMatch(/places on one volume/);
  });

  test("from one volume onto another", async () => {
    const stick = at("stick.img");
    await well("cp", "-r", at("in"), `${stick}:1/`);
    await well("cp", "-r", `${stick}:1/`, `${stick}:2/`);
    expect(lines(await well("ls", "-R", `${stick}:2`))).toEqual(lines(await well("ls", "-R", `${stick}:1`)));
    expect((await cat(`${stick}:2/in/sub/big`)).bytes.equals(readFileSync(at("in/sub/big")))).toBe(true);
  });

  test("ls -l shows kind, size and time; as JSON a line an entry", async () => {
    await well("cp", at("in/a.txt"), `${at("stick.img")}:1/`);
    expect(await well("ls", "-l", `${at("stick.img")}:1`)).toBe(`----${" ".repeat(15)}6  2020-01-02 03:04:06  a.txt\n`);
    expect(await well("ls", "-l", `${at("stick.img")}:1/a.txt`)).toMatch(/a\.txt\n$/);
    expect(JSON.parse(await well("ls", "--json", `${at("stick.img")}:1`))).toEqual({
      path: "/a.txt",
      kind: "file",
      sizeBytes: 6,
      modified: "2020-01-02T03:04:06.000Z",
      readOnly: false,
      hidden: false,
      system: false,
    });
  });

  test("a file that is there is replaced when that is asked for alone", async () => {
    const file = `${at("stick.img")}:1/a.txt`;
    await well("cp", at("in/a.txt"), file);
    const { status, stderr } = await disk("cp", at("in/sub/big"), file);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/is there already: --force/)]);
    await well("cp", "--force", at("in/sub/big"), file);
    expect((await cat(file)).bytes).toHaveLength(MIB + 17);
    // And the other way.
    writeFileSync(at("x"), "mine");
    expect((await disk("cp", file, at("x"))).status).toBe(2);
    expect(readFileSync(at("x"), "utf8")).toBe("mine");
    await well("cp", "-f", file, at("x"));
    expect(statSync(at("x")).size).toBe(MIB + 17);
  });

  test("all that stands against a copy is said at once, and nothing is copied", async () => {
    symlinkSync("a.txt", at("in/link"));
    writeFileSync(at("in/a:b"), "");
    writeFileSync(at("in/A.TXT"), "");
    writeFileSync(at("in/\x1b[2J"), "");
    const { status, stderr } = await disk("cp", "-r", at("in"), at("none"), `${at("stick.img")}:1/`);
    expect(status).toBe(2);
    expect(stderr).toMatch(/a:b": the target cannot hold its name: the character U\+003A/);
    expect(stderr).toMatch(/link": it is a symbolic link/);
    expect(stderr).toMatch(/takes its name for the one of/);
    expect(stderr).toMatch(/none": there is nothing of that name/);
    expect(stderr).not.toContain("\x1b");
    expect(await well("ls", `${at("stick.img")}:1`)).toBe("");
  });

  test("a copy that does not fit is refused before its first byte", async () => {
    writeFileSync(at("in/large"), "");
    truncateSync(at("in/large"), 7 * MIB);
    const before = readFileSync(at("stick.img"));
    const { status, stderr } = await disk("cp", "-r", at("in"), `${at("stick.img")}:2/`);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/room for \d+ bytes[\s\S]*bytes free/)]);
    expect(readFileSync(at("stick.img")).equals(before)).toBe(true);
  });

  test("--dry-run says it, and writes nothing", async () => {
    const before = readFileSync(at("stick.img"));
    expect(await well("cp", "-rn", at("in"), `${at("stick.img")}:1/`)).toMatch(/a\.txt -> \/in\/a\.txt\n[\s\S]*3 files to copy/);
    expect(readFileSync(at("stick.img")).equals(before)).toBe(true);
  });

  test.each([
    [["cp", "IN/a.txt"], /a source or more|one source or more/],
    [["cp", "IN/a.txt", "HERE/out"], /a volume as a source or as the destination/],
    [["cp", "IN/a.txt", "STICK"], /a volume as a source or as the destination/],
    [["cp", "IN", "STICK:1/"], /-r copies folders/],
    [["cp", "IN/a.txt", "STICK:1/new/"], /a folder[\s\S]*nothing of that name/],
    [["cp", "IN/a.txt", "IN/sub/big", "STICK:1/x"], /a folder/],
    [["cp", "IN/a.txt", "STICK:1/new/x"], /a folder/],
    [["cp", "STICK", "STICK:1/"], /the image itself/],
    [["cp", "IN/a.txt", "STICK:9/"], /partitions 1 \(DATA\), 2 \(EFI\)/],
    [["cp", "STICK:1/none", "HERE/"], /nothing of that name/],
    [["cat", "STICK:1/"], /a folder/],
    [["cat", "STICK:1/none"], /nothing of that name/],
    [["ls", "STICK"], /the number of a partition/],
    [["ls", "STICK:1/none"], /nothing of that name/],
    [["ls", "STICK:x"], /the number of a partition/],
    [["ls", "HERE"], /a folder of this computer/],
    [["ls", "HERE/none.img:1"], /no such file/],
    [["rm", "STICK:1/none"], /nothing of that name/],
    [["rm", "STICK:1/"], /below the volume's root/],
    [["rm", "STICK:1/x", "STICK:2/x"], /places on one volume/],
    [["show", "STICK:1/x"], /a disk, an image or a partition/],
    [["show", "STICK:3"], /partition 3/],
    [["check", "STICK:1/x"], /a disk, an image or a partition/],
    [["mkfs", "STICK:1"], /--type/],
    [["mkfs", "STICK:1", "--type", "ext4"], /Allowed choices/],
    [["mkfs", "HERE/new.img", "--type", "fat"], /--size makes the image/],
    [["mkfs", "STICK", "--type", "fat", "--size", "1M"], /Leave out --size/],
    [["mkfs", "STICK:1", "--type", "fat", "--serial", "12"], /8 hexadecimal digits/],
    [["mkgpt", "STICK:1", "rest:data"], /a whole disk or image/],
    [["mkgpt", "HERE", "rest:data"], /a folder/],
    [["mkgpt", "HERE/new.img", "--size", "8M", "rest:x"], /a type/],
    [["mkgpt", "HERE/new.img", "--size", "8M", "--sector", "520"], /512 or 4096/],
    [["mkgpt", "HERE/new.img", "--size", "8M", "9M:data"], /room for partition 1/],
    [["mkgpt", "HERE/none/new.img", "--size", "8M"], /no such file|ENOENT/],
    [["lss", "STICK"], /unknown command 'lss'.*ls/s],
  ])("%j is wrong usage: status 2", async (words, message) => {
    // In one pass: the folder's own random name may hold one of the three words.
    const stands: Record<string, string> = { STICK: at("stick.img"), IN: at("in"), HERE: folder };
    const places = words.map((word) => word.replace(/STICK|IN|HERE/, (name) => stands[name] ?? name));
    const { status, stderr } = await disk(...places);
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(existsSync(at("new.img"))).toBe(false);
    expect(readdirSync(folder).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  test("a hostile volume's names do not leave the folder that they are copied to", async () => {
    // exFAT forbids "/" and ".." as names, and foreign bytes hold them all the same: set here past the writer.
    await well("cp", at("in/a.txt"), `${at("stick.img")}:1/aa`);
    const image = readFileSync(at("stick.img"));
    const name = image.indexOf(Buffer.from("a\0a\0\0", "latin1"), MIB);
    expect(name).toBeGreaterThan(0);
    putInto(at("stick.img"), name, Buffer.from("..", "utf16le"));
    mkdirSync(at("out"));
    const { stdout, stderr } = await disk("cp", "-r", `${at("stick.img")}:1/`, at("out"));
    expect(readdirSync(at("out"))).toEqual([]);
    expect(`${stdout}${stderr}`).not.toBe("");
  });

  test.skipIf(process.getuid?.() === 0)("an image that may not be written", async () => {
    chmodSync(at("stick.img"), 0o444);
    expect(await disk("cp", at("in/a.txt"), `${at("stick.img")}:1/`)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/permission|EACCES/),
    });
  });
});

describe("what is no FAT, exFAT or NTFS is named", () => {
  test.skipIf(!hasTool("mke2fs"))("ext4", async () => {
    ran("mke2fs", "-q", "-t", "ext4", "-L", "ROOT", blankImage(at("ext"), 8 * MIB));
    expect(await well("show", at("ext"))).toMatch(/ext4 "ROOT"/);
    expect(await disk("ls", `${at("ext")}/`)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/expected {2}FAT, exFAT or NTFS\s+found {5}ext4/),
    });
    expect(await well("check", at("ext"))).toMatch(/not checked: ext4/);
    expect((await disk("mkfs", at("ext"), "--type", "fat")).stderr).toMatch(/ext4 "ROOT"/);
  });

  test.skipIf(!hasTool("mkntfs"))("NTFS is listed and read, and never written", async () => {
    ran("mkntfs", "-F", "-q", "-L", "WIN", blankImage(at("ntfs"), 8 * MIB));
    expect(await well("show", at("ntfs"))).toMatch(/ntfs "WIN".*free/);
    expect(await well("ls", `${at("ntfs")}/`)).toBe("");
    expect(await disk("cp", at("in/a.txt"), `${at("ntfs")}/`)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/a volume|one that can be written/),
    });
  });

  test("a compressed image: the way to unpack it", async () => {
    writeFileSync(at("x.img"), Buffer.concat([Buffer.from([0xfd]), Buffer.from("7zXZ\0"), Buffer.alloc(600)]));
    expect((await disk("ls", `${at("x.img")}/`)).stderr).toMatch(/xz -d/);
  });
});

describe("an image that was cut", () => {
  test("says that its backup is missing, and what lies outside", async () => {
    truncateSync(at("stick.img"), 9 * MIB);
    const { status, stdout } = await disk("check", at("stick.img"));
    expect(status).toBe(1);
    expect(stdout).toMatch(/disk-too-small/);
    expect(await disk("ls", `${at("stick.img")}:2`)).toMatchObject({ status: 2, stderr: expect.stringMatching(/The image was cut/) });
  });

  test.each([0, 1, 511, 512, 1024, 17_408, MIB, MIB + 512, MIB + 49_152, 2 * MIB])(
    "to %i bytes ends every command in order",
    async (bytes) => {
      truncateSync(at("stick.img"), bytes);
      for (const words of [["show"], ["check"], ["ls"], ["repair", "--dry-run"]]) {
        const { status } = await disk(words[0]!, at("stick.img"), ...words.slice(1));
        expect([0, 1, 2, 3]).toContain(status);
        const volume = await disk(words[0]!, `${at("stick.img")}:1`, ...words.slice(1));
        expect([0, 1, 2, 3]).toContain(volume.status);
        expect(volume.stderr).not.toMatch(/in a way it should not/);
      }
    },
  );
});

describe("check and repair", () => {
  test("a table from its backup, a volume's dirty flag: said, mended, gone", async () => {
    putInto(at("stick.img"), 512, new Uint8Array(512));
    putInto(at("stick.img"), MIB + 106, Uint8Array.of(2));
    const { status, stdout } = await disk("check", at("stick.img"));
    expect(status).toBe(1);
    expect(stdout).toMatch(/primary-damaged at byte 512/);
    expect(stdout).toMatch(/dirty/);
    const before = readFileSync(at("stick.img"));
    expect(await disk("repair", at("stick.img"), "--dry-run")).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/Nothing was written/),
    });
    expect(readFileSync(at("stick.img")).equals(before)).toBe(true);
    expect(await disk("repair", at("stick.img"))).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/After the repair:\n.*GPT, no problems\n.*exfat.*no problems/),
    });
    expect(await well("check", at("stick.img"))).not.toMatch(/problems? at/);
    expect(await well("repair", at("stick.img"))).toBe("There is nothing to repair.\n");
  });

  test("as JSON", async () => {
    putInto(at("stick.img"), MIB + 106, Uint8Array.of(2));
    const { status, stdout } = await disk("check", at("stick.img"), "--json");
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      clean: false,
      parts: [{ table: { scheme: "gpt", problems: [] } }, { volume: { format: "exfat" } }, {}],
    });
    expect(JSON.parse((await disk("repair", at("stick.img"), "--json")).stdout)).toMatchObject({
      dryRun: false,
      after: [{ volume: { problems: [] } }],
    });
  });

  test("what cannot be mended is said, with status 1", async () => {
    await well("mkmbr", at("mbr.img"), "--size", "8M", "2M:linux", "2M:linux");
    const table = readFileSync(at("mbr.img")).subarray(0, 512);
    table.writeUInt32LE(2049, 446 + 16 + 8);
    putInto(at("mbr.img"), 0, table);
    expect(await disk("check", at("mbr.img"))).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/partitions-overlap .*cannot be mended/),
    });
    expect(await disk("repair", at("mbr.img"))).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/Nothing of that can be mended/),
    });
  });
});

describe("mkfs, mkgpt and mkmbr", () => {
  test.skipIf(!hasTool("sgdisk"))("a table that sgdisk finds no fault with, the same bytes for the same seed", async () => {
    for (const name of ["a.img", "b.img"]) {
      await well("mkgpt", at(name), "--size", "64M", "--ids-from", "x", "rest:data:DATA", "8M:esp:EFI:required+no-drive-letter");
    }
    expect(readFileSync(at("a.img")).equals(readFileSync(at("b.img")))).toBe(true);
    expect(ran("sgdisk", "-v", at("a.img"))).toMatch(/No problems found/);
    expect(ran("sgdisk", "-v", at("a.img"))).not.toMatch(/Caution|Invalid/);
    expect(ran("sgdisk", "-i", "2", at("a.img"))).toMatch(/EFI system partition[\s\S]*Attribute flags: 8000000000000001[\s\S]*'EFI'/);
    expect(statSync(at("a.img")).blocks * 512).toBeLessThan(MIB); // sparse
  });

  test.each([
    ["exfat", "fsck.exfat", ["-n"], "8M"],
    ["fat12", "fsck.fat", ["-n"], "1440K"],
    ["fat16", "fsck.fat", ["-n"], "16M"],
    ["fat32", "fsck.fat", ["-n"], "40M"],
  ])("%s that its own checker finds clean, reproducible", async (type, tool, flags, size) => {
    for (const name of ["a.img", "b.img"])
      await well("mkfs", at(name), "--type", type, "--size", size, "--label", "LABEL", "--ids-from", "x");
    expect(readFileSync(at("a.img")).equals(readFileSync(at("b.img")))).toBe(true);
    expect(await well("show", at("a.img"))).toMatch(new RegExp(`${type} "LABEL"`));
    if (hasTool(tool)) expect(spawnSync(tool, [...flags, at("a.img")]).status).toBe(0);
  });

  test("partitions of one disk get serial numbers of their own from one seed", async () => {
    for (const partition of [1, 2]) await well("mkfs", `${at("stick.img")}:${partition}`, "-f", "--type", "exfat", "--ids-from", "x");
    const { table } = JSON.parse(await well("show", at("stick.img"), "--json"));
    expect(new Set(table.partitions.map(({ volume }: { volume: { id: string } }) => volume.id)).size).toBe(2);
  });

  test("what would be lost is named, and stays", async () => {
    await well("cp", at("in/a.txt"), `${at("stick.img")}:1/`);
    const before = readFileSync(at("stick.img"));
    expect((await disk("mkfs", `${at("stick.img")}:1`, "--type", "exfat")).stderr).toMatch(/exfat "DATA", .* in use/);
    const whole = await disk("mkfs", at("stick.img"), "--type", "exfat");
    expect(whole).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/GPT\) with 2 partitions\s+partition 1: exfat "DATA".*\s+partition 2: fat16 "EFI"/),
    });
    expect((await disk("mkgpt", at("stick.img"), "rest:data")).status).toBe(2);
    expect((await disk("mkmbr", at("stick.img"), "rest:data")).status).toBe(2);
    expect(readFileSync(at("stick.img")).equals(before)).toBe(true);
    writeFileSync(at("letter"), "Dear Ada, ".repeat(1000));
    expect(await disk("mkfs", at("letter"), "--type", "fat")).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/data of a kind that is not known/),
    });
  });

  test("with --force nothing of the old is found: no GPT behind a volume, no volume behind a table", async () => {
    await well("mkfs", at("stick.img"), "--type", "exfat", "--force");
    expect(await well("show", at("stick.img"))).not.toMatch(/GPT|problem/);
    if (hasTool("sgdisk")) expect(spawnSync("sgdisk", ["-v", at("stick.img")], { encoding: "utf8" }).stdout).not.toMatch(/GPT: present/);
    await well("mkgpt", at("stick.img"), "--force", "rest:data");
    expect(await well("show", at("stick.img"))).toMatch(/sectors of 512 bytes\n {2}GPT/);
    await well("mkmbr", at("stick.img"), "--force", "rest:data");
    expect(await well("show", at("stick.img"))).toMatch(/MBR/);
    expect(await well("check", at("stick.img"))).toMatch(/MBR, no problems/);
  });

  test("a table made again over the same places leaves what is in them", async () => {
    await well("cp", at("in/a.txt"), `${at("stick.img")}:1/`);
    await well("mkgpt", at("stick.img"), "--force", "8M:data:AGAIN");
    expect((await cat(`${at("stick.img")}:1/a.txt`)).bytes.toString()).toBe("hello\n");
  });

  test("an image of 4,096-byte sectors has its table and volumes in those", async () => {
    await well("mkgpt", at("4k.img"), "--size", "64M", "--sector", "4096", "rest:data");
    await well("mkfs", `${at("4k.img")}:1`, "--type", "exfat", "--label", "FOURK");
    expect(await well("show", at("4k.img"))).toMatch(/exfat "FOURK"/);
    await well("cp", at("in/a.txt"), `${at("4k.img")}:1/`);
    expect(readFileSync(at("4k.img"))[MIB + 108]).toBe(12);
    expect((await disk("check", at("4k.img"))).status).toBe(0);
  });

  test("what fails leaves no image under its name", async () => {
    expect((await disk("mkfs", at("tiny.img"), "--type", "fat32", "--size", "1M")).status).toBe(2);
    expect(readdirSync(folder).sort()).toEqual(["in", "stick.img"]);
  });
});

test.each(["show", "ls", "cat", "cp", "rm", "check", "repair", "mkfs", "mkgpt", "mkmbr"])("disk %s --help has examples", async (name) => {
  const { status, stdout } = await disk(name, "--help");
  expect([status, stdout]).toEqual([0, expect.stringMatching(/Examples:\n {2}(?:sudo )?hiperiso disk /)]);
});
