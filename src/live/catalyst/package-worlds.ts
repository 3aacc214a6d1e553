/** What differs between distributions where a spec of catalyst leaves it to Gentoo: names of packages, groups of a desktop's user, who starts services. */

export const PACKAGE_WORLDS = ["portage", "apt"] as const;
export type PackageWorld = (typeof PACKAGE_WORLDS)[number];

export interface World {
  readonly name: string;
  /** Taken where the spec names no kernel that comes built. */
  readonly kernel: string;
  /** Names of packages that hold a built kernel. */
  readonly builtKernel: RegExp;
  /** For our own initramfs, and for dracut's. */
  readonly busybox: readonly string[];
  readonly dracut: readonly string[];
  /** GRUB for BIOS and for UEFI. */
  readonly loaders: readonly string[];
  readonly userGroups: readonly string[];
  readonly services: "openrc" | "systemd";
}

export const WORLDS: Readonly<Record<PackageWorld, World>> = {
  portage: {
    name: "Portage's",
    kernel: "sys-kernel/gentoo-kernel-bin",
    builtKernel: /(?:^|\/)(?:gentoo|vanilla)-kernel(?:-bin)?(?:[-:].*)?$/,
    busybox: ["sys-apps/busybox"],
    dracut: ["sys-kernel/dracut"],
    loaders: ["sys-boot/grub"],
    userGroups: ["users", "wheel", "audio", "plugdev", "games", "cdrom", "disk", "floppy", "usb"],
    services: "openrc",
  },
  apt: {
    name: "apt's",
    kernel: "linux-image-amd64",
    builtKernel: /^linux-image-/,
    busybox: ["busybox-static"],
    dracut: ["dracut-core", "dracut-live"],
    loaders: ["grub-pc-bin", "grub-efi-amd64-bin"],
    userGroups: ["users", "sudo", "audio", "video", "plugdev", "games", "cdrom", "disk", "floppy"],
    services: "systemd",
  },
};

/** Portage names packages with their category: `sys-apps/less`; nobody else does. */
export const worldOf = (packages: readonly string[]): PackageWorld => (packages.some((name) => name.includes("/")) ? "portage" : "apt");
