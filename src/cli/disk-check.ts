/** `hiperiso disk check` and `repair`: what is wrong with partition tables and volumes, and its mending. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { EXIT, HiperisoError } from "../contract/error.ts";
import type { BlockStore } from "../disk/block-store.ts";
import type { TableProblem } from "../disk/disk-table.ts";
import { checkVolume, openPlace, repairVolume } from "../disk/open-volume.ts";
import { checkGpt, repairGpt } from "../disk/partitions/gpt-check.ts";
import { recognise } from "../disk/recognise.ts";
import type { VolumeCheck, VolumeProblem } from "../disk/volume.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { Cli } from "./cli.ts";
import { problemJson } from "./disk-show.ts";
import { type OpenedTarget, openTarget, openTargetForWriting, withWriteFlags } from "./disk-target.ts";
import { examplesText } from "./program.ts";

export function checkCommand(cli: Cli): CommandUnknownOpts {
  return new Command("check")
    .summary("look for what is wrong")
    .description(
      "Look for what is wrong with a partition table and with the volumes behind it, or with one volume. Nothing is written.\nExit status 0: all is well, 1: there are problems.",
    )
    .argument("<place>", "IMAGE-OR-DEVICE[:PARTITION]")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk check stick.img", "the partition table and all volumes"],
        ["sudo hiperiso disk check /dev/sdb:1", "the first partition of a stick"],
      ]),
    )
    .action(async (place, { json }) => {
      await using opened = await openTarget(place, { needsVolume: false });
      refusePath(opened);
      const parts = await checkParts(cli, opened);
      print(cli, parts, json === true);
      if (parts.some(hasProblems)) cli.exit(EXIT.goalMissed);
    });
}

export function repairCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    new Command("repair")
      .summary("mend what check finds")
      .description(
        "Mend what can be mended without losing data: first the partition table, then the volumes. What will be done is said before it is.\nExit status 0: all is well now, 1: problems are left.",
      )
      .argument("<place>", "IMAGE-OR-DEVICE[:PARTITION]")
      .option("-n, --dry-run", "say what would be done, and write nothing"),
  )
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk repair stick.img --dry-run", "what would be done"],
        ["hiperiso disk repair stick.img:1", "one volume"],
        ["sudo hiperiso disk repair /dev/sdb", "a stick; its name is asked for first"],
      ]),
    )
    .action(async (place, { dryRun, json, ...flags }) => {
      const before = await checkedBefore(cli, place);
      const mendable = before.filter((part) => isMendable(part));
      const wanted = json !== true && before.some(hasProblems);
      if (wanted) for (const part of before.filter(hasProblems)) cli.out(partText(part));
      if (dryRun === true || mendable.length === 0) {
        if (json === true) cli.json({ dryRun: dryRun === true, before: before.map(partJson), after: null });
        else if (!wanted) cli.out("There is nothing to repair.\n");
        else cli.out(mendable.length === 0 ? "Nothing of that can be mended.\n" : "Nothing was written.\n");
        if (before.some(hasProblems)) cli.exit(EXIT.goalMissed);
        return;
      }
      const change = `repair ${mendable.map(({ name }) => name).join(", ")}`;
      await using opened = await openTargetForWriting(cli, place, { flags, change, needsVolume: false });
      const after = await repairParts(cli, opened, mendable);
      const left = [...after, ...before.filter((part) => hasProblems(part) && !mendable.includes(part))];
      if (json === true) cli.json({ dryRun: false, before: before.map(partJson), after: after.map(partJson) });
      else cli.out(`After the repair:\n${after.map(partText).join("")}`);
      if (left.some(hasProblems)) cli.exit(EXIT.goalMissed);
    });
}

/** One thing that can be checked: the table, or a volume. */
interface Part {
  /** `stick.img`, `stick.img:1`. */
  readonly name: string;
  readonly partition: number | undefined;
  readonly table: { readonly scheme: string; readonly problems: readonly TableProblem[] } | undefined;
  readonly volume: VolumeCheck | undefined;
  /** Why it was not checked. */
  readonly unchecked: string | undefined;
}

const hasProblems = ({ table, volume }: Part): boolean =>
  (table?.problems.length ?? 0) > 0 || (volume !== undefined && (volume.problems.length > 0 || volume.fatal !== undefined));

/** A volume that cannot even be opened is worth a try: a boot region may be there twice. */
const isMendable = ({ table, volume }: Part): boolean =>
  table?.problems.some(({ mending }) => mending !== undefined) === true ||
  volume?.problems.some(({ mending }) => mending !== undefined) === true ||
  volume?.fatal !== undefined;

function refusePath({ target }: OpenedTarget): void {
  if (target.path === undefined || target.path === "/") return;
  throw new HiperisoError({
    what: "check a volume",
    where: target.text,
    expected: "a disk, an image or a partition",
    found: `the path ${target.path}`,
    kind: "usage",
  });
}

async function checkedBefore(cli: Cli, place: string): Promise<readonly Part[]> {
  await using opened = await openTarget(place, { needsVolume: false });
  refusePath(opened);
  return await checkParts(cli, opened);
}

async function checkParts(cli: Cli, { store, contents, partition, medium, target }: OpenedTarget): Promise<readonly Part[]> {
  const { table, whole } = contents;
  if (partition !== undefined || table === undefined) return [await checkPart(cli, store, partition?.number)];
  const name = target.medium;
  const parts: Part[] = [
    {
      name,
      partition: undefined,
      table: { scheme: table.scheme, problems: table.problems },
      volume: undefined,
      unchecked: whole === undefined ? undefined : `${whole.format} on the whole of it`,
    },
  ];
  for (const { number, role, offset, sizeBytes } of table.partitions) {
    if (role === "extended" || offset >= medium.sizeBytes || sizeBytes === 0n) continue;
    const place = await openPlace(medium, { ...target, partition: number }, { needsVolume: false });
    parts.push(await checkPart(cli, place.store, number));
  }
  return parts;
}

async function checkPart(cli: Cli, store: BlockStore, partition: number | undefined): Promise<Part> {
  const volume = await checkVolume(store, cli.job);
  const common = { name: store.name, partition, table: undefined, volume };
  if (volume !== undefined) return { ...common, unchecked: undefined };
  return { ...common, unchecked: (await recognise(store))?.format ?? "nothing that is known" };
}

async function repairParts(cli: Cli, opened: OpenedTarget, mendable: readonly Part[]): Promise<readonly Part[]> {
  const { medium, target } = opened;
  const after: Part[] = [];
  for (const part of mendable) {
    if (part.table !== undefined) {
      const findings = await checkGpt(opened.store);
      if (findings === undefined)
        throw new HiperisoError({ what: "repair the partition table", where: medium.name, found: "no GPT any more" });
      await repairGpt(opened.store, findings);
      const problems = (await checkGpt(opened.store))?.problems ?? [];
      after.push({ ...part, table: { scheme: part.table.scheme, problems } });
    } else {
      const place =
        part.partition === undefined ? opened : await openPlace(medium, { ...target, partition: part.partition }, { needsVolume: false });
      after.push({ ...part, volume: await repairVolume(place.store, cli.job) });
    }
  }
  return after;
}

function print(cli: Cli, parts: readonly Part[], json: boolean): void {
  if (json) cli.json({ parts: parts.map(partJson), clean: !parts.some(hasProblems) });
  else cli.out(parts.map(partText).join(""));
}

function partText({ name, table, volume, unchecked }: Part): string {
  const lines: string[] = [];
  if (table !== undefined) {
    lines.push(`${name}: ${table.scheme.toUpperCase()}, ${verdict(table.problems.length)}`);
    lines.push(...table.problems.map(({ id, offset, text, mending }) => problemLine(id, offset, undefined, text, mending)));
  }
  if (volume !== undefined) {
    const { format, files, directories, problems, cut, fatal } = volume;
    const seen = fatal === undefined ? `${counted(files, "file")}, ${counted(directories, "folder")}, ` : "";
    lines.push(`${name}: ${format}, ${seen}${fatal === undefined ? verdict(problems.length) : "cannot be opened"}`);
    if (fatal !== undefined) lines.push(`  ${fatal.message}`);
    lines.push(...problems.map(({ id, offset, path, text, mending }) => problemLine(id, offset, path, text, mending)));
    if (cut) lines.push("  and more problems than are listed");
  }
  if (unchecked !== undefined) lines.push(`${name}: not checked: ${unchecked}`);
  return lines.map((line) => `${printable(line)}\n`).join("");
}

const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;
const verdict = (problems: number): string => (problems === 0 ? "no problems" : counted(problems, "problem"));

function problemLine(id: string, offset: bigint, path: string | undefined, text: string, mending: string | undefined): string {
  const what = path === undefined ? text : `${path}: ${text}`;
  return `  ${id} at byte ${offset}: ${what}${mending === undefined ? "; cannot be mended" : `; repair: ${mending}`}`;
}

const volumeProblemJson = ({ path, ...problem }: VolumeProblem) => ({ ...problemJson(problem), path: path ?? null });

const partJson = ({ name, partition, table, volume, unchecked }: Part) => ({
  name,
  partition: partition ?? null,
  table: table === undefined ? null : { scheme: table.scheme, problems: table.problems.map(problemJson) },
  volume:
    volume === undefined
      ? null
      : {
          format: volume.format,
          files: volume.files,
          folders: volume.directories,
          problems: volume.problems.map(volumeProblemJson),
          cut: volume.cut,
          fatal: volume.fatal?.message ?? null,
        },
  unchecked: unchecked ?? null,
});
