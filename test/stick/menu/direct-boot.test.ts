import { expect, test } from "vitest";
import type { ImageFacts } from "../../../src/image/image-facts.ts";
import type { BootEntry, BootMenus } from "../../../src/image/menus/boot-entry.ts";
import { DIRECT_FAMILIES, directWords, isDirectPath, planDirectBoot } from "../../../src/stick/menu/direct-boot.ts";

interface Wish {
  readonly kernel?: string;
  readonly initrd?: string;
  readonly line?: string;
  readonly version?: string;
  readonly configs?: readonly string[];
  readonly kind?: ImageFacts["kind"];
}

/** What the reader of images would say: its own tests hold it to real ones. */
function factsOf({ kernel, initrd, version = "6.1.0-13-amd64", configs = [], kind = "iso9660" }: Wish): ImageFacts {
  const file = { volume: "iso9660@0", sizeBytes: 1, offset: 0 };
  return {
    kind,
    kernels: kernel === undefined ? [] : [{ ...file, path: kernel, version }],
    initrds: initrd === undefined ? [] : [{ ...file, path: initrd }],
    bootConfigs: configs.map((path) => ({ ...file, path, loader: "grub" })),
  } as unknown as ImageFacts;
}

function menusOf({ kernel, initrd, line }: Wish): BootMenus {
  if (kernel === undefined || line === undefined) return { entries: [], standard: null, notes: [] };
  const part = (path: string) => ({ volume: "iso9660@0", path, startBytes: 0, sizeBytes: 1 });
  const entry = {
    kernel: part(kernel),
    initrds: initrd === undefined ? [] : [part(initrd)],
    arguments: line,
    whyNot: null,
  } as unknown as BootEntry;
  return { entries: [entry], standard: entry, notes: [] };
}

const plan = (wish: Wish) => planDirectBoot(factsOf(wish), menusOf(wish));

const PLACE = { path: "/ISOs/x.iso", uuid: "1234-ABCD", label: "LABEL" };

test.each([
  ["Ubuntu", "casper", { kernel: "/casper/vmlinuz", initrd: "/casper/initrd", line: "quiet splash ---" }, "quiet splash boot=casper iso-scan/filename=/ISOs/x.iso fsck.mode=skip ---"],
  ["an older Ubuntu", "casper", { kernel: "/casper/vmlinuz.efi", initrd: "/casper/initrd.lz", line: "boot=casper only-ubiquity --- quiet" }, "boot=casper only-ubiquity iso-scan/filename=/ISOs/x.iso fsck.mode=skip --- quiet"],
  ["Debian live", "debian-live", { kernel: "/live/vmlinuz-6.1.0-13-amd64", initrd: "/live/initrd.img-6.1.0-13-amd64", line: "boot=live components quiet findiso=" }, "boot=live components quiet findiso=/ISOs/x.iso"],
  ["Clonezilla", "clonezilla", { kernel: "/live/vmlinuz", initrd: "/live/initrd.img", line: "boot=live components ocs_live_run=x" }, "boot=live components ocs_live_run=x findiso=/ISOs/x.iso toram=live,syslinux"],
  ["Fedora live", "dracut-live", { kernel: "/images/pxeboot/vmlinuz", initrd: "/images/pxeboot/initrd.img", line: "root=live:CDLABEL=F-39 rd.live.image quiet" }, "root=live:CDLABEL=F-39 rd.live.image quiet iso-scan/filename=/ISOs/x.iso"],
  ["Arch", "arch", { kernel: "/arch/boot/x86_64/vmlinuz-linux", initrd: "/arch/boot/x86_64/initramfs-linux.img", line: "archisobasedir=arch archisolabel=A" }, "archisobasedir=arch archisolabel=A img_dev=/dev/disk/by-uuid/1234-ABCD img_loop=/ISOs/x.iso"],
  ["a live system of ours", "hiperiso", { kernel: "/boot/vmlinuz", initrd: "/boot/initrd.img", line: "hiperiso.medium=/.disk/x" }, "hiperiso.medium=/.disk/x iso-scan/filename=/ISOs/x.iso"],
  ["antiX by its places", "antix", { kernel: "/antiX/vmlinuz", initrd: "/antiX/initrd.gz" }, "fromiso=/ISOs/x.iso buuid=1234-ABCD"],
  ["a memory test", "kernel", { kernel: "/memtest", line: "" }, ""],
])("%s", (_, family, wish, words) => {
  const direct = plan(wish);
  expect(direct).toMatchObject({ can: true, family, kernel: wish.kernel });
  expect(direct.can && directWords(direct.words, PLACE).join(" ")).toBe(words);
}); // biome-ignore format: rows

test("an image with a menu for being a file says so", () => {
  const wish = { kernel: "/live/vmlinuz", initrd: "/live/initrd.img", line: "boot=live", configs: ["/boot/grub/loopback.cfg"] };
  expect(plan(wish)).toMatchObject({ can: true, hasLoopbackConfig: true });
});

test.each([
  ["a disk", { kind: "disk" as const }, /only an ISO/],
  ["Debian's installer", { kernel: "/install.amd/vmlinuz", initrd: "/install.amd/initrd.gz", line: "vga=788" }, /looks for a CD drive/],
  ["a kernel that knows no exFAT", { kernel: "/casper/vmlinuz", initrd: "/casper/initrd", line: "x", version: "5.4.0-42-generic" }, /kernel, 5\.4, reads no exFAT/],
  ["one that nobody knows", { kernel: "/x/kernel", initrd: "/x/initrd", line: "root=/dev/sr0" }, /not known/],
])("%s is not started directly, and it is said why", (_, wish, because) => {
  const direct = plan(wish);
  expect(direct).toMatchObject({ can: false });
  expect(!direct.can && direct.because).toMatch(because);
}); // biome-ignore format: rows

test("the first kernel that reads exFAT", () => {
  const wish = { kernel: "/casper/vmlinuz", initrd: "/casper/initrd", line: "" };
  expect(plan({ ...wish, version: "5.6.19" })).toMatchObject({ can: false });
  expect(plan({ ...wish, version: "5.7.0" })).toMatchObject({ can: true });
  expect(plan({ ...wish, version: "" })).toMatchObject({ can: true });
});

test("names with blanks or quotes are none for the scripts of an initramfs", () => {
  expect(["/ISOs/a.iso", "/ISOs/ü$x.iso"].every(isDirectPath)).toBe(true);
  expect(["/ISOs/a b.iso", "/ISOs/it's.iso", '/a"b.iso', "/a\\b.iso"].some(isDirectPath)).toBe(false);
});

test("each family is one of its own, and says either its words or why not", () => {
  expect(new Set(DIRECT_FAMILIES.map(({ id }) => id)).size).toBe(DIRECT_FAMILIES.length);
  for (const { words, whyNot, kernels, ownWord } of DIRECT_FAMILIES) {
    expect(words.length > 0).toBe(whyNot === undefined);
    expect(kernels.length > 0 || ownWord !== undefined).toBe(true);
  }
});
