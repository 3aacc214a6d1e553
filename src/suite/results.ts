/** The results of a matrix: as a value for programs, and as a table for a person. */
import type { SuiteResult } from "../contract/suite.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { JobResult } from "./run-jobs.ts";

export interface SuiteFacts {
  readonly name: string;
  readonly startedUtc: string;
  readonly durationMs: number;
}

export function suiteResult({ name, startedUtc, durationMs }: SuiteFacts, results: readonly JobResult[]): SuiteResult {
  const count = (wanted: JobResult["status"]) => results.filter(({ status }) => status === wanted).length;
  return {
    name,
    started_utc: startedUtc,
    duration_ms: Math.round(durationMs),
    passed: count("passed"),
    failed: count("failed"),
    errors: count("error"),
    not_run: count("not_run"),
    flaky: results.filter(({ flaky }) => flaky).length,
    jobs: results.map(({ job, status, flaky, runs }) => ({
      id: job.id,
      test: job.test,
      image: job.image,
      settings: job.settings,
      words: [...job.words],
      script: job.script?.name ?? null,
      status,
      flaky,
      runs: [...runs],
    })),
  };
}

/** `4 of 6 passed, 1 failed, 1 not run`. */
export function suiteSummary({ passed, failed, errors, not_run: notRun, flaky, jobs }: SuiteResult): string {
  const some = (count: number, word: string): readonly string[] => (count === 0 ? [] : [`${count} ${word}`]);
  return [
    `${passed} of ${jobs.length} passed`,
    ...some(failed, "failed"),
    ...some(errors, errors === 1 ? "error" : "errors"),
    ...some(notRun, "not run"),
    ...some(flaky, "only when run again"),
  ].join(", ");
}

export const STATUS_WORDS = { passed: "passed", failed: "FAILED", error: "ERROR", not_run: "not run" } as const;

const WHY_MAX = 160;

/** A row a job; below those that did not pass, why, and where the session is. Text from outside is made harmless. */
export function resultsTable(result: SuiteResult): string {
  const rows = result.jobs.map((job) => {
    const run = job.runs.at(-1);
    const times = job.runs.length > 1 ? `${job.runs.length} runs` : "";
    return {
      job,
      run,
      cells: [STATUS_WORDS[job.status], printable(job.id), run?.stage ?? "", run === undefined ? "" : seconds(run.duration_ms), times],
    };
  });
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map(({ cells }) => cells[column]!.length), 0));
  const lines = rows.flatMap(({ job, run, cells }) => {
    const padded = cells.map((cell, column) => (column === 3 ? cell.padStart(widths[3]!) : cell.padEnd(widths[column] ?? 0)));
    const row = padded.join("  ").trimEnd();
    if (job.status === "passed" || run === undefined) return [row];
    const session = run.session === null ? [] : [`    ${printable(run.session)}`];
    return [row, `    ${shortened(run.why)}`, ...session];
  });
  return `${[...lines, "", `${printable(result.name)}: ${suiteSummary(result)}, in ${seconds(result.duration_ms)}`].join("\n")}\n`;
}

const shortened = (text: string): string => {
  const line = printable(text.trim().replaceAll(/\s*\n\s*/g, "; "));
  return line.length > WHY_MAX ? `${line.slice(0, WHY_MAX - 1)}…` : line;
};

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
