/** Which entry of an image's menus a person means. Pure. */
import { HiperisoError } from "../../contract/error.ts";
import { printable } from "../../formats/escape-terminal.ts";
import type { BootEntry, BootMenus } from "./boot-entry.ts";

/** An entry that can be started directly. */
export type BootableEntry = BootEntry & { readonly kernel: NonNullable<BootEntry["kernel"]>; readonly whyNot: null };

export const isBootable = (entry: BootEntry): entry is BootableEntry => entry.whyNot === null && entry.kernel !== null;

/**
 * By number, id, title, or a part of a title that only one has, whatever its case; undefined: what the menu starts by itself.
 * Throws (kind `usage`), with what could have been meant, where it is none or one that cannot be started without its boot loader.
 */
export function chooseEntry(menus: BootMenus, wanted: string | undefined, image: string): BootableEntry {
  const bootable = menus.entries.filter(isBootable);
  if (bootable.length === 0) throw nothingToStart(menus, image);
  if (wanted === undefined) {
    const standard = bootable.find((entry) => entry === menus.standard) ?? bootable[0];
    if (standard !== undefined) return standard;
  }
  const found = entriesNamed(menus.entries, wanted ?? "");
  // One title in the menus for two firmwares is one wish.
  const alike = found.every((one) => pathOf(one) === pathOf(found[0]!));
  const entry = found.find(isBootable) ?? found[0];
  if (entry !== undefined && alike) {
    if (isBootable(entry)) return entry;
    throw refused(
      image,
      `an entry whose kernel can be started directly`,
      `${entryName(entry)}: ${entry.whyNot ?? "no kernel"}`,
      `Choose another: ${some(bootable)}; or let the image's own boot loader start it (--boot-mode normal).`,
    );
  }
  throw refused(
    image,
    "the number, id or title of one entry",
    found.length === 0 ? `"${wanted}"` : `"${wanted}", which fits ${found.length}: ${some(found)}`,
    `\`hiperiso inspect\` lists them: ${some(bootable)}.`,
  );
}

const pathOf = ({ title, submenus }: BootEntry): string => [...submenus, title].join(">").toLowerCase();

function entriesNamed(entries: readonly BootEntry[], wanted: string): readonly BootEntry[] {
  const plain = wanted.trim().toLowerCase();
  const tests: readonly ((entry: BootEntry) => boolean)[] = [
    ({ number }) => String(number) === plain,
    ({ id }) => id === plain,
    ({ title }) => title.trim().toLowerCase() === plain,
    (entry) => pathOf(entry) === plain,
    ({ title }) => plain !== "" && title.toLowerCase().includes(plain),
  ];
  for (const test of tests) {
    const found = entries.filter(test);
    if (found.length > 0) return found;
  }
  return [];
}

const SHOWN_MAX = 8;

function some(entries: readonly BootEntry[]): string {
  const names = entries.slice(0, SHOWN_MAX).map(entryName);
  return [...names, ...(entries.length > SHOWN_MAX ? [`and ${entries.length - SHOWN_MAX} more`] : [])].join(", ");
}

/** `2 "Rescue mode"`. */
const entryName = ({ number, title, submenus }: BootEntry): string => `${number} "${printable([...submenus, title].join(" > "))}"`;

function nothingToStart({ entries, notes }: BootMenus, image: string): HiperisoError {
  const found =
    entries.length === 0
      ? `no menu with entries${notes.length === 0 ? "" : ` (${notes.slice(0, 3).join("; ")})`}`
      : entries
          .slice(0, 4)
          .map((entry) => `${entryName(entry)}: ${entry.whyNot ?? ""}`)
          .join("; ");
  return refused(image, "a menu with an entry that starts a Linux kernel", found, "Boot it as its firmware would: leave --boot-mode away.");
}

const refused = (where: string, expected: string, found: string, hint: string): HiperisoError =>
  new HiperisoError({ what: "start an entry of the image's own menu", where, expected, found, hint, kind: "usage" });
