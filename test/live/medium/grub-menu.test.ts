import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { grubLoopback, grubMenu, grubRedirect } from "../../../src/live/medium/grub-menu.ts";
import type { BootPaths, Menu } from "../../../src/live/medium/menu.ts";

const check = (script: string) => spawnSync("grub-script-check", [], { input: script, encoding: "utf8" });
const hasReferee = check("true\n").status === 0;

const PATHS: BootPaths = {
  kernel: "/boot/vmlinuz",
  initrd: "/boot/initrd.img",
  memtestBios: "/boot/memtest.bin",
  memtestEfi: "/boot/memtest.efi",
};
const MENU: Menu = {
  title: "a system",
  timeoutS: 1,
  standard: 1,
  serial: true,
  entries: [
    { kind: "linux", id: "live", title: "it's {a} $title", words: ["console=ttyS0,115200", "a=$(b); reboot"] },
    { kind: "linux", id: "toram", title: "in memory", words: ["toram"] },
    { kind: "memtest", id: "memtest", title: "Memory test" },
    { kind: "firmware", id: "firmware", title: "Firmware settings" },
  ],
};

describe("grub.cfg", () => {
  test("starts the kernel with each argument as one word", () => {
    expect(grubMenu(MENU, PATHS)).toContain(
      "  linux '/boot/vmlinuz' 'console=ttyS0,115200' 'a=$(b); reboot'\n  initrd '/boot/initrd.img'\n",
    );
    expect(grubMenu(MENU, PATHS)).toContain("menuentry 'it'\\''s {a} $title' --id 'live' {");
  });

  test("boots the chosen entry by itself, after its time", () => {
    expect(grubMenu(MENU, PATHS)).toContain("set timeout=1\nset default='toram'\n");
  });

  test("has the serial terminal for BIOS alone, and no initrd, where so asked", () => {
    expect(grubMenu(MENU, PATHS)).toMatch(/= pc \]; then\n {2}serial --unit=0 --speed=115200\n/);
    expect(grubMenu({ ...MENU, serial: false }, PATHS)).not.toContain("serial");
    expect(grubMenu(MENU, { ...PATHS, initrd: undefined })).not.toContain("initrd");
  });

  test("offers the memory test where it can start: by BIOS, and by UEFI without Secure Boot", () => {
    const text = grubMenu(MENU, PATHS);
    expect(text).toContain(
      `if [ "$grub_platform" = pc ]; then\nmenuentry 'Memory test' --id 'memtest' {\n  linux '/boot/memtest.bin'\n}\n\nfi\n`,
    );
    expect(text).toContain(
      `if [ "$grub_platform" = efi -a "$lockdown" != y ]; then\nmenuentry 'Memory test' --id 'memtest' {\n  chainloader '/boot/memtest.efi'\n}\n\nfi\n`,
    );
    expect(grubMenu(MENU, { ...PATHS, memtestBios: undefined })).not.toContain("memtest.bin");
    expect(grubMenu(MENU, { ...PATHS, memtestEfi: undefined })).not.toContain("chainloader");
  });

  test("offers the firmware's settings where there is a firmware with settings", () => {
    expect(grubMenu(MENU, PATHS)).toMatch(/= efi \]; then\nmenuentry 'Firmware settings' --id 'firmware' \{\n {2}fwsetup\n\}/);
  });

  test("as loopback.cfg tells the system where its image lies, has its own timeout, and leaves the terminal of the menu before it", () => {
    expect(grubLoopback(MENU, PATHS, "own")).toContain(`'toram' "iso-scan/filename=\${iso_path}"\n`);
    expect(grubLoopback(MENU, PATHS, "live-boot")).toContain(`'toram' "findiso=\${iso_path}"\n`);
    expect(grubLoopback(MENU, PATHS, "dracut")).toContain(`"iso-scan/filename=\${iso_path}"`);
    expect(grubLoopback(MENU, PATHS, "none")).not.toContain("iso_path");
    // Without a timeout of its own a menu that `configfile` reads waits for a person.
    expect(grubLoopback(MENU, PATHS, "own")).toMatch(/^set timeout=\d+\nset default=/);
    expect(grubLoopback({ ...MENU, serial: true }, PATHS, "own")).not.toContain("terminal");
  });

  test("takes no control character into a word", () => {
    expect(() => grubMenu({ ...MENU, entries: [{ kind: "linux", id: "a", title: "a\nreboot", words: [] }] }, PATHS)).toThrow(
      /control characters/,
    );
  });

  test.skipIf(!hasReferee)("is taken by GRUB's own parser", () => {
    const scripts = [grubMenu(MENU, PATHS), grubMenu({ ...MENU, serial: false, entries: [] }, PATHS), grubRedirect("/.disk/it's")];
    for (const script of [...scripts, grubLoopback(MENU, PATHS, "own")]) {
      expect(check(script).stderr).toBe("");
      expect(check(script).status).toBe(0);
    }
  });
});
