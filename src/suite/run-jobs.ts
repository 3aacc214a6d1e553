/** Runs the jobs of a matrix beside each other, as far as they fit, and those that failed again where that was asked for. */
import { reasonOf } from "../contract/error.ts";
import type { SuiteRun } from "../contract/suite.ts";
import type { BootJob } from "./job.ts";
import { type Capacity, startable } from "./schedule.ts";

export interface JobResult {
  readonly job: BootJob;
  readonly status: "passed" | "failed" | "error" | "not_run";
  /** It passed, but not the first time. */
  readonly flaky: boolean;
  readonly runs: readonly SuiteRun[];
}

/** Here, on another computer, or in a test: whoever can run a job. Throwing counts as an error of the job. */
export type RunJob = (job: BootJob, signal: AbortSignal) => Promise<SuiteRun>;

export type SuiteEvent =
  | { readonly type: "start"; readonly job: BootJob; readonly attempt: number }
  /** `again`: it will be run once more. */
  | { readonly type: "end"; readonly job: BootJob; readonly run: SuiteRun; readonly again: boolean };

export interface RunJobsOptions {
  readonly capacity: Capacity;
  /** How often a job that did not pass is run again. */
  readonly retries: number;
  readonly runJob: RunJob;
  /** Aborted: nothing more is started, the running ones are told, and what they came to is kept. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: SuiteEvent) => void;
}

/** Results in the order of the jobs. Never throws for a job's sake. */
export async function runJobs(jobs: readonly BootJob[], options: RunJobsOptions): Promise<readonly JobResult[]> {
  const { capacity, retries, runJob, signal, onEvent } = options;
  const runs = new Map<BootJob, SuiteRun[]>(jobs.map((job) => [job, []]));
  let waiting = [...jobs];
  const running = new Map<BootJob, Promise<void>>();
  const start = (job: BootJob): void => {
    const before = runs.get(job)!;
    onEvent({ type: "start", job, attempt: before.length + 1 });
    const work = runJob(job, signal)
      .catch((error: unknown) => errorRun(reasonOf(error)))
      .then((run) => {
        before.push(run);
        running.delete(job);
        const again = run.status !== "passed" && before.length <= retries && !signal.aborted;
        if (again) waiting.push(job);
        onEvent({ type: "end", job, run, again });
      });
    running.set(job, work);
  };
  for (;;) {
    if (signal.aborted) waiting = [];
    const now = new Set(
      startable(
        waiting.map(({ needs }) => needs),
        [...running.keys()].map(({ needs }) => needs),
        capacity,
      ),
    );
    const started = waiting.filter((_, index) => now.has(index));
    waiting = waiting.filter((_, index) => !now.has(index));
    for (const job of started) start(job);
    if (running.size === 0) break;
    await Promise.race(running.values());
  }
  return jobs.map((job) => resultOf(job, runs.get(job)!));
}

const errorRun = (why: string): SuiteRun => ({
  status: "error",
  why,
  session: null,
  result: null,
  stage: null,
  domain: null,
  duration_ms: 0,
});

function resultOf(job: BootJob, runs: readonly SuiteRun[]): JobResult {
  const last = runs.at(-1);
  return { job, status: last?.status ?? "not_run", flaky: last?.status === "passed" && runs.length > 1, runs };
}
