/** A line for a person whenever a boot of a matrix begins or ends. */
import { STATUS_WORDS } from "../suite/results.ts";
import type { SuiteEvent } from "../suite/run-jobs.ts";
import type { Cli } from "./cli.ts";

export function suiteFace({ job: { progress } }: Cli, total: number): (event: SuiteEvent) => void {
  let over = 0;
  return (event) => {
    const { id } = event.job;
    if (event.type === "start") {
      progress.say(`begun    ${id}${event.attempt === 1 ? "" : `, run ${event.attempt}`}`);
      return;
    }
    const { run, again } = event;
    if (!again) over += 1;
    const why = run.why === "" ? "" : `: ${run.why.split("\n")[0]}`;
    progress.say(
      `${STATUS_WORDS[run.status].padEnd(7)}  ${id}, ${(run.duration_ms / 1000).toFixed(1)} s${why}${again ? "; once more" : ` (${over} of ${total})`}`,
    );
  };
}
