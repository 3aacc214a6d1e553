/** Our disks before a real GRUB and a real Linux: one boot for both. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { checkExfat } from "../../src/disk/exfat/check.ts";
import { makeExfat } from "../../src/disk/exfat/make.ts";
import { openExfat } from "../../src/disk/exfat/volume.ts";
import { checkFat } from "../../src/disk/fat/check.ts";
import { makeFat } from "../../src/disk/fat/make.ts";
import { openFat } from "../../src/disk/fat/volume.ts";
import {
  ageVolume,
  bootDisk,
  earlyScript,
  fillForGuest,
  foreignComplaints,
  GRUB_MODULES,
  grubScript,
  grubSums,
  guestFiles,
  guestLines,
  installBiosGrub,
  makeDisk,
  openDisk,
  putFile,
  TYPES,
  toldBy,
} from "./disk-guest.ts";
import { workplace } from "./harness.ts";

const PARTITIONS = [
  { name: "GRUB", typeGuid: TYPES.biosBoot, megabytes: 1 },
  { name: "exFAT", typeGuid: TYPES.data, megabytes: 128 },
  { name: "FAT32", typeGuid: TYPES.efiSystem, megabytes: 64 },
];

test("GRUB starts from our disk, reads our exFAT and FAT, and loads from exFAT a Linux that changes both; what it leaves is as it said", async () => {
  await using place = await workplace();
  const path = join(place.root, "disk.img");
  const { kernel, initrd } = await guestFiles();
  const told: Record<number, readonly string[]> = {};
  {
    await using disk = await makeDisk(path, PARTITIONS);
    await installBiosGrub(disk, 1, earlyScript(2), GRUB_MODULES);
    await makeExfat(disk.partition(2), { serial: 2, label: "OURS", clusterBytes: 4096 }, quietJob);
    await makeFat(disk.partition(3), { serial: 3, label: "OURS TOO", bits: 32, clusterBytes: 512 }, quietJob);
    await using exfat = await openExfat(disk.partition(2), {}, quietJob);
    await using fat = await openFat(disk.partition(3), {}, quietJob);
    for (const volume of [exfat, fat]) {
      await ageVolume(volume, 1);
      await fillForGuest(volume);
    }
    told[2] = await toldBy(exfat);
    told[3] = await toldBy(fat);
    await exfat.makeDirectory("/boot", 0);
    await putFile(exfat, "/boot/vmlinuz", kernel);
    await putFile(exfat, "/boot/initrd", initrd);
    const script = grubScript(2, { 2: told[2], 3: told[3] }, "guest.mounts=2:exfat,3:vfat guest.change");
    await putFile(exfat, "/boot/grub.cfg", Buffer.from(script));
    told[2] = await toldBy(exfat);
  }
  const { session, serial } = await bootDisk({ path, logs: place.logs });
  expect(session.result, serial).toBe("success");
  expect(serial).not.toContain("guest: FAILED");
  for (const partition of [2, 3]) {
    expect(grubSums(serial, partition)).toEqual(
      told[partition]!.filter((line) => line.startsWith("file ") && !line.includes("./boot/")).map((line) => line.slice(5, 69)),
    );
    expect(guestLines(serial, partition, "before")).toEqual(told[partition]);
  }

  await using disk = await openDisk(path, PARTITIONS);
  const exfat = await openExfat(disk.partition(2), {}, quietJob);
  const fat = await openFat(disk.partition(3), {}, quietJob);
  for (const [partition, volume] of [
    [2, exfat],
    [3, fat],
  ] as const) {
    const after = await toldBy(volume);
    expect(guestLines(serial, partition, "after")).toEqual(after);
    expect(after.length).toBeGreaterThan(told[partition]!.length + 90); // 150 files were added, 50 of them removed
  }
  // Linux leaves the percentage in use as it was; all else has to be in order.
  const problems = (await checkExfat(disk.partition(2), quietJob)).problems.filter(({ id }) => id !== "percent-in-use");
  expect(problems).toEqual([]);
  expect((await checkFat(disk.partition(3), quietJob)).problems).toEqual([]);
  expect(await foreignComplaints(disk)).toEqual([]);
});
