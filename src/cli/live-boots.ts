/** Boots for `boot-test` stages: `hiperiso boot` in this process, as `hiperiso test` does it. */
import { systemClock } from "../host/clock.ts";
import { hostFacts } from "../host/host-facts.ts";
import type { Boots } from "../live/boots.ts";
import { runJobs, type SuiteEvent } from "../suite/run-jobs.ts";
import { planCapacity } from "../suite/schedule.ts";
import type { Cli } from "./cli.ts";
import { logDirectoryOf } from "./log-directory.ts";
import { suiteFace } from "./suite-face.ts";

/** `logDir`: as `--log-dir` gives it. `jobs`: at most so many boots at once. */
export function liveBoots(
  cli: Cli,
  { logDir, jobs }: { readonly logDir?: string | undefined; readonly jobs?: number | undefined } = {},
): Boots {
  const logDirectory = logDirectoryOf(logDir, cli.env);
  return {
    logDirectory,
    clock: systemClock,
    async run(all, { retries, signal }) {
      // What boots takes longer to load than all the rest of a build in which nothing has changed.
      const { bootHere } = await import("./boot-here.ts");
      const host = await hostFacts();
      return await runJobs(all, {
        capacity: planCapacity({ availableRamMb: host.available_ram_mb, cores: host.cpu_logical_cores }, jobs),
        retries,
        signal,
        onEvent: suiteFace(cli, all.length) satisfies (event: SuiteEvent) => void,
        runJob: (job) => bootHere(cli, job, logDirectory),
      });
    },
  };
}
