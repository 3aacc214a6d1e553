/** A job of a matrix, booted in this process. */
import { reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { SuiteRun } from "../contract/suite.ts";
import { systemClock } from "../host/clock.ts";
import type { SessionEvent } from "../session/recording.ts";
import type { BootJob } from "../suite/job.ts";
import { judge } from "../suite/judge.ts";
import { command as bootCommand } from "./boot.ts";
import type { Cli } from "./cli.ts";

/** One job in this process: `hiperiso boot` with the job's words, its events taken instead of printed. */
export async function bootHere(cli: Cli, job: BootJob, logDir: string): Promise<SuiteRun> {
  const beganMs = systemClock.monotonicMs();
  const seen: { -readonly [Type in SessionEvent["type"]]?: Extract<SessionEvent, { type: Type }> } = {};
  const boot = bootCommand(silent(cli), {
    ...(job.script === null ? {} : { script: job.script }),
    face: (event) => Object.assign(seen, { [event.type]: event }),
  })
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} });
  let failure: unknown;
  try {
    await boot.parseAsync([...(job.image === null ? [] : [job.image]), ...job.words, `--log-dir=${logDir}`], { from: "user" });
  } catch (error) {
    failure = error;
  }
  const durationMs = systemClock.monotonicMs() - beganMs;
  const { session: made, ending, verdict } = seen;
  if (failure === undefined && verdict !== undefined && made !== undefined) {
    if (cli.job.signal.aborted) return errorRun("interrupted", made.directory, durationMs);
    return judge(job.expect, { ...verdict, directory: made.directory, detail: ending?.ending.detail ?? "", durationMs });
  }
  return errorRun(reasonOf(failure ?? "it ended without a verdict"), made?.directory ?? null, durationMs);
}

const errorRun = (why: string, session: string | null, durationMs: number): SuiteRun => ({
  status: "error",
  why,
  session,
  result: null,
  stage: null,
  domain: null,
  duration_ms: Math.round(durationMs),
});

/** What a boot among many says is kept in its session; only its warnings reach the person. */
function silent(cli: Cli): Cli {
  const { warn } = cli.job.progress;
  const job: Job = { signal: cli.job.signal, progress: { begin: () => ({ advance: () => {}, end: () => {} }), say: () => {}, warn } };
  return { ...cli, out: () => {}, err: () => {}, status: () => {}, json: () => {}, exit: () => {}, job };
}
