import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { type BootMenu, grubMenu, grubRedirect } from "../../src/live/boot-menu.ts";

const check = (script: string) => spawnSync("grub-script-check", [], { input: script, encoding: "utf8" });
const hasReferee = check("true\n").status === 0;

const MENU: BootMenu = {
  title: "it's {a} $title",
  timeoutS: 1,
  serial: true,
  kernelArguments: ["console=ttyS0,115200", "a=$(b); reboot"],
  initramfs: true,
};

describe("grub.cfg", () => {
  test("starts the kernel with each argument as one word", () => {
    expect(grubMenu(MENU)).toContain("  linux /boot/vmlinuz 'console=ttyS0,115200' 'a=$(b); reboot'\n  initrd /boot/initramfs.cpio.gz\n");
    expect(grubMenu(MENU)).toContain("menuentry 'it'\\''s {a} $title' {");
  });

  test("has the serial terminal for BIOS alone, and no initrd, where so asked", () => {
    expect(grubMenu(MENU)).toMatch(/= pc \]; then\n {2}serial --unit=0 --speed=115200\n/);
    expect(grubMenu({ ...MENU, serial: false })).not.toContain("serial");
    expect(grubMenu({ ...MENU, initramfs: false })).not.toContain("initrd");
  });

  test.skipIf(!hasReferee)("is taken by GRUB's own parser", () => {
    for (const script of [grubMenu(MENU), grubMenu({ ...MENU, serial: false, initramfs: false }), grubRedirect("/.disk/it's")]) {
      expect(check(script).stderr).toBe("");
      expect(check(script).status).toBe(0);
    }
  });
});
