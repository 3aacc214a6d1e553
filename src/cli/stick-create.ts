/** `hiperiso stick create`: a new stick, on a disk or in an image file. */
import { lstat, statfs } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { CONFIG_FILE_BYTES_MAX, decodeConfig } from "../config/config-file.ts";
import { HiperisoError } from "../contract/error.ts";
import { STICK_DATA } from "../contract/stick.ts";
import type { StickCreated } from "../contract/stick-answers.ts";
import { type BlockStore, openFileStore } from "../disk/block-store.ts";
import { readContents } from "../disk/disk-table.ts";
import { openForReading, sectorsOf } from "../disk/open-volume.ts";
import { decodeSize } from "../disk/partitions/partition-words.ts";
import { findTarget } from "../disk/target.ts";
import { printable } from "../formats/escape-terminal.ts";
import { makeFileAtomic } from "../host/atomic-stream.ts";
import { readBounded } from "../host/bounded-file.ts";
import { diskNumber } from "../image/image-facts.ts";
import {
  explainFullDisk,
  planNewStick,
  type StickPlan,
  type StickWish,
  sectorBytesOf,
  type WrittenStick,
  writeStick,
} from "../stick/create.ts";
import { orderedEspFiles, type StickRuntime, sizeOfEspFile } from "../stick/esp-files.ts";
import { type ImageSource, isImageName, readImageSources } from "../stick/image-sources.ts";
import { usualSize } from "../stick/layout.ts";
import { lookAtFile } from "../stick/menu/image-look.ts";
import { type DatedImage, stickMenu } from "../stick/menu-maker.ts";
import { judgeStick, openStick } from "../stick/open-stick.ts";
import { verifyStick } from "../stick/verify.ts";
import type { Cli } from "./cli.ts";
import { openTargetForWriting, type WriteFlags, withWriteFlags } from "./disk-target.ts";
import { examplesText, programVersion } from "./program.ts";
import { forgetterOf, idsOf, keptRuntimeOf, runtimeOf, timeOf } from "./stick-target.ts";
import { byteSize } from "./terminal.ts";

const WHAT = "make a stick";

export function createCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    new Command("create")
      .summary("make a stick, on a disk or in an image file")
      .description(
        "Make a stick: a partition for images and sessions, and a small one that boots. An image file is sparse, and has its name when it is whole.\nWhat was written is read back and compared.",
      )
      .argument("<file-or-device>", "an image file that is made, or the disk")
      .option("--size <size>", "of the image file: 8G, 32000M; otherwise what the images take, and 1 GiB of room")
      .option("--iso <file-or-folder...>", "images to put on it; of a folder all .iso, .img, .raw and disk images in it and below")
      .option("--config <file>", "the hiperiso.json of the stick")
      .option(
        "--sha256sums <file>",
        "a list in which the sums of all images are; otherwise one beside each image counts, where there is one",
      )
      .option("--runtime <folder>", "what boots, laid out as on the boot partition; otherwise what `hiperiso runtime build` builds")
      .option("--no-runtime", "nothing that boots: the stick carries images only")
      .option("--ids-from <seed>", "ids and serial numbers from this text: with SOURCE_DATE_EPOCH the same bytes each time")
      .option("--allow-damaged", "images that are cut off too")
      .option("--no-verify", "do not read back what was written")
      .option("-f, --force", "also where something is that would be lost")
      .option("-n, --dry-run", "show what the stick would be, and write nothing"),
  )
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick create stick.img --iso debian.iso", "an image file, without root"],
        ["hiperiso stick create stick.img --size 16G --iso ~/images --dry-run", "what would be on it"],
        [
          "sudo hiperiso stick create /dev/sdb --iso debian.iso --runtime runtime",
          "a stick, with what `runtime build --to` built; its name is asked for first",
        ],
      ]),
    )
    .action(async (place, options) => {
      const { dryRun, json, verify, force, size, ...flags } = options;
      const images = await readImageSources({ names: flags.iso ?? [], into: STICK_DATA.images, sums: flags.sha256sums }, cli.job.signal);
      const config = await configOf(cli, flags.config);
      // What stands against the place is told before minutes go into building what boots.
      const target = await placeToMake(cli, place, { size, force: force === true });
      const runtime = dryRun === true ? await keptRuntimeOf(cli, flags.runtime) : await runtimeOf(cli, flags.runtime);
      const time = timeOf(cli.env);
      const shown = await menuImages(images, time, cli.job.signal);
      const common: CommonWish = {
        ids: idsOf(flags.idsFrom),
        images,
        allowDamaged: flags.allowDamaged === true,
        espFiles: runtime?.files ?? [],
        menu: (diskGuid) => stickMenu({ diskGuid, images: shown, configBytes: config, goodConfig: undefined, theme: [] }),
        config,
        timeMs: time.ms,
        fixedTimes: time.fixed,
        version: programVersion(),
      };
      const wish: StickWish = { ...common, ...target.size(images) };
      const plan = await planNewStick(wish, cli.job);
      if (flags.runtime === false) cli.job.progress.warn("nothing is on the stick that boots: it carries images only");
      if (dryRun === true) {
        await report(cli, plan, undefined, { place, runtime, json: json === true });
        return;
      }
      const written = await target.write(plan, { verify, flags });
      await report(cli, plan, written, { place, runtime, json: json === true });
    });
}

type CommonWish = Omit<StickWish, "sizeBytes" | "sectorBytes">;

interface StickPlace {
  size(images: readonly ImageSource[]): Pick<StickWish, "sizeBytes" | "sectorBytes">;
  write(plan: StickPlan, how: { readonly verify: boolean; readonly flags: WriteFlags }): Promise<WrittenStick>;
}

const usage = (where: string, expected: string, found: string, hint?: string): HiperisoError =>
  new HiperisoError({ what: WHAT, where, expected, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });

/** Whatever is there already is looked at before a word is said of writing. */
async function placeToMake(
  cli: Cli,
  place: string,
  { size, force }: { readonly size: string | undefined; readonly force: boolean },
): Promise<StickPlace> {
  const target = await findTarget(place);
  if (target !== undefined && (target.partition !== undefined || target.path !== undefined))
    throw usage(place, "an image file or a whole disk", "a place on one");
  if (target !== undefined && !force) await refuseLoss(place);
  if (target?.isDevice === true) {
    if (size !== undefined) throw usage(place, "with --size an image file", "a disk", "A stick takes all of a disk: leave out --size.");
    await using medium = await openForReading(target);
    const found = { sizeBytes: medium.sizeBytes, sectorBytes: sectorBytesOf(medium) };
    return { size: () => found, write: (plan, how) => writeToDevice(cli, place, plan, how) };
  }
  const there = target === undefined ? await lstat(place).catch(() => undefined) : undefined;
  // A name that a disk had, or was mistyped: a file there would fill the computer's memory.
  if (target === undefined && /^\/dev\/(?!shm\/)/.test(resolve(place)))
    throw usage(place, "a disk", "none of that name", "Plug it in again; `hiperiso disk devices` lists those that are there.");
  if (there !== undefined) throw usage(place, "an image file or a disk", there.isDirectory() ? "a folder" : "something else");
  return {
    size: (images) => ({
      sizeBytes: size === undefined ? usualSize(images.map(({ sizeBytes }) => sizeBytes)) : decodeSize(size, "--size"),
      sectorBytes: 512,
    }),
    write: (plan, { verify }) => writeToFile(cli, place, plan, verify),
  };
}

async function refuseLoss(place: string): Promise<void> {
  const target = await findTarget(place);
  if (target === undefined) return;
  await using medium = await openForReading(target);
  const judgement = judgeStick(await readContents(medium, sectorsOf(target, medium)));
  if (judgement.kind === "stick")
    throw usage(
      place,
      "a place with nothing on it",
      "a stick of hiperiso",
      "`stick update` renews what boots; --force makes it anew, and all that is on it is lost.",
    );
  if (judgement.kind !== "empty")
    throw usage(
      place,
      "a place with nothing on it",
      judgement.is,
      "It was left as it is. --force makes a stick of it: all of that is lost.",
    );
  // A disk of which nothing is known is asked for by its name; a file is somebody's.
  if (!target.isDevice) throw usage(place, "a file that is not there yet", "one that is", "It was left as it is. --force replaces it.");
}

async function writeToDevice(
  cli: Cli,
  place: string,
  plan: StickPlan,
  { verify, flags }: { readonly verify: boolean; readonly flags: WriteFlags },
): Promise<WrittenStick> {
  const change = "make a stick of it: everything on it is lost";
  await using opened = await openTargetForWriting(cli, place, { flags, change, needsVolume: false });
  const { medium } = opened;
  if (medium.sizeBytes !== plan.layout.sizeBytes)
    throw usage(place, `${plan.layout.sizeBytes} bytes, as were planned`, `${medium.sizeBytes}`);
  const written = await writeStick(medium, plan, { isDevice: true }, cli.job);
  if (verify) await readBack(cli, medium, forgetterOf(cli, medium, undefined));
  cli.job.progress.say(`The system sees the new partitions when the disk is plugged in again, or after: blockdev --rereadpt ${place}`);
  return written;
}

async function writeToFile(cli: Cli, path: string, plan: StickPlan, verify: boolean): Promise<WrittenStick> {
  await refuseFullDisk(path, plan);
  let written: WrittenStick | undefined;
  try {
    await makeFileAtomic(path, async (file, temporary) => {
      await file.truncate(Number(plan.layout.sizeBytes));
      await using store = await openFileStore(temporary);
      const medium = { ...store, name: path };
      written = await writeStick(medium, plan, { isDevice: false }, cli.job);
      if (verify) await readBack(cli, medium, forgetterOf(cli, undefined, temporary));
    });
  } catch (error) {
    throw explainFullDisk(error, path);
  }
  return written!;
}

/** The file is sparse: what counts is what is written into it. */
async function refuseFullDisk(path: string, { images, espUsedBytes }: StickPlan): Promise<void> {
  const { bavail, bsize, blocks } = await statfs(dirname(resolve(path)), { bigint: true }).catch((cause: NodeJS.ErrnoException) => {
    throw usage(path, "a folder for it", cause.message);
  });
  const needed = images.totalBytes + espUsedBytes + (8n << 20n);
  const free = bavail * bsize;
  if (blocks !== 0n && free < needed) throw usage(path, `room for ${needed} bytes on the file system that it lies on`, `${free}`);
}

async function readBack(cli: Cli, medium: BlockStore, forget: () => Promise<void>): Promise<void> {
  await medium.flush();
  await forget();
  const { problems } = await verifyStick(await openStick(medium), { contents: true }, cli.job);
  const [first] = problems;
  if (first === undefined) return;
  throw new HiperisoError({
    what: "read back the stick",
    where: `${medium.name}${first.path ?? ""}`,
    expected: "what was written",
    found: `${first.text}${problems.length === 1 ? "" : `, and ${problems.length - 1} more problems`}`,
    hint: "It does not keep what is written to it: try another port, or another stick.",
  });
}

const NO_CONFIG = `{
  // What may stand here: docs/configuration.md. \`hiperiso stick config\` checks it.
}
`;

async function configOf(cli: Cli, path: string | undefined): Promise<Uint8Array> {
  const bytes =
    path === undefined ? new TextEncoder().encode(NO_CONFIG) : await readBounded(path, CONFIG_FILE_BYTES_MAX, "read the configuration");
  const { findings } = decodeConfig(bytes, path ?? STICK_DATA.config);
  const text = findings.map(
    ({ where, line, column, path: key, message }) => `${where}:${line}:${column}: ${key === "" ? "" : `${key}: `}${message}`,
  );
  const errors = findings.filter(({ severity }) => severity === "error");
  if (errors.length > 0) {
    const found = text.slice(0, 10).join("\n");
    throw new HiperisoError({
      what: "put the configuration onto the stick",
      where: path ?? "",
      found,
      hint: "Mend it first.",
      kind: "usage",
    });
  }
  for (const line of text) cli.job.progress.warn(line);
  return bytes;
}

/** With the times that they will have on the stick. */
async function menuImages(
  images: readonly ImageSource[],
  time: { readonly ms: number; readonly fixed: boolean },
  signal: AbortSignal,
): Promise<readonly DatedImage[]> {
  const shown: DatedImage[] = [];
  for (const { from, to, sizeBytes, modifiedMs } of images) {
    if (!isImageName(basename(to))) continue;
    shown.push({ path: to, sizeBytes, modifiedMs: time.fixed ? time.ms : modifiedMs, look: await lookAtFile(from, signal) });
  }
  return shown;
}

async function report(
  cli: Cli,
  plan: StickPlan,
  written: WrittenStick | undefined,
  { place, runtime, json }: { readonly place: string; readonly runtime: StickRuntime | undefined; readonly json: boolean },
): Promise<void> {
  const { layout, images, espFiles, espUsedBytes, freeBytes } = plan;
  const { data, esp } = layout;
  const sums = new Map(written?.images.map(({ path, sha256 }) => [path, sha256]));
  if (json) {
    const span = ({ guid, offset, sizeBytes }: typeof data) => ({ guid, offset: diskNumber(offset), sizeBytes: diskNumber(sizeBytes) });
    cli.json({
      place,
      dryRun: written === undefined,
      sizeBytes: diskNumber(layout.sizeBytes),
      sectorBytes: layout.table.sectorBytes,
      diskGuid: layout.table.diskGuid,
      data: { ...span(data), freeBytes: diskNumber(freeBytes) },
      esp: { ...span(esp), usedBytes: diskNumber(espUsedBytes) },
      boots: runtime !== undefined,
      images: images.images.map(({ from, to, sizeBytes, expected }) => ({
        from,
        path: to,
        sizeBytes: diskNumber(sizeBytes),
        sha256: sums.get(to) ?? null,
        checkedAgainst: expected?.list ?? null,
      })),
    } satisfies StickCreated);
    return;
  }
  const size = (bytes: bigint) => byteSize(Number(bytes));
  cli.out(`${printable(place)}  ${size(layout.sizeBytes)}, GPT ${layout.table.diskGuid}\n`);
  cli.out(`  1  byte ${data.offset}, ${size(data.sizeBytes)}  data: exFAT, ${size(freeBytes)} free\n`);
  for (const { from, to, sizeBytes, expected } of images.images) {
    const sum =
      expected === undefined ? "" : written === undefined ? `, to be checked against ${expected.list}` : `, as ${expected.list} says`;
    cli.out(`       ${printable(to)}  ${size(sizeBytes)}, from ${printable(from)}${printable(sum)}\n`);
  }
  cli.out(`  2  byte ${esp.offset}, ${size(esp.sizeBytes)}  boot: FAT16, ${size(espUsedBytes)} used\n`);
  for (const file of orderedEspFiles(espFiles)) cli.out(`       ${printable(file.path)}  ${size(await sizeOfEspFile(file))}\n`);
  if (written === undefined) cli.out("Nothing was written.\n");
  else cli.err(`Made. \`hiperiso stick add ${printable(place)} IMAGE\` puts more on it.`);
}
