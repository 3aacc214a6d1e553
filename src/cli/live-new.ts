import { Command } from "@commander-js/extra-typings";
import { shellWord } from "../formats/escape-shell.ts";
import { printable } from "../formats/escape-terminal.ts";
import { copyExample, listExamples } from "../live/examples.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

export function newCommand(cli: Cli) {
  return new Command("new")
    .description("Start a spec of your own: copy an example into a new folder.")
    .argument("[dir]", "the folder; without it the examples are listed")
    .option("--example <name>", "which", "debian")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso live new", "which examples there are"],
        ["hiperiso live new my-live", "a Debian live image to start from"],
      ]),
    )
    .action(async (dir, { example, json }) => {
      if (dir === undefined) {
        const examples = await listExamples();
        const width = Math.max(0, ...examples.map(({ name }) => name.length));
        if (json === true) cli.json({ examples });
        else for (const { name, about } of examples) cli.out(`${printable(name.padEnd(width))}  ${printable(about)}\n`);
        return;
      }
      const spec = await copyExample(example, dir);
      if (json === true) cli.json({ spec });
      else cli.out(`${printable(spec)}\n`);
      cli.err(`Change it, then: hiperiso live build ${printable(shellWord(spec))} --to my.iso`);
    });
}
