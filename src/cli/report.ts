import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { analyseSession } from "../analysis/analyse.ts";
import type { Rule } from "../analysis/rule.ts";
import { HiperisoError } from "../contract/error.ts";
import { SESSION_FILES } from "../contract/session.ts";
import { printable } from "../formats/escape-terminal.ts";
import { openOnDesktop } from "../host/desktop.ts";
import { findSession } from "../session/catalogue.ts";
import { exists } from "../session/finalise.ts";
import type { Cli } from "./cli.ts";
import { sweep } from "./cut-off-sessions.ts";
import { logDirectoryOf } from "./log-directory.ts";
import { ownRulesFor } from "./own-rules.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("report")
    .description("Shows the report of a recorded boot.")
    .argument("[session]", "its id, the beginning of it, or its directory; the newest without one")
    .option("--log-dir <path>", "folder that holds the sessions (default: hiperiso/logs in the XDG state folder)")
    .option("--rules <file>", "analyse the boot again, by the rules in this file, too; its reports are written anew")
    .option("--json", "print report.json")
    .addOption(new Option("--open", "show report.html, the report as a page, in a browser").conflicts("json"))
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso report", "of the newest session"],
        ["hiperiso report --open", "the same as a page, with its timeline, the screen and the log"],
        ["hiperiso report --json | jq .findings", "what was found, for a program"],
        ["hiperiso report --rules board.yaml", "what rules of your own say of it"],
      ]),
    )
    .action(async (reference, { logDir, json, open, rules: rulesFile }) => {
      const rules = await ownRulesFor(cli, rulesFile);
      const directory = logDirectoryOf(logDir, cli.env);
      await sweep(cli, directory, async () => rules);
      const entry = await findSession(directory, reference);
      // Rules that somebody names are to be seen at work; those beside the configuration held when the boot was recorded.
      if (rulesFile !== undefined) await analyseSession(entry.directory, { job: cli.job, rules });
      if (open === true) return await openPage(cli, entry.directory, rules);
      if (!(await exists(join(entry.directory, SESSION_FILES.report)))) await analyseSession(entry.directory, { job: cli.job, rules });
      const page = await readFile(join(entry.directory, json === true ? SESSION_FILES.report : SESSION_FILES.reportText), "utf8");
      if (json === true) cli.json(JSON.parse(page));
      else cli.out(printable(page, { keepNewlines: true })); // the session may come from anywhere
      if (rulesFile !== undefined)
        cli.err(`Analysed again; session.json and the index still say what was found when the boot was recorded.`);
    });
}

/** The path is the result: the page can be opened elsewhere, too. */
async function openPage(cli: Cli, directory: string, rules: readonly Rule[]): Promise<void> {
  const path = join(directory, SESSION_FILES.reportPage);
  if (!(await exists(path))) await analyseSession(directory, { job: cli.job, rules });
  if (!(await exists(path))) {
    const hint = "Make room there, then try again; `hiperiso report` shows the report as text.";
    throw new HiperisoError({ what: "write the report's page", where: path, found: "a file system that is nearly full", hint });
  }
  cli.out(`${printable(path)}\n`);
  const because = await openOnDesktop(path, cli.env, cli.job.signal);
  if (because !== undefined) cli.err(`Not opened: ${printable(because)}. Any browser shows the file, here or on another computer.`);
}
