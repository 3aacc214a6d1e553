/** `hiperiso stick add`, `remove` and `list`: the images of a stick. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { HiperisoError } from "../contract/error.ts";
import { STICK_DATA } from "../contract/stick.ts";
import type { StickAdded, StickListed, StickRemoved } from "../contract/stick-answers.ts";
import { printable } from "../formats/escape-terminal.ts";
import { diskNumber } from "../image/image-facts.ts";
import { addImages, planImages } from "../stick/add.ts";
import { explainFullDisk } from "../stick/create.ts";
import { changedRecord, readImageRecord, writeImageRecord } from "../stick/image-record.ts";
import { readImageSources } from "../stick/image-sources.ts";
import { chosenImage, type ListedImage, listStick } from "../stick/list.ts";
import { imageFoldersOf } from "../stick/menu-files.ts";
import type { AddPlan } from "../stick/plan-add.ts";
import type { Cli } from "./cli.ts";
import { withWriteFlags } from "./disk-target.ts";
import { examplesText } from "./program.ts";
import { forgetterOf, openDataForReading, openDataForWriting, renewMenu, stickAndWords, timeOf, withMounted } from "./stick-target.ts";
import { byteSize } from "./terminal.ts";

const STICK_WORDS = "the stick's image or device, then";

export function addCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    withMounted(
      new Command("add")
        .summary("put images onto a stick")
        .description(
          "Put images onto a stick. Their SHA-256 is kept, and checked against a list beside them or one that is named. Nothing is written when it would\nnot fit. A copy that was cut off is taken up again by the same command.",
        )
        .argument("<words...>", `${STICK_WORDS} images, and folders with images`)
        .option("--to <folder>", "folder on the stick", STICK_DATA.images),
    )
      .option("--sha256sums <file>", "a list in which the sums of all of them are")
      .option("--allow-damaged", "images that are cut off too")
      .option("--no-verify", "do not read back what was written")
      .option("-f, --force", "replace images that are there; each old one stays until its new one is whole")
      .option("-n, --dry-run", "say what would be written, and write nothing"),
  )
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick add stick.img debian.iso ubuntu.iso", "into /ISOs of an image"],
        ["sudo hiperiso stick add /dev/sdb ~/images --to /ISOs/linux", "all images of a folder, onto a stick; its name is asked for first"],
        ["hiperiso stick add --mounted /media/me/HIPERISO debian.iso", "where the system has mounted it"],
      ]),
    )
    .action(async (words, { to, sha256sums, allowDamaged, verify, force, dryRun, json, ...flags }) => {
      const { stick, rest } = stickAndWords(words, flags);
      const images = await readImageSources({ names: rest, into: to, sums: sha256sums }, cli.job.signal);
      const wish = { images, replace: force === true, allowDamaged: allowDamaged === true };
      const shown = { dryRun: dryRun === true, json: json === true };
      const planned = await (async () => {
        await using looked = await openDataForReading(cli, stick, flags);
        return await planImages(looked.data, wish);
      })();
      if (dryRun === true || planned.images.length + planned.unrecorded.length === 0) return reportAdded(cli, planned, [], shown);
      const change = `add ${planned.images.length === 1 ? "1 image" : `${planned.images.length} images`}, ${byteSize(Number(planned.totalBytes))}`;
      const opened = await openDataForWriting(cli, stick, flags, change);
      let sums: Awaited<ReturnType<typeof addImages>>;
      try {
        await using owned = opened;
        const file = owned.stick?.target.isDevice === false ? owned.stick.target.medium : undefined;
        const options = { nowMs: timeOf(cli.env).ms, verify, forget: forgetterOf(cli, owned.stick?.medium, file) };
        sums = await addImages(owned.data, await planImages(owned.data, wish), options, cli.job);
        await owned.data.flush();
        await renewMenu(cli, owned);
      } catch (error) {
        throw explainFullDisk(error, stick ?? flags.mounted ?? "");
      }
      reportAdded(cli, planned, sums, shown);
    });
}

function reportAdded(
  cli: Cli,
  { images, skipped, unrecorded, totalBytes }: AddPlan,
  added: readonly { readonly path: string; readonly sha256: string }[],
  { dryRun, json }: { readonly dryRun: boolean; readonly json: boolean },
): void {
  const sums = new Map(added.map(({ path, sha256 }) => [path, sha256]));
  if (json) {
    cli.json({
      dryRun,
      images: images.map(({ from, to, sizeBytes, replaces, expected }) => ({
        from,
        path: to,
        sizeBytes: diskNumber(sizeBytes),
        replaces: replaces ?? null,
        sha256: sums.get(to) ?? null,
        checkedAgainst: expected?.list ?? null,
      })),
      skipped: [...skipped, ...unrecorded].map(({ from, to }) => ({ from, path: to })),
      totalBytes: diskNumber(totalBytes),
    } satisfies StickAdded);
    return;
  }
  for (const { to } of skipped) cli.out(`${printable(to)}: is there already\n`);
  for (const { to } of unrecorded)
    cli.out(`${printable(to)}: is there already, ${dryRun ? "and its sum would be kept" : "is the same, and its sum is kept now"}\n`);
  for (const { to, sizeBytes, expected } of images) {
    const checked = dryRun || expected === undefined ? "" : `, as ${expected.list} says`;
    cli.out(`${printable(to)}: ${byteSize(Number(sizeBytes))}${dryRun ? " would be written" : ""}${printable(checked)}\n`);
  }
}

export function removeCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    withMounted(
      new Command("remove")
        .summary("take images off a stick")
        .description("Take images off a stick, and off its record. All of them have to be there before the first one goes.")
        .argument("[words...]", `${STICK_WORDS} images: paths on the stick, or names that only one has`)
        .option("--unfinished", "copies that were cut off, too: what they hold is free then"),
    ),
  )
    .option("--json", "as JSON")
    .addHelpText("after", () => examplesText([["hiperiso stick remove stick.img debian.iso", "whichever folder it is in"]]))
    .action(async (words, { json, unfinished, ...flags }) => {
      const { stick, rest } = stickAndWords(words, flags);
      if (rest.length === 0 && unfinished !== true)
        throw new HiperisoError({ what: "remove images", expected: "names of images, or --unfinished", found: "neither", kind: "usage" });
      const chosen = await (async () => {
        await using looked = await openDataForReading(cli, stick, flags);
        return await choose(cli, looked.data, rest);
      })();
      await using opened = await openDataForWriting(
        cli,
        stick,
        flags,
        `remove ${chosen.map(({ path }) => path).join(", ") || "copies that were cut off"}`,
      );
      const { data } = opened;
      for (const { path, state } of chosen) {
        cli.job.signal.throwIfAborted();
        if (state !== "missing") await data.remove(path);
      }
      if (unfinished === true && (await data.tree.stat(data.at(STICK_DATA.unfinished))) !== undefined)
        await data.remove(STICK_DATA.unfinished, { recursive: true });
      const { images } = await readImageRecord(data);
      const removed = chosen.map(({ path }) => path);
      const left = changedRecord(images, { removed }, data.tree.folded);
      if (left.length !== images.length) await writeImageRecord(data, left, timeOf(cli.env).ms, cli.job);
      await data.flush();
      await renewMenu(cli, opened);
      if (json === true) cli.json({ removed } satisfies StickRemoved);
      else for (const path of removed) cli.out(`removed ${printable(path)}\n`);
    });
}

async function choose(cli: Cli, data: Parameters<typeof listStick>[0], names: readonly string[]): Promise<readonly ListedImage[]> {
  const { images } = await listStick(data, cli.job, await imageFoldersOf(data));
  const chosen = names.map((name) => chosenImage(images, name, data.where, data.tree.folded));
  return [...new Map(chosen.map((image) => [image.path, image])).values()];
}

export function listCommand(cli: Cli): CommandUnknownOpts {
  return withMounted(
    new Command("list")
      .summary("show what is on a stick")
      .description("Show the images of a stick, whether each is as it was added, and how much room is left.")
      .argument("[stick]", "its image or device"),
  )
    .option("--json", "as JSON")
    .addHelpText("after", () => examplesText([["hiperiso stick list stick.img", "of an image, without root"]]))
    .action(async (place, { json, mounted }) => {
      const { stick } = stickAndWords(place === undefined ? [] : [place], { mounted });
      await using opened = await openDataForReading(cli, stick, { mounted });
      const { images, freeBytes, unfinishedBytes, recordDamage } = await listStick(opened.data, cli.job, await imageFoldersOf(opened.data));
      if (recordDamage !== undefined) cli.job.progress.warn(`${STICK_DATA.record} cannot be used: ${recordDamage}`);
      if (json === true) {
        cli.json({
          images: images.map(({ path, sizeBytes, state, sha256 }) => ({
            path,
            sizeBytes: diskNumber(sizeBytes),
            state,
            sha256: sha256 ?? null,
          })),
          freeBytes: diskNumber(freeBytes),
          unfinishedBytes: diskNumber(unfinishedBytes),
        } satisfies StickListed);
        return;
      }
      const { yellow, dim } = picocolors.createColors(cli.colourOut);
      for (const { path, sizeBytes, state, sha256 } of images) {
        const told = state === "added" ? dim(`SHA-256 ${sha256?.slice(0, 16)}…`) : yellow(STATES[state]);
        cli.out(`${byteSize(Number(sizeBytes)).padStart(9)}  ${printable(path)}  ${told}\n`);
      }
      if (unfinishedBytes > 0n)
        cli.out(
          `${byteSize(Number(unfinishedBytes)).padStart(9)}  ${yellow("copies that were cut off: the same `stick add` takes them up again")}\n`,
        );
      cli.out(`${byteSize(Number(freeBytes)).padStart(9)}  free\n`);
    });
}

const STATES: Readonly<Record<Exclude<ListedImage["state"], "added">, string>> = {
  copied: "copied by hand, its sum is not known",
  changed: "has another size than was added",
  missing: "was added, and is gone",
};
