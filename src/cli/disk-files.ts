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
        let lines: string[] = [];
        const tell = (): void => {
          if (lines.length > 0) cli.out(`${lines.join("\n")}\n`);
          lines = [];
        };
        const print = (found: ListedEntry): void => {
          lines.push(json === true ? printableJson(asJson(found)) : long === true ? longLine(found) : shownName(found));
          if (lines.length >= LINES_TOGETHER) tell();
        };
        if (places.length > 1 && json !== true) cli.out(`${index === 0 ? "" : "\n"}${printable(place)}:\n`);
        try {
          if (entry.kind === "file") print({ path, name: entry.name, entry });
          else await tellListed(cli, volume, path, recursive === true, print);
        } finally {
          tell(); // also what was found before damage was met
        }
      }
    });
}

/** A write of each line would take as long as all else. */
const LINES_TOGETHER = 500;

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

interface WaitingFolder {
  readonly path: string;
  readonly shown: string;
  readonly depth: number;
}

/**
 * Tells all that is in a folder, sorted, and where asked then all that is below it, folder by folder. A loop and no generators in generators: those take longer
 * than the reading.
 */
async function tellListed(cli: Cli, volume: Volume, top: string, recursive: boolean, tell: (found: ListedEntry) => void): Promise<void> {
  const waiting: WaitingFolder[] = [{ path: top, shown: "", depth: 0 }];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const { path, shown, depth } = folder;
    if (depth > DEPTH_MAX) {
      cli.job.progress.warn(`${volume.where}:${path}: deeper than ${DEPTH_MAX} folders, left out`);
      continue;
    }
    let kept: VolumeEntry[] | undefined = [];
    const below: WaitingFolder[] = [];
    const found = (entry: VolumeEntry): void => {
      const inside = joined(path, entry.name);
      tell({ path: inside, name: `${shown}${entry.name}`, entry });
      if (recursive && entry.kind === "directory") below.push({ path: inside, shown: `${shown}${entry.name}/`, depth: depth + 1 });
    };
    for await (const entry of volume.list(path)) {
      cli.job.signal.throwIfAborted();
      kept?.push(entry);
      if (kept === undefined) found(entry);
      else if (kept.length > SORTED_MAX) {
        for (const one of kept) found(one);
        kept = undefined;
      }
    }
    for (const entry of (kept ?? []).sort((a, b) => (a.name < b.name ? -1 : 1))) found(entry);
    for (const inner of below.reverse()) waiting.push(inner);
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
