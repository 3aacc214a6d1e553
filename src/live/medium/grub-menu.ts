/** grub.cfg of a live medium, as text. */
import { grubWord } from "../../formats/escape-grub.ts";
import { imageFileArgument, type LiveInit } from "./live-arguments.ts";
import type { BootPaths, Menu, MenuEntry } from "./menu.ts";

/** Reading it needs GRUB's commands linux, initrd, chainloader, fwsetup, test and serial, each where the menu has an entry for it. */
export function grubMenu(menu: Menu, paths: BootPaths): string {
  // UEFI firmware puts its console on the serial port by itself; GRUB's own serial terminal beside it would print all twice.
  const terminals = menu.serial
    ? [
        'if [ "$grub_platform" = pc ]; then',
        "  serial --unit=0 --speed=115200",
        "  terminal_input serial console",
        "  terminal_output serial console",
        "fi",
      ]
    : [];
  return [...terminals, ...choiceLines(menu), ...menu.entries.flatMap((entry) => entryLines(entry, paths, []))].join("\n");
}

/**
 * loopback.cfg: the menu as another medium's GRUB reads it that has our image as a file. By the convention of such media `root` is the
 * image's file system, and `iso_path` is where the image lies on the medium that carries it (Super Grub Disk, "Loopback.cfg").
 */
export function grubLoopback(menu: Menu, paths: BootPaths, init: LiveInit): string {
  const name = imageFileArgument(init);
  const words = name === undefined ? [] : [`"${name}=\${iso_path}"`];
  return [...choiceLines(menu), ...menu.entries.flatMap((entry) => entryLines(entry, paths, words))].join("\n");
}

/** A menu that is read by `configfile` gets neither of these from the menu before it, and without a timeout waits for a person. */
function choiceLines(menu: Menu): readonly string[] {
  const standard = menu.entries[menu.standard];
  return [`set timeout=${menu.timeoutS}`, `set default=${standard === undefined ? 0 : grubWord(standard.id)}`, ""];
}

/** `more`: words of the script, each for the kernel. */
function entryLines(entry: MenuEntry, paths: BootPaths, more: readonly string[]): readonly string[] {
  const menuEntry = (lines: readonly string[]): readonly string[] => [
    `menuentry ${grubWord(entry.title)} --id ${grubWord(entry.id)} {`,
    ...lines.map((line) => `  ${line}`),
    "}",
    "",
  ];
  const only = (condition: string, lines: readonly string[]): readonly string[] => [
    `if [ ${condition} ]; then`,
    ...menuEntry(lines),
    "fi",
    "",
  ];
  switch (entry.kind) {
    case "linux":
      return menuEntry([
        ["linux", grubWord(paths.kernel), ...entry.words.map((word) => grubWord(word)), ...more].join(" "),
        ...(paths.initrd === undefined ? [] : [`initrd ${grubWord(paths.initrd)}`]),
      ]);
    case "memtest":
      return [
        ...(paths.memtestBios === undefined ? [] : only('"$grub_platform" = pc', [`linux ${grubWord(paths.memtestBios)}`])),
        // It has no signature that firmware with Secure Boot would take.
        ...(paths.memtestEfi === undefined
          ? []
          : only('"$grub_platform" = efi -a "$lockdown" != y', [`chainloader ${grubWord(paths.memtestEfi)}`])),
      ];
    case "firmware":
      return only('"$grub_platform" = efi', ["fwsetup"]);
  }
}

/** The short one beside the EFI program: finds the medium by a file that only it has, then reads the menu from there. */
export function grubRedirect(marker: string): string {
  return [
    `search --no-floppy --set=root --file ${grubWord(marker)}`,
    "set prefix=($root)/boot/grub",
    "configfile $prefix/grub.cfg",
    "",
  ].join("\n");
}
