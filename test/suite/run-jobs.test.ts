import { describe, expect, test } from "vitest";
import type { SuiteRun } from "../../src/contract/suite.ts";
import type { BootJob } from "../../src/suite/job.ts";
import { type RunJob, runJobs, type SuiteEvent } from "../../src/suite/run-jobs.ts";

const job = (id: string, memoryMb = 100): BootJob => ({
  id,
  test: id,
  image: `/${id}`,
  words: [],
  script: null,
  expect: {},
  needs: { memoryMb, processors: 1 },
  settings: {},
});
const run = (status: SuiteRun["status"]): SuiteRun => ({
  status,
  why: status === "passed" ? "" : "so",
  session: "/s",
  result: null,
  stage: null,
  domain: null,
  duration_ms: 1,
});

/** Each job's runs come to these, in order. */
async function ran(outcomes: Readonly<Record<string, readonly (SuiteRun["status"] | Error)[]>>, retries = 0) {
  const left = new Map(Object.entries(outcomes).map(([id, list]) => [id, [...list]]));
  const events: SuiteEvent[] = [];
  const runJob: RunJob = async ({ id }) => {
    const next = left.get(id)!.shift();
    if (next instanceof Error) throw next;
    return run(next!);
  };
  const results = await runJobs(
    Object.keys(outcomes).map((id) => job(id)),
    {
      capacity: { memoryMb: 1000, processors: 2, jobs: 9 },
      retries,
      runJob,
      signal: new AbortController().signal,
      onEvent: (event) => events.push(event),
    },
  );
  return { results: results.map(({ job: { id }, status, flaky, runs }) => [id, status, flaky, runs.length]), events };
}

describe("jobs", () => {
  test("have a result each, in their order; one that throws is an error", async () => {
    const { results } = await ran({ a: ["passed"], b: ["failed"], c: [new Error("boom")] });
    expect(results).toEqual([
      ["a", "passed", false, 1],
      ["b", "failed", false, 1],
      ["c", "error", false, 1],
    ]);
  });

  test("that did not pass are run again as often as was asked; who passes then is flaky", async () => {
    const { results, events } = await ran({ a: ["failed", "passed"], b: ["failed", "error", "failed"], c: ["passed"] }, 2);
    expect(results).toEqual([
      ["a", "passed", true, 2],
      ["b", "failed", false, 3],
      ["c", "passed", false, 1],
    ]);
    expect(events.filter(({ type }) => type === "start")).toHaveLength(6);
    expect(events.filter((event) => event.type === "end" && event.again)).toHaveLength(3);
  });

  test("run beside each other as far as they fit", async () => {
    const open: (() => void)[] = [];
    let most = 0;
    let now = 0;
    const runJob: RunJob = async () => {
      now += 1;
      most = Math.max(most, now);
      await new Promise<void>((resolve) => open.push(resolve));
      now -= 1;
      return run("passed");
    };
    const all = runJobs(
      ["a", "b", "c", "d", "e"].map((id) => job(id, 400)),
      { capacity: { memoryMb: 1000, processors: 9, jobs: 9 }, retries: 0, runJob, signal: new AbortController().signal, onEvent: () => {} },
    );
    let ended = false;
    void all.then(() => {
      ended = true;
    });
    while (!ended) {
      open.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(most).toBe(2);
    expect((await all).every(({ status }) => status === "passed")).toBe(true);
  });

  test("are begun no more once the person has stopped; those that ran have what they came to", async () => {
    const person = new AbortController();
    const runJob: RunJob = async ({ id }, signal) => {
      if (id === "a") return run("passed");
      person.abort();
      return run(signal.aborted ? "error" : "passed");
    };
    const results = await runJobs(
      ["a", "b", "c", "d"].map((id) => job(id)),
      { capacity: { memoryMb: 1000, processors: 1, jobs: 1 }, retries: 3, runJob, signal: person.signal, onEvent: () => {} },
    );
    expect(results.map(({ status, runs }) => [status, runs.length])).toEqual([
      ["passed", 1],
      ["error", 1],
      ["not_run", 0],
      ["not_run", 0],
    ]);
  });
});
