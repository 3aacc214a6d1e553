import { createReadStream } from "node:fs";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { createGoal } from "../analysis/goal.ts";
import { type ConsoleEvent, createConsoleWatch } from "../analysis/watch.ts";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("serial")
    .description("Prints the stages and findings of a console log, as they stand in it.")
    .argument("<serial.log>", "the log, or - for standard input")
    .option("--stages", "stages only")
    .option("--findings", "findings only")
    .option("--json", "one JSON object a line")
    .addHelpText("after", () => examplesText([["hiperiso-log serial serial.log --findings", "what went wrong, line by line"]]))
    .action(async (path, { stages, findings, json }) => {
      const wanted = (event: ConsoleEvent) =>
        event.type === "stage" ? findings !== true || stages === true : event.type === "finding" && (stages !== true || findings === true);
      const watch = createConsoleWatch({ goal: createGoal("never") });
      for await (const chunk of bytesOf(path, cli.job.signal)) {
        for (const event of watch.push(chunk, 0)) {
          if (wanted(event)) cli.out(json === true ? `${JSON.stringify(event)}\n` : `${lineOf(event)}\n`);
        }
      }
    });
}

async function* bytesOf(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* path === "-" ? process.stdin : (createReadStream(path, { signal }) as AsyncIterable<Buffer>);
  } catch (error) {
    if (signal.aborted) throw error;
    throw new HiperisoError({ what: "read a console log", where: path, found: reasonOf(error), kind: "usage", cause: error });
  }
}

function lineOf(event: ConsoleEvent): string {
  if (event.type === "stage") return `${String(event.line).padStart(7)}  stage    ${event.stage.padEnd(10)} ${printable(event.text)}`;
  if (event.type === "finding")
    return `${String(event.line).padStart(7)}  ${event.severity.padEnd(8)} ${event.rule}  ${printable(event.text)}`;
  return "";
}
