/**
 * Starting an image's own kernel without QEMU: the image stays a file on the data partition, and the kernel is told where, in the words of its
 * distribution. One table: the menu's script looks through it when a person opens an image, and `planDirectBoot` decides by what `inspect` finds.
 *
 * In `words` stand for what is known at the boot alone: {P} the image's path from the data partition's root, {U} the UUID of that partition's file
 * system, {L} the volume label of the image.
 */
import type { ImageFacts } from "../../image/image-facts.ts";
import type { BootEntry, BootMenus } from "../../image/menus/boot-entry.ts";

export interface DirectFamily {
  readonly id: string;
  /** For a person. */
  readonly name: string;
  /** One of these is in an image of this family; `*` for the rest of a name. Empty: only the image's own menu can say it. */
  readonly kernels: readonly string[];
  readonly initrds: readonly string[];
  /** All of these are there, too. */
  readonly markers?: readonly string[];
  /** A word of the image's own menu that says it; undefined: the kernel's place does. */
  readonly ownWord?: RegExp;
  /** Without the image's own menu at hand. */
  readonly base: readonly string[];
  /** How the image is found as a file. */
  readonly words: readonly string[];
  /** Why it cannot be done; then there are no words. */
  readonly whyNot?: string;
}

const DRACUT = ["iso-scan/filename={P}"];
const ARCH = ["img_dev=/dev/disk/by-uuid/{U}", "img_loop={P}"];
const LIVE_KERNELS = ["/live/vmlinuz", "/live/vmlinuz-*", "/live/vmlinuz[0-9]*"];
const LIVE_INITRDS = ["/live/initrd.img", "/live/initrd.img-*", "/live/initrd[0-9]*"];

/** The first that fits holds. */
export const DIRECT_FAMILIES: readonly DirectFamily[] = [
  {
    id: "hiperiso",
    name: "a live system of hiperiso",
    kernels: [],
    initrds: [],
    ownWord: /^hiperiso\.medium=/,
    base: [],
    words: ["iso-scan/filename={P}"],
  },
  {
    id: "casper",
    name: "Ubuntu and its kin",
    kernels: ["/casper/vmlinuz", "/casper/vmlinuz.efi", "/casper/hwe-vmlinuz"],
    initrds: ["/casper/initrd", "/casper/initrd.lz", "/casper/initrd.gz", "/casper/initrd.img", "/casper/hwe-initrd"],
    ownWord: /^boot=casper$/,
    base: ["boot=casper"],
    words: ["iso-scan/filename={P}", "fsck.mode=skip"],
  },
  {
    id: "clonezilla",
    name: "Clonezilla live",
    kernels: LIVE_KERNELS,
    initrds: LIVE_INITRDS,
    markers: ["/Clonezilla-Live-Version"],
    ownWord: /^ocs_live_run=/,
    base: ["boot=live", "components", "union=overlay", "username=user"],
    words: ["findiso={P}", "toram=live,syslinux"],
  },
  {
    id: "gparted",
    name: "GParted live",
    kernels: LIVE_KERNELS,
    initrds: LIVE_INITRDS,
    markers: ["/GParted-Live-Version"],
    base: ["boot=live", "components", "union=overlay", "username=user"],
    words: ["findiso={P}", "toram=filesystem.squashfs"],
  },
  {
    id: "debian-live",
    name: "Debian live and its kin",
    kernels: LIVE_KERNELS,
    initrds: LIVE_INITRDS,
    ownWord: /^boot=live$/,
    base: ["boot=live", "components"],
    words: ["findiso={P}"],
  },
  {
    id: "debian-installer",
    name: "the installer of Debian",
    kernels: ["/install.amd/vmlinuz", "/install/vmlinuz", "/install.386/vmlinuz"],
    initrds: [],
    base: [],
    words: [],
    whyNot: "the installer on a CD of Debian looks for a CD drive alone",
  },
  {
    id: "dracut-live",
    name: "Fedora live and its kin",
    kernels: ["/images/pxeboot/vmlinuz", "/boot/x86_64/loader/linux", "/boot/vmlinuz"],
    initrds: ["/images/pxeboot/initrd.img", "/boot/x86_64/loader/initrd", "/boot/initrd"],
    markers: ["/LiveOS/squashfs.img"],
    ownWord: /^root=live:/,
    base: ["root=live:CDLABEL={L}", "rd.live.image"],
    words: DRACUT,
  },
  {
    id: "anaconda",
    name: "the installer of Fedora and its kin",
    kernels: ["/images/pxeboot/vmlinuz"],
    initrds: ["/images/pxeboot/initrd.img"],
    markers: ["/images/install.img"],
    ownWord: /^inst\.(stage2|repo)=/,
    base: ["inst.stage2=hd:LABEL={L}"],
    words: DRACUT,
  },
  {
    id: "arch",
    name: "Arch Linux",
    kernels: ["/arch/boot/x86_64/vmlinuz-linux"],
    initrds: ["/arch/boot/x86_64/initramfs-linux.img"],
    ownWord: /^archisobasedir=arch$/,
    base: ["archisobasedir=arch"],
    words: ARCH,
  },
  {
    id: "systemrescue",
    name: "SystemRescue",
    kernels: ["/sysresccd/boot/x86_64/vmlinuz"],
    initrds: ["/sysresccd/boot/x86_64/sysresccd.img"],
    ownWord: /^archisobasedir=sysresccd$/,
    base: ["archisobasedir=sysresccd"],
    words: ARCH,
  },
  {
    id: "manjaro",
    name: "Manjaro",
    kernels: ["/boot/vmlinuz-x86_64"],
    initrds: ["/boot/initramfs-x86_64.img"],
    markers: ["/manjaro"],
    ownWord: /^misobasedir=/,
    base: ["misobasedir=manjaro", "misolabel={L}"],
    words: ARCH,
  },
  {
    id: "opensuse",
    name: "the installer of openSUSE",
    kernels: ["/boot/x86_64/loader/linux"],
    initrds: ["/boot/x86_64/loader/initrd"],
    base: [],
    words: ["isofrom_device=/dev/disk/by-uuid/{U}", "isofrom_system={P}"],
  },
  {
    id: "gentoo",
    name: "Gentoo",
    kernels: ["/boot/gentoo"],
    initrds: ["/boot/gentoo.igz"],
    markers: ["/image.squashfs"],
    ownWord: /^cdroot$/,
    base: ["root=/dev/ram0", "init=/linuxrc", "dokeymap", "looptype=squashfs", "loop=/image.squashfs", "cdroot"],
    words: ["isoboot={P}"],
  },
  {
    id: "antix",
    name: "antiX and MX",
    kernels: ["/antiX/vmlinuz"],
    initrds: ["/antiX/initrd.gz"],
    base: [],
    words: ["fromiso={P}", "buuid={U}"],
  },
  {
    id: "porteus",
    name: "Porteus",
    kernels: ["/boot/syslinux/vmlinuz"],
    initrds: ["/boot/syslinux/initrd.xz"],
    markers: ["/porteus"],
    base: [],
    words: ["from={P}"],
  },
];

/** By the convention of such media: with `root` on the image and `iso_path` naming its file, this is its menu. */
export const LOOPBACK_CONFIG = "/boot/grub/loopback.cfg";

export type DirectBoot =
  | {
      readonly can: true;
      readonly family: string;
      readonly kernel: string;
      readonly initrds: readonly string[];
      /** With {P}, {U} and {L} in them. */
      readonly words: readonly string[];
      /** The image has a menu for being started so, with more choices. */
      readonly hasLoopbackConfig: boolean;
    }
  | { readonly can: false; readonly because: string };

const no = (because: string): DirectBoot => ({ can: false, because });

/** Linux reads exFAT since this version. */
const EXFAT_SINCE = [5, 7] as const;

/** `menus`: of this image. Whether its initramfs has the driver of exFAT nobody looks at: then it does not find itself, and says so. */
export function planDirectBoot(facts: ImageFacts, menus: BootMenus): DirectBoot {
  if (facts.kind !== "iso9660") return no("only an ISO can be started from where it lies as a file");
  const hasLoopbackConfig = facts.bootConfigs.some(({ path }) => path.toLowerCase() === LOOPBACK_CONFIG);
  const entry = menus.standard ?? menus.entries.find(({ whyNot, kernel }) => whyNot === null && kernel !== null);
  const fromMenu = entry === undefined ? undefined : byMenu(entry);
  const found = fromMenu ?? byPlace(facts);
  if (found === undefined) return no("of its distribution it is not known how it is started from a file");
  if ("because" in found) return no(found.because);
  const { version } = facts.kernels.find(({ path }) => path === found.kernel) ?? { version: "" };
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version) ?? [];
  const tooOld = major !== undefined && (Number(major) - EXFAT_SINCE[0] || Number(minor) - EXFAT_SINCE[1]) < 0;
  if (tooOld) return no(`its kernel, ${major}.${minor}, reads no exFAT, where the image lies: Linux does since ${EXFAT_SINCE.join(".")}`);
  return { can: true, ...found, hasLoopbackConfig };
}

interface FoundDirect {
  readonly family: string;
  readonly kernel: string;
  readonly initrds: readonly string[];
  readonly words: readonly string[];
}

function byMenu({ kernel, initrds, whyNot, arguments: line }: BootEntry): FoundDirect | { readonly because: string } | undefined {
  if (kernel === null || whyNot !== null || kernel.startBytes !== 0 || !kernel.volume.startsWith("iso9660@")) return undefined;
  const own = line.split(" ").filter((word) => word !== "");
  const family =
    DIRECT_FAMILIES.find(({ ownWord }) => ownWord !== undefined && own.some((word) => ownWord.test(word))) ??
    // What else has to be there, a menu does not tell.
    DIRECT_FAMILIES.find(({ kernels, markers }) => markers === undefined && kernels.some((pattern) => matches(pattern, kernel.path)));
  if (family === undefined) {
    // Nothing that looks for its medium: a memory test, an installer that comes over the network.
    return initrds.length === 0 ? { family: "kernel", kernel: kernel.path, initrds: [], words: own } : undefined;
  }
  if (family.whyNot !== undefined) return { because: family.whyNot };
  const initrdPaths = initrds.map(({ path }) => path);
  const more = own.some((word) => family.ownWord?.test(word) === true) ? family.words : [...family.base, ...family.words];
  const names = new Set(more.map(nameOf));
  // Behind `---` casper's words are those of the installed system.
  const end = own.includes("---") ? own.indexOf("---") : own.length;
  const before = own.slice(0, end).filter((word) => !names.has(nameOf(word)));
  return { family: family.id, kernel: kernel.path, initrds: initrdPaths, words: [...before, ...more, ...own.slice(end)] };
}

function byPlace({ kernels, initrds }: ImageFacts): FoundDirect | { readonly because: string } | undefined {
  for (const family of DIRECT_FAMILIES) {
    // What else has to be there, the facts do not tell.
    if (family.markers !== undefined) continue;
    const kernel = kernels.find(
      ({ path, volume }) => volume.startsWith("iso9660@") && family.kernels.some((pattern) => matches(pattern, path)),
    );
    if (kernel === undefined) continue;
    if (family.whyNot !== undefined) return { because: family.whyNot };
    const initrd = initrds.find(({ path }) => family.initrds.some((pattern) => matches(pattern, path)));
    if (initrd === undefined) continue;
    return { family: family.id, kernel: kernel.path, initrds: [initrd.path], words: [...family.base, ...family.words] };
  }
  return undefined;
}

const nameOf = (word: string): string => word.split("=", 1)[0] ?? word;

/** `*`: the rest of a name; `[0-9]`: a digit. */
function matches(pattern: string, path: string): boolean {
  const source = pattern.replace(/[.*+?^${}()|\\]/g, (letter) => (letter === "*" ? "[^/]*" : `\\${letter}`));
  return new RegExp(`^${source}$`, "i").test(path);
}

export interface DirectPlace {
  /** From the data partition's root. */
  readonly path: string;
  readonly uuid: string;
  /** Of the image. */
  readonly label: string;
}

export const directWords = (words: readonly string[], { path, uuid, label }: DirectPlace): readonly string[] =>
  words.map((word) => word.replace(/\{([PUL])\}/g, (_, name) => ({ P: path, U: uuid, L: label })[name as "P" | "U" | "L"]));

/** The scripts of an initramfs split its words at blanks, and know nothing of the boot loader's quoting. */
export const isDirectPath = (path: string): boolean => !/[\s"'\\]/.test(path);
