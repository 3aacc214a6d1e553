/** GRUB's commands that add entries to a menu: `menuentry` and `submenu` with their blocks, and Fedora's `blscfg` with its files. */
import { fileOf, readText } from "./grub-files.ts";
import type { GrubCall } from "./grub-frame.ts";
import type { GrubBoot, GrubFile } from "./grub-menu.ts";
import { takeOption } from "./grub-options.ts";
import { expandWords, wordsIn } from "./grub-words.ts";
import { decodeLoaderEntry } from "./loader-entry.ts";

export function menuEntry({ name, args, block, frame, run }: GrubCall): number {
  const { id, rest } = menuOptions(args);
  const [title] = rest;
  if (title === undefined || block === undefined) return 1;
  run.tally.countEntry("entries");
  frame.menu.entries.push({ title, id, submenu: name === "submenu", parameters: rest, body: block, source: frame.source });
  return 0;
}

const MENU_OPTIONS_WITH_VALUE = ["--class", "--users", "--hotkey", "--source"];

function menuOptions(args: readonly string[]): { readonly id: string | undefined; readonly rest: readonly string[] } {
  const { value: id, rest } = takeOption(args, ["--id"]);
  const { rest: positional } = takeOption(rest, MENU_OPTIONS_WITH_VALUE);
  return { id, rest: positional.filter((word) => word !== "--unrestricted" && word !== "--") };
}

/** Fedora's command: the entries of the Boot Loader Specification, newest first, with variables in their options. */
export async function loaderEntries({ frame, run }: GrubCall): Promise<number> {
  const folder = fileOf(frame.context.get("blsdir") || "/loader/entries", frame, run);
  const { disk } = folder;
  if (disk === undefined) return 1;
  const names = (await run.world.list(disk, folder.path)).filter((name) => name.endsWith(".conf"));
  for (const name of [...names].sort(byVersion).reverse()) {
    const file: GrubFile = { disk, path: `${folder.path}/${name}` };
    const text = await readText(file, run);
    if (text === undefined) continue;
    const entry = decodeLoaderEntry(text);
    const expanded = async (value: string) => (await expandWords(wordsIn(value), frame, run)).filter((word) => word !== "");
    const { kernel } = entry;
    const boot: GrubBoot =
      kernel === undefined
        ? { kind: "other", does: "names no kernel" }
        : {
            kind: "linux",
            kernel: fileOf(kernel, frame, run),
            initrds: (await expanded(entry.initrds.join(" "))).map((path) => fileOf(path, frame, run)),
            words: await expanded(entry.options),
          };
    run.tally.countEntry("entries");
    const id = name.replace(/\.conf$/, "");
    frame.menu.entries.push({ title: entry.title ?? id, id, submenu: false, parameters: [], body: [], source: file, boot });
  }
  return 0;
}

/** Numbers in names by their value: 6.10 behind 6.9. */
const byVersion = (one: string, other: string): number => one.localeCompare(other, "en", { numeric: true });
