import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { type DeviceAccess, type DeviceIdentity, identityOf, openExclusive, otherDisk } from "../../../src/disk/device/exclusive-device.ts";
import { DeviceWriteError, verifyWritten, writePieces } from "../../../src/disk/device/write-extents.ts";
import { type BlockDevice, type ComputerFacts, readComputer } from "../../../src/host/block-devices.ts";

const MIB = 1 << 20;
const folder = mkdtempSync(join(tmpdir(), "hiperiso-device-"));
const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const signal = new AbortController().signal;
const access = (change: Partial<DeviceAccess> = {}): DeviceAccess => ({
  env: process.env,
  signal,
  allowFixed: true,
  neededBytes: 0n,
  ...change,
});

/** Why loop devices cannot be made here; undefined where they can. */
function noLoops(): string | undefined {
  if (process.getuid?.() !== 0) return "not root";
  const path = join(folder, "probe.img");
  writeFileSync(path, "");
  truncateSync(path, MIB);
  const { status, stdout } = spawnSync("losetup", ["--find", "--show", path], { encoding: "utf8" });
  if (status !== 0) return "losetup fails";
  execFileSync("losetup", ["--detach", stdout.trim()]);
  return undefined;
}

function loopOver(path: string, ...options: readonly string[]): string {
  const device = execFileSync("losetup", ["--find", "--show", ...options, path], { encoding: "utf8" }).trim();
  undo.push(() => spawnSync("losetup", ["--detach", device]));
  return device;
}

function imageFile(name: string, bytes: number): string {
  const path = join(folder, name);
  writeFileSync(path, "");
  truncateSync(path, bytes);
  return path;
}

async function deviceAt(path: string): Promise<BlockDevice> {
  const device = (await readComputer(process.env, signal)).devices.find((candidate) => candidate.path === path);
  if (device === undefined) throw new Error(`lsblk does not list ${path}`);
  return device;
}

describe.skipIf(noLoops() !== undefined)("a loop device", () => {
  test("is written, read back past the cache, and holds what was written", async () => {
    const image = imageFile("disk.img", 16 * MIB);
    const device = await deviceAt(loopOver(image));
    await using store = await openExclusive(identityOf(device), access());
    const piece = new Uint8Array(3 * MIB).fill(0xa5);
    const written = await writePieces(store, [{ offset: BigInt(MIB), bytes: piece }], BigInt(piece.length), quietJob);
    await store.forgetCache();
    await verifyWritten(store, written, quietJob);
    expect(
      readFileSync(image)
        .subarray(MIB, 4 * MIB)
        .equals(piece),
    ).toBe(true);
  });

  test("that is mounted is refused, and cannot be mounted while it is open", async () => {
    const image = imageFile("ext4.img", 8 * MIB);
    execFileSync("mke2fs", ["-q", "-t", "ext4", image], { env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` } });
    const path = loopOver(image);
    const identity = identityOf(await deviceAt(path));
    const point = join(folder, "mounted");
    mkdirSync(point, { recursive: true });
    execFileSync("mount", [path, point]);
    undo.push(() => spawnSync("umount", [point]));
    await expect(openExclusive(identity, access())).rejects.toThrow(`it is mounted at ${point}`);
    execFileSync("umount", [point]);
    await using _ = await openExclusive(identity, access());
    expect(spawnSync("mount", [path, point]).status).not.toBe(0);
  });

  test("that another program has opened for itself is refused", async () => {
    const path = loopOver(imageFile("twice.img", MIB));
    const identity = identityOf(await deviceAt(path));
    await using _first = await openExclusive(identity, access());
    await expect(openExclusive(identity, access())).rejects.toThrow("another program, a mount or a mapping uses it");
  });

  test("that is built in is refused unless allowed, and a small one when more is needed", async () => {
    const identity = identityOf(await deviceAt(loopOver(imageFile("small.img", MIB))));
    await expect(openExclusive(identity, access({ allowFixed: false }))).rejects.toThrow("it is built in");
    await expect(openExclusive(identity, access({ neededBytes: BigInt(2 * MIB) }))).rejects.toThrow("needed are 2097152");
  });

  test("that was write-protected is refused", async () => {
    const identity = identityOf(await deviceAt(loopOver(imageFile("ro.img", MIB), "--read-only")));
    await expect(openExclusive(identity, access())).rejects.toThrow("it is write-protected");
  });

  test("whose medium is another by now is refused before the first byte", async () => {
    const path = loopOver(imageFile("before.img", 2 * MIB));
    const identity = identityOf(await deviceAt(path));
    execFileSync("losetup", ["--detach", path]);
    const other = imageFile("after.img", 3 * MIB);
    execFileSync("losetup", [path, other]);
    await expect(openExclusive(identity, access())).rejects.toThrow("size 3145728, confirmed was 2097152");
    expect(readFileSync(other).every((byte) => byte === 0)).toBe(true);
  });

  test("that changes between the two looks is refused too", async () => {
    const device = await deviceAt(loopOver(imageFile("switch.img", 2 * MIB)));
    const real = await readComputer(process.env, signal);
    const swapped: ComputerFacts = {
      ...real,
      devices: real.devices.map((one) => (one.path === device.path ? { ...one, serial: "OTHER" } : one)),
    };
    let looks = 0;
    const readFacts = async () => {
      looks += 1;
      return looks === 1 ? real : swapped;
    };
    await expect(openExclusive(identityOf(device), access({ readFacts }))).rejects.toThrow("serial number OTHER, confirmed was none");
    expect(looks).toBe(2);
  });

  test("that fails in the middle is reported with how far it can be trusted", async () => {
    // A file with holes on a full file system: writes go to memory, and fail when they are to reach the disk.
    const full = join(folder, "full");
    mkdirSync(full);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=40m", "tmpfs", full]);
    undo.push(() => spawnSync("umount", [full]));
    const path = join(full, "disk.img");
    writeFileSync(path, "");
    truncateSync(path, 200 * MIB);
    const device = await deviceAt(loopOver(path));
    await using store = await openExclusive(identityOf(device), access());
    function* pieces() {
      for (let at = 0; at < 160; at += 4) yield { offset: BigInt(at * MIB), bytes: new Uint8Array(4 * MIB).fill(1 + at) };
    }
    const failure = await writePieces(store, pieces(), BigInt(160 * MIB), quietJob).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(DeviceWriteError);
    const { trustedBytes, found } = failure as DeviceWriteError;
    expect(trustedBytes).toBe(BigInt(32 * MIB));
    expect(found).toMatch(/failed|space/);
    expect(
      readFileSync(path)
        .subarray(0, 4 * MIB)
        .every((byte) => byte === 1),
    ).toBe(true);
  });
});

test("a disk is gone: said with what to do", async () => {
  const gone = { path: "/dev/hiperiso-none", number: "8:0", sizeBytes: 1n, serial: null, wwn: null, model: null };
  await expect(openExclusive(gone, access())).rejects.toThrow("it is gone. Plug it in again.");
});

test.each<[string, Partial<DeviceIdentity>, string | undefined]>([
  ["size", { sizeBytes: 2n }, "size 2, confirmed was 1"],
  ["serial number", { serial: "B" }, "serial number B, confirmed was A"],
  ["WWN", { wwn: "0x5" }, "WWN 0x5, confirmed was none"],
  ["device number", { number: "8:16" }, "device number 8:16, confirmed was 8:0"],
  ["path, which tells nothing,", { path: "/dev/sdb" }, undefined],
])("a disk with another %s is told", (_what, change, expected) => {
  const disk = { path: "/dev/sda", number: "8:0", sizeBytes: 1n, serial: "A", wwn: null, model: null };
  expect(otherDisk(disk, { ...disk, ...change })).toBe(expected);
});
