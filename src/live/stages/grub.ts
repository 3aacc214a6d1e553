/** GRUB's images for BIOS and UEFI, made from the modules of its packages. */
import { access, copyFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { lookForTool } from "../../host/tools.ts";
import type { Environment } from "../../host/xdg.ts";
import { readSourceTree, treeDigest } from "../source-files.ts";
import { stageKind } from "../stage.ts";
import { runTool, toolVersion } from "../tool.ts";

const Options = z.strictObject({
  modules: z.array(z.string()).describe("Modules built into both images."),
  bios_modules: z.array(z.string()).default([]),
  efi_modules: z.array(z.string()).default([]),
});

/** Where distributions put GRUB's modules. */
const MODULE_FOLDERS = ["/usr/lib/grub", "/usr/share/grub2", "/usr/share/grub"];

/**
 * Output: `bios.img` (El Torito, also the core that the MBR loads), `boot_hybrid.img` (MBR code), `BOOTX64.EFI`.
 * The BIOS image reads /boot/grub/grub.cfg of the medium that it came from; the EFI one /EFI/BOOT/grub.cfg beside it.
 */
export const grubStage = stageKind({
  kind: "grub",
  revision: 1,
  options: Options,
  inputs: {},

  async ingredients(_options, { env, job }) {
    const [bios, efi] = await grubFolders();
    return {
      "grub-mkimage": await toolVersion(await mkimage(env), ["--version"], { env, signal: job.signal }),
      // Packages of one GRUB version differ in their patches, and the modules may be of another package than the tool.
      "GRUB modules for BIOS": treeDigest(await readSourceTree(bios)),
      "GRUB modules for UEFI": treeDigest(await readSourceTree(efi)),
    };
  },

  async run({ modules, bios_modules, efi_modules }, { output, env, job }) {
    const [bios, efi] = await grubFolders();
    const make = async (format: string, folder: string, prefix: string, name: string, list: readonly string[]) => {
      const args = ["--format", format, "--directory", folder, "--prefix", prefix, "--output", join(output, name), ...list];
      await runTool(await mkimage(env), args, { env, signal: job.signal });
    };
    await make("i386-pc-eltorito", bios, "/boot/grub", "bios.img", [...modules, ...bios_modules]);
    await make("x86_64-efi", efi, "/EFI/BOOT", "BOOTX64.EFI", [...modules, ...efi_modules]);
    await copyFile(join(bios, "boot_hybrid.img"), join(output, "boot_hybrid.img"));
  },
});

async function mkimage(env: Environment): Promise<string> {
  return (await lookForTool("grub-mkimage", env)) === undefined && (await lookForTool("grub2-mkimage", env)) !== undefined
    ? "grub2-mkimage"
    : "grub-mkimage";
}

const grubFolders = async (): Promise<readonly [bios: string, efi: string]> => [
  await grubFolder("i386-pc", "boot_hybrid.img"),
  await grubFolder("x86_64-efi", "moddep.lst"),
];

async function grubFolder(platform: string, file: string): Promise<string> {
  for (const parent of MODULE_FOLDERS) {
    const folder = join(parent, platform);
    if (
      await access(join(folder, file)).then(
        () => true,
        () => false,
      )
    )
      return folder;
  }
  throw new HiperisoError({
    what: "find GRUB's modules",
    where: platform,
    expected: `a folder with ${file} in ${MODULE_FOLDERS.join(", ")}`,
    found: "none",
    hint:
      platform === "i386-pc"
        ? "On Debian and Ubuntu: apt-get install grub-pc-bin"
        : "On Debian and Ubuntu: apt-get install grub-efi-amd64-bin",
  });
}
