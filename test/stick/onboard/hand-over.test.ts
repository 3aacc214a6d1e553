import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fileSystemUuid, mountedFrom, serialOf } from "../../../src/stick/onboard/hand-over.ts";

const MOUNTINFO = [
  "21 1 0:20 / / rw - rootfs rootfs rw",
  "30 21 8:1 / /mnt/usb rw,noatime shared:3 - exfat /dev/sdb1 rw,fmask=0022",
  "31 21 8:2 / /mnt/two\\040words ro - vfat /dev/sdb2 ro",
  "32 21 0:30 / /tmp rw - tmpfs tmpfs rw",
  "",
].join("\n");

test("the device that is mounted at a folder, by its mountinfo", () => {
  expect(mountedFrom(MOUNTINFO, "/mnt/usb")).toBe("/dev/sdb1");
  expect(mountedFrom(MOUNTINFO, "/mnt/two words")).toBe("/dev/sdb2");
  expect(mountedFrom(MOUNTINFO, "/tmp")).toBeUndefined();
  expect(mountedFrom(MOUNTINFO, "/elsewhere")).toBeUndefined();
  expect(mountedFrom("", "/")).toBeUndefined();
});

function sectorWith(marks: Readonly<Record<number, string>>, serialAt: number): Uint8Array {
  const sector = new Uint8Array(512);
  for (const [at, text] of Object.entries(marks)) sector.set(Buffer.from(text), Number(at));
  new DataView(sector.buffer).setUint32(serialAt, 0x0ab1_23cd, true);
  return sector;
}

test("the identity of a FAT or exFAT volume as udev writes it", () => {
  expect(serialOf(sectorWith({ 3: "EXFAT   " }, 100))).toBe("0AB1-23CD");
  expect(serialOf(sectorWith({ 82: "FAT32   " }, 67))).toBe("0AB1-23CD");
  expect(serialOf(sectorWith({ 54: "FAT16   " }, 39))).toBe("0AB1-23CD");
  expect(serialOf(sectorWith({ 3: "NTFS    " }, 72))).toBeUndefined();
  expect(serialOf(new Uint8Array(20))).toBeUndefined();
});

test("of a folder that is mounted from nowhere there is none", async () => {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-test-"));
  writeFileSync(join(folder, "mountinfo"), MOUNTINFO);
  expect(await fileSystemUuid("/tmp", join(folder, "mountinfo"))).toBeUndefined();
  rmSync(folder, { recursive: true });
});
