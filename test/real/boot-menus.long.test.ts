import { execFileSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeCpio } from "../../src/formats/cpio.ts";
import { encodeFatImage } from "../../src/formats/fat-image.ts";
import { wordsOf } from "../formats/grub-world.ts";
import { buildUnified } from "../image/menus/real-menus.ts";
import { bootWords, demoImage, onlySession, run, workplace } from "./harness.ts";

/** The demo image's files in a folder, and what its kernel is told to find its medium. */
async function unpackedDemo(folder: string): Promise<{ readonly image: string; readonly medium: string }> {
  const image = await demoImage("silent");
  execFileSync("xorriso", ["-osirrox", "on", "-indev", image, "-extract", "/", folder], { stdio: "pipe" });
  execFileSync("chmod", ["-R", "u+w", folder]);
  const menu = await readFile(join(folder, "boot/grub/grub.cfg"), "utf8");
  return { image, medium: /hiperiso\.medium=[^\s']+/.exec(menu)?.[0] ?? "none" };
}

describe("kernels out of other menus", () => {
  it("of ISOLINUX: a submenu's entry by its title, two initrds, names relative to the menu", async () => {
    await using place = await workplace();
    const folder = join(place.root, "files");
    const { medium } = await unpackedDemo(folder);
    for (const name of ["boot/grub", "EFI"]) await rm(join(folder, name), { recursive: true });
    await mkdir(join(folder, "isolinux"));
    await writeFile(join(folder, "isolinux/isolinux.cfg"), "include menu.cfg\ndefault vesamenu.c32\n");
    // The kernel unpacks one archive after the other: the later file of a name stays.
    const init = await readFile(new URL("../../live/demo/initramfs/init", import.meta.url), "utf8");
    const content = new TextEncoder().encode(init.replace("mount -t proc", 'echo "init of the second archive"\nmount -t proc'));
    await writeFile(join(folder, "isolinux/extra.img"), encodeCpio([{ kind: "file", path: "init", mode: 0o755, content }], { mtimeS: 0 }));
    await writeFile(
      join(folder, "isolinux/menu.cfg"),
      `menu begin more\nmenu title More\nlabel demo\n  menu label ^The demo\n  kernel ../boot/vmlinuz\n  append initrd=/boot/initrd.img,extra.img ${medium} console=tty0\nmenu end\nlabel local\n  localboot 0\n`,
    );
    const image = join(place.root, "isolinux.iso");
    execFileSync("xorriso", ["-as", "mkisofs", "-quiet", "-R", "-V", "ISOLINUX", "-o", image, folder], { stdio: "pipe" });
    const { status, stderr } = await run(bootWords(image, place.logs, "--entry", "the demo"));
    expect(status, stderr).toBe(0);
    const { serial, session } = onlySession(place.logs);
    expect(session.result).toBe("success");
    expect(serial).toContain("init of the second archive");
    expect(serial).toContain("hiperiso-demo login:");
  });

  it("of systemd-boot, and a unified kernel image: an ESP, its system on a disk beside it", async () => {
    await using place = await workplace();
    const folder = join(place.root, "files");
    const { image: system, medium } = await unpackedDemo(folder);
    const [kernel, initrd] = await Promise.all(
      ["boot/vmlinuz", "boot/initrd.img"].map(async (name) => new Uint8Array(await readFile(join(folder, name)))),
    );
    const text = (content: string) => new TextEncoder().encode(content);
    const files = {
      "loader/loader.conf": text("default demo*\n"),
      "loader/entries/demo.conf": text(`title Demo\nlinux /vmlinuz\ninitrd /initrd.img\noptions ${medium}\noptions hiperiso.by=entry\n`),
      vmlinuz: kernel!,
      "initrd.img": initrd!,
      "EFI/Linux/demo.efi": buildUnified({
        ".cmdline": text(`${medium} hiperiso.by=uki`),
        ".osrel": text('PRETTY_NAME="Unified"\n'),
        ".linux": kernel!,
        ".initrd": initrd!,
      }),
    };
    const esp = join(place.root, "esp.img");
    await writeFile(
      esp,
      encodeFatImage(
        Object.entries(files).map(([path, content]) => ({ kind: "file", path, mode: 0o644, content })),
        { label: "ESP", serial: 1, mtimeS: 1_767_225_600 },
      ),
    );
    for (const [entry, by] of [
      ["demo", "entry"],
      ["Unified", "uki"],
    ] as const) {
      const logs = join(place.root, `logs-${by}`);
      const { status, stderr } = await run(bootWords(esp, logs, "--entry", entry, "--disk", system));
      expect(status, stderr).toBe(0);
      const { serial } = onlySession(logs);
      expect(serial).toMatch(new RegExp(`Command line: .*hiperiso\\.by=${by} console=tty0 console=ttyS0`));
      expect(serial).toContain("hiperiso-demo login:");
    }
  });

  it("UEFI firmware hands over to it as well", async () => {
    await using place = await workplace();
    const { status, stderr } = await run(bootWords(await demoImage("silent"), place.logs, "--kernel-from-iso", "--firmware", "uefi"));
    expect(status, stderr).toBe(0);
    expect(onlySession(place.logs).session).toMatchObject({ result: "success", firmware: "uefi" });
  });
});

describe("an image in memory", () => {
  it("boots from a copy, which is gone afterwards", async () => {
    await using place = await workplace();
    const image = await demoImage();
    const { status, stderr } = await run(bootWords(image, place.logs, "--boot-mode", "memdisk"));
    expect(status, stderr).toBe(0);
    const { directory, session } = onlySession(place.logs);
    expect(session.result).toBe("success");
    expect(await readFile(join(directory, "qemu.cmdline"), "utf8")).toMatch(/file\.filename=\/proc\/\d+\/fd\/\d+/);
  });
});

describe("GRUB itself is the referee", () => {
  /** What stands before, and words: what they come to. Of modules only those that the demo image's GRUB holds. */
  const CASES: readonly (readonly [before: string, words: string])[] = [
    ["set a='x y'", "$a"],
    ["set a='x  y'", '"$a"'],
    ["set a='x  y'", "b\x24{a}c"],
    ["set a=' x '", "b\x24{a}c"],
    ["a=1", "$a$a"],
    ["set a=1 b=2", "$b$a"],
    ["", "1 $none 2"],
    ["", '1 "$none" 2'],
    ["set a=1; unset a", "x$a"],
    ["if [ x ]; then set a=1; fi", "$a"],
    ["if frobnicate; then set a=1; else set a=2; fi", "$a"],
    ["if [ '' ]; then set a=1; elif [ x ]; then set a=2; else set a=3; fi", "$a"],
    ["if [ '' ]; then set a=1; else set a=3; fi", "$a"],
    ["for i in 1 2 3; do set a=$a$i; done", "$a"],
    ["for i in 1 2 3; do if [ $i = 2 ]; then continue; fi; set a=$a$i; done", "$a"],
    ["for i in 1 2 3; do for j in a b; do set a=$a$i$j; break 2; done; done", "$a"],
    ["while [ x$a != xaaa ]; do set a=a$a; done", "$a"],
    ["until [ x$a = xaaa ]; do set a=a$a; done", "$a"],
    ["function f {\n set a=$1-$#; shift; set b=$1; return 3; set b=no\n}\nf x y z; set c=$?", "$a $b $c"],
    ['function g {\n setparams q r; set a="$*"\n}\ng 1', '"$a"'],
    ['function h {\n for i in "$@"; do set a="$a<$i>"; done\n}\nh "x y" z', '"$a"'],
    ["if [ a = a -a b = c ]; then a=1; else a=2; fi", "$a"],
    ["if [ a = a -o b = c ]; then a=1; else a=2; fi", "$a"],
    ["if [ ! -e /none -a -f /boot/grub/grub.cfg -a -d /boot ]; then a=1; else a=2; fi", "$a"],
    ["if [ 3 -lt 10 -a hd2 -plt hd10 -a 0x10 -eq 16 ]; then a=1; else a=2; fi", "$a"],
    ["if [ -n '' -o -z x ]; then a=1; else a=2; fi", "$a"],
    ["if [ '(' a = b -o b = b ')' -a c = c ]; then a=1; else a=2; fi", "$a"],
    ["if [ -s /boot/vmlinuz ]; then a=1; else a=2; fi", "$a"],
    ["if [ '' ]; then a=1; else a=2; fi", "$a"],
    ["if test a '<' b; then a=1; else a=2; fi", "$a"],
    ["", "'a b'\"c d\"e\\ f"],
    ["", '"a\\"b\\\\c\\d"'],
    ["set a=q", "\"\\$a $a\" '$a'"],
    ["search --no-floppy --set=a --file /boot/vmlinuz; if [ -f ($a)/boot/vmlinuz ]; then a=found; fi", "$a"],
    ["search --no-floppy --set=a --file /none; set b=$?", "_$a"],
  ];

  it("words, loops, functions and conditions come to the same", async () => {
    await using place = await workplace();
    const script = [
      "serial --unit=0 --speed=115200",
      "terminal_output serial",
      ...CASES.flatMap(([before, words], index) => [
        "unset a; unset b; unset c; unset i; unset j",
        before,
        `echo "<<${index}:" ${words} ":${index}>>"`,
      ]),
      "echo END-OF-CASES",
      "halt",
    ].join("\n");
    await writeFile(join(place.root, "grub.cfg"), script);
    const image = join(place.root, "referee.iso");
    const map = ["-map", join(place.root, "grub.cfg"), "/boot/grub/grub.cfg"];
    execFileSync("xorriso", ["-indev", await demoImage(), "-outdev", image, "-boot_image", "any", "replay", ...map], { stdio: "pipe" });
    const { status, stderr } = await run(bootWords(image, place.logs, "--firmware", "bios", "--as", "cd", "--until", "text:END-OF-CASES"));
    expect(status, stderr).toBe(0);
    const { serial } = onlySession(place.logs);
    const files = { "/boot/vmlinuz": "k" };
    const shown = serial.replace(/\x1b\[[0-9;]*[A-Za-z]|\r|\n/g, "");
    const theirs = CASES.map(([before, words], index) => [before, words, new RegExp(`<<${index}: (.*?) :${index}>>`).exec(shown)?.[1]]);
    const ours = await Promise.all(CASES.map(async ([before, words]) => [before, words, (await wordsOf(before, words, files)).join(" ")]));
    expect(ours).toEqual(theirs);
  });
});
