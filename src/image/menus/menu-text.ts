/** The boot menus of an image as lines for people. Harmless on a terminal. */
import { printable } from "../../formats/escape-terminal.ts";
import { section, table } from "../image-text.ts";
import type { BootEntry, BootMenus } from "./boot-entry.ts";

/** Empty where the image has no menus and nothing is to be said of them. */
export function renderBootMenus({ entries, standard, notes }: BootMenus): string {
  const rows = entries.map((entry) => [
    `${entry.number}`,
    entry === standard ? "*" : "",
    entry.id,
    [...entry.submenus, entry.title].join(" > "),
    entry.whyNot === null ? "" : `not directly: ${entry.whyNot}`,
  ]);
  const details = standard === null ? [] : table(detailRows(standard));
  const sections = [
    section("Entries of its boot menus (* starts by itself)", rows.length === 0 ? [] : table(rows)),
    section(`Entry ${standard?.number ?? ""}, started directly by \`hiperiso boot --kernel-from-iso\``, details),
    section(
      "Of the menus was not followed",
      notes.map((note) => printable(note)),
    ),
  ];
  return sections.filter((text) => text !== "").join("\n");
}

function detailRows({ kernel, initrds, arguments: line, source }: BootEntry): readonly (readonly string[])[] {
  return [
    ["menu", `${source.path} in ${source.volume} (${source.loader})`],
    ["kernel", kernel === null ? "" : kernel.path],
    ...initrds.map(({ path }) => ["initrd", path]),
    ["arguments", line],
  ];
}
