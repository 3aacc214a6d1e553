import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "./cli.ts";
import { buildCommand } from "./live-build.ts";
import { catalystCommand } from "./live-catalyst.ts";
import { demoCommand } from "./live-demo.ts";
import { gcCommand } from "./live-gc.ts";
import { graphCommand } from "./live-graph.ts";
import { newCommand } from "./live-new.ts";
import { publishCommand } from "./live-publish.ts";
import { shellCommand } from "./live-shell.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("live")
    .description("Build live images from specs: graphs of stages.")
    .addCommand(newCommand(cli))
    .addCommand(buildCommand(cli))
    .addCommand(publishCommand(cli))
    .addCommand(graphCommand(cli))
    .addCommand(shellCommand(cli))
    .addCommand(gcCommand(cli))
    .addCommand(catalystCommand(cli))
    .addCommand(demoCommand(cli));
}
