import { spawn } from "node:child_process";
import { resolve } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { EXIT } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { defaultStore } from "../live/demo.ts";
import { endOfLog, findFailedStage } from "../live/failed-stage.ts";
import { enterTree } from "../live/sandbox/tree.ts";
import { Store } from "../live/store.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

const LINES_SHOWN = 20;

export function shellCommand(cli: Cli) {
  return new Command("shell")
    .description("Enter what a failed stage left: its root file system where it had unpacked one, else its folder.")
    .argument("<stage>", "name of the stage; SPEC.STAGE where several specs have one of that name")
    .argument("[command...]", "behind --: run this in place of a shell")
    .option("--store <folder>", "where outputs of stages are kept", defaultStore(cli.env))
    .option("--network", "with the computer's network")
    .option("--folder", "its folder, also where there is a root file system")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso live shell root", "a shell where the stage's commands ran"],
        ["hiperiso live shell root -- cat /etc/apt/sources.list", "one command there"],
        ["hiperiso live shell --folder root", "its log, output and scratch files"],
      ]),
    )
    .action(async (stage, command, { store: folder, network, folder: wantsFolder }) => {
      const store = await Store.open(resolve(folder), cli.env);
      const failed = await findFailedStage(store, stage);
      const isInteractive = command.length === 0;
      if (isInteractive) {
        for (const line of await endOfLog(failed, LINES_SHOWN)) cli.err(`  ${printable(line)}`);
        const place =
          failed.tree === undefined || wantsFolder === true
            ? failed.folder
            : "the root file system of the stage; changes go with its next run";
        cli.err(`${failed.name} failed; its log: ${printable(failed.log)}\nThis is ${printable(place)}. End with exit.`);
      }
      const status =
        failed.tree === undefined || wantsFolder === true
          ? await runIn(failed.folder, isInteractive ? [cli.env["SHELL"] ?? "/bin/sh"] : command, cli)
          : await enterTree(
              failed.tree,
              { env: cli.env, job: cli.job },
              { network: network === true, ...(isInteractive ? {} : { command }) },
            );
      // The last command of a shell that a person leaves says nothing about their visit.
      if (!isInteractive && status !== 0) cli.exit(EXIT.goalMissed);
    });
}

/** With this terminal. Its status; 128 and more where a signal ended it. */
function runIn(folder: string, [program, ...args]: readonly string[], cli: Cli): Promise<number> {
  return new Promise((ended, failed) => {
    const child = spawn(program!, args, { cwd: folder, env: cli.env as NodeJS.ProcessEnv, stdio: "inherit" });
    child.once("error", failed);
    child.once("exit", (code) => ended(code ?? 128));
  });
}
