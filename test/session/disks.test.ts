/** Disks that a person asks for, found or made: on a real file system, with files that are in the way. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { parseDiskWish } from "../../src/machine/disk-wish.ts";
import { planDrive } from "../../src/machine/drives.ts";
import { overlayPath } from "../../src/machine/qemu-arguments.ts";
import { findDisks } from "../../src/session/find-disks.ts";
import { makeDisks } from "../../src/session/make-disks.ts";

const top = mkdtempSync(join(tmpdir(), "hiperiso-wished-"));
afterAll(() => rmSync(top, { recursive: true }));
let root = "";
beforeEach(() => {
  root = mkdtempSync(join(top, "test-"));
});

const { signal } = new AbortController();
const find = (...texts: readonly string[]) =>
  findDisks(
    texts.map((text) => parseDiskWish(text.replaceAll("ROOT", root))),
    false,
    signal,
  );
const refusal = async (text: string): Promise<HiperisoError> => {
  const error = await find(text).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(HiperisoError);
  expect((error as HiperisoError).kind).toBe("usage");
  return error as HiperisoError;
};

describe("finding", () => {
  test("files by what they are, new ones by their place in the list", async () => {
    writeFileSync(join(root, "raw.img"), Buffer.alloc(4096));
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "raw.img", "-F", "raw", "over.qcow2", "5M"], { cwd: root });
    const disks = await find("ROOT/raw.img", "8G,bus=nvme", "ROOT/over.qcow2,keep", "1M,format=raw", "2M,file=ROOT/new.qcow2");
    expect(disks).toMatchObject([
      { path: join(root, "raw.img"), format: "raw", sizeBytes: 4096n, writable: false, isNew: false, bus: "sata" },
      { path: "disk1.qcow2", format: "qcow2", sizeBytes: 8n << 30n, writable: true, isNew: true, bus: "nvme" },
      { path: join(root, "over.qcow2"), format: "qcow2", sizeBytes: 5n << 20n, writable: true, backing: [{ format: "raw" }] },
      { path: "disk3.img", format: "raw", isNew: true },
      { path: join(root, "new.qcow2"), format: "qcow2", isNew: true },
    ]);
    expect(readdirSync(root).sort(), "nothing is made yet").toEqual(["over.qcow2", "raw.img"]);
    for (const { because } of disks) expect(because).toMatch(/^--disk: \w.{5}/);
  });

  test("a file that is not there, a folder, a name that is taken, a folder that is not there", async () => {
    mkdirSync(join(root, "folder"));
    symlinkSync("nowhere", join(root, "dangling"));
    expect((await refusal("ROOT/none.img")).found).toBe("no such file");
    expect((await refusal("ROOT/folder")).found).toBe("a directory");
    expect((await refusal("1M,file=ROOT/folder")).hint).toContain(",keep");
    expect((await refusal("1M,file=ROOT/dangling")).found).toBe("something stands there");
    expect((await refusal("1M,file=ROOT/none/new.img")).expected).toBe("a folder that is there");
    expect((await refusal("ROOT/dangling,keep")).found).toBe("no such file");
  });

  test.skipIf(process.getuid?.() === 0)("a file that may not be written is not kept", async () => {
    writeFileSync(join(root, "mine.img"), "x");
    chmodSync(join(root, "mine.img"), 0o444);
    expect((await refusal("ROOT/mine.img,keep")).found).toContain("EACCES");
    expect(await find("ROOT/mine.img")).toHaveLength(1);
  });
});

describe("making", () => {
  const make = async (again: boolean, ...texts: readonly string[]) => {
    const drives = (await find(...texts)).map((disk, index) => planDrive(disk, index + 2));
    const places = { directory: join(root, "session"), privateFolder: join(root, "private"), again };
    mkdirSync(places.directory, { recursive: true });
    mkdirSync(places.privateFolder, { recursive: true });
    await makeDisks({ image: null, drives }, places);
    return places;
  };

  test("new disks stand in the session or where they were asked for, whole and without taking room", async () => {
    const { directory } = await make(false, "1P", "3M,format=raw", "1G,file=ROOT/kept.qcow2");
    expect(readdirSync(directory).sort()).toEqual(["disk0.qcow2", "disk1.img"]);
    for (const path of [join(directory, "disk0.qcow2"), join(root, "kept.qcow2")]) {
      expect(execFileSync("qemu-img", ["check", path], { encoding: "utf8" })).toContain("No errors");
      expect(statSync(path).blocks * 512).toBeLessThan(1024 * 1024);
    }
    expect(statSync(join(directory, "disk1.img")).size).toBe(3 << 20);
  });

  test("an overlay larger than what is below it shows that, then zeros", async () => {
    writeFileSync(join(root, "card, odd.img"), "k".repeat(1536));
    const places = await make(false, "ROOT/card,, odd.img,bus=sd");
    const overlay = overlayPath(places, "disk0");
    execFileSync("qemu-img", ["convert", "-O", "raw", overlay, join(root, "seen.img")]);
    expect(readFileSync(join(root, "seen.img"), "latin1")).toBe("k".repeat(1536).padEnd(2048, "\0"));
  });

  test("a name that was taken meanwhile is nobody's to write over, but for a second run of the same machine", async () => {
    const drives = (await find("1M,file=ROOT/mine.qcow2")).map((disk) => planDrive(disk, null));
    const places = { directory: root, privateFolder: root, again: false };
    writeFileSync(join(root, "mine.qcow2"), "somebody else's");
    await expect(makeDisks({ image: null, drives }, places)).rejects.toThrow(/EEXIST/);
    expect(readFileSync(join(root, "mine.qcow2"), "utf8")).toBe("somebody else's");
    await makeDisks({ image: null, drives }, { ...places, again: true });
    expect(readFileSync(join(root, "mine.qcow2")).subarray(0, 4).toString("latin1")).toBe("QFI\xfb");
  });
});
