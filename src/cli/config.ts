import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { readConfig } from "../config/config-file.ts";
import type { ConfigFinding } from "../config/hiperiso-json.ts";
import { EXIT } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("config")
    .description("Checks a hiperiso.json. A boot never stops because of one; this tells what it would leave out.")
    .addCommand(checkCommand(cli));
}

function checkCommand(cli: Cli): CommandUnknownOpts {
  return new Command("check")
    .summary("report what is wrong, by line and column")
    .description("Reports what is wrong in a hiperiso.json, by line and column. Exit status 2 when there are errors.")
    .argument("<file>", "the configuration to check")
    .option("--json", "print the findings as JSON")
    .addHelpText("after", () => examplesText([["hiperiso config check /media/stick/hiperiso/hiperiso.json", "before the stick is used"]]))
    .action(async (file, { json }) => {
      const { findings } = await readConfig(file);
      const errors = findings.filter(({ severity }) => severity === "error").length;
      if (json === true) cli.json({ file, errors, warnings: findings.length - errors, findings });
      else cli.out(findingsText(file, findings, cli.colourOut));
      if (errors > 0) cli.exit(EXIT.usage);
    });
}

/** One line a finding, `file:line:column:` first, as editors and compilers know it. */
function findingsText(file: string, findings: readonly ConfigFinding[], colour: boolean): string {
  const name = printable(file);
  if (findings.length === 0) return `${name}: nothing is wrong.\n`;
  const { bold, red, yellow } = picocolors.createColors(colour);
  return findings
    .map(({ line, column, path, message, severity }) => {
      const label = severity === "error" ? red("error:") : yellow("warning:");
      return `${bold(`${name}:${line}:${column}:`)} ${label} ${path === "" ? "" : `${path}: `}${message}\n`;
    })
    .join("");
}
