import type { Rule } from "../rule.ts";

export const BOOT_LOADER_RULES: readonly Rule[] = [
  {
    id: "bootloader/grub-rescue",
    kind: "bootloader_error",
    severity: "fatal",
    stage: "bootloader",
    domain: "bootloader",
    pattern: /^grub rescue>/,
    explanation: "GRUB did not find its own modules and configuration, and waits at its rescue prompt.",
    hint: "Check that GRUB's prefix names a partition and folder that exist: type `set` and `ls` at the prompt.",
    matches: ["grub rescue>"],
    ignores: ["grub-rescue-pc is installed"],
  },
  {
    id: "bootloader/grub-error",
    kind: "bootloader_error",
    severity: "error",
    stage: "bootloader",
    domain: "bootloader",
    pattern:
      /^error: (?:file `[^']{0,200}' not found|invalid magic number|you need to load the kernel first|no such (?:device|partition|disk)|unknown filesystem|disk `[^']{0,80}' not found|out of memory|bad shim signature|no server is specified|can't find command)/,
    explanation: "GRUB could not carry out a command of its menu entry.",
    hint: "Check that the file or device it names exists in the image, under that very name.",
    matches: ["error: file `/boot/vmlinuz' not found.", "error: you need to load the kernel first.", "error: no such device: 1234-ABCD."],
    ignores: ["error: no suitable video mode found."],
  },
];
