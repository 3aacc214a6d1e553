import { resolve } from "node:path";
import { Command, Option } from "@commander-js/extra-typings";
import { checkPlan } from "../live/checked-plan.ts";
import { defaultStore } from "../live/demo.ts";
import { type DrawnGraph, drawDot, drawText } from "../live/draw.ts";
import { drawSvg } from "../live/draw-svg.ts";
import { orderOf } from "../live/graph.ts";
import { readPlan } from "../live/plan.ts";
import { buildPlan } from "../live/runner.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

export function graphCommand(cli: Cli) {
  return new Command("graph")
    .description("Draw the stages of a spec and what each is made from.")
    .argument("<spec>", "spec file (YAML)")
    .addOption(new Option("--format <form>", "of the drawing").choices(["text", "dot", "svg"] as const).default("text" as const))
    .option("--variant <name>", "one of the spec's variants")
    .option("--state", "say of each stage whether its output is kept; asks the package sources")
    .option("--store <folder>", "where outputs of stages are kept", defaultStore(cli.env))
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso live graph debian.yaml", "as a tree"],
        ["hiperiso live graph debian.yaml --format svg >graph.svg", "as a picture"],
        ["hiperiso live graph debian.yaml --format dot | dot -Tpdf >graph.pdf", "for Graphviz"],
      ]),
    )
    .action(async (spec, { format, variant, state, store, json }) => {
      const plan = await readPlan(resolve(spec));
      const stages = checkPlan(plan, { variant });
      const all = stages.map(({ name }) => name);
      const ordered = orderOf(stages, all);
      const tests = stages.filter(({ isTest }) => isTest).map(({ name }) => ({ stage: name }));
      const notes = new Map<string, string>();
      if (state === true) {
        const options = { store: resolve(store), env: cli.env, variant, stages: all, dryRun: true };
        for (const { name, reused } of (await buildPlan(resolve(spec), options, cli.job)).stages)
          notes.set(name, reused ? "kept" : "to build");
      }
      const graph: DrawnGraph = {
        stages: ordered.map(({ name, kind, inputs }) => ({ name, kind, inputs, note: notes.get(name) })),
        targets: [plan.result, ...tests],
      };
      if (json === true) cli.json({ plan: plan.name, ...graph });
      else cli.out(format === "text" ? drawText(graph) : format === "dot" ? drawDot(graph, plan.name) : drawSvg(graph, plan.name));
    });
}
