/** The files of a live medium, whatever carries them: what an ISO image and a disk image have in common. */
import type { z } from "zod";
import type { StageRun } from "../stage.ts";
import { type EfiLoader, efiFiles } from "./esp.ts";
import { grubLoopback, grubMenu } from "./grub-menu.ts";
import { IMAGE_FOLDER, markerPath, ownImageFolder } from "./live-arguments.ts";
import type { MediumFile } from "./medium-file.ts";
import type { ModulesOption } from "./medium-options.ts";
import { type BootPaths, type Menu, type MenuOptions, planMenu } from "./menu.ts";
import { checkModules, type LoaderFiles, loaderFiles, type MediumParts, readParts } from "./parts.ts";
import { sourceFolder } from "./source-folder.ts";

export interface ContentWish {
  readonly options: MenuOptions & {
    readonly bios: string;
    readonly uefi: EfiLoader | "none";
    readonly secure_boot: boolean;
    readonly initramfs: boolean;
    readonly modules: z.infer<typeof ModulesOption>;
    readonly files?: string | undefined;
  };
  readonly run: StageRun;
  /** Of the file system that holds the root image. */
  readonly uuid: string;
  /** How live-boot's second name of the image is made: by one more name, or instead of the first. */
  readonly hardLinks: boolean;
}

export interface MediumContent {
  readonly id: string;
  readonly parts: MediumParts;
  readonly payloads: LoaderFiles;
  readonly menu: Menu;
  readonly paths: BootPaths;
  readonly files: readonly MediumFile[];
  /** Of the EFI system partition; empty where there is no UEFI. */
  readonly efi: readonly MediumFile[];
}

/** What `contents.json` says of a medium. Paths are from its root, and the same in every medium of ours. */
export interface Contents {
  readonly file: string;
  readonly uuid: string;
  readonly marker: string;
  readonly kernel: string;
  readonly initrd: string | null;
  readonly image: string;
  readonly entries: readonly { readonly id: string; readonly title: string; readonly arguments: readonly string[] }[];
}

const KERNEL = "/boot/vmlinuz";
const INITRD = "/boot/initrd.img";

export async function mediumContent({ options, run, uuid, hardLinks }: ContentWish): Promise<MediumContent> {
  const { inputs, hash, planFolder } = run;
  const parts = await readParts({ root: inputs["root"]!, kernel: inputs["kernel"]!, initramfs: inputs["initramfs"] });
  if (options.modules === "in-root") checkModules(parts);
  const payloads = loaderFiles(inputs["payloads"] ?? inputs["loaders"]);
  // Two media in one computer must not be taken for each other: what they are found by is different for each.
  const id = hash.slice(0, 16);
  const { image } = parts;
  const initrd = options.initramfs ? parts.initrd : undefined;
  const menu = planMenu(options, { init: parts.init, id, uuid, image: image.name, verity: image.verity?.rootHash });
  const memtest = await memtestFiles(menu, payloads);
  const paths: BootPaths = {
    kernel: KERNEL,
    initrd: initrd === undefined ? undefined : INITRD,
    memtestBios: memtest.bios === undefined ? undefined : "/boot/memtest.bin",
    memtestEfi: memtest.efi === undefined ? undefined : "/boot/memtest.efi",
  };
  const own = parts.init === "live-boot";
  const folders = own ? [...(hardLinks ? [IMAGE_FOLDER] : []), ownImageFolder(id)] : [IMAGE_FOLDER];
  const { loader, uefi } = { loader: options.uefi, uefi: options.uefi !== "none" };
  const efi =
    loader === "none"
      ? []
      : await efiFiles({ loader, secureBoot: options.secure_boot, id, menu, parts, payloads, initrd: options.initramfs });
  const files: MediumFile[] = [
    ...(options.files === undefined ? [] : await sourceFolder(planFolder, options.files)),
    bytes(markerPath(id), ""),
    // By this one a distribution's signed GRUB knows a medium.
    bytes(".disk/info", `${options.title}\n`),
    file(KERNEL, parts.kernel),
    ...(initrd === undefined ? [] : [file(INITRD, initrd)]),
    ...folders.flatMap((folder) => [
      file(`${folder}/${image.name}`, image.path),
      ...(image.verity === undefined ? [] : [file(`${folder}/${image.verity.name}`, image.verity.path)]),
    ]),
    ...(memtest.bios === undefined ? [] : [file("boot/memtest.bin", memtest.bios)]),
    ...(memtest.efi === undefined || !uefi ? [] : [file("boot/memtest.efi", memtest.efi)]),
    ...(options.bios === "grub" || options.uefi === "grub" ? [bytes("boot/grub/grub.cfg", grubMenu(menu, paths))] : []),
    bytes("boot/grub/loopback.cfg", grubLoopback(menu, paths, parts.init)),
  ];
  return { id, parts, payloads, menu, paths, files, efi };
}

async function memtestFiles(
  menu: Menu,
  payloads: LoaderFiles,
): Promise<{ readonly bios: string | undefined; readonly efi: string | undefined }> {
  if (menu.entries.every(({ kind }) => kind !== "memtest")) return { bios: undefined, efi: undefined };
  const efi = await payloads.find("memtest/memtest.efi");
  const bios = await payloads.find("memtest/memtest.bin");
  return { efi, bios: efi === undefined && bios === undefined ? await payloads.need("memtest/memtest.bin", "entries: memtest") : bios };
}

const plain = (path: string): string => path.replace(/^\//, "");
const bytes = (path: string, text: string): MediumFile => ({ path: plain(path), from: new TextEncoder().encode(text) });
const file = (path: string, from: string): MediumFile => ({ path: plain(path), from: { file: from } });

export function contentsOf(name: string, uuid: string, { id, menu, paths, files, parts }: MediumContent): Contents {
  return {
    file: name,
    uuid,
    marker: markerPath(id),
    kernel: paths.kernel,
    initrd: paths.initrd ?? null,
    image: `/${files.find(({ path }) => path.endsWith(`/${parts.image.name}`))?.path ?? ""}`,
    entries: menu.entries.map((entry) => ({ id: entry.id, title: entry.title, arguments: entry.kind === "linux" ? entry.words : [] })),
  };
}
