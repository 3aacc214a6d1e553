import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { analyseSession } from "../analysis/analyse.ts";
import { SESSION_FILES } from "../contract/session.ts";
import { printable } from "../formats/escape-terminal.ts";
import { findSession } from "../session/catalogue.ts";
import { exists } from "../session/finalise.ts";
import type { Cli } from "./cli.ts";
import { sweep } from "./cut-off-sessions.ts";
import { logDirectoryOf } from "./log-directory.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("report")
    .description("Shows the report of a recorded boot.")
    .argument("[session]", "its id, the beginning of it, or its directory; the newest without one")
    .option("--log-dir <path>", "folder that holds the sessions (default: hiperiso/logs in the XDG state folder)")
    .option("--json", "print report.json")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso report", "of the newest session"],
        ["hiperiso report --json | jq .findings", "what was found, for a program"],
      ]),
    )
    .action(async (reference, { logDir, json }) => {
      const directory = logDirectoryOf(logDir, cli.env);
      await sweep(cli, directory);
      const entry = await findSession(directory, reference);
      if (!(await exists(join(entry.directory, SESSION_FILES.report)))) await analyseSession(entry.directory);
      const page = await readFile(join(entry.directory, json === true ? SESSION_FILES.report : SESSION_FILES.reportText), "utf8");
      if (json === true) cli.json(JSON.parse(page));
      else cli.out(printable(page, { keepNewlines: true })); // the session may come from anywhere
    });
}
