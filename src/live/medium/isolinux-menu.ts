/**
 * isolinux.cfg of a live medium, as text (SYSLINUX 6 "doc/menu.txt", "doc/syslinux.txt"). A value lasts to the end of its line, so nothing
 * is quoted; `^` in a title marks a hot key and is left out.
 */
import { HiperisoError } from "../../contract/error.ts";
import { type BootPaths, kernelLine, type Menu, type MenuEntry } from "./menu.ts";

export function isolinuxMenu(menu: Menu, paths: BootPaths): string {
  const entries = menu.entries.filter((entry) => canBe(entry, paths));
  const standard = menu.entries[menu.standard];
  return [
    ...(menu.serial ? ["SERIAL 0 115200"] : []),
    "UI menu.c32",
    "PROMPT 0",
    `MENU TITLE ${plain(menu.title)}`,
    // Tenths of a second; 0 would wait for ever.
    `TIMEOUT ${Math.max(menu.timeoutS * 10, 1)}`,
    ...(standard === undefined || !entries.includes(standard) ? [] : [`DEFAULT ${standard.id}`]),
    ...entries.flatMap((entry) => entryLines(entry, paths)),
    "",
  ].join("\n");
}

const canBe = (entry: MenuEntry, { memtestBios }: BootPaths): boolean =>
  entry.kind === "linux" || (entry.kind === "memtest" && memtestBios !== undefined);

function entryLines(entry: MenuEntry, paths: BootPaths): readonly string[] {
  const head = ["", `LABEL ${entry.id}`, `  MENU LABEL ${plain(entry.title)}`];
  if (entry.kind !== "linux") return [...head, `  LINUX ${paths.memtestBios}`];
  return [
    ...head,
    `  LINUX ${paths.kernel}`,
    ...(paths.initrd === undefined ? [] : [`  INITRD ${paths.initrd}`]),
    ...(entry.words.length === 0 ? [] : [`  APPEND ${kernelLine(entry.words)}`]),
  ];
}

function plain(text: string): string {
  if (/[\0-\x1f\x7f]/.test(text)) {
    throw new HiperisoError({ what: "write isolinux.cfg", where: "a title", expected: "text without control characters", kind: "usage" });
  }
  return text.replaceAll("^", "");
}
