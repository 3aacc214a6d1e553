/** More of our disks before real systems: a UEFI's own FAT driver and its GRUB; volumes and tables of foreign programs that we and Linux change in turns. */
import { execFileSync } from "node:child_process";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
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
  efiGrub,
  fillForGuest,
  foreignComplaints,
  GRUB_MODULES,
  grubScript,
  grubSums,
  guestFiles,
  guestLines,
  makeDisk,
  openDisk,
  putFile,
  TYPES,
  toldBy,
} from "./disk-guest.ts";
import { workplace } from "./harness.ts";

const MIB = 2 ** 20;

test("a UEFI starts GRUB from our system partition, and GRUB Linux from our exFAT in clusters of 128 KiB: the layout of a stick", async () => {
  const partitions = [
    { name: "data", typeGuid: TYPES.data, megabytes: 200 },
    { name: "system", typeGuid: TYPES.efiSystem, megabytes: 64 },
  ];
  await using place = await workplace();
  const path = join(place.root, "stick.img");
  const { kernel, initrd } = await guestFiles();
  const told: Record<number, readonly string[]> = {};
  {
    await using disk = await makeDisk(path, partitions);
    await makeExfat(disk.partition(1), { serial: 1, label: "DATA", clusterBytes: 131_072, partitionOffset: 1n << 20n }, quietJob);
    await makeFat(disk.partition(2), { serial: 2, label: "SYSTEM", bits: 16, clusterBytes: 2048, partitionOffset: 201n << 20n }, quietJob);
    await using data = await openExfat(disk.partition(1), {}, quietJob);
    await using system = await openFat(disk.partition(2), {}, quietJob);
    for (const [number, volume] of [
      [1, data],
      [2, system],
    ] as const) {
      await ageVolume(volume, 10 + number);
      await fillForGuest(volume);
    }
    for (const folder of ["/EFI", "/EFI/BOOT"]) await system.makeDirectory(folder, 0);
    await putFile(system, "/EFI/BOOT/BOOTX64.EFI", efiGrub(earlyScript(1), GRUB_MODULES));
    told[1] = await toldBy(data);
    told[2] = await toldBy(system);
    await data.makeDirectory("/boot", 0);
    await putFile(data, "/boot/vmlinuz", kernel);
    await putFile(data, "/boot/initrd", initrd);
    await putFile(data, "/boot/grub.cfg", Buffer.from(grubScript(1, told, "guest.mounts=1:exfat,2:vfat guest.change")));
  }
  const { session, serial } = await bootDisk({ path, logs: place.logs, firmware: "uefi" });
  expect(session.result, serial).toBe("success");
  for (const number of [1, 2]) {
    const sums = told[number]!.filter((line) => line.startsWith("file ")).map((line) => line.slice(5, 69));
    expect(grubSums(serial, number)).toEqual(sums);
  }
  await using disk = await openDisk(path, partitions);
  expect(guestLines(serial, 1, "after")).toEqual(await toldBy(await openExfat(disk.partition(1), {}, quietJob)));
  expect(guestLines(serial, 2, "after")).toEqual(await toldBy(await openFat(disk.partition(2), {}, quietJob)));
  // Linux leaves the percentage in use as it was.
  const problems = (await checkExfat(disk.partition(1), quietJob)).problems.filter(({ id }) => id !== "percent-in-use");
  expect([...problems, ...(await checkFat(disk.partition(2), quietJob)).problems]).toEqual([]);
  expect(await foreignComplaints(disk)).toEqual([]);
});

test("volumes of mkfs.exfat and mkfs.fat in a table of sgdisk: we, Linux and we again change them, and Linux finds all of it", async () => {
  const partitions = [
    { name: "exfat", typeGuid: TYPES.data, megabytes: 64 },
    { name: "fat", typeGuid: TYPES.data, megabytes: 64 },
  ];
  await using place = await workplace();
  const path = join(place.root, "foreign.img");
  writeFileSync(path, "");
  truncateSync(path, 130 * MIB);
  execFileSync("sgdisk", ["-n", "1:1M:+64M", "-t", "1:0700", "-n", "2:65M:+64M", "-t", "2:0700", path]);
  const makers = [
    ["mkfs.exfat", "-L", "THEIRS"],
    ["mkfs.fat", "-F", "32", "-s", "1", "-n", "THEIRS"],
  ] as const;
  for (const [index, [tool, ...words]] of makers.entries()) {
    const part = join(place.root, `part-${index}.img`);
    writeFileSync(part, "");
    truncateSync(part, 64 * MIB);
    execFileSync(tool, [...words, part]);
    await using disk = await openDisk(path, partitions);
    await disk.partition(index + 1).write(0n, readFileSync(part));
  }
  const files = await guestFiles();
  const kernel = { path: join(place.root, "vmlinuz"), initrds: [join(place.root, "initrd")] };
  writeFileSync(kernel.path, files.kernel);
  writeFileSync(join(place.root, "initrd"), files.initrd);
  const append = "console=ttyS0 quiet loglevel=1 panic=-1 guest.mounts=1:exfat,2:vfat";
  const told: Record<number, readonly string[]> = {};
  {
    await using disk = await openDisk(path, partitions);
    await using exfat = await openExfat(disk.partition(1), {}, quietJob);
    await using fat = await openFat(disk.partition(2), {}, quietJob);
    for (const [number, volume] of [
      [1, exfat],
      [2, fat],
    ] as const) {
      expect(volume.label).toBe("THEIRS");
      await ageVolume(volume, 20 + number);
      await fillForGuest(volume);
      told[number] = await toldBy(volume);
    }
  }
  const first = await bootDisk({ path, logs: join(place.logs, "first"), kernel: { ...kernel, append: `${append} guest.change` } });
  expect(first.session.result, first.serial).toBe("success");
  {
    await using disk = await openDisk(path, partitions);
    await using exfat = await openExfat(disk.partition(1), {}, quietJob);
    await using fat = await openFat(disk.partition(2), {}, quietJob);
    for (const [number, volume] of [
      [1, exfat],
      [2, fat],
    ] as const) {
      expect(guestLines(first.serial, number, "before")).toEqual(told[number]);
      expect(guestLines(first.serial, number, "after")).toEqual(await toldBy(volume));
      await volume.rename("/by Linux", "/moved by us");
      await volume.remove("/moved by us/renamed");
      await putFile(volume, "/append to me", Buffer.alloc(300_000, "we again "));
      for (let count = 0; count < 60; count += 1) {
        await putFile(volume, `/moved by us/Ümläute и кириллица/ours ${count}.txt`, Buffer.from(`${count}`));
      }
      told[number] = await toldBy(volume);
    }
  }
  const second = await bootDisk({ path, logs: join(place.logs, "second"), kernel: { ...kernel, append } });
  expect(second.session.result, second.serial).toBe("success");
  for (const number of [1, 2]) expect(guestLines(second.serial, number, "before")).toEqual(told[number]);
  await using disk = await openDisk(path, partitions);
  expect((await checkExfat(disk.partition(1), quietJob)).problems).toEqual([]);
  expect((await checkFat(disk.partition(2), quietJob)).problems).toEqual([]);
  expect(await foreignComplaints(disk)).toEqual([]);
});
