/** grub.cfg of a live medium, as text. */
import { grubWord } from "../formats/escape-grub.ts";

export interface BootMenu {
  readonly title: string;
  readonly timeoutS: number;
  /** Menu and kernel messages on the first serial port too. */
  readonly serial: boolean;
  readonly kernelArguments: readonly string[];
  /** Without an initramfs the kernel is on its own. */
  readonly initramfs: boolean;
}

export function grubMenu({ title, timeoutS, serial, kernelArguments, initramfs }: BootMenu): string {
  // UEFI firmware puts its console on the serial port by itself; GRUB's own serial terminal beside it would print all twice.
  const terminals = serial
    ? [
        'if [ "$grub_platform" = pc ]; then',
        "  serial --unit=0 --speed=115200",
        "  terminal_input serial console",
        "  terminal_output serial console",
        "fi",
      ]
    : [];
  const line = ["linux", "/boot/vmlinuz", ...kernelArguments.map((argument) => grubWord(argument))].join(" ");
  return [
    ...terminals,
    `set timeout=${timeoutS}`,
    "set default=0",
    "",
    `menuentry ${grubWord(title)} {`,
    `  ${line}`,
    ...(initramfs ? ["  initrd /boot/initramfs.cpio.gz"] : []),
    "}",
    "",
  ].join("\n");
}

/** The short one beside the EFI program: finds the medium by a file that only it has, then reads the menu from there. */
export function grubRedirect(markerPath: string): string {
  return [
    `search --no-floppy --set=root --file ${grubWord(markerPath)}`,
    "set prefix=($root)/boot/grub",
    "configfile $prefix/grub.cfg",
    "",
  ].join("\n");
}
