/** The medium: one image that boots by BIOS and UEFI, as a CD and as a USB stick. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { writtenBehind } from "../../host/write-behind.ts";
import { contentsOf, mediumContent } from "../medium/content.ts";
import { espImage } from "../medium/esp.ts";
import { isoUuid, xorrisoArguments } from "../medium/iso-image.ts";
import { isolinuxMenu } from "../medium/isolinux-menu.ts";
import type { MediumFile } from "../medium/medium-file.ts";
import { checkMedium, MediumOptions } from "../medium/medium-options.ts";
import { type LoaderFiles, linkOrCopy } from "../medium/parts.ts";
import { sourceFolderDigest } from "../medium/source-folder.ts";
import { stageKind } from "../stage.ts";
import { runTool, toolVersion } from "../tool.ts";

const Options = z
  .strictObject({
    ...MediumOptions,
    // Other characters break `root=live:CDLABEL=…` and GRUB's `search --label`.
    volume_id: z.string().regex(/^[A-Z0-9_]{1,32}$/, "expected 1 to 32 of A-Z, 0-9 and _"),
    file: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\.iso$/, "expected a name that ends in .iso, of A-Z, a-z, 0-9, dot, _ and -")
      .describe("Name of the image."),
    bios: z.enum(["grub", "isolinux", "none"]).default("grub").describe("Boot loader for BIOS."),
    checksums: z.boolean().default(false).describe("A list of the files' SHA-256 at /sha256sum.txt, for `sha256sum -c` on the medium."),
  })
  .superRefine(checkMedium);

/** Output: the image, under the name of `file`, and `contents.json`. */
export const isoStage = stageKind({
  kind: "iso",
  revision: 6,
  options: Options,
  inputs: { root: "required", kernel: "required", initramfs: "optional", payloads: "optional", loaders: "optional" },

  async ingredients({ files }, surroundings) {
    const { env, job } = surroundings;
    return {
      xorriso: await toolVersion("xorriso", ["-version"], { env, signal: job.signal }),
      ...(files === undefined ? {} : { files: await sourceFolderDigest(files, surroundings) }),
    };
  },

  async run(options, run) {
    const { hash, output, scratch, epochS, env, job, log } = run;
    const serial = Number.parseInt(hash.slice(0, 8), 16);
    const uuid = isoUuid(epochS, serial);
    const content = await mediumContent({ options, run, uuid, hardLinks: true });
    const { payloads, menu, paths, efi } = content;

    const root = join(scratch, "root");
    // Some firmware and most multi-image sticks look for the EFI programs in the ISO itself. systemd-boot cannot read that.
    const mirrored = options.uefi === "grub" ? efi : [];
    const isolinux = options.bios === "isolinux" ? [{ path: "isolinux/isolinux.cfg", from: utf8(isolinuxMenu(menu, paths)) }] : [];
    const files = [...content.files, ...mirrored, ...isolinux];
    for (const file of files) await place(root, file);
    if (options.checksums) await place(root, { path: "sha256sum.txt", from: utf8(await checksums(files)) });
    const bios = options.bios === "none" ? undefined : { loader: options.bios, mbr: await placeBiosLoader(root, options.bios, payloads) };
    const esp = efi.length === 0 ? undefined : join(scratch, "esp.img");
    if (esp !== undefined) await writeFile(esp, await espImage(efi, { epochS, serial }));

    const target = join(output, options.file);
    const written = xorrisoArguments({ root, esp, bios, volumeId: options.volume_id, epochS, serial, target });
    await writtenBehind(target, () =>
      runTool("xorriso", written, { env, signal: job.signal, variables: { SOURCE_DATE_EPOCH: `${epochS}` }, log }),
    );
    const told = { volume_id: options.volume_id, ...contentsOf(options.file, uuid, content) };
    await writeFile(join(output, "contents.json"), `${JSON.stringify(told, null, 2)}\n`);
  },
});

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A file that another stage made is not copied: xorriso reads it, and stores what has one inode once. */
async function place(root: string, { path, from }: MediumFile): Promise<void> {
  const target = join(root, path);
  await mkdir(dirname(target), { recursive: true });
  if (from instanceof Uint8Array) await writeFile(target, from);
  else await linkOrCopy(from.file, target);
}

const BIOS_FILES = {
  grub: { folder: "boot/grub", files: ["grub/bios.img"], mbr: "grub/boot_hybrid.img" },
  isolinux: {
    folder: "isolinux",
    // The menu that needs no graphics, and what it is linked against.
    files: ["isolinux.bin", "ldlinux.c32", "libcom32.c32", "libutil.c32", "menu.c32"].map((name) => `isolinux/${name}`),
    mbr: "isolinux/isohdpfx.bin",
  },
} as const;

/** Path of the first sector's code. xorriso writes the boot information table into the loader's file, so that one is a copy. */
async function placeBiosLoader(root: string, loader: keyof typeof BIOS_FILES, payloads: LoaderFiles): Promise<string> {
  const { folder, files, mbr } = BIOS_FILES[loader];
  await mkdir(join(root, folder), { recursive: true });
  for (const path of files) {
    await copyFile(await payloads.need(path, `bios: ${loader}`), join(root, folder, path.slice(path.lastIndexOf("/") + 1)));
  }
  return await payloads.need(mbr, `bios: ${loader}`);
}

/** As `sha256sum` writes them, sorted. Not of the loader for BIOS, into which xorriso writes where it stands. */
async function checksums(files: readonly MediumFile[]): Promise<string> {
  const sorted = [...new Map(files.map((file) => [file.path, file])).values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  const lines: string[] = [];
  for (const { path, from } of sorted) {
    const hash = createHash("sha256");
    if (from instanceof Uint8Array) hash.update(from);
    else await pipeline(createReadStream(from.file), hash);
    lines.push(`${hash.digest("hex")}  ./${path}\n`);
  }
  return lines.join("");
}
