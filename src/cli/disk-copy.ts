/** `hiperiso disk cp` and `rm`: files into volumes, out of them, and away. */
import { realpath } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { copyFiles } from "../disk/copy/copy-files.ts";
import { hostTree } from "../disk/copy/host-tree.ts";
import { type CopyPlan, type CopySource, planCopy } from "../disk/copy/plan-copy.ts";
import { type Tree, volumeTree } from "../disk/copy/tree.ts";
import { type DiskTarget, findTarget, readTarget } from "../disk/target.ts";
import type { Volume } from "../disk/volume.ts";
import { printable } from "../formats/escape-terminal.ts";
import { systemClock } from "../host/clock.ts";
import { diskNumber } from "../image/image-facts.ts";
import type { Cli } from "./cli.ts";
import { existing } from "./disk-files.ts";
import { type OpenedVolume, openVolumeAt, openVolumeForWriting, type WriteFlags, withWriteFlags } from "./disk-target.ts";
import { examplesText } from "./program.ts";
import { byteSize } from "./terminal.ts";

export function copyCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    new Command("cp")
      .summary("copy files into a volume, out of one, or between two")
      .description(
        "Copy files and folders: the last place is where they go. A place is IMAGE-OR-DEVICE[:PARTITION]/PATH on a volume, or a path\nof this computer. Nothing is written before all of it is known to fit. Times of change are kept.",
      )
      .argument("<place...>", "one or more sources, then the destination")
      .option("-r, --recursive", "folders with all that is in them")
      .option("-f, --force", "replace files that are there; each old one stays until its new one is whole")
      .option("-n, --dry-run", "say what would be copied, and write nothing"),
  )
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk cp debian.iso ubuntu.iso stick.img:1/ISOs/", "into a folder of the first partition"],
        ["sudo hiperiso disk cp debian.iso /dev/sdb:1/ISOs/", "onto a stick; its name is asked for first"],
        ["hiperiso disk cp -r stick.img:1/hiperiso/logs .", "a folder, out of an image"],
        ["hiperiso disk cp -r old.img:1/ new.img:1/", "all that is on one volume onto another"],
      ]),
    )
    .action(async (places, { recursive, force, dryRun, json, ...flags }) => {
      const destination = places.at(-1);
      const sources = places.slice(0, -1);
      if (destination === undefined || sources.length === 0)
        throw usage(destination ?? "", "one source or more, and a destination", "one place");
      const to = await placeOf(destination);
      const from = await Promise.all(sources.map(placeOf));
      if (!isVolume(to) && !from.some(isVolume)) throw usage(destination, "a volume as a source or as the destination", NO_VOLUME);
      await using opened = new OpenedVolumes(cli);
      const wish = { recursive: recursive === true, force: force === true };
      const plan = await planned(cli, opened, from, to, wish);
      if (dryRun !== true) await run(cli, plan, to, flags);
      report(cli, plan, { destination, dryRun: dryRun === true, json: json === true });
    });
}

const NO_VOLUME = "paths of this computer alone (a volume is named IMAGE:PARTITION/PATH, or IMAGE/ without partitions)";

const usage = (where: string, expected: string, found: string, hint?: string): HiperisoError =>
  new HiperisoError({ what: "copy", where, expected, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });

interface HostPlace {
  readonly path: string;
  readonly endsWithSlash: boolean;
}
type Place = HostPlace | DiskTarget;
const isVolume = (place: Place): place is DiskTarget => "medium" in place;

/** An image by its name alone is a file of this computer; with a partition or a path it is a volume. */
async function placeOf(text: string): Promise<Place> {
  const target = await findTarget(text);
  if (target === undefined) return { path: text, endsWithSlash: /(?:^|\/)\.{0,2}$/.test(text) };
  if (target.partition !== undefined || target.path !== undefined) return target;
  if (target.isDevice) throw usage(text, "a place on the disk", "the disk itself", `Name a partition and a path: ${text}:1/`);
  return { path: text, endsWithSlash: false };
}

/** Volumes that are open for reading, each once. */
class OpenedVolumes implements AsyncDisposable {
  readonly #cli: Cli;
  readonly #opened = new Map<string, OpenedVolume>();

  constructor(cli: Cli) {
    this.#cli = cli;
  }

  async tree(target: DiskTarget): Promise<Tree> {
    const id = await idOf(target);
    const opened = this.#opened.get(id) ?? (await openVolumeAt(this.#cli, target));
    this.#opened.set(id, opened);
    return volumeTree(opened.volume, id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opened of this.#opened.values()) await opened[Symbol.asyncDispose]();
  }
}

const idOf = async ({ medium, partition }: DiskTarget): Promise<string> => `${await realpath(medium)}:${partition ?? ""}`;

async function planned(
  cli: Cli,
  opened: OpenedVolumes,
  from: readonly Place[],
  to: Place,
  wish: { readonly recursive: boolean; readonly force: boolean },
): Promise<CopyPlan> {
  const sources: CopySource[] = [];
  for (const place of from) {
    if (isVolume(place)) {
      const path = place.path ?? "/";
      sources.push({ tree: await opened.tree(place), path, name: path === "/" ? "" : basename(path) });
      continue;
    }
    if (isVolume(to)) await refuseItself(place.path, to);
    // "." and "folder/." are what is in a folder, as they are for cp.
    const name = /(?:^|\/)\.$/.test(place.path) ? "" : basename(resolve(place.path));
    sources.push({ tree: hostTree, path: place.path, name });
  }
  const target = isVolume(to) ? await opened.tree(to) : hostTree;
  const destination = isVolume(to) ? (to.path ?? "/") : to.path;
  return await planCopy({ ...wish, sources, target, destination, intoFolder: to.endsWithSlash }, cli.job.signal);
}

async function refuseItself(path: string, { medium }: DiskTarget): Promise<void> {
  const [source, image] = await Promise.all([path, medium].map((one) => realpath(one).catch(() => one)));
  if (source === image) throw usage(path, "a file to copy into the image", "the image itself");
}

async function run(cli: Cli, plan: CopyPlan, to: Place, flags: WriteFlags): Promise<void> {
  if (!isVolume(to)) {
    await copyFiles(plan, hostTree, cli.job);
    return;
  }
  if (plan.files.length === 0 && plan.folders.length === 0) return;
  const change = `copy ${counted(plan.files.length, "file")}, ${byteSize(Number(plan.totalBytes))}, into partition ${to.partition ?? "-"}`;
  const id = await idOf(to);
  await using target = await openVolumeForWriting(
    cli,
    to,
    flags,
    to.partition === undefined ? change.replace(/, into .*/, " onto it") : change,
  );
  await copyFiles(plan, volumeTree(target.volume, id), cli.job);
  await target.volume.flush();
}

const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

function report(
  cli: Cli,
  { files, folders, totalBytes }: CopyPlan,
  { destination, dryRun, json }: { readonly destination: string; readonly dryRun: boolean; readonly json: boolean },
): void {
  if (json) {
    cli.json({
      dryRun,
      destination,
      folders: folders.map(({ to }) => to),
      files: files.map(({ tree, from, to, sizeBytes, replacedBytes }) => ({
        from: tree.shown(from),
        to,
        sizeBytes: diskNumber(sizeBytes),
        replaces: replacedBytes !== undefined,
      })),
      totalBytes: diskNumber(totalBytes),
    });
    return;
  }
  if (dryRun) {
    for (const { tree, from, to, replacedBytes } of files)
      cli.out(`${printable(tree.shown(from))} -> ${printable(to)}${replacedBytes === undefined ? "" : " (replaced)"}\n`);
  }
  const made = folders.length === 0 ? "" : `, ${counted(folders.length, "folder")} made`;
  cli.out(`${counted(files.length, "file")}${dryRun ? " to copy" : " copied"}${made}, ${byteSize(Number(totalBytes))}\n`);
}

export function makeFolderCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    new Command("mkdir")
      .summary("make folders")
      .description("Make folders of a volume, and those above them that are missing. A folder that is there stays as it is.")
      .argument("<place...>", "IMAGE-OR-DEVICE[:PARTITION]/PATH, all on one volume"),
  )
    .addHelpText("after", () => examplesText([["hiperiso disk mkdir stick.img:1/ISOs/linux", "a folder, and the one that it is in"]]))
    .action(async (places, flags) => {
      const what = "make a folder";
      const targets = await onOneVolume(places, what);
      const paths = targets.map(({ path }) => path ?? "/");
      await using opened = await openVolumeForWriting(cli, targets[0]!, flags, `make the folders ${paths.join(", ")}`);
      for (const path of paths) await makeFolders(opened.volume, path);
      await opened.volume.flush();
    });
}

async function makeFolders(volume: Volume, path: string): Promise<void> {
  const parts = path.split("/").filter((part) => part !== "");
  for (let depth = 1; depth <= parts.length; depth += 1) {
    const folder = `/${parts.slice(0, depth).join("/")}`;
    const there = await volume.stat(folder);
    if (there?.kind === "directory") continue;
    await volume.makeDirectory(folder, systemClock.nowMs()); // says so where a file is in the way
  }
}

async function onOneVolume(places: readonly string[], what: string): Promise<readonly DiskTarget[]> {
  const targets = await Promise.all(places.map((place) => readTarget(place)));
  const volumes = new Set(await Promise.all(targets.map(idOf)));
  if (volumes.size === 1) return targets;
  const found = `${volumes.size} volumes`;
  throw new HiperisoError({ what, where: places.join(" "), expected: "places on one volume", found, kind: "usage" });
}

export function removeCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    new Command("rm")
      .summary("remove files and folders")
      .description("Remove files of a volume, and with -r folders. All of them have to be there before the first one goes.")
      .argument("<place...>", "IMAGE-OR-DEVICE[:PARTITION]/PATH, all on one volume")
      .option("-r, --recursive", "folders with all that is in them"),
  )
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk rm stick.img:1/ISOs/old.iso", "a file"],
        ["hiperiso disk rm -r stick.img:1/hiperiso/logs", "a folder and all that is in it"],
      ]),
    )
    .action(async (places, { recursive, json, ...flags }) => {
      const targets = await onOneVolume(places, "remove");
      const first = targets[0]!;
      await refuseRemoval(cli, targets, recursive === true);
      const change = `remove ${targets.map(({ path }) => path).join(", ")}`;
      await using opened = await openVolumeForWriting(cli, first, flags, change);
      for (const { path } of targets) {
        cli.job.signal.throwIfAborted();
        await opened.volume.remove(path ?? "/", { recursive: recursive === true });
      }
      await opened.volume.flush();
      if (json === true) cli.json({ removed: targets.map(({ path }) => path) });
      else cli.out(targets.map(({ text }) => `removed ${printable(text)}\n`).join(""));
    });
}

const removal = (where: string, expected: string, found: string, hint?: string): HiperisoError =>
  new HiperisoError({ what: "remove", where, expected, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });

async function refuseRemoval(cli: Cli, targets: readonly DiskTarget[], recursive: boolean): Promise<void> {
  await using opened = await openVolumeAt(cli, targets[0]!);
  for (const { text, path } of targets) {
    if (path === undefined || path === "/")
      throw removal(text, "a path below the volume's root", "all of the volume", "mkfs makes a volume empty.");
    const { kind } = await existing(opened.volume, path);
    if (kind === "directory" && !recursive) throw removal(text, "a file", "a folder", "-r removes folders.");
  }
  const nested = targets.find(({ path }) => targets.some((other) => other.path !== path && `${path}`.startsWith(`${other.path}/`)));
  const twice = targets.find(({ path }, index) => targets.findIndex((other) => other.path === path) !== index);
  const again = nested ?? twice;
  if (again !== undefined) throw removal(again.text, "each place once", "one that goes with another");
}
