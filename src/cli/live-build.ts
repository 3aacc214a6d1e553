import { constants } from "node:fs";
import { copyFile, mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { EXIT, HiperisoError, reasonOf } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { syncDirectory } from "../host/atomic-file.ts";
import { defaultStore } from "../live/demo.ts";
import { fileDigest } from "../live/file-digest.ts";
import { readManifest, writeManifestBeside } from "../live/manifest.ts";
import { type BuildOptions, type Built, buildPlan } from "../live/runner.ts";
import { stageKindsWith } from "../live/stages/kinds.ts";
import { type BuiltTwice, buildTwice } from "../live/twice.ts";
import type { Cli } from "./cli.ts";
import { liveBoots } from "./live-boots.ts";
import { collected, jobsOf, stageOptions } from "./live-options.ts";
import { differencesText, explanation, type ImageFacts, summary } from "./live-words.ts";
import { examplesText, programVersion } from "./program.ts";

export function buildCommand(cli: Cli) {
  return new Command("build")
    .description("Build a spec's image, boot it where the spec says so, and print its path.")
    .argument("<spec>", "spec file (YAML)")
    .option("--to <file>", "copy the image there")
    .option("--variant <name>", "one of the spec's variants")
    .option("--set <stage.option=value>", "replace an option of a stage, its value as YAML; may be repeated", collected, [])
    .option("--store <folder>", "where outputs of stages are kept", defaultStore(cli.env))
    .option("--stage <name>", "build this stage only, and print its output's folder; may be repeated", collected, [])
    .option("--no-test", "leave out the stages that boot the image")
    .option("--jobs <n>", "at most so many stages at once, and boots", jobsOf)
    .option("--log-dir <folder>", "where the sessions of boots are made")
    .option("--explain", "say of each stage why it ran or did not")
    .option("--dry-run", "say what would run and why, and run nothing")
    .option("--twice", "build twice from nothing, and name what differs; nothing is booted")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso live build debian.yaml --to debian.iso", "the image as a file of your own, and how its boots went"],
        ["hiperiso live build debian.yaml --dry-run", "what would be built again, and why"],
        ["hiperiso live build debian.yaml --twice", "whether two builds give the same bytes"],
        ["hiperiso live build live/demo.yaml --set 'iso.extra_arguments=[quiet]'", "with another kernel command line"],
      ]),
    )
    .action(async (spec, flags) => {
      const { to, variant, store, jobs, json } = flags;
      const options: BuildOptions = {
        store: resolve(store),
        env: cli.env,
        variant,
        set: stageOptions(flags.set),
        kinds: stageKindsWith(liveBoots(cli, { logDir: flags.logDir, jobs })),
        tests: flags.test,
        jobs,
        dryRun: flags.dryRun === true,
        ...(flags.stage.length === 0 ? {} : { stages: flags.stage }),
      };
      refuseTogether(flags);
      const asked: Asked = {
        spec: resolve(spec),
        store: options.store,
        to: to === undefined ? undefined : resolve(to),
        json: json === true,
      };
      if (flags.twice === true) return await printTwice(cli, await buildTwice(asked.spec, options, cli.job), asked);
      const built = await buildPlan(asked.spec, options, cli.job);
      if (flags.dryRun === true) {
        if (json === true) cli.json({ plan: built.plan, stages: built.stages });
        else cli.out(`${explanation(built, "would be built")}\n`);
        return;
      }
      if (flags.explain === true) cli.err(explanation(built, "built"));
      await printBuilt(cli, built, asked);
    });
}

interface Together {
  readonly to?: string | undefined;
  readonly stage: readonly string[];
  readonly dryRun?: true | undefined;
  readonly twice?: true | undefined;
}

function refuseTogether({ to, stage, dryRun, twice }: Together): void {
  const pairs: readonly (readonly [boolean, string])[] = [
    [to !== undefined && stage.length > 0, "--to and --stage: a stage's output is a folder"],
    [to !== undefined && dryRun === true, "--to and --dry-run"],
    [twice === true && dryRun === true, "--twice and --dry-run"],
  ];
  for (const [isSo, found] of pairs)
    if (isSo) throw new HiperisoError({ what: "build a spec", expected: "options that go together", found, kind: "usage" });
}

interface Asked {
  readonly spec: string;
  readonly store: string;
  readonly to: string | undefined;
  readonly json: boolean;
}

async function printBuilt(cli: Cli, built: Built, asked: Asked): Promise<void> {
  const image = await handedOut(cli, built, asked);
  if (asked.json) cli.json({ ...image, plan: built.plan, stages: built.stages, tests: built.tests });
  else {
    cli.err(summary(built, image));
    cli.out(`${printable(image.image)}\n`);
  }
  if (built.tests.some(({ passed }) => !passed)) cli.exit(EXIT.goalMissed);
}

async function printTwice(cli: Cli, { built, differences }: BuiltTwice, asked: Asked): Promise<void> {
  const isSame = differences.length === 0;
  const image = isSame ? await handedOut(cli, built, asked) : { image: null };
  if (asked.json) cli.json({ same: isSame, ...image, plan: built.plan, stages: built.stages, differences });
  else {
    cli.err(differencesText(built, differences));
    if (image.image !== null) cli.out(`${printable(image.image)}\n`);
  }
  if (!isSame) cli.exit(EXIT.goalMissed);
}

/** The image in the store, or its copy where one is wanted, with its manifest beside it. */
async function handedOut(cli: Cli, built: Built, { spec, store, to }: Asked): Promise<ImageFacts> {
  const facts = await stat(built.output);
  if (!facts.isFile()) return { image: built.output };
  const known = { sizeBytes: facts.size, sha256: await fileDigest(built.output, join(store, "cache")) };
  if (to === undefined) return { image: built.output, ...known };
  const image = await copiedTo(to, built.output, cli.job.signal);
  const program = `hiperiso ${programVersion()}`;
  const manifest = await readManifest({ planPath: spec, built, store, env: cli.env, program });
  return { image, ...known, beside: await writeManifestBeside(image, manifest) };
}

/** Under its final name there is the whole copy or what was there before. */
async function copiedTo(target: string, image: string, signal: AbortSignal): Promise<string> {
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    signal.throwIfAborted();
    await mkdir(dirname(target), { recursive: true });
    // On btrfs, XFS and their like no byte is copied.
    await copyFile(image, temporary, constants.COPYFILE_FICLONE);
    await rename(temporary, target);
    await syncDirectory(dirname(target));
    return target;
  } catch (error) {
    await rm(temporary, { force: true });
    signal.throwIfAborted();
    throw new HiperisoError({
      what: "copy the image",
      where: target,
      found: reasonOf(error),
      hint: `It is kept at ${image}.`,
      cause: error,
    });
  }
}
