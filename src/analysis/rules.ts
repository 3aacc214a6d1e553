import type { Rule } from "./rule.ts";
import { BOOT_LOADER_RULES } from "./rules/boot-loaders.ts";
import { BOOTSTRAP_RULES } from "./rules/bootstrap.ts";
import { FIRMWARE_RULES } from "./rules/firmware.ts";
import { EMERGENCY_RULES, INIT_RULES, INITRAMFS_RULES } from "./rules/init.ts";
import { KERNEL_RULES } from "./rules/kernel.ts";
import { STORAGE_RULES } from "./rules/storage.ts";

/** Every rule of the program. A line may answer several: of those of one kind, the first speaks. */
export const RULES: readonly Rule[] = [
  ...FIRMWARE_RULES,
  ...BOOT_LOADER_RULES,
  ...KERNEL_RULES,
  ...STORAGE_RULES,
  ...INITRAMFS_RULES,
  ...EMERGENCY_RULES,
  ...INIT_RULES,
  ...BOOTSTRAP_RULES,
];
