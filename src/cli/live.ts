import { copyFile, mkdir, rename, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { parseDocument } from "yaml";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { buildDemo, DEMO_VARIANTS, type DemoVariant, defaultStore } from "../live/demo.ts";
import { type Built, buildPlan } from "../live/runner.ts";
import { stageKindsWith } from "../live/stages/kinds.ts";
import type { Cli } from "./cli.ts";
import { liveBoots } from "./live-boots.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("live").description("Build live images from plans.").addCommand(build(cli)).addCommand(demo(cli));
}

function build(cli: Cli) {
  return new Command("build")
    .description("Build a plan's image and print its path.")
    .argument("<plan>", "plan file (YAML)")
    .option("--to <file>", "copy the image there")
    .option("--variant <name>", "one of the plan's variants")
    .option("--set <stage.option=value>", "replace an option of a stage, its value as YAML; may be repeated", collected, [])
    .option("--store <folder>", "where outputs of stages are kept", defaultStore(cli.env))
    .option("--log-dir <folder>", "where boot-test stages record their sessions")
    .option("--explain", "say of each stage why it ran or did not")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso live build live/demo.yaml --to demo.iso", "the demo image as a file of your own"],
        ["hiperiso live build live/demo.yaml --variant silent", "another form of it, made from the same parts"],
        ["hiperiso live build live/demo.yaml --set 'iso.extra_arguments=[quiet]'", "with another kernel command line"],
      ]),
    )
    .action(async (plan, { to, variant, set, store, logDir, explain, json }) => {
      const kinds = stageKindsWith(liveBoots(cli, { logDir }));
      const built = await buildPlan(
        resolve(plan),
        { store: resolve(store), env: cli.env, variant, set: stageOptions(set), kinds },
        cli.job,
      );
      const path = to === undefined ? built.output : await copiedTo(resolve(to), built.output);
      if (explain === true) cli.err(explanation(built));
      if (json === true) cli.json({ image: path, stages: built.stages });
      else cli.out(`${printable(path)}\n`);
    });
}

const collected = (value: string, before: readonly string[]): string[] => [...before, value];

/** `iso.timeout=5` → `{ iso: { timeout: 5 } }`. */
function stageOptions(settings: readonly string[]): Record<string, Record<string, unknown>> {
  const options: Record<string, Record<string, unknown>> = {};
  for (const setting of settings) {
    const parts = /^([a-z0-9-]+)\.([a-z_]+)=(.*)$/s.exec(setting);
    const document = parts === null ? undefined : parseDocument(parts[3]!);
    if (parts === null || document === undefined || document.errors.length > 0) {
      throw new HiperisoError({
        what: "read an option",
        where: "--set",
        expected: "STAGE.OPTION=VALUE, the value as YAML",
        found: setting,
        kind: "usage",
      });
    }
    const [, stage, option] = parts as unknown as readonly [string, string, string];
    options[stage] = { ...options[stage], [option]: document.toJS() as unknown };
  }
  return options;
}

function demo(cli: Cli) {
  return new Command("demo")
    .description("Build the demo image and print its path.")
    .option("--variant <name>", `one of ${DEMO_VARIANTS.join(", ")}`, "normal")
    .action(async ({ variant }) => {
      cli.out(`${printable(await buildDemo({ env: cli.env, variant: checkedVariant(variant) }, cli.job))}\n`);
    });
}

function checkedVariant(name: string): DemoVariant {
  const found = DEMO_VARIANTS.find((variant) => variant === name);
  if (found !== undefined) return found;
  throw new HiperisoError({
    what: "build the demo image",
    where: "--variant",
    expected: `one of ${DEMO_VARIANTS.join(", ")}`,
    found: name,
    kind: "usage",
  });
}

/** Under its final name there is the whole copy or what was there before. */
async function copiedTo(target: string, image: string): Promise<string> {
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    await mkdir(dirname(target), { recursive: true });
    await copyFile(image, temporary);
    await rename(temporary, target);
    return target;
  } catch (error) {
    await rm(temporary, { force: true });
    throw new HiperisoError({
      what: "copy the image",
      where: target,
      found: reasonOf(error),
      hint: `It is kept at ${image}.`,
      cause: error,
    });
  }
}

function explanation({ stages }: Built): string {
  const width = Math.max(...stages.map(({ name }) => name.length));
  return stages
    .map(
      ({ name, reused, because, hash }) =>
        `${name.padEnd(width)}  ${reused ? "kept " : "built"}  ${hash.slice(0, 12)}  ${printable(because)}`,
    )
    .join("\n");
}
