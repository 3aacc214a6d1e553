import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeSyslinuxConfig } from "../../src/formats/syslinux-config.ts";
import { runSyslinuxMenu, type SyslinuxEntry } from "../../src/formats/syslinux-run.ts";

const CFG = "/isolinux/isolinux.cfg";

const menuOf = (text: string, files: Readonly<Record<string, string>> = {}) =>
  runSyslinuxMenu(CFG, async (path, maxBytes) => {
    const found = path === CFG ? text : files[path];
    return found === undefined || found.length > maxBytes ? undefined : new TextEncoder().encode(found);
  });

const shown = ({ title, submenus, boot }: SyslinuxEntry): string =>
  `${[...submenus, title].join(" > ")}: ${boot.kind === "other" ? boot.does : [boot.kernel, ...boot.initrds, boot.arguments].join(" ").trim()}`;

describe("menus of SYSLINUX", () => {
  it.each([
    ["LABEL a\n KERNEL /k\n APPEND x=1 initrd=/i,/j y", ["a: /k /i /j x=1 y"]],
    ["label a\n  linux k\n  initrd i\n  append x", ["a: /isolinux/k /isolinux/i x"]],
    [
      "append all\nlabel a\nkernel k\nlabel b\nkernel k\nappend own\nlabel c\nkernel k\nappend -",
      ["a: /isolinux/k all", "b: /isolinux/k own", "c: /isolinux/k"],
    ],
    ["LABEL a\r\n MENU LABEL ^Try it\r\n KERNEL /k\r\n", ["Try it: /k"]],
    ["label a\nkernel /k append\ntext help\nlabel no\nendtext\nlabel b\nkernel /k", ["a: /k append", "b: /k"]],
    ["label a\nkernel \\boot\\k\nlabel b\nkernel ../k", ["a: /boot/k", "b: /k"]],
    ["label a\nmenu hide\nkernel /k\nlabel b\nmenu disabled\nkernel /k\nlabel c\nmenu separator\nkernel /k", ["c: /k"]],
    ["label linux", ["linux: /isolinux/linux"]],
    [
      "label a\ncom32 reboot.c32\nlabel b\nkernel chain.c32\nlabel c\nlocalboot 0\nlabel d\nkernel memtest.bin",
      [
        "a: restarts the computer",
        "b: starts a module of SYSLINUX, chain.c32",
        "c: starts the next disk",
        "d: starts a boot sector, memtest.bin",
      ],
    ],
    ["label a\nlinux memtest.bin", ["a: /isolinux/memtest.bin"]],
    ["label a\nkernel mboot.c32\nappend xen.gz --- vmlinuz --- initrd", ["a: starts a module of SYSLINUX, mboot.c32"]],
    ["label a\ncom32 linux.c32\nappend k x initrd=i", ["a: /isolinux/k /isolinux/i x"]],
    [
      "menu begin more\nmenu title More ^things\nlabel a\nkernel /k\nmenu begin\nmenu title Deep\nlabel b\nkernel /k\nmenu end\nmenu end\nlabel c\nkernel /k",
      ["More things > a: /k", "More things > Deep > b: /k", "c: /k"],
    ],
  ])("%j", async (text, expected) => {
    expect((await menuOf(text)).entries.map(shown)).toEqual(expected);
  });

  it.each([
    ["label a\nkernel /k\nlabel b\nkernel /k", "a"],
    ["default b\nlabel a\nkernel /k\nlabel b\nkernel /k", "b"],
    ["default B x=1\nlabel a\nkernel /k\nlabel b\nkernel /k", "b"],
    ["default vesamenu.c32\nlabel a\nkernel /k\nlabel b\nmenu default\nkernel /k", "b"],
    ["ui menu.c32\ndefault a\nlabel a\nkernel /k\nlabel b\nmenu default\nkernel /k", "b"],
  ])("%j starts %s by itself", async (text, expected) => {
    expect((await menuOf(text)).standard?.name).toBe(expected);
  });

  it("follows includes, menu modules with a file, and configurations; names count from the first one's folder", async () => {
    const files = {
      "/isolinux/a.cfg": "include b/c.cfg\nlabel a\nkernel k",
      "/isolinux/b/c.cfg": "label c\nkernel k",
      "/isolinux/adv.cfg": "label adv\nkernel k\nmenu begin\nmenu title Back\nlabel x\nmenu exit\nmenu end",
      "/other/o.cfg": "label o\nkernel k",
    };
    const text = [
      "include a.cfg",
      "menu include none.cfg",
      "label more",
      "menu label Advanced",
      "kernel vesamenu.c32",
      "append ~ adv.cfg",
      "label other",
      "config /other/o.cfg /other",
      "label back",
      "kernel menu.c32",
      "append isolinux.cfg",
    ].join("\n");
    const menu = await menuOf(text, files);
    expect(menu.entries.map(shown)).toEqual(["c: /isolinux/k", "a: /isolinux/k", "Advanced > adv: /isolinux/k", "o: /other/k"]);
    expect(menu.entries[1]?.source).toBe("/isolinux/a.cfg");
    expect(menu.notes).toEqual(["/isolinux/none.cfg: no such file"]);
  });

  it.each([
    ["includes itself", "label a\nkernel /k\ninclude isolinux.cfg", /more than 16 files/],
    ["includes itself twice", "label a\nkernel /k\ninclude isolinux.cfg\ninclude isolinux.cfg", /more than 16 files/],
    ["leads to itself", "label a\nkernel /k\nlabel b\nconfig isolinux.cfg", undefined],
    ["opens menus for ever", `label a\nkernel /k\n${"menu begin\n".repeat(1000)}`, /menus in each other/],
    ["has labels for ever", "label a\nkernel /k\n".repeat(2000), /more than 500 labels/],
  ])("one that %s ends, and what was found stays", async (_name, text, note) => {
    const menu = await menuOf(text);
    expect(menu.entries.length).toBeGreaterThanOrEqual(1);
    expect(menu.entries.length).toBeLessThanOrEqual(500);
    if (note !== undefined) expect(menu.notes.join()).toMatch(note);
  });

  it("takes every order of lines, and every text", async () => {
    const line = fc.constantFrom(
      ...[
        "label a",
        "label b",
        "kernel k",
        "linux k",
        "append initrd=a,b c",
        "append -",
        "initrd i",
        "menu begin",
        "menu end",
        "menu title t",
      ],
      ...[
        "menu label ^x",
        "include isolinux.cfg",
        "include b.cfg",
        "default a",
        "ui menu.c32 b.cfg",
        "config b.cfg",
        "kernel menu.c32",
        "text help",
      ],
      ...["endtext", "menu default", "menu hide", "localboot 1", "com32 whichsys.c32", "", "label", "kernel", "append", "default"],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 30 }), fc.array(line, { maxLength: 10 }), async (one, other) => {
        const menu = await menuOf(one.join("\n"), { "/isolinux/b.cfg": other.join("\n") });
        expect(menu.entries.length).toBeLessThanOrEqual(500);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii", maxLength: 300 }), (text) => {
        expect(decodeSyslinuxConfig(text).length).toBeLessThanOrEqual(301);
      }),
    );
  });
});
