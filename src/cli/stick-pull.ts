/** `hiperiso stick pull`: the evidence comes home. */
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { SESSION_FILES } from "../contract/session.ts";
import { STICK_DATA } from "../contract/stick.ts";
import type { StickPulled } from "../contract/stick-answers.ts";
import { printable } from "../formats/escape-terminal.ts";
import { systemClock } from "../host/clock.ts";
import { openOnDesktop } from "../host/desktop.ts";
import { expandTilde } from "../host/xdg.ts";
import { type Pulled, pullSessions } from "../stick/pull.ts";
import { chosenSessions, readStickSessions, type StickSession } from "../stick/sessions.ts";
import type { Cli } from "./cli.ts";
import { standardLogDirectory } from "./log-directory.ts";
import { ownRulesFor } from "./own-rules.ts";
import { examplesText } from "./program.ts";
import { openDataForReading, stickAndWords, withMounted } from "./stick-target.ts";

export function pullCommand(cli: Cli): CommandUnknownOpts {
  return withMounted(
    new Command("pull")
      .summary("bring recorded boots home from a stick")
      .description(
        "List the boots that a stick has recorded, copy those that are not here yet, close those that were cut off, and open the report of the newest.\nThe stick is only read.",
      )
      .argument("[words...]", "the stick's image or device, then, where only some are meant, ids or their beginnings"),
  )
    .option("--to <folder>", "where they go (default: where `hiperiso sessions` looks)")
    .option("--all", "those that are here already, too: copied again")
    .option("--list", "list them, and copy nothing")
    .option("--reanalyse", "analyse them by this version; the reports of the stick are kept beside, in as-recorded")
    .option("--from <folder>", "the folder on the stick that holds them", STICK_DATA.logs)
    .option("--no-open", "do not open the report")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick pull stick.img", "of an image, without root"],
        ["sudo hiperiso stick pull /dev/sdb --to evidence", "of a stick"],
        ["hiperiso stick pull --mounted /media/me/HIPERISO --reanalyse", "where the system has mounted it, with this version's rules"],
      ]),
    )
    .action(async (words, { to, all, list, reanalyse, from, open, json, mounted }) => {
      const { stick, rest } = stickAndWords(words, { mounted });
      const target = to === undefined ? standardLogDirectory(cli.env) : resolve(expandTilde(to, cli.env));
      await using opened = await openDataForReading(cli, stick, { mounted });
      const { data } = opened;
      const { sessions, unreadableLines } = await readStickSessions(data, from, cli.job);
      if (unreadableLines.length > 0)
        cli.job.progress.warn(`lines of the stick's index that cannot be read: ${unreadableLines.slice(0, 10).join(", ")}`);
      const wanted = rest.length === 0 ? sessions : chosenSessions(sessions, rest, data.where);
      if (json !== true) printSessions(cli, wanted);
      if (list === true) {
        if (json === true) cli.json({ sessions: wanted.map(asJson) } satisfies StickPulled);
        return;
      }
      let rules: ReturnType<typeof ownRulesFor> | undefined;
      const wish = {
        sessions: wanted,
        target,
        again: all === true,
        reanalyse: reanalyse === true,
        rules: () => (rules ??= ownRulesFor(cli, undefined)),
      };
      const pulled = await pullSessions(data, wish, systemClock, cli.job);
      if (json === true) {
        const { sessions: copied, here, running } = pulled;
        cli.json({
          target,
          sessions: wanted.map(asJson),
          copied: [...copied],
          here: [...here],
          running: [...running],
        } satisfies StickPulled);
        return;
      }
      await tell(cli, pulled, target, open);
    });
}

const asJson = ({ id, folder, state, line, session }: StickSession) => ({
  id,
  folder: folder ?? null,
  state,
  result: line?.result ?? null,
  imagePath: session?.iso_path ?? line?.iso_path ?? null,
  startTimeUtc: session?.start_time_utc ?? line?.start_time_utc ?? null,
});

function printSessions(cli: Cli, sessions: readonly StickSession[]): void {
  if (sessions.length === 0) cli.err("There are no sessions on the stick.");
  const { green, red, yellow } = picocolors.createColors(cli.colourOut);
  const width = Math.max(0, ...sessions.map(({ id }) => printable(id).length));
  for (const { id, state, line } of sessions) {
    const result = line?.result;
    const told = result === undefined || state === "cut off" || state === "running" ? yellow(state) : result;
    const painted = result === "success" ? green(told) : result === "failure" ? red(told) : told;
    const stage = line === undefined ? "" : `  ${line.boot_stage_final}`;
    cli.out(`${printable(id).padEnd(width)}  ${painted}${stage}${state === "gone" ? yellow("  removed from the stick") : ""}\n`);
  }
}

async function tell(cli: Cli, { sessions, here, running }: Pulled, target: string, open: boolean): Promise<void> {
  for (const { id, closed } of sessions) if (closed) cli.err(`${printable(id)} had been cut off; it is marked failed here, and analysed.`);
  for (const id of running) cli.err(`${printable(id)} is still being recorded: it was not copied.`);
  const before = here.length === 0 ? "" : `, ${here.length} ${here.length === 1 ? "was" : "were"} here already`;
  cli.err(`${sessions.length} copied to ${printable(target)}${before}.`);
  const newest = sessions.at(-1);
  if (newest === undefined) return;
  const page = join(newest.directory, SESSION_FILES.reportPage);
  const text = join(newest.directory, SESSION_FILES.reportText);
  const report = (await isThere(page)) ? page : (await isThere(text)) ? text : undefined;
  if (report === undefined) return cli.err("The newest one has no report: --reanalyse makes one.");
  cli.out(`${printable(report)}\n`);
  if (!open) return;
  const because = await openOnDesktop(report, cli.env, cli.job.signal);
  if (because !== undefined) cli.err(`Not opened: ${printable(because)}.`);
}

const isThere = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined;
