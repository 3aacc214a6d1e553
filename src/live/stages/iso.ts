/** The medium: one image that boots by BIOS and UEFI, as a CD and as a USB stick. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { efiFiles, espImage } from "../medium/esp.ts";
import { grubLoopback, grubMenu } from "../medium/grub-menu.ts";
import { isoUuid, xorrisoArguments } from "../medium/iso-image.ts";
import { isolinuxMenu } from "../medium/isolinux-menu.ts";
import { IMAGE_FOLDER, markerPath, ownImageFolder } from "../medium/live-arguments.ts";
import { type BootPaths, MenuOptions, menuFaults, planMenu } from "../medium/menu.ts";
import { checkModules, linkOrCopy, loaderFiles, readParts } from "../medium/parts.ts";
import { readSourceTree, sourcePath, treeDigest } from "../source-files.ts";
import { type StageRun, stageKind } from "../stage.ts";
import { runTool, toolVersion } from "../tool.ts";

const Options = z
  .strictObject({
    ...MenuOptions,
    // Other characters break `root=live:CDLABEL=…` and GRUB's `search --label`.
    volume_id: z.string().regex(/^[A-Z0-9_]{1,32}$/, "expected 1 to 32 of A-Z, 0-9 and _"),
    file: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\.iso$/, "expected a name that ends in .iso, of A-Z, a-z, 0-9, dot, _ and -")
      .describe("Name of the image."),
    bios: z.enum(["grub", "isolinux", "none"]).default("grub").describe("Boot loader for BIOS."),
    uefi: z.enum(["grub", "systemd-boot", "none"]).default("grub").describe("Boot loader for UEFI."),
    secure_boot: z.boolean().default(false).describe("Shim and the distribution's signed GRUB for UEFI; the kernel must be signed too."),
    initramfs: z.boolean().default(true).describe("False: the kernel boots without one."),
    modules: z
      .enum(["in-root", "elsewhere"])
      .default("in-root")
      .describe("`elsewhere`: the root file system need not have the kernel's modules."),
    files: z.string().optional().describe("Folder beside the spec whose files go onto the medium as they are, beside the root image."),
    checksums: z.boolean().default(false).describe("A list of the files' SHA-256 at /sha256sum.txt, for `sha256sum -c` on the medium."),
  })
  .superRefine((options, context) => {
    const faults = [
      ...menuFaults(options),
      ...(options.bios === "none" && options.uefi === "none"
        ? [{ path: ["uefi"], message: "a medium boots by BIOS, by UEFI or by both" }]
        : []),
      ...(options.secure_boot && options.uefi !== "grub" ? [{ path: ["secure_boot"], message: "it needs `uefi: grub`" }] : []),
    ];
    for (const { path, message } of faults) context.addIssue({ code: "custom", path: [...path], message });
  });

/** What `contents.json` says of the medium. Paths are from its root, and the same in every image of this kind. */
interface Contents {
  readonly file: string;
  readonly volume_id: string;
  readonly uuid: string;
  readonly marker: string;
  readonly kernel: string;
  readonly initrd: string | null;
  readonly image: string;
  readonly entries: readonly { readonly id: string; readonly title: string; readonly arguments: readonly string[] }[];
}

const KERNEL = "/boot/vmlinuz";
const INITRD = "/boot/initrd.img";

/** Output: the image, under the name of `file`, and `contents.json`. */
export const isoStage = stageKind({
  kind: "iso",
  revision: 3,
  options: Options,
  inputs: { root: "required", kernel: "required", initramfs: "optional", payloads: "optional", loaders: "optional" },

  async ingredients({ files }, { planFolder, env, job }) {
    return {
      xorriso: await toolVersion("xorriso", ["-version"], { env, signal: job.signal }),
      ...(files === undefined ? {} : { files: treeDigest(await readSourceTree(sourcePath(planFolder, files))) }),
    };
  },

  async run(options, run) {
    const { inputs, hash, output, scratch, epochS, env, job, log } = run;
    const parts = await readParts({ root: inputs["root"]!, kernel: inputs["kernel"]!, initramfs: inputs["initramfs"] });
    if (options.modules === "in-root") checkModules(parts);
    const payloads = loaderFiles(inputs["payloads"] ?? inputs["loaders"] ?? "/nonexistent");
    const id = hash.slice(0, 16);
    const serial = Number.parseInt(hash.slice(0, 8), 16);
    const uuid = isoUuid(epochS, serial);
    const { image } = parts;
    const initrd = options.initramfs ? parts.initrd : undefined;
    const medium = { init: parts.init, id, uuid, image: image.name, verity: image.verity?.rootHash };
    const menu = planMenu(options, medium);
    const wantsMemtest = menu.entries.some(({ kind }) => kind === "memtest");
    const memtestBios = wantsMemtest ? await payloads.find("memtest/memtest.bin") : undefined;
    const memtestEfi = wantsMemtest ? await payloads.find("memtest/memtest.efi") : undefined;
    if (wantsMemtest && memtestBios === undefined && memtestEfi === undefined)
      await payloads.need("memtest/memtest.bin", "entries: memtest");
    const paths: BootPaths = {
      kernel: KERNEL,
      initrd: initrd === undefined ? undefined : INITRD,
      memtestBios: memtestBios === undefined ? undefined : "/boot/memtest.bin",
      memtestEfi: memtestEfi === undefined ? undefined : "/boot/memtest.efi",
    };

    const root = join(scratch, "root");
    const put = async (path: string, content: string | Uint8Array): Promise<void> => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    };
    const place = async (path: string, from: string): Promise<void> => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await linkOrCopy(from, join(root, path));
    };
    await mkdir(root);
    if (options.files !== undefined) await putFolder(run, options.files, put);
    await put(markerPath(id), "");
    // By this one a distribution's signed GRUB knows a medium.
    await put(".disk/info", `${options.title}\n`);
    await place(KERNEL, parts.kernel);
    if (initrd !== undefined) await place(INITRD, initrd);
    await place(`${IMAGE_FOLDER}/${image.name}`, image.path);
    // The same file again takes no room: xorriso stores what has one inode once.
    if (parts.init === "live-boot") await place(`${ownImageFolder(id)}/${image.name}`, image.path);
    if (image.verity !== undefined) await place(`${IMAGE_FOLDER}/${image.verity.name}`, image.verity.path);
    if (memtestBios !== undefined) await place("boot/memtest.bin", memtestBios);
    if (memtestEfi !== undefined) await place("boot/memtest.efi", memtestEfi);
    if (options.bios === "grub" || options.uefi === "grub") await put("boot/grub/grub.cfg", grubMenu(menu, paths));
    await put("boot/grub/loopback.cfg", grubLoopback(menu, paths, parts.init));

    let bios: { readonly loader: "grub" | "isolinux"; readonly mbr: string } | undefined;
    // xorriso writes the boot information table into the loader's file, so it is a copy.
    const loader = async (path: string, to: string, because: string) => {
      await mkdir(dirname(join(root, to)), { recursive: true });
      await copyFile(await payloads.need(path, because), join(root, to));
    };
    if (options.bios === "grub") {
      await loader("grub/bios.img", "boot/grub/bios.img", "bios: grub");
      bios = { loader: "grub", mbr: await payloads.need("grub/boot_hybrid.img", "bios: grub") };
    } else if (options.bios === "isolinux") {
      for (const name of ISOLINUX_FILES) await loader(`isolinux/${name}`, `isolinux/${name}`, "bios: isolinux");
      await put("isolinux/isolinux.cfg", isolinuxMenu(menu, paths));
      bios = { loader: "isolinux", mbr: await payloads.need("isolinux/isohdpfx.bin", "bios: isolinux") };
    }
    let esp: string | undefined;
    if (options.uefi !== "none") {
      const wish = { loader: options.uefi, secureBoot: options.secure_boot, id, menu, parts, payloads, initrd: options.initramfs };
      const files = await efiFiles(wish);
      // Some firmware and most multi-image sticks look for these in the ISO itself.
      for (const entry of files) {
        if (entry.kind === "file" && !entry.path.startsWith("live/")) await put(entry.path, entry.content);
      }
      esp = join(scratch, "esp.img");
      await writeFile(esp, espImage(files, { epochS, serial }));
    }
    if (options.checksums) await put("sha256sum.txt", await checksums(root));

    const target = join(output, options.file);
    await runTool("xorriso", xorrisoArguments({ root, esp, bios, volumeId: options.volume_id, epochS, serial, target }), {
      env,
      signal: job.signal,
      variables: { SOURCE_DATE_EPOCH: `${epochS}` },
      log,
    });
    const contents: Contents = {
      file: options.file,
      volume_id: options.volume_id,
      uuid,
      marker: markerPath(id),
      kernel: KERNEL,
      initrd: paths.initrd ?? null,
      image: `${IMAGE_FOLDER}/${image.name}`,
      entries: menu.entries.map((entry) => ({ id: entry.id, title: entry.title, arguments: entry.kind === "linux" ? entry.words : [] })),
    };
    await writeFile(join(output, "contents.json"), `${JSON.stringify(contents, null, 2)}\n`);
  },
});

/** The menu that needs no graphics, and what it is linked against. */
const ISOLINUX_FILES = ["isolinux.bin", "ldlinux.c32", "libcom32.c32", "libutil.c32", "menu.c32"];

async function putFolder(
  { planFolder }: StageRun,
  folder: string,
  put: (path: string, content: Uint8Array) => Promise<void>,
): Promise<void> {
  for (const entry of await readSourceTree(sourcePath(planFolder, folder))) {
    if (entry.kind === "file") await put(entry.path, entry.content);
  }
}

/** Of every file but the loader for BIOS, into which xorriso writes where it stands. */
async function checksums(root: string): Promise<string> {
  const lines: string[] = [];
  const visit = async (folder: string): Promise<void> => {
    const entries = await readdir(join(root, folder), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) await visit(path);
      else if (entry.isFile() && path !== "boot/grub/bios.img" && path !== "isolinux/isolinux.bin") {
        const hash = createHash("sha256");
        await pipeline(createReadStream(join(root, path)), hash);
        lines.push(`${hash.digest("hex")}  ./${path}\n`);
      }
    }
  };
  await visit("");
  return lines.join("");
}
