/** `hiperiso disk ls` and `cat`: what is on a volume. */
import { once } from "node:events";
import type { Writable } from "node:stream";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import type { Volume, VolumeEntry } from "../disk/volume.ts";
import { printable, printableJson } from "../formats/escape-terminal.ts";
import { diskNumber } from "../image/image-facts.ts";
import type { Cli } from "./cli.ts";
import { openVolumeAt } from "./disk-target.ts";
import { examplesText } from "./program.ts";

const TARGET = "IMAGE-OR-DEVICE[:PARTITION][/PATH]";

export function listCommand(cli: Cli): CommandUnknownOpts {
  return new Command("ls")
    .summary("list files and folders")
    .description("List what is in a folder of a volume, or one file.")
    .argument("<place...>", TARGET)
    .option("-l, --long", "with flags (d folder, r read-only, h hidden, s system), size, and time of change in UTC")
    .option("-R, --recursive", "with all that is below, by their paths")
    .option("--json", "as JSON, a line an entry")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk ls stick.img:1", "the root of the first partition"],
        ["hiperiso disk ls -lR stick.img:1/ISOs", "all below a folder, with sizes"],
        ["hiperiso disk ls floppy.img/", "an image without partitions"],
      ]),
    )
    .action(async (places, { long, recursive, json }) => {
      for (const [index, place] of places.entries()) {
        await using opened = await openVolumeAt(cli, place);
        const { volume, path } = opened;
        const entry = await existing(volume, path);
        const print = (found: ListedEntry): void => {
          if (json === true) cli.out(`${printableJson(asJson(found))}\n`);
          else cli.out(`${long === true ? longLine(found) : shownName(found)}\n`);
        };
        if (places.length > 1 && json !== true) cli.out(`${index === 0 ? "" : "\n"}${printable(place)}:\n`);
        if (entry.kind === "file") print({ path, name: entry.name, entry });
        else for await (const found of listed(cli, volume, path, recursive === true)) print(found);
      }
    });
}

interface ListedEntry {
  /** From the volume's root. */
  readonly path: string;
  /** As it is shown: from the folder that was named. */
  readonly name: string;
  readonly entry: VolumeEntry;
}

/** Folders beyond this are shown in the order in which they are stored: sorting would keep all of them in memory. */
const SORTED_MAX = 50_000;
/** Deeper than anyone can name; a volume that lies goes deeper. */
const DEPTH_MAX = 256;

async function* listed(cli: Cli, volume: Volume, top: string, recursive: boolean, shown = "", depth = 0): AsyncGenerator<ListedEntry> {
  let kept: VolumeEntry[] | undefined = [];
  const folders: string[] = [];
  const found = (entry: VolumeEntry): ListedEntry => {
    if (recursive && entry.kind === "directory") folders.push(entry.name);
    return { path: joined(top, entry.name), name: `${shown}${entry.name}`, entry };
  };
  for await (const entry of volume.list(top)) {
    cli.job.signal.throwIfAborted();
    kept?.push(entry);
    if (kept === undefined) yield found(entry);
    else if (kept.length > SORTED_MAX) {
      for (const one of kept) yield found(one);
      kept = undefined;
    }
  }
  for (const entry of (kept ?? []).sort((a, b) => (a.name < b.name ? -1 : 1))) yield found(entry);
  for (const name of folders) {
    if (depth >= DEPTH_MAX) cli.job.progress.warn(`${volume.where}:${joined(top, name)}: deeper than ${DEPTH_MAX} folders, left out`);
    else yield* listed(cli, volume, joined(top, name), true, `${shown}${name}/`, depth + 1);
  }
}

export const joined = (folder: string, name: string): string => (folder === "/" ? `/${name}` : `${folder}/${name}`);

/** What is at `path`; throws HiperisoError of kind `usage` where that is nothing. */
export async function existing(volume: Volume, path: string): Promise<VolumeEntry> {
  const entry = await volume.stat(path);
  if (entry !== undefined) return entry;
  throw new HiperisoError({ what: "find a file", where: `${volume.where}${path}`, found: "nothing of that name", kind: "usage" });
}

const shownName = ({ name, entry }: ListedEntry): string => `${printable(name)}${entry.kind === "directory" ? "/" : ""}`;

function longLine(found: ListedEntry): string {
  const { kind, readOnly, hidden, system, sizeBytes, modifiedMs } = found.entry;
  const flags = `${kind === "directory" ? "d" : "-"}${readOnly ? "r" : "-"}${hidden ? "h" : "-"}${system ? "s" : "-"}`;
  const time = modifiedMs === null ? "-".padEnd(19) : new Date(modifiedMs).toISOString().slice(0, 19).replace("T", " ");
  return `${flags} ${String(sizeBytes).padStart(15)}  ${time}  ${shownName(found)}`;
}

const asJson = ({ path, entry: { kind, sizeBytes, modifiedMs, readOnly, hidden, system } }: ListedEntry) => ({
  path,
  kind,
  sizeBytes: diskNumber(sizeBytes),
  modified: modifiedMs === null ? null : new Date(modifiedMs).toISOString(),
  readOnly,
  hidden,
  system,
});

export function catCommand(cli: Cli, output: Writable = process.stdout): CommandUnknownOpts {
  return new Command("cat")
    .summary("write a file's bytes to standard output")
    .description("Write the bytes of files to standard output, as they are.")
    .argument("<file...>", "IMAGE-OR-DEVICE[:PARTITION]/PATH")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk cat stick.img:1/hiperiso/hiperiso.json", "a text"],
        ["hiperiso disk cat stick.img:1/ISOs/a.iso | sha256sum", "the sum of an image on a stick"],
      ]),
    )
    .action(async (files) => {
      for (const file of files) {
        await using opened = await openVolumeAt(cli, file);
        for await (const piece of opened.volume.read(opened.path)) {
          cli.job.signal.throwIfAborted();
          if (!output.write(piece)) await once(output, "drain", { signal: cli.job.signal });
        }
      }
    });
}
