/** The EFI system partition of a live medium: its files, and its bytes as a FAT volume that is the same each time. */
import { readFile } from "node:fs/promises";
import { encodeFatImage } from "../../formats/fat-image.ts";
import type { TreeEntry } from "../../formats/file-tree.ts";
import { grubRedirect } from "./grub-menu.ts";
import { markerPath } from "./live-arguments.ts";
import type { MediumFile } from "./medium-file.ts";
import type { Menu } from "./menu.ts";
import type { LoaderFiles, MediumParts } from "./parts.ts";
import { systemdBootMenu } from "./systemd-boot-menu.ts";

export type EfiLoader = "grub" | "systemd-boot";

export interface EfiWish {
  readonly loader: EfiLoader;
  /** Shim and a GRUB that the distribution has signed. */
  readonly secureBoot: boolean;
  readonly id: string;
  readonly menu: Menu;
  readonly parts: MediumParts;
  readonly payloads: LoaderFiles;
  readonly initrd: boolean;
}

/**
 * Folders in which a distribution's signed GRUB looks for its configuration: its own prefix is built in, and no other file can be put
 * beside a program that is signed.
 */
const SIGNED_PREFIXES = [
  "EFI/BOOT",
  "EFI/debian",
  "EFI/ubuntu",
  "EFI/fedora",
  "EFI/opensuse",
  "EFI/centos",
  "EFI/redhat",
  "EFI/almalinux",
  "EFI/rocky",
];

export async function efiFiles(wish: EfiWish): Promise<readonly MediumFile[]> {
  const { loader, secureBoot, id, payloads } = wish;
  if (loader === "systemd-boot") return await systemdBootFiles(wish);
  const config = text(grubRedirect(markerPath(id)));
  if (!secureBoot) {
    const program = await payloads.need("grub/BOOTX64.EFI", "uefi: grub");
    return [file("EFI/BOOT/BOOTX64.EFI", program), fileOf("EFI/BOOT/grub.cfg", config)];
  }
  const because = "secure_boot: true";
  const manager = await payloads.find("shim/mmx64.efi");
  return [
    file("EFI/BOOT/BOOTX64.EFI", await payloads.need("shim/BOOTX64.EFI", because)),
    file("EFI/BOOT/grubx64.efi", await payloads.need("shim/grubx64.efi", because)),
    ...(manager === undefined ? [] : [file("EFI/BOOT/mmx64.efi", manager)]),
    ...SIGNED_PREFIXES.map((folder) => fileOf(`${folder}/grub.cfg`, config)),
  ];
}

/** It reads nothing but this volume, so kernel and initramfs stand on it a second time. */
async function systemdBootFiles({ menu, parts, payloads, initrd }: EfiWish): Promise<readonly MediumFile[]> {
  const memtest = menu.entries.some(({ kind }) => kind === "memtest") ? await payloads.find("memtest/memtest.efi") : undefined;
  const withInitrd = initrd ? parts.initrd : undefined;
  const paths = {
    kernel: "/live/vmlinuz",
    initrd: withInitrd === undefined ? undefined : "/live/initrd.img",
    memtestBios: undefined,
    memtestEfi: memtest === undefined ? undefined : "/EFI/memtest.efi",
  };
  const program = await payloads.need("systemd-boot/systemd-bootx64.efi", "uefi: systemd-boot");
  return [
    file("EFI/BOOT/BOOTX64.EFI", program),
    ...(memtest === undefined ? [] : [file("EFI/memtest.efi", memtest)]),
    ...(parts.unified === undefined ? [] : [file("EFI/Linux/linux.efi", parts.unified)]),
    file("live/vmlinuz", parts.kernel),
    ...(withInitrd === undefined ? [] : [file("live/initrd.img", withInitrd)]),
    ...systemdBootMenu(menu, paths).map((entry) => fileOf(entry.path, text(entry.text))),
  ];
}

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const fileOf = (path: string, from: Uint8Array): MediumFile => ({ path, from });
const file = (path: string, from: string): MediumFile => ({ path, from: { file: from } });

/** Of a volume with GRUB alone: room for its successors. */
const ESP_BYTES_MIN = 4 * 1024 * 1024;
/** Folders and both FATs. */
const ESP_BYTES_OWN = 256 * 1024;

export async function espImage(
  files: readonly MediumFile[],
  { epochS, serial }: { readonly epochS: number; readonly serial: number },
): Promise<Uint8Array> {
  const tree: TreeEntry[] = [];
  let bytes = 0;
  for (const { path, from } of files) {
    const content = from instanceof Uint8Array ? from : await readFile(from.file);
    bytes += content.length;
    tree.push({ kind: "file", path, mode: 0o644, content });
  }
  const isSmall = bytes + ESP_BYTES_OWN <= ESP_BYTES_MIN;
  return encodeFatImage(tree, { ...(isSmall ? { volumeBytes: ESP_BYTES_MIN } : {}), label: "ESP", serial, mtimeS: epochS });
}
