import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { blankImage, hasTool, MIB, ran, stickImage } from "../disk/disk-images.ts";
import { noLoops } from "../disk/loop-devices.ts";
import { isoBytes, put, runtimeFolder, stick } from "./stick-commands.ts";

const BYTES = 128 * MIB;
const exactly = ["--allow-fixed", "--yes", "--expect-size", `${BYTES}`];

describe.skipIf(noLoops() !== undefined)("a stick on a disk of this computer (a loop device)", () => {
  let folder: string;
  let image: string;
  let device: string;
  const attach = (...options: string[]): void => {
    device = ran("losetup", "--find", "--show", ...options, image).trim();
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-stick-loop-"));
    image = join(folder, "disk.img");
    put(folder, { "a.iso": isoBytes(3 * MIB, 1), "b.iso": isoBytes(MIB, 2) });
    runtimeFolder(join(folder, "runtime"));
  });
  afterEach(() => {
    spawnSync("losetup", ["--detach", device]);
    rmSync(folder, { recursive: true });
  });

  test.each([512, 4096])("with sectors of %i bytes is made, changed, checked and renewed", async (sector) => {
    blankImage(image, BYTES);
    attach("--sector-size", `${sector}`);
    const made = await stick(["create", device, ...exactly, "--iso", join(folder, "a.iso"), "--runtime", join(folder, "runtime")]);
    expect(made).toMatchObject({ status: 0, stderr: expect.stringMatching(/blockdev --rereadpt/) });
    expect(await stick(["verify", device])).toMatchObject({ status: 0 });
    expect(await stick(["add", device, ...exactly, join(folder, "b.iso")])).toMatchObject({ status: 0 });
    expect(await stick(["remove", device, ...exactly, "a.iso"])).toMatchObject({ status: 0 });
    expect(await stick(["update", device, ...exactly, "--runtime", join(folder, "runtime")])).toMatchObject({ status: 0 });
    expect(await stick(["verify", device])).toMatchObject({ status: 0, stdout: expect.stringMatching(/1 image,/) });
    execFileSync("losetup", ["--detach", device]);
    if (sector === 512) {
      expect(await stick(["verify", image])).toMatchObject({ status: 0 });
      if (hasTool("sgdisk")) expect(ran("sgdisk", "-v", image)).toMatch(/No problems found/);
    }
  });

  test("is not made without a word, nor over something else without --force", async () => {
    await stickImage(image);
    attach();
    const before = readFileSync(image);
    const size = ["--allow-fixed", "--yes", "--expect-size", `${before.length}`];
    expect(await stick(["create", device, ...size])).toMatchObject({ status: 2, stderr: expect.stringMatching(/GPT: 1 "DATA"/) });
    expect(await stick(["create", device, "--force", "--no-runtime", ...size])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/at least 83886080 bytes/),
    });
    for (const command of [
      ["add", join(folder, "b.iso")],
      ["update", "--runtime", join(folder, "runtime")],
      ["verify"],
      ["list"],
      ["pull"],
    ]) {
      const [name, ...rest] = command;
      const flags = ["add", "update"].includes(name!) ? size : [];
      expect(await stick([name!, device, ...rest, ...flags])).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(/a stick of hiperiso/),
      });
    }
    expect(readFileSync(image).equals(before)).toBe(true);
    execFileSync("losetup", ["--detach", device]);
    blankImage(image, BYTES);
    attach();
    expect(await stick(["create", device, "--no-runtime", "--allow-fixed"])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/--yes --expect-size/),
    });
    expect(readFileSync(image).every((byte) => byte === 0)).toBe(true);
  });

  test("a stick that is gone, write-protected, or mounted is told", async () => {
    for (const command of [["create"], ["add", join(folder, "b.iso")], ["verify"]]) {
      const [name, ...rest] = command;
      const said = await stick([name!, "/dev/hiperiso-none", ...rest]);
      expect(said).toMatchObject({ status: 2, stderr: expect.stringMatching(/none of that name|no such file/) });
    }
    expect(existsSync("/dev/hiperiso-none")).toBe(false);
    blankImage(image, BYTES);
    attach("--read-only");
    expect(await stick(["create", device, "--no-runtime", ...exactly])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/write-protected/),
    });
    execFileSync("losetup", ["--detach", device]);
    attach();
    expect(await stick(["create", device, "--no-runtime", ...exactly])).toMatchObject({ status: 0 });
    expect(await stick(["add", image, join(folder, "b.iso")])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/attached to \/dev\/loop/),
    });
  });
});

describe.skipIf(process.getuid?.() !== 0 || spawnSync("mountpoint", ["--version"]).error !== undefined)(
  "a file system that is full",
  () => {
    let folder: string;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), "hiperiso-full-"));
      mkdirSync(join(folder, "small"));
      ran("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", join(folder, "small"));
    });
    afterEach(() => {
      spawnSync("umount", [join(folder, "small")]);
      rmSync(folder, { recursive: true });
    });

    test("below a new image: refused before a byte is written, and no file is left", async () => {
      put(folder, { "big.iso": isoBytes(8 * MIB, 1) });
      expect(await stick(["create", join(folder, "small/stick.img"), "--no-runtime", "--iso", join(folder, "big.iso")])).toMatchObject({
        status: 2,
        stderr: expect.stringMatching(/room for \d+ bytes on the file system that it lies on/),
      });
      expect(readdirSync(join(folder, "small"))).toEqual([]);
    });

    // A loop device whose file finds no room fails as a disk that dies: EIO, in the middle.
    test.skipIf(noLoops() !== undefined)("below a disk: it fails in the middle, which is told, and it is no stick then", async () => {
      const image = join(folder, "small/disk.img");
      blankImage(image, BYTES);
      put(folder, { "big.iso": isoBytes(16 * MIB, 1) });
      const runtime = runtimeFolder(join(folder, "runtime"));
      const device = ran("losetup", "--find", "--show", image).trim();
      try {
        expect(await stick(["create", device, ...exactly, "--iso", join(folder, "big.iso"), "--runtime", runtime])).toMatchObject({
          status: 3,
          stderr: expect.stringMatching(/the disk failed, or was pulled \(EIO\)/),
        });
        expect(await stick(["list", device])).toMatchObject({ status: 2, stderr: expect.stringMatching(/a stick of hiperiso/) });
      } finally {
        spawnSync("losetup", ["--detach", device]);
      }
    });

    test("below an image that is there: told, and the stick keeps what it had", async () => {
      ran("umount", join(folder, "small"));
      ran("mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", join(folder, "small"));
      const image = join(folder, "small/stick.img");
      put(folder, { "a.iso": isoBytes(MIB, 1), "big.iso": isoBytes(16 * MIB, 2) });
      expect(await stick(["create", image, "--no-runtime", "--size", "128M", "--iso", join(folder, "a.iso")])).toMatchObject({ status: 0 });
      expect(await stick(["add", image, join(folder, "big.iso")])).toMatchObject({
        status: 3,
        stderr: expect.stringMatching(/the file system that it lies on is full/),
      });
      expect(await stick(["list", image])).toMatchObject({
        status: 0,
        stdout: expect.stringMatching(/\/ISOs\/a\.iso {2}SHA-256.*\n.*copies that were cut off/),
      });
      expect(await stick(["verify", image])).toMatchObject({ status: 1, stdout: expect.stringMatching(/was not closed properly/) });
      ran("cp", "--sparse=always", image, join(folder, "copy.img"));
      expect(await stick(["remove", join(folder, "copy.img"), "--unfinished"])).toMatchObject({ status: 0 });
      expect(await stick(["verify", join(folder, "copy.img")])).toMatchObject({ status: 0, stdout: expect.not.stringMatching(/cut off/) });
      ran("mount", "-o", "remount,size=64m", join(folder, "small"));
      expect(await stick(["add", image, join(folder, "big.iso")])).toMatchObject({
        status: 0,
        stderr: expect.stringMatching(/was not closed properly; it is mended/),
      });
      expect(await stick(["verify", image])).toMatchObject({ status: 0, stdout: expect.stringMatching(/2 images,/) });
    });
  },
);
