/** What starts a medium other than our own init: initramfs-tools with live-boot, dracut, and a unified kernel image. Needs the network. */
import { spawnSync } from "node:child_process";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { onlySession, run, workplace } from "./harness.ts";

const planPath = (name: string): string => fileURLToPath(new URL(`plans/${name}`, import.meta.url));

/** Folder of the stage's output. */
async function outputOf(plan: string, stage: string, ...words: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(["live", "build", planPath(plan), "--stage", stage, ...words]);
  expect(status, stderr).toBe(0);
  return stdout.trim().split("\n").at(-1)!;
}

/** What the guest said on its serial port, up to its login. */
async function said(image: string, ...words: readonly string[]): Promise<string> {
  await using place = await workplace();
  const { status, stderr } = await run(["boot", image, "--ram", "1024", "--log-dir", place.logs, ...words]);
  const { serial } = onlySession(place.logs);
  expect(status, `${stderr}\n${serial.slice(-3000)}`).toBe(0);
  return serial;
}

describe("an initramfs that a distribution's program makes", () => {
  // GRUB for both kinds of firmware comes out of the same root file system, made by its own grub-mkimage.
  it.each([
    ["live-boot", "bios", "live/medium"],
    ["dracut", "uefi", "initramfs/live"],
  ] as const)("by %s has the same bytes when it is made again, and starts its medium by %s to a login", async (maker, firmware, place) => {
    const [one, two] = [
      await outputOf("foreign-initramfs.yaml", maker),
      // An option that these makers do not heed: another recipe, of which the same must come.
      await outputOf("foreign-initramfs.yaml", maker, "--set", `${maker}.modules_if_there=[loop]`),
    ];
    expect(two).not.toBe(one);
    expect((await readFile(join(two, "initrd.img"))).equals(await readFile(join(one, "initrd.img")))).toBe(true);

    const iso = await outputOf("foreign-initramfs.yaml", `${maker}-iso`);
    const serial = await said(join(iso, `${maker}.iso`), "--firmware", firmware);
    expect(serial).toMatch(/root: \S+ \/ overlay rw/);
    expect(serial).toContain(` /run/${place} iso9660 ro,`);
    expect(serial).toContain("write: yes");
  });
});

describe("a unified kernel image", () => {
  it("starts a live system from a FAT volume that holds nothing else but its root image", async () => {
    await using place = await workplace();
    const stick = join(place.root, "stick.img");
    await writeFile(stick, "");
    await truncate(stick, 128 * 1024 * 1024);
    const make = (program: string, ...args: readonly string[]): void =>
      expect(spawnSync(program, args, { encoding: "utf8" }).status, `${program} ${args.join(" ")}`).toBe(0);
    make("mkfs.vfat", "-F", "32", stick);
    make("mmd", "-i", stick, "::/EFI", "::/EFI/BOOT", "::/live");
    make("mcopy", "-i", stick, join(await outputOf("live-init.yaml", "unified"), "linux.efi"), "::/EFI/BOOT/BOOTX64.EFI");
    make("mcopy", "-i", stick, join(await outputOf("live-init.yaml", "image"), "root.squashfs"), "::/live/root.squashfs");
    const serial = await said(stick, "--firmware", "uefi", "--as", "virtio");
    expect(serial).toMatch(/live: medium found on \/dev\/vda/);
    expect(serial).toMatch(/place medium: \/dev\/vda \S+ vfat ro/);
    expect(serial).toContain("write: yes");
  });
});
