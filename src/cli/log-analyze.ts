import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { analyseSession } from "../analysis/analyse.ts";
import { EXIT } from "../contract/error.ts";
import type { Cli } from "./cli.ts";
import { ownRulesFor, RULES_OPTION } from "./own-rules.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("analyze")
    .description(
      "Analyses a session directory, or any directory with a serial.log, and writes report.json, report.txt and analysis.meta there.",
    )
    .argument("<log_dir>", "the directory")
    .option(...RULES_OPTION)
    .option("--json", "print report.json instead of report.txt")
    .addHelpText("after", () =>
      examplesText([["hiperiso-log analyze ~/.local/state/hiperiso/logs/debian.iso_20240101T000000Z", "analyse a session again"]]),
    )
    .action(async (directory, { json, rules }) => {
      const { report, text } = await analyseSession(directory, { job: cli.job, rules: await ownRulesFor(cli, rules) });
      if (json === true) cli.json(report);
      else cli.out(text);
      cli.exit(report.boot_result === "success" ? EXIT.goalReached : EXIT.goalMissed);
    });
}
