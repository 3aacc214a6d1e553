/** What an image may be and hang on, disks beside it, and kernels: real machines, whose guests are a few dozen bytes of our own where that does. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { onlySession, run, sessionDirectories, type Workplace, workplace } from "./harness.ts";

const codeOf = (...lines: readonly string[]): Buffer =>
  Buffer.from(lines.map((line) => line.split(";", 1)[0]!.replaceAll(" ", "")).join(""), "hex");

/** A boot sector that "installs": it writes itself to the second disk, if there is one, and says so on the serial line. */
const INSTALLER = codeOf(
  "fa 31c0 8ed8 8ec0 8ed0 bc007c; cli; every segment 0, stack below us",
  "b80103; write one sector",
  "b90100; cylinder 0, sector 1",
  "ba8100; head 0, drive 81h",
  "bb007c cd13; from ourselves; whether it worked is seen later",
  "be407c baf803; print from 7c40h to the UART",
  "ac 84c0 7403 ee ebf8; until a NUL",
  "f4 ebfd; rest",
);
const WORDS = "the sector was started";

function bootSector(): Buffer {
  const sector = Buffer.alloc(512);
  INSTALLER.copy(sector);
  sector.write(`${WORDS}\n`, 0x40);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** 16 MiB: a power of two, as a card's size is. */
function installerDisk(place: Workplace, name = "installer.img"): string {
  const path = join(place.root, name);
  writeFileSync(path, bootSector());
  execFileSync("truncate", ["-s", "16M", path]);
  return path;
}

const words = (place: Workplace, ...more: readonly string[]): string[] => [
  ...["boot", "--firmware", "bios", "--ram", "64", "--until", `text:${WORDS}`, "--time-limit", "120", "--trace-level", "none"],
  ...["--log-dir", place.logs, ...more],
];

/** Boots to the words, and gives the new session's directory. */
async function boots(place: Workplace, ...more: readonly string[]): Promise<string> {
  const sessions = () => (existsSync(place.logs) ? sessionDirectories(place.logs) : []);
  const before = sessions();
  const { status, stderr } = await run(words(place, ...more));
  expect(status, stderr).toBe(0);
  return sessions().find((path) => !before.includes(path))!;
}

describe("an image on every bus", () => {
  test.each(["usb", "virtio", "sata", "nvme", "sd"])("--as %s", async (bus) => {
    await using place = await workplace();
    const image = installerDisk(place);
    const { status, stderr } = await run(words(place, image, "--as", bus));
    expect(status, stderr).toBe(0);
    expect(onlySession(place.logs).serial).toContain(WORDS);
    expect(readFileSync(image).subarray(0, 512).equals(bootSector()), "the image is as it was").toBe(true);
  });

  test("a card of any size, which the guest sees as large as a card can be", async () => {
    await using place = await workplace();
    const image = installerDisk(place);
    execFileSync("truncate", ["-s", "5M", image]);
    const { status, stderr } = await run(words(place, image, "--as", "sd"));
    expect(status, stderr).toBe(0);
  });
});

describe("an image in every format", () => {
  test.each([
    ["qcow2", []],
    ["qcow2", ["-o", "compression_type=zstd,extended_l2=on,cluster_size=64k"]],
    ["vmdk", []],
    ["vmdk", ["-o", "subformat=monolithicFlat"]],
    ["vdi", []],
    ["vhdx", []],
    ["vpc", []],
  ])("%s %j", async (format, options) => {
    await using place = await workplace();
    const image = join(place.root, `odd, name.${format}`);
    execFileSync("qemu-img", ["convert", "-f", "raw", "-O", format, ...options, installerDisk(place), image]);
    expect(await boots(place, image)).toBeTruthy();
  });

  test("a qcow2 above two others, told to QEMU by hand", async () => {
    await using place = await workplace();
    installerDisk(place, "bottom.img");
    for (const [below, format, name] of [
      ["bottom.img", "raw", "middle.qcow2"],
      ["middle.qcow2", "qcow2", "top.qcow2"],
    ] as const) {
      execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", below, "-F", format, name], { cwd: place.root });
    }
    expect(await boots(place, join(place.root, "top.qcow2"), "--as", "virtio")).toBeTruthy();
    expect(onlySession(place.logs).files).toContain("qemu.cmdline");
    const line = readFileSync(join(onlySession(place.logs).directory, "qemu.cmdline"), "utf8");
    expect(line).toContain("backing.backing.driver=raw");
  });

  test("one whose chain is broken is refused before a session is made", async () => {
    await using place = await workplace();
    installerDisk(place, "bottom.img");
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "bottom.img", "-F", "raw", "top.qcow2"], { cwd: place.root });
    execFileSync("mv", [join(place.root, "bottom.img"), join(place.root, "gone.img")]);
    const { status, stderr } = await run(words(place, join(place.root, "top.qcow2")));
    expect(status).toBe(2);
    expect(stderr).toContain("bottom.img");
    expect(existsSync(place.logs)).toBe(false);
  });
});

describe("disks beside the image", () => {
  test.each(["sata", "virtio", "nvme", "usb", "sd"])(
    "on %s a new one is installed to in one session, and booted in the next",
    async (bus) => {
      await using place = await workplace();
      const first = await boots(place, installerDisk(place), "--as", "usb", "--disk", `32M,bus=${bus}`);
      const disk = join(first, "disk0.qcow2");
      expect(execFileSync("qemu-img", ["check", disk], { encoding: "utf8" })).toContain("No errors");
      const second = await boots(place, disk, "--as", bus);
      expect(readFileSync(join(second, "serial.log"), "latin1")).toContain(WORDS);
    },
  );

  test("one that is made where a person wants it, one that is kept, one whose changes go", async () => {
    await using place = await workplace();
    const image = installerDisk(place);
    const made = join(place.root, "made, here.img");
    const mine = join(place.root, "mine.img");
    execFileSync("truncate", ["-s", "1M", mine]);
    await boots(place, image, "--as", "virtio", "--disk", `1M,format=raw,file=${made.replaceAll(",", ",,")},bus=virtio`);
    expect(readFileSync(made).subarray(0, 512).equals(bootSector())).toBe(true);
    await boots(place, image, "--as", "virtio", "--disk", `${mine},bus=virtio`);
    expect(
      readFileSync(mine).every((byte) => byte === 0),
      "an overlay took it",
    ).toBe(true);
    await boots(place, image, "--as", "virtio", "--disk", `${mine},keep,bus=virtio`);
    expect(readFileSync(mine).subarray(0, 512).equals(bootSector())).toBe(true);
    const again = await run(words(place, image, "--disk", `1M,file=${made.replaceAll(",", ",,")}`));
    expect(again.status).toBe(2);
    expect(again.stderr).toContain("something stands there");
  });

  test("petabytes take no room", async () => {
    await using place = await workplace();
    const session = await boots(place, installerDisk(place), "--as", "virtio", "--disk", "1P,bus=virtio");
    const kilobytes = Number(execFileSync("du", ["-k", join(session, "disk0.qcow2")], { encoding: "utf8" }).split("\t")[0]);
    expect(kilobytes).toBeLessThan(4096);
    copyFileSync(join(session, "disk0.qcow2"), join(place.root, "again.qcow2"));
    expect(await boots(place, join(place.root, "again.qcow2"))).toBeTruthy();
  });
});

test.each([
  ["a kernel that is not there", ["--kernel", "/nowhere/vmlinuz"], "/nowhere/vmlinuz"],
  ["an initrd that is not there", ["--kernel", process.execPath, "--initrd", "/nowhere/initrd"], "/nowhere/initrd"],
  ["an initrd without a kernel", ["--initrd", process.execPath], "no --kernel"],
  ["nothing to boot", [], "neither"],
  ["a disk that is not there", ["--kernel", process.execPath, "--disk", "/nowhere/disk.img"], "/nowhere/disk.img"],
  ["a folder for a disk", ["--kernel", process.execPath, "--disk", "/tmp"], "a directory"],
  ["a device that would be written", ["--kernel", process.execPath, "--disk", "/dev/null,keep"], "/dev/null"],
])("%s is wrong usage, and makes no session", async (_, more, named) => {
  await using place = await workplace();
  const { status, stderr } = await run(["boot", "--log-dir", place.logs, ...more]);
  expect(status, stderr).toBe(2);
  expect(stderr).toContain(named);
});
