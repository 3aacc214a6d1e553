/**
 * Results as JUnit XML, in the form that continuous integration servers agree on: `testsuites` > `testsuite` > `testcase` with `failure`,
 * `error` or `skipped`. Times are in seconds.
 */
import type { SuiteResult, SuiteRun } from "../contract/suite.ts";
import { escapeXml, escapeXmlAttribute } from "../formats/escape-xml.ts";

type Job = SuiteResult["jobs"][number];

export function junitXml(result: SuiteResult): string {
  const counts = attributes({
    name: result.name,
    tests: result.jobs.length,
    failures: result.failed,
    errors: result.errors,
    skipped: result.not_run,
    time: seconds(result.duration_ms),
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites${counts}>`,
    `<testsuite${counts}${attributes({ timestamp: result.started_utc.replace(/Z$/, "") })}>`,
    ...result.jobs.map((job) => testCase(result, job)),
    "</testsuite>",
    "</testsuites>",
    "",
  ].join("\n");
}

function testCase(result: SuiteResult, job: Job): string {
  const run = job.runs.at(-1);
  const timeMs = job.runs.reduce((sum, { duration_ms: ms }) => sum + ms, 0);
  const head = attributes({ name: job.id, classname: `${result.name}.${job.test}`, time: seconds(timeMs) });
  return [
    `<testcase${head}>`,
    ...(run === undefined ? ['<skipped message="not run"/>'] : outcome(job, run)),
    `<system-out>${escapeXml(job.runs.map(described).join("\n"))}</system-out>`,
    "</testcase>",
  ].join("\n");
}

function outcome({ status }: Job, run: SuiteRun): readonly string[] {
  if (status === "passed") return [];
  const tag = status === "error" ? "error" : "failure";
  return [`<${tag}${attributes({ message: run.why.split("\n")[0] ?? "", type: run.result ?? "error" })}>${escapeXml(run.why)}</${tag}>`];
}

const described = ({ status, stage, session, why }: SuiteRun, index: number): string =>
  [
    `run ${index + 1}: ${status}${stage === null ? "" : ` at ${stage}`}`,
    ...(session === null ? [] : [session]),
    ...(why === "" ? [] : [why]),
  ].join("\n");

const seconds = (ms: number): string => (ms / 1000).toFixed(3);

const attributes = (values: Readonly<Record<string, string | number>>): string =>
  Object.entries(values)
    .map(([name, value]) => ` ${name}="${escapeXmlAttribute(String(value))}"`)
    .join("");
