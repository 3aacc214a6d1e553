/** Options that the stages `iso` and `disk` have in common. */
import { z } from "zod";
import { MenuOptions, menuFaults } from "./menu.ts";

export const ModulesOption = z
  .enum(["in-root", "elsewhere"])
  .default("in-root")
  .describe("`elsewhere`: the root file system need not have the kernel's modules.");

export const MediumOptions = {
  ...MenuOptions,
  uefi: z.enum(["grub", "systemd-boot", "none"]).default("grub").describe("Boot loader for UEFI."),
  secure_boot: z.boolean().default(false).describe("Shim and the distribution's signed GRUB for UEFI; the kernel must be signed too."),
  initramfs: z.boolean().default(true).describe("False: the kernel boots without one."),
  modules: ModulesOption,
  files: z.string().min(1).optional().describe("Folder beside the spec whose files go onto the medium as they are."),
};

type Given = Pick<z.infer<z.ZodObject<typeof MediumOptions>>, "entries" | "default" | "uefi" | "secure_boot"> & { readonly bios: string };

/** What is wrong with options that fit each by itself. */
export function mediumFaults(options: Given): ReturnType<typeof menuFaults> {
  return [
    ...menuFaults(options),
    ...(options.bios === "none" && options.uefi === "none"
      ? [{ path: ["uefi"], message: "a medium boots by BIOS, by UEFI or by both" }]
      : []),
    ...(options.secure_boot && options.uefi !== "grub" ? [{ path: ["secure_boot"], message: "it needs `uefi: grub`" }] : []),
  ];
}

/** For `superRefine`. */
export function checkMedium(options: Given, context: z.RefinementCtx): void {
  for (const { path, message } of mediumFaults(options)) context.addIssue({ code: "custom", path: [...path], message });
}
