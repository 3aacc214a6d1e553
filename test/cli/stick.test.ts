import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { SessionDirectory } from "../../src/session/directory.ts";
import { blankImage, bytesOf, hasTool, MIB, putInto, ran, stickImage } from "../disk/disk-images.ts";
import { deadOwner, newSession, setClock } from "../session/fixtures.ts";
import { cat, disk } from "./disk-commands.ts";
import { isoBytes, put, runtimeFolder, stick } from "./stick-commands.ts";

const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
const EPOCH = { SOURCE_DATE_EPOCH: "1700000000" };

describe("a stick made in an image file", () => {
  let folder: string;
  let image: string;
  let runtime: string;
  const debian = isoBytes(3 * MIB, 1);
  const ubuntu = isoBytes(MIB + 777, 2, MIB);
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-stick-"));
    image = join(folder, "stick.img");
    runtime = runtimeFolder(join(folder, "runtime"));
    put(folder, { "isos/debian.iso": debian, "isos/sub folder/a $b 'c' ü.iso": ubuntu, "isos/readme.txt": "no image" });
    put(folder, { "isos/SHA256SUMS": `${sha256(debian)}  debian.iso\n` });
    const made = await stick(["create", image, "--size", "160M", "--iso", join(folder, "isos"), "--runtime", runtime, "--ids-from", "a"], {
      env: EPOCH,
    });
    expect(made).toMatchObject({ status: 0, stdout: expect.stringMatching(/\/ISOs\/debian\.iso {2}3\.0 MiB.*as .*SHA256SUMS says/) });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("has the contract's partitions, labels and paths", async () => {
    const { stdout } = await disk("show", image, "--json");
    const shown = JSON.parse(stdout);
    expect(shown.table.partitions.map((one: { number: number; sizeBytes: number }) => [one.number, one.sizeBytes])[1]).toEqual([
      2,
      64 * MIB,
    ]);
    expect((await disk("ls", "-R", `${image}:1`)).stdout.split("\n")).toEqual(
      expect.arrayContaining(["ISOs/debian.iso", "ISOs/sub folder/a $b 'c' ü.iso", "hiperiso/hiperiso.json", "hiperiso/images.json"]),
    );
    expect((await disk("ls", "-R", `${image}:2`)).stdout.split("\n")).toEqual(
      expect.arrayContaining(["EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grub.cfg", "EFI/hiperiso/vmlinuz", "ventoy/ventoy.cpio"]),
    );
    expect((await cat(`${image}:1/ISOs/debian.iso`)).bytes.equals(debian)).toBe(true);
    expect(await disk("check", image)).toMatchObject({ status: 0 });
  });

  test.skipIf(!hasTool("sgdisk"))("is whole to sgdisk", () => {
    const said = ran("sgdisk", "-v", image);
    expect(said).toMatch(/No problems found/);
    expect(said).not.toMatch(/Caution|Invalid/);
  });

  test.skipIf(!hasTool("fsck.fat") || !hasTool("fsck.exfat"))("holds volumes that are clean to fsck.exfat and fsck.fat", async () => {
    const [data, esp] = JSON.parse((await disk("show", image, "--json")).stdout).table.partitions as {
      offset: number;
      sizeBytes: number;
    }[];
    for (const [name, part, tool] of [["data.img", data!, "fsck.exfat"], ["esp.img", esp!, "fsck.fat"]] as const) {
      put(folder, { [name]: bytesOf(image, part.offset, part.sizeBytes) });
      expect(ran(tool, "-n", join(folder, name))).toMatch(/clean|\d+ files, \d+\/\d+ clusters/);
    } // biome-ignore format: a table
  });

  test("is whole to verify, and lists its images", async () => {
    expect(await stick(["verify", image])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/All is well: 2 images, 11 boot files/),
    });
    const { stdout } = await stick(["list", image, "--json"]);
    expect(JSON.parse(stdout).images).toEqual([
      { path: "/ISOs/debian.iso", sizeBytes: 3 * MIB, state: "added", sha256: sha256(debian) },
      { path: "/ISOs/sub folder/a $b 'c' ü.iso", sizeBytes: MIB + 777, state: "added", sha256: sha256(ubuntu) },
    ]);
  });

  test("is sparse, and the same bytes from another run", async () => {
    expect(statSync(image).blocks * 512).toBeLessThan(8 * MIB);
    const again = join(folder, "again.img");
    const words = ["create", again, "--size", "160M", "--iso", join(folder, "isos"), "--runtime", runtime, "--ids-from", "a"];
    expect(await stick(words, { env: EPOCH })).toMatchObject({ status: 0 });
    expect(sha256(readFileSync(again))).toBe(sha256(readFileSync(image)));
  });
});

describe("a stick that is kept", () => {
  let folder: string;
  let image: string;
  const a = isoBytes(2 * MIB, 1);
  const b = isoBytes(MIB, 2);
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-stick-"));
    image = join(folder, "stick.img");
    put(folder, { "a.iso": a, "b.iso": b });
    const made = await stick([
      "create",
      image,
      "--size",
      "96M",
      "--iso",
      join(folder, "a.iso"),
      "--runtime",
      runtimeFolder(join(folder, "runtime")),
    ]);
    expect(made).toMatchObject({ status: 0 });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("gets images, says which are there already, loses them, and its menu follows", async () => {
    expect(await stick(["add", image, join(folder, "a.iso"), join(folder, "b.iso"), "--to", "/ISOs"])).toMatchObject({
      status: 0,
      stdout: "/ISOs/a.iso: is there already\n/ISOs/b.iso: 1.0 MiB\n",
    });
    expect((await cat(`${image}:2/EFI/hiperiso/grub/menu.cfg`)).bytes.toString()).toMatch(/'\/ISOs\/a\.iso'[\s\S]*'\/ISOs\/b\.iso'/);
    expect(await stick(["verify", image])).toMatchObject({ status: 0, stdout: expect.stringMatching(/2 images/) });
    expect(await stick(["remove", image, "none.iso"])).toMatchObject({ status: 2, stderr: expect.stringMatching(/no image of that name/) });
    expect(await stick(["remove", image, "A.ISO"])).toMatchObject({ status: 0, stdout: "removed /ISOs/a.iso\n" });
    expect((await cat(`${image}:2/EFI/hiperiso/grub/menu.cfg`)).bytes.toString()).not.toMatch(/a\.iso/);
    expect(JSON.parse((await stick(["list", image, "--json"])).stdout).images).toEqual([
      { path: "/ISOs/b.iso", sizeBytes: MIB, state: "added", sha256: sha256(b) },
    ]);
    expect(await stick(["verify", image])).toMatchObject({ status: 0 });
  });

  test("refuses what does not fit, what is cut off, and what differs in case, and is not touched", async () => {
    const before = sha256(readFileSync(image));
    blankImage(join(folder, "big.iso"), 40 * MIB);
    put(folder, {
      "cut.iso": isoBytes(MIB, 3, 2 * MIB),
      "x/B.ISO": b,
      "cut.img": readFileSync(await stickImage(join(folder, "disk.img"))).subarray(0, 9 * MIB),
    });
    for (const [words, message] of [
      [["big.iso"], /room for \d+ bytes.*bytes free/s],
      [["cut.iso"], /it is cut off: 1048576 of the 2097152 bytes.*--allow-damaged/s],
      [["cut.img"], /it is cut off: 9437184 of the 15728640 bytes of its partitions/],
      [["b.iso", "x/B.ISO"], /differ in case alone/],
      [["none.iso"], /no such file/],
    ] as const) {
      const said = await stick(["add", image, ...words.map((word) => join(folder, word))]);
      expect([said.status, said.stderr]).toEqual([2, expect.stringMatching(message)]);
    }
    expect(await stick(["add", image, join(folder, "b.iso"), "--dry-run"])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/would be written/),
    });
    expect(sha256(readFileSync(image))).toBe(before);
    expect(await stick(["add", image, join(folder, "cut.iso"), "--allow-damaged"])).toMatchObject({ status: 0 });
  });

  test("damage is named, with exit status 1, and an update mends the boot partition without touching the other", async () => {
    const { stdout } = await disk("show", image, "--json");
    const [data, esp] = JSON.parse(stdout).table.partitions as { offset: number; sizeBytes: number }[];
    const dataBytes = () => sha256(readFileSync(image).subarray(data!.offset, data!.offset + data!.sizeBytes));
    const before = dataBytes();
    putInto(image, esp!.offset, new Uint8Array(MIB).fill(0x55));
    expect(await stick(["verify", image])).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/boot partition cannot be read[\s\S]*stick update/),
    });
    expect(await stick(["list", image])).toMatchObject({ status: 0 });
    const words = ["update", image, "--runtime", runtimeFolder(join(folder, "newer"), "2")];
    expect(await stick([...words, "--dry-run"])).toMatchObject({ status: 0, stdout: expect.stringMatching(/would become/) });
    expect(await stick(words)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/boot partition of an unknown version is now of/),
    });
    expect(dataBytes()).toBe(before);
    expect(await stick(["verify", image, "--json"])).toMatchObject({ status: 0 });
    expect((await cat(`${image}:2/EFI/hiperiso/initramfs.cpio.gz`)).bytes.toString()).toBe("initramfs 2");
  });

  test("its configuration is checked, then written; one with errors only when that is asked for", async () => {
    const good = '{\n  // comments\n  "control": { "default_ram": 1024, "timeout": 3, }, /* and commas */\n}\n';
    put(folder, { "good.json": good, "bad.json": '{ "control": { "default_rma": 1 } }', "huge.json": "/".repeat(10 * MIB) });
    expect(await stick(["config", image, join(folder, "good.json")])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/is on the stick/),
    });
    expect((await cat(`${image}:1/hiperiso/hiperiso.json`)).bytes.toString()).toBe(good);
    expect((await cat(`${image}:2/EFI/hiperiso/grub/menu.cfg`)).bytes.toString()).toMatch(/set timeout=3/);
    expect(await stick(["config", image, join(folder, "bad.json")])).toMatchObject({
      status: 2,
      stdout: expect.stringMatching(
        /bad\.json:1:16: error: control\.default_rma: unknown key "default_rma"; did you mean "default_ram"\?\nIt was not written/,
      ),
    });
    expect(await stick(["config", image, join(folder, "huge.json")])).toMatchObject({
      status: 2,
      stdout: expect.stringMatching(/too long/),
    });
    expect(await stick(["config", image, join(folder, "huge.json"), "--force"])).toMatchObject({ status: 2 });
    expect((await cat(`${image}:1/hiperiso/hiperiso.json`)).bytes.toString()).toBe(good);
    expect(await stick(["config", image])).toMatchObject({ status: 0, stdout: expect.stringMatching(/nothing is wrong/) });
    expect(await stick(["config", image, join(folder, "bad.json"), "--force"])).toMatchObject({ status: 0 });
    expect(await stick(["config", image])).toMatchObject({ status: 2, stdout: expect.stringMatching(/hiperiso\.json:1:16: error/) });
  });

  test("is not made over: neither a stick nor anything else is lost by a slip", async () => {
    put(folder, { "letter.txt": "dear all,\n" });
    await stickImage(join(folder, "other.img"));
    for (const [name, message] of [
      ["stick.img", /found +a stick of hiperiso.*stick update/s],
      ["other.img", /found +GPT: 1 "DATA" of 8 MiB, 2 "EFI" of 6 MiB.*left as it is/s],
      ["letter.txt", /a file that is not there yet/],
      ["runtime", /found +a folder/],
    ] as const) {
      const path = join(folder, name);
      const before = name === "runtime" ? "" : sha256(readFileSync(path));
      expect(await stick(["create", path, "--size", "96M"])).toMatchObject({ status: 2, stderr: expect.stringMatching(message) });
      if (name !== "runtime") expect(sha256(readFileSync(path))).toBe(before);
    }
    for (const command of [
      ["list"],
      ["verify"],
      ["add", join(folder, "b.iso")],
      ["update", "--runtime", join(folder, "runtime")],
      ["remove", "x"],
    ]) {
      const before = sha256(readFileSync(join(folder, "other.img")));
      const [name, ...rest] = command;
      expect(await stick([name!, join(folder, "other.img"), ...rest])).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(/expected +a stick of hiperiso\n +found +GPT: 1 "DATA".*1: exfat, 2: fat16 "EFI"/),
      });
      expect(sha256(readFileSync(join(folder, "other.img")))).toBe(before);
    }
    expect(await stick(["create", join(folder, "other.img"), "--no-runtime", "--size", "96M", "--force"])).toMatchObject({ status: 0 });
    expect(await stick(["list", join(folder, "other.img")])).toMatchObject({ status: 0 });
  });

  test("is shown before it is made, and a failure leaves no file", async () => {
    const planned = await stick([
      "create",
      join(folder, "new.img"),
      "--no-runtime",
      "--iso",
      folder,
      "--dry-run",
      "--json",
      "--ids-from",
      "x",
    ]);
    expect(JSON.parse(planned.stdout)).toMatchObject({
      dryRun: true,
      boots: false,
      data: { offset: MIB },
      esp: { sizeBytes: 64 * MIB },
      images: expect.arrayContaining([expect.objectContaining({ path: "/ISOs/a.iso", sha256: null })]),
    });
    put(folder, { SHA256SUMS: `${"0".repeat(64)}  a.iso\n` });
    expect(await stick(["create", join(folder, "new.img"), "--no-runtime", "--iso", join(folder, "a.iso")])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/SHA-256 0{64}, as .*SHA256SUMS says/),
    });
    expect(
      await stick([
        "create",
        join(folder, "new.img"),
        "--no-runtime",
        "--iso",
        join(folder, "b.iso"),
        "--sha256sums",
        join(folder, "SHA256SUMS"),
      ]),
    ).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/a line for b\.iso/),
    });
    expect(readdirSync(folder).filter((name) => /new|part/.test(name))).toEqual([]);
  });

  test("where its data partition is mounted, images come and go without the stick being named", async () => {
    const mounted = join(folder, "mounted");
    put(mounted, { "hiperiso/hiperiso.json": "{}" });
    const on = ["--mounted", mounted];
    expect(await stick(["add", ...on, join(folder, "a.iso"), join(folder, "b.iso")])).toMatchObject({ status: 0 });
    expect(await stick(["list", ...on])).toMatchObject({ status: 0, stdout: expect.stringMatching(/a\.iso[\s\S]*b\.iso/) });
    expect(await stick(["verify", ...on])).toMatchObject({ status: 0, stdout: expect.stringMatching(/All is well: 2 images/) });
    put(mounted, { "ISOs/a.iso": isoBytes(2 * MIB, 9) });
    expect(await stick(["verify", ...on])).toMatchObject({ status: 1, stdout: expect.stringMatching(/a\.iso: SHA-256/) });
    expect(await stick(["remove", ...on, "a.iso"])).toMatchObject({ status: 0 });
    put(folder, { "c.json": '{ "control": { "timeout": 1 } }' });
    expect(await stick(["config", ...on, join(folder, "c.json")])).toMatchObject({ status: 0 });
    expect(readdirSync(join(mounted, "ISOs"))).toEqual(["b.iso"]);
    expect(await stick(["list", mounted])).toMatchObject({ status: 2, stderr: expect.stringMatching(/a folder.*--mounted/s) });
    expect(await stick(["list", "--mounted", folder])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/a folder with `hiperiso` in it/),
    });
  });
});

describe("pull", () => {
  test("lists, copies, tells where the report is, and what was there already", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-stick-"));
    try {
      const mounted = join(folder, "mounted");
      const logs = join(mounted, "hiperiso/logs");
      const owner = { ...deadOwner(), boot_id: "00000000-0000-0000-0000-000000000000" };
      const session = await SessionDirectory.create(newSession(logs, { owner, imageBaseName: "debian.iso" }), setClock());
      put(session.path, { "serial.log": "Linux version 6.1.0 (x)\r\n" });
      const home = join(folder, "home");
      const words = ["pull", "--mounted", mounted, "--to", home];
      expect(await stick([...words, "--list"])).toMatchObject({ status: 0, stdout: `${session.id}  cut off\n` });
      const pulled = await stick(words);
      expect(pulled).toMatchObject({
        status: 0,
        stdout: expect.stringContaining(join(home, session.id, "report.html")),
        stderr: expect.stringMatching(/had been cut off; it is marked failed here[\s\S]*1 copied to .*home\.[\s\S]*no display/),
      });
      expect(await stick([...words, session.id])).toMatchObject({
        status: 0,
        stderr: expect.stringMatching(/0 copied to .*, 1 was here already/),
      });
      expect(JSON.parse((await stick([...words, "--all", "--reanalyse", "--json"])).stdout)).toMatchObject({
        copied: [{ id: session.id }],
        here: [],
      });
      expect(await stick([...words, "none"])).toMatchObject({ status: 2 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("a persistence image", () => {
  test.skipIf(!hasTool("mke2fs"))(
    "is ext4 with its label, sparse, with what live-boot asks for, and the same from the same ids",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "hiperiso-persistence ' "));
      try {
        const make = (name: string, ...words: string[]) =>
          stick(["persistence", join(folder, name), "--size", "32M", ...words], { env: EPOCH });
        expect(await make("a.dat", "--ids-from", "x")).toMatchObject({
          status: 0,
          stdout: expect.stringMatching(/ext4 "persistence", 32\.0 MiB/),
        });
        expect(await make("b.dat", "--ids-from", "x")).toMatchObject({ status: 0 });
        expect(sha256(readFileSync(join(folder, "a.dat")))).toBe(sha256(readFileSync(join(folder, "b.dat"))));
        expect(statSync(join(folder, "a.dat")).blocks * 512).toBeLessThan(4 * MIB);
        expect(ran("debugfs", "-R", "cat persistence.conf", join(folder, "a.dat"))).toBe("/ union\n");
        expect(ran("e2fsck", "-fn", join(folder, "a.dat"))).toMatch(/persistence: 12\/\d+ files/);
        expect(await make("a.dat")).toMatchObject({ status: 2, stderr: expect.stringMatching(/--force replaces it/) });
        expect(await make("c.dat", "--label", "casper-rw")).toMatchObject({ status: 0 });
        expect(ran("blkid", "-p", "-o", "value", "-s", "LABEL", join(folder, "c.dat")).trim()).toBe("casper-rw");
        expect(await make("d.dat", "--label", "longer than sixteen")).toMatchObject({ status: 2 });
        expect(readdirSync(folder).sort()).toEqual(["a.dat", "b.dat", "c.dat"]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});
