import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { memorySource } from "../../../src/image/block-source.ts";
import type { BootEntry, BootMenus } from "../../../src/image/menus/boot-entry.ts";
import { chooseEntry } from "../../../src/image/menus/choose-entry.ts";
import { readBootMenus } from "../../../src/image/menus/read-menus.ts";
import { takeOutFiles } from "../../../src/image/menus/take-out.ts";
import { probeImage } from "../../../src/image/probe.ts";
import { buildBzImage, text } from "../build-image.ts";
import {
  arch,
  buildUnified,
  debianInstaller,
  debianLive,
  fatOf,
  fedora,
  imageOf,
  opensuse,
  ubuntu,
  unifiedSections,
} from "./real-menus.ts";

async function menusOf(bytes: Uint8Array): Promise<BootMenus> {
  const source = memorySource(bytes, "test.iso");
  return await readBootMenus(source, await probeImage(source, quietJob.signal), quietJob.signal);
}

/** "[loader] submenu > title: kernel initrds | arguments", or why not; `*` before what starts by itself. */
const shown = (entry: BootEntry, standard: BootEntry | null): string =>
  [
    entry === standard ? "* " : "",
    `${[...entry.submenus, entry.title].join(" > ")}: `,
    entry.whyNot ?? `${[entry.kernel, ...entry.initrds].map((part) => part?.path).join(" ")} | ${entry.arguments}`,
  ].join("");

const linesOf = ({ entries, standard }: BootMenus, loader?: string) =>
  entries.filter(({ source }) => loader === undefined || source.loader === loader).map((entry) => shown(entry, standard));

describe("menus in the forms of distributions", () => {
  it("Debian live: GRUB with pieces and submenus; ISOLINUX repeats what GRUB has", async () => {
    const menus = await menusOf(debianLive().bytes);
    const live = "/live/vmlinuz-6.1.0-9-amd64 /live/initrd.img-6.1.0-9-amd64";
    expect(linesOf(menus)).toEqual([
      `* Live system (amd64): ${live} | boot=live components quiet splash findiso=`,
      `Live system (amd64 fail-safe mode): ${live} | boot=live components memtest noapic noapm nodma nomce nosmp nosplash vga=788`,
      "Advanced install options ... > Graphical expert install: /install/gtk/vmlinuz /install/gtk/initrd.gz | priority=low vga=788 --- quiet",
      "Utilities... > Memory test: its kernel /live/memtest is not in the image",
      "Utilities... > Firmware setup: it opens the firmware's setup",
    ]);
    expect(menus.entries.map(({ id }) => id)).toEqual([
      "live-system-amd64",
      "live-system-amd64-fail-safe-mode",
      "graphical-expert-install",
      "memory-test",
      "firmware-setup",
    ]);
    expect(menus.notes).toEqual([]);
  });

  it("Ubuntu: arguments behind --- stay there; the loop-back menu adds nothing", async () => {
    const menus = await menusOf(ubuntu().bytes);
    expect(linesOf(menus)).toEqual([
      "* Try or Install: /casper/vmlinuz /casper/initrd | --- quiet splash",
      "Safe graphics: /casper/vmlinuz /casper/initrd | nomodeset --- quiet splash",
      "Test memory: /boot/memtest86+x64.bin | ",
    ]);
  });

  it("Fedora: the same GRUB menu in three places is one; its default counts; ISOLINUX' submenu", async () => {
    const menus = await menusOf(fedora().bytes);
    const start = "/images/pxeboot/vmlinuz /images/pxeboot/initrd.img | root=live:CDLABEL=F-WS-Live-40 rd.live.image";
    expect(linesOf(menus, "grub")).toEqual([
      `Start the live system: ${start} quiet rhgb`,
      `* Test this media & start the live system: ${start} rd.live.check quiet`,
      `Troubleshooting --> > Basic graphics mode: ${start} nomodeset vga=791`,
      "Troubleshooting --> > Boot first drive: it starts another boot loader, (hd0)+1",
    ]);
    const isolinux = "/isolinux/vmlinuz /isolinux/initrd.img | root=live:CDLABEL=F-WS-Live-40 rd.live.image";
    expect(linesOf(menus, "syslinux")).toEqual([
      `Start the live system: ${isolinux} quiet`,
      `Test this media & start: ${isolinux} rd.live.check quiet`,
      `Troubleshooting > Start in basic graphics mode.: ${isolinux} nomodeset quiet`,
      "Troubleshooting > Run a memory test: /isolinux/memtest | ",
      "Troubleshooting > Boot from local drive: it starts the next disk",
    ]);
  });

  it("Arch Linux: SYSLINUX goes on by its medium; systemd-boot's entries in the ISO and its ESP", async () => {
    const menus = await menusOf(arch().bytes);
    const files = "/arch/boot/x86_64/vmlinuz-linux /arch/boot/x86_64/initramfs-linux.img";
    expect(linesOf(menus, "syslinux")).toEqual([
      `* Install medium (x86_64, BIOS): ${files} | archisobasedir=arch archisosearchuuid=2026-01-01-00-00-00-00`,
      "Boot existing OS: it starts a module of SYSLINUX, chain.c32",
      "Run Memtest86+ (RAM test): /boot/memtest86+/memtest | ",
      "Reboot: it restarts the computer",
      "Power Off: it turns the computer off",
    ]);
    const entries = menus.entries.filter(({ source }) => source.loader === "systemd-boot");
    expect(entries.map((entry) => [entry.source.volume.split("@")[0], entry.id, entry.standard, entry.whyNot])).toEqual([
      ["iso9660", "01-archiso-linux", true, null],
      ["iso9660", "02-archiso-speech-linux", false, null],
      ["iso9660", "03-archiso-memtest86-x64", false, "it starts another EFI program, /boot/memtest86+/memtest.efi"],
      ["fat12", "01-archiso-linux-2", true, null],
      ["fat12", "02-archiso-speech-linux-2", false, null],
    ]);
  });

  it("openSUSE: commands in variables; a menu that starts the hard disk by itself starts the first kernel here", async () => {
    const menus = await menusOf(opensuse().bytes);
    const files = "/boot/x86_64/loader/linux /boot/x86_64/loader/initrd";
    expect(linesOf(menus)).toEqual([
      "Boot from Hard Disk: it goes back to the firmware",
      `* Installation: ${files} | splash=silent`,
      `More ... > Rescue System: ${files} | rescue=1`,
      "harddisk: it starts the next disk",
      `linux: ${files} | splash=silent showopts`,
    ]);
  });

  it("Debian's installer: includes in submenus; the help label lists nothing twice", async () => {
    const menus = await menusOf(debianInstaller().bytes);
    expect(linesOf(menus)).toEqual([
      "* Graphical install: /install.amd/vmlinuz /install.amd/gtk/initrd.gz | vga=788 --- quiet",
      "Advanced options ... > ... Expert install: /install.amd/vmlinuz /install.amd/initrd.gz | priority=low vga=788 ---",
      "Install: /install.amd/vmlinuz /install.amd/initrd.gz | vga=788 --- quiet",
      "Advanced options > Graphical expert install: /install.amd/vmlinuz /install.amd/gtk/initrd.gz | priority=low vga=788 --- quiet",
    ]);
  });

  it("a loop-back menu alone: what says where the image's file lies is left out", async () => {
    const menus = await menusOf(
      imageOf("LOOP", {
        "/k": buildBzImage(),
        "/boot/grub/loopback.cfg": "menuentry A { linux /k findiso=\x24{iso_path} iso-scan/filename=$iso_path x=1 }\n",
      }).bytes,
    );
    expect(linesOf(menus)).toEqual(["* A: /k | x=1"]);
  });

  it("unified kernel images: microcode before the initrd, text from its sections, and what is no such image", async () => {
    const menus = await menusOf(
      fatOf({
        "EFI/Linux/a-2.efi": buildUnified(unifiedSections),
        "EFI/Linux/a-1.efi": buildUnified({ ".linux": text("no kernel"), ".cmdline": text("x") }),
        "loader/entries/u.conf": "title By entry\nuki /EFI/Linux/a-2.efi\noptions own\n",
      }),
    );
    expect(linesOf(menus)).toEqual([
      "* By entry: /EFI/Linux/a-2.efi /EFI/Linux/a-2.efi /EFI/Linux/a-2.efi | own",
      "Test OS 1: /EFI/Linux/a-2.efi /EFI/Linux/a-2.efi /EFI/Linux/a-2.efi | root=/dev/sda1 quiet",
      "a-1.efi: the kernel in /EFI/Linux/a-1.efi is no Linux kernel",
    ]);
  });

  it("kernels and initrds that are not there, or are something else, or cannot be named", async () => {
    const menus = await menusOf(
      imageOf("ODD", {
        "/k": buildBzImage(),
        "/text": "no kernel",
        "/boot/grub/grub.cfg": `menuentry A { linux /k; initrd /none }\nmenuentry B { linux /text }\nmenuentry C { linux /boot }\nmenuentry D { linux /k ${"x".repeat(2100)} }\nmenuentry E { linux /k "a\nb" }\nmenuentry '' { linux /k }\nmenuentry A { linux /k a }\n`,
      }).bytes,
    );
    expect(linesOf(menus)).toEqual([
      "A: its initial RAM file system /none is not in the image",
      "B: /text is no Linux kernel",
      "C: its kernel /boot is not in the image",
      "D: its arguments are no command line of a kernel: too long, or with control characters",
      "E: its arguments are no command line of a kernel: too long, or with control characters",
      "* : /k | ",
      "A: /k | a",
    ]);
    expect(menus.entries.map(({ id }) => id)).toEqual(["a", "b", "c", "d", "e", "entry-6", "a-2"]);
  });

  it("links are followed, as GRUB does it: relative, absolute, through folders; a circle is no file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "hiperiso-links-"));
    try {
      const root = join(folder, "root");
      await mkdir(join(root, "boot/grub"), { recursive: true });
      await mkdir(join(root, "live"));
      await writeFile(join(root, "live/vmlinuz-6.1"), buildBzImage());
      await writeFile(join(root, "live/initrd"), "070701");
      await symlink("vmlinuz-6.1", join(root, "live/vmlinuz"));
      await symlink("../live", join(root, "boot/system"));
      await symlink("/live/initrd", join(root, "boot/initrd"));
      await symlink("b", join(root, "a"));
      await symlink("../../a", join(root, "b"));
      const menu = "menuentry A { linux /boot/system/vmlinuz; initrd /boot/initrd }\nmenuentry B { linux /a }\n";
      await writeFile(join(root, "boot/grub/grub.cfg"), menu);
      const image = join(folder, "links.iso");
      execFileSync("xorriso", ["-as", "mkisofs", "-quiet", "-R", "-o", image, root], { stdio: "pipe" });
      expect(linesOf(await menusOf(new Uint8Array(await readFile(image))))).toEqual([
        "* A: /boot/system/vmlinuz /boot/initrd | ",
        "B: its kernel /a is not in the image",
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("an image without menus has none", async () => {
    expect(await menusOf(imageOf("NONE", { "/readme": "x" }).bytes)).toEqual({ entries: [], standard: null, notes: [] });
  });
});

describe("choosing an entry", () => {
  const menus = () => menusOf(fedora().bytes);

  it.each([
    [undefined, 2],
    ["1", 1],
    ["start-the-live-system", 1],
    ["start the live system", 1],
    ["Troubleshooting -->>Basic graphics mode", 3],
    ["media & start the", 2],
    ["basic graphics mode", 3],
  ])("%s is entry %i", async (wanted, number) => {
    expect(chooseEntry(await menus(), wanted, "x.iso").number).toBe(number);
  });

  it.each([
    ["none", /found "none".*1 "Start the live system"/],
    ["graphics", /which fits 2: 3 .*8 /],
    ["first drive", /found 4 .*starts another boot loader/],
  ])("%s is refused, with what could be meant", async (wanted, message) => {
    const all = await menus();
    expect(() => chooseEntry(all, wanted, "x.iso")).toThrow(message);
  });

  it("an image without an entry that can be started says why", async () => {
    const none = await menusOf(imageOf("NONE", { "/readme": "x" }).bytes);
    expect(() => chooseEntry(none, undefined, "x.iso")).toThrow(/no menu with entries/);
    const xen = await menusOf(imageOf("XEN", { "/boot/grub/grub.cfg": "menuentry X { multiboot2 /xen.gz }" }).bytes);
    expect(() => chooseEntry(xen, undefined, "x.iso")).toThrow(/1 "X": it starts something else than Linux/);
  });
});

describe("taking files out", () => {
  it("the very bytes of kernel and initrds, from a file system or out of a unified image; nothing from a cut image", async () => {
    const folder = await mkdtemp(join(tmpdir(), "hiperiso-take-"));
    try {
      const bytes = fatOf({ "EFI/Linux/a.efi": buildUnified(unifiedSections) });
      const source = memorySource(bytes, "uki.img");
      const facts = await probeImage(source, quietJob.signal);
      const entry = chooseEntry(await readBootMenus(source, facts, quietJob.signal), undefined, "uki.img");
      const taken = await takeOutFiles(source, facts, entry, join(folder, "a"), quietJob);
      expect(new Uint8Array(await readFile(taken.kernel))).toEqual(unifiedSections[".linux"]);
      expect(await Promise.all(taken.initrds.map((path) => readFile(path, "utf8")))).toEqual(["070701 microcode", "070701 and so on"]);

      const cut = memorySource(bytes.subarray(0, Buffer.from(bytes).indexOf("070701 and so on")), "cut.img");
      await expect(takeOutFiles(cut, facts, entry, join(folder, "b"), quietJob)).rejects.toThrow(/the end of the image/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("hostile menus", () => {
  it("an image full of menus that never end is listed all the same, and only some of them are tried", async () => {
    const endless = "menuentry A { linux /k }\nwhile true; do set a=$a$a; true; done\n";
    const files = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`/d${index}/grub.cfg`, endless]));
    const menus = await menusOf(imageOf("ENDLESS", { "/k": buildBzImage(), "/boot/grub/grub.cfg": endless, ...files }).bytes);
    expect(linesOf(menus)).toEqual(["* A: /k | "]);
    expect(menus.notes).toContain("3 menus were stopped at a limit: the others are not read");
  });

  it("a menu that sources and includes itself, by either loader", async () => {
    const menus = await menusOf(
      imageOf("SELF", {
        "/k": buildBzImage(),
        "/boot/grub/grub.cfg": "menuentry A { linux /k a }\nsource /boot/grub/grub.cfg\n",
        "/isolinux/isolinux.cfg": "label b\nkernel /k\nappend b\ninclude isolinux.cfg\n",
      }).bytes,
    );
    expect(linesOf(menus)).toEqual(["* A: /k | a", "b: /k | b"]);
    expect(menus.notes).toEqual([
      expect.stringMatching(/^iso9660@0: the menu stops at a limit: more than 16 files, functions and menus in each other$/),
      expect.stringMatching(/^iso9660@0: the menu stops at a limit: more than 16 files in each other$/),
    ]);
  });
});

describe("damaged images", () => {
  it("any bytes of an image may be changed, or its end missing: there are entries or there are none", async () => {
    const images = [debianLive().bytes, arch().bytes, fatOf({ "EFI/Linux/a.efi": buildUnified(unifiedSections) })];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...images),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 30 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (image, changes, left) => {
          const damaged = image.slice(0, left > 0.5 ? image.length : Math.floor(image.length * left * 2));
          if (damaged.length === 0) return;
          for (const [at, value] of changes) damaged[at % damaged.length] = value;
          const { entries } = await menusOf(damaged);
          for (const entry of entries) expect(entry.whyNot === null ? entry.kernel : entry.whyNot).not.toBeNull();
        },
      ),
      { numRuns: 60 },
    );
  });
});
