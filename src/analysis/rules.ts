import type { Rule } from "./rule.ts";
import { BOOT_LOADER_RULES } from "./rules/boot-loaders.ts";
import { FIRMWARE_RULES } from "./rules/firmware.ts";
import { INIT_RULES } from "./rules/init.ts";
import { KERNEL_RULES } from "./rules/kernel.ts";

/** Every rule of the program. A line is tried against all; where several fit, the first of each kind speaks. */
export const RULES: readonly Rule[] = [...FIRMWARE_RULES, ...BOOT_LOADER_RULES, ...KERNEL_RULES, ...INIT_RULES];
