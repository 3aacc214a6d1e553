import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { blankImage, hasTool, MIB, ran, stickImage } from "../disk/disk-images.ts";
import { noLoops } from "../disk/loop-devices.ts";
import { cat, disk } from "./disk-commands.ts";

const BYTES = 16 * MIB;
const exactly = ["--allow-fixed", "--yes", "--expect-size", `${BYTES}`];

describe.skipIf(noLoops() !== undefined)("on a disk of this computer (a loop device)", () => {
  let folder: string;
  let image: string;
  let device: string;
  const attach = (...options: string[]): void => {
    device = ran("losetup", "--find", "--show", ...options, image).trim();
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-disk-loop-"));
    image = join(folder, "disk.img");
    writeFileSync(join(folder, "a.txt"), "hello\n");
  });
  afterEach(() => {
    spawnSync("losetup", ["--detach", device]);
    rmSync(folder, { recursive: true });
  });

  test("table, volume and files are made when the disk is named exactly, and stand in the image", async () => {
    blankImage(image, BYTES);
    attach();
    expect(await disk("mkgpt", device, ...exactly, "rest:data:DATA")).toMatchObject({
      status: 0,
      stderr: expect.stringMatching(/blockdev --rereadpt/),
    });
    expect(await disk("mkfs", `${device}:1`, ...exactly, "--type", "exfat", "--label", "DATA")).toMatchObject({ status: 0 });
    expect(await disk("cp", ...exactly, join(folder, "a.txt"), `${device}:1/`)).toMatchObject({ status: 0 });
    expect((await cat(`${device}:1/a.txt`)).bytes.toString()).toBe("hello\n");
    expect(await disk("check", device)).toMatchObject({ status: 0 });
    execFileSync("losetup", ["--detach", device]);
    expect(await disk("ls", `${image}:1`)).toMatchObject({ status: 0, stdout: "a.txt\n" });
    if (hasTool("sgdisk")) expect(ran("sgdisk", "-v", image)).toMatch(/No problems found/);
  });

  test.each([
    ["without a word", [], /nobody who could be asked[\s\S]*--yes --expect-size 16777216/],
    ["with --yes alone", ["--yes"], /--expect-serial or --expect-size/],
    ["with another size", ["--yes", "--expect-size", "16777217"], /This is another disk/],
    ["with a serial number that it has not", ["--yes", "--expect-serial", "x"], /This is another disk/],
  ])("%s nothing is written", async (_, words, message) => {
    await stickImage(image);
    attach();
    const before = readFileSync(image);
    for (const command of [
      ["mkgpt", device, "--force", "rest:data"],
      ["mkfs", `${device}:1`, "--force", "--type", "fat"],
      ["cp", join(folder, "a.txt"), `${device}:1/`],
    ]) {
      expect(await disk(...command, "--allow-fixed", ...words)).toMatchObject({ status: 2, stderr: expect.stringMatching(message) });
    }
    expect(readFileSync(image).equals(before)).toBe(true);
  });

  test("what is built in is refused without --allow-fixed", async () => {
    await stickImage(image);
    attach();
    const { status, stderr } = await disk("cp", join(folder, "a.txt"), `${device}:1/`, "--yes", "--expect-size", `${BYTES}`);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/it is built in[\s\S]*--allow-fixed/)]);
  });

  test("the image of an attached disk is not written behind the system's back", async () => {
    await stickImage(image);
    attach();
    const { status, stderr } = await disk("cp", join(folder, "a.txt"), `${image}:1/`);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/it is attached to \/dev\/loop\d+[\s\S]*losetup -d/)]);
    expect(await disk("ls", `${image}:1`)).toMatchObject({ status: 0 });
  });

  test("that is write-protected is refused", async () => {
    await stickImage(image);
    attach("--read-only");
    expect(await disk("cp", ...exactly, join(folder, "a.txt"), `${device}:1/`)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/write-protected/),
    });
    expect(await disk("show", device)).toMatchObject({ status: 0, stdout: expect.stringMatching(/exfat "DATA"/) });
  });

  test("with sectors of 4,096 bytes: known without being told", async () => {
    blankImage(image, BYTES);
    attach("--sector-size", "4096");
    expect((await disk("show", device)).stdout).toMatch(/sectors of 4096 bytes/);
    expect(await disk("mkgpt", device, ...exactly, "--sector", "512", "rest:data")).toMatchObject({ status: 2 });
    expect(await disk("mkgpt", device, ...exactly, "rest:data")).toMatchObject({ status: 0 });
    expect(readFileSync(image).subarray(4096, 4104).toString()).toBe("EFI PART");
    expect(await disk("mkfs", `${device}:1`, ...exactly, "--type", "exfat")).toMatchObject({ status: 0 });
    expect(await disk("check", device)).toMatchObject({ status: 0 });
  });
});
