import { reasonOf } from "../contract/error.ts";
import { systemClock } from "../host/clock.ts";
import { type RulesForOrphans, sweepOrphans } from "../session/orphans.ts";
import type { Cli } from "./cli.ts";
import { ownRulesFor } from "./own-rules.ts";

/** Closes what a killed recorder left, by the person's own rules too: those beside the configuration unless others are given. What cannot be closed (a read-only disk, somebody else's files) is told and stops nothing. */
export async function sweep(cli: Cli, directory: string, rules: RulesForOrphans = () => ownRulesFor(cli, undefined)): Promise<void> {
  const { job } = cli;
  try {
    for (const id of await sweepOrphans(directory, systemClock, job.signal, rules)) {
      job.progress.say(`Session ${id} had been cut off; it is marked failed and analysed.`);
    }
  } catch (error) {
    job.signal.throwIfAborted();
    job.progress.warn(`sessions that were cut off could not be closed: ${reasonOf(error)}`);
  }
}
