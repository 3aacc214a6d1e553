/** `hiperiso runtime`: what a stick boots, built and shown. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { printable } from "../formats/escape-terminal.ts";
import { buildRuntime, runtimeStore } from "../stick/runtime/build-runtime.ts";
import { handOutRuntime } from "../stick/runtime/hand-out.ts";
import { runtimeTable } from "../stick/runtime/table.ts";
import type { Cli } from "./cli.ts";
import { collected, stageOptions } from "./live-options.ts";
import { explanation } from "./live-words.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("runtime")
    .description("What a stick boots: kernel, loaders, QEMU, Node and this program.")
    .addCommand(buildCommand(cli));
}

function buildCommand(cli: Cli) {
  return new Command("build")
    .summary("build what a stick boots, and say what takes the room")
    .description(
      "Build what a stick boots, and say what takes the room on its boot partition. It is kept: `stick create` and `stick update` take it from there, and\nbuild it themselves where it is missing. The first build takes minutes and fetches some 150 MB.",
    )
    .option("--to <folder>", "a copy of it, laid out as the boot partition; packages and licences beside it")
    .option("--store <folder>", "where outputs of stages are kept", runtimeStore(cli.env))
    .option("--set <stage.option=value>", "replace an option of a stage of its spec, its value as YAML; may be repeated", collected, [])
    .option("--explain", "say of each stage why it ran or did not")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso runtime build", "build it, or say what the kept one is made of"],
        ["hiperiso runtime build --to runtime", "a copy, for `stick create --runtime runtime`"],
      ]),
    )
    .action(async ({ to, store, set, explain, json }) => {
      const runtime = await buildRuntime({ env: cli.env, store, set: stageOptions(set) }, cli.job);
      if (to !== undefined) await handOutRuntime(runtime.output, to, cli.job);
      if (explain === true) cli.err(explanation(runtime.built, "built"));
      const folder = to ?? runtime.folder;
      if (json === true) {
        cli.json({
          folder,
          usedBytes: runtime.facts.used_bytes,
          roomBytes: runtime.facts.room_bytes,
          files: runtime.facts.files,
          stages: runtime.built.stages,
        });
        return;
      }
      cli.err(runtimeTable(runtime.facts));
      cli.out(`${printable(folder)}\n`);
    });
}
