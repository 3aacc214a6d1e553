/** The medium: one image that boots by BIOS and UEFI, as a CD and as a USB stick. */
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { encodeFatImage } from "../../formats/fat-image.ts";
import { grubMenu, grubRedirect } from "../boot-menu.ts";
import { stageKind } from "../stage.ts";
import { runTool, toolVersion } from "../tool.ts";

const Options = z.strictObject({
  // Other characters break `root=live:CDLABEL=…` and GRUB's `search --label`.
  volume_id: z.string().regex(/^[A-Z0-9_]{1,32}$/, "expected 1 to 32 of A-Z, 0-9 and _"),
  file: z
    .string()
    .regex(/^[A-Za-z0-9._-]+\.iso$/)
    .describe("Name of the image."),
  title: z.string().min(1).describe("Menu entry."),
  timeout: z.int().min(0).max(3600).default(1).describe("Seconds until the entry is booted."),
  kernel_arguments: z.array(z.string().min(1)).default([]),
  extra_arguments: z.array(z.string().min(1)).default([]).describe("Behind the others."),
  serial_menu: z.boolean().default(true).describe("The menu on the first serial port too."),
  initramfs: z.boolean().default(true).describe("False: the kernel boots without one, and panics."),
});

/** Output: the image, under the name of `file`. */
export const isoStage = stageKind({
  kind: "iso",
  revision: 2,
  options: Options,
  inputs: { root: "required", kernel: "required", initramfs: "required", loaders: "required" },

  async ingredients(_options, { env, job }) {
    return { xorriso: await toolVersion("xorriso", ["-version"], { env, signal: job.signal }) };
  },

  async run(options, { inputs, hash, output, scratch, epochS, env, job }) {
    // Two media in one computer must not be taken for each other: what they are found by is different for each.
    const marker = `.disk/hiperiso-${hash.slice(0, 16)}`;
    const id = Number.parseInt(hash.slice(0, 8), 16);
    const kernelArguments = [`hiperiso.medium=/${marker}`, ...options.kernel_arguments, ...options.extra_arguments];
    const menu = grubMenu({
      title: options.title,
      timeoutS: options.timeout,
      serial: options.serial_menu,
      kernelArguments,
      initramfs: options.initramfs,
    });
    const redirect = grubRedirect(`/${marker}`);
    const efiProgram = await readFile(join(inputs["loaders"]!, "BOOTX64.EFI"));

    const root = join(scratch, "root");
    const put = async (path: string, content: string | Uint8Array): Promise<void> => {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await writeFile(join(root, path), content);
    };
    await put(marker, "");
    await put(".disk/info", `${options.title}\n`);
    await put("boot/grub/grub.cfg", menu);
    await put("EFI/BOOT/BOOTX64.EFI", efiProgram);
    await put("EFI/BOOT/grub.cfg", redirect);
    await mkdir(join(root, "live"));
    await copyFile(join(inputs["kernel"]!, "vmlinuz"), join(root, "boot/vmlinuz"));
    await copyFile(join(inputs["initramfs"]!, "initramfs.cpio.gz"), join(root, "boot/initramfs.cpio.gz"));
    await copyFile(join(inputs["root"]!, "root.squashfs"), join(root, "live/root.squashfs"));
    // xorriso writes the boot information table into this one, so it is a copy.
    await copyFile(join(inputs["loaders"]!, "bios.img"), join(root, "boot/grub/bios.img"));
    const esp = join(scratch, "esp.img");
    await writeFile(esp, espImage(efiProgram, redirect, { epochS, id }));

    const mbr = join(inputs["loaders"]!, "boot_hybrid.img");
    await runTool(
      "xorriso",
      xorrisoArguments({ root, esp, mbr, volumeId: options.volume_id, epochS, id, target: join(output, options.file) }),
      {
        env,
        signal: job.signal,
        variables: { SOURCE_DATE_EPOCH: `${epochS}` },
      },
    );
  },
});

function espImage(efiProgram: Uint8Array, config: string, { epochS, id }: { readonly epochS: number; readonly id: number }): Uint8Array {
  const file = (path: string, content: Uint8Array) => ({ kind: "file" as const, path, mode: 0o644, content });
  return encodeFatImage([file("EFI/BOOT/BOOTX64.EFI", efiProgram), file("EFI/BOOT/grub.cfg", new TextEncoder().encode(config))], {
    volumeBytes: ESP_BYTES,
    label: "ESP",
    serial: id,
    mtimeS: epochS,
  });
}

/** Room for GRUB and its successors. */
const ESP_BYTES = 4 * 1024 * 1024;

interface Medium {
  readonly root: string;
  readonly esp: string;
  readonly mbr: string;
  readonly volumeId: string;
  readonly epochS: number;
  /** 32 bits. */
  readonly id: number;
  readonly target: string;
}

/**
 * xorriso as mkisofs. El Torito entry 1: GRUB for BIOS. The ESP stands behind the ISO as a partition of MBR and GPT, for firmware that
 * boots a stick, and the same bytes are El Torito entry 2, for firmware that boots a CD. The MBR's code loads GRUB on BIOS sticks.
 */
function xorrisoArguments({ root, esp, mbr, volumeId, epochS, id, target }: Medium): readonly string[] {
  return [
    ...["-as", "mkisofs", "-quiet", "-o", target],
    ...["-V", volumeId, "-iso-level", "3", "-R", "-J", "-joliet-long", "-r"],
    ...[`--modification-date=${isoUuid(epochS, id)}`, "--set_all_file_dates", `${utcDigits(epochS)}00`],
    ...["-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info"],
    ...["--grub2-mbr", mbr, "-partition_offset", "16", "--mbr-force-bootable"],
    ...["-append_partition", "2", "0xef", esp, "-appended_part_as_gpt", "--gpt_disk_guid", "modification-date"],
    ...["-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot"],
    root,
  ];
}

/**
 * The volume's "UUID" and the GPT's GUID are its modification date to a hundredth of a second, `YYYYMMDDhhmmsscc`: the epoch's day,
 * at a time that the id picks.
 */
function isoUuid(epochS: number, id: number): string {
  const day = epochS - (epochS % DAY_S);
  return utcDigits(day + (Math.floor(id / 100) % DAY_S)) + `${id % 100}`.padStart(2, "0");
}

const DAY_S = 86_400;

/** `YYYYMMDDhhmmss`. */
function utcDigits(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(/\D/g, "").slice(0, "YYYYMMDDhhmmss".length);
}
