import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeKernelCommandLine } from "../../../src/formats/kernel-command-line.ts";
import { decodeLoaderEntry, decodeLoaderSettings } from "../../../src/formats/loader-entry.ts";
import { decodeSyslinuxConfig } from "../../../src/formats/syslinux-config.ts";
import { isolinuxMenu } from "../../../src/live/medium/isolinux-menu.ts";
import type { BootPaths, Menu } from "../../../src/live/medium/menu.ts";
import { systemdBootMenu } from "../../../src/live/medium/systemd-boot-menu.ts";

const PATHS: BootPaths = {
  kernel: "/boot/vmlinuz",
  initrd: "/boot/initrd.img",
  memtestBios: "/boot/memtest.bin",
  memtestEfi: "/EFI/memtest.efi",
};
const MENU: Menu = {
  title: "a ^system",
  timeoutS: 0,
  standard: 1,
  serial: true,
  entries: [
    { kind: "linux", id: "live", title: "Live ^one", words: ["quiet", "a=b c"] },
    { kind: "linux", id: "toram", title: "in memory", words: [] },
    { kind: "memtest", id: "memtest", title: "Memory test" },
    { kind: "firmware", id: "firmware", title: "Firmware settings" },
  ],
};

const labelsOf = (text: string) => decodeSyslinuxConfig(text).flatMap((command) => (command.kind === "label" ? [command.label] : []));

describe("isolinux.cfg", () => {
  test("has the entries that BIOS can start, with title, time, default and serial port", () => {
    expect(isolinuxMenu(MENU, PATHS)).toBe(
      `SERIAL 0 115200
UI menu.c32
PROMPT 0
MENU TITLE a system
TIMEOUT 1
DEFAULT toram

LABEL live
  MENU LABEL Live one
  LINUX /boot/vmlinuz
  INITRD /boot/initrd.img
  APPEND quiet "a=b c"

LABEL toram
  MENU LABEL in memory
  LINUX /boot/vmlinuz
  INITRD /boot/initrd.img

LABEL memtest
  MENU LABEL Memory test
  LINUX /boot/memtest.bin
`,
    );
  });

  test("leaves out what is not there", () => {
    const text = isolinuxMenu({ ...MENU, serial: false, standard: 3 }, { ...PATHS, memtestBios: undefined, initrd: undefined });
    expect(text).not.toMatch(/SERIAL|memtest|INITRD|DEFAULT/);
  });

  test("is read back as it was meant, whatever titles and arguments hold", () => {
    const word = fc
      .string({ minLength: 1, maxLength: 20, unit: fc.constantFrom(..."abc=\"'\\$ {};#^,.é") })
      .filter((text) => text.trim() !== "");
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 4 }), (title, words) => {
        const one: Menu = { ...MENU, standard: 0, entries: [{ kind: "linux", id: "live", title, words }] };
        const [label] = labelsOf(isolinuxMenu(one, PATHS));
        const line = /^ {2}APPEND (.*)$/m.exec(isolinuxMenu(one, PATHS))?.[1] ?? "";
        expect(decodeKernelCommandLine(line).map(({ name, value }) => (value === undefined ? name : `${name}=${value}`))).toEqual(words);
        expect(label?.title?.trim()).toBe(title.replaceAll("^", "").trim());
      }),
    );
  });
});

describe("entries of systemd-boot", () => {
  const files = systemdBootMenu(MENU, PATHS);
  const textOf = (path: string) => files.find((file) => file.path === path)?.text ?? "";

  test("are one file each, in the menu's order, and the loader's settings name the default", () => {
    expect(files.map(({ path }) => path)).toEqual([
      "loader/loader.conf",
      "loader/entries/live.conf",
      "loader/entries/toram.conf",
      "loader/entries/memtest.conf",
    ]);
    expect(textOf("loader/loader.conf")).toBe("default toram.conf\ntimeout 0\neditor yes\nauto-entries no\nauto-firmware yes\n");
    expect(decodeLoaderSettings(textOf("loader/loader.conf")).standard).toBe("toram.conf");
    const sortKeys = files.slice(1).map(({ text }) => decodeLoaderEntry(text).sortKey);
    expect([...sortKeys].sort()).toEqual(sortKeys);
  });

  test("are read back as they were meant", () => {
    expect(decodeLoaderEntry(textOf("loader/entries/live.conf"))).toMatchObject({
      title: "Live ^one",
      kernel: "/boot/vmlinuz",
      initrds: ["/boot/initrd.img"],
    });
    expect(textOf("loader/entries/live.conf")).toContain('\noptions quiet "a=b c"\n');
    expect(textOf("loader/entries/memtest.conf")).toContain("\nefi /EFI/memtest.efi\n");
  });

  test("leave out what is not there", () => {
    const without = systemdBootMenu({ ...MENU, entries: MENU.entries.slice(0, 3) }, { ...PATHS, memtestEfi: undefined, initrd: undefined });
    expect(without.map(({ text }) => text).join("")).not.toMatch(/memtest|initrd|auto-firmware yes/);
  });
});
