import { reasonOf } from "../contract/error.ts";
import { systemClock } from "../host/clock.ts";
import { sweepOrphans } from "../session/orphans.ts";
import type { Cli } from "./cli.ts";

/** Closes what a killed recorder left. What cannot be closed (a read-only disk, somebody else's files) is told and stops nothing. */
export async function sweep({ job }: Cli, directory: string): Promise<void> {
  try {
    for (const id of await sweepOrphans(directory, systemClock, job.signal)) {
      job.progress.say(`Session ${id} had been cut off; it is marked failed and analysed.`);
    }
  } catch (error) {
    job.signal.throwIfAborted();
    job.progress.warn(`sessions that were cut off could not be closed: ${reasonOf(error)}`);
  }
}
