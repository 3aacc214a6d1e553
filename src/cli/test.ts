import { dirname, resolve } from "node:path";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { EXIT, HiperisoError } from "../contract/error.ts";
import type { SuiteResult } from "../contract/suite.ts";
import { printable } from "../formats/escape-terminal.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import { systemClock } from "../host/clock.ts";
import { hostFacts } from "../host/host-facts.ts";
import { expandTilde } from "../host/xdg.ts";
import { junitXml } from "../suite/junit.ts";
import { chosenJobs, readSuite } from "../suite/matrix.ts";
import { resultsTable, suiteResult } from "../suite/results.ts";
import { resultsHtml } from "../suite/results-html.ts";
import { runJobs } from "../suite/run-jobs.ts";
import { planCapacity } from "../suite/schedule.ts";
import { bootHere } from "./boot-here.ts";
import { variablesOf } from "./boot-script.ts";
import type { Cli } from "./cli.ts";
import { standardLogDirectory } from "./log-directory.ts";
import { examplesText } from "./program.ts";
import { suiteFace } from "./suite-face.ts";

const EXAMPLES = [
  ["hiperiso test images.yaml", "every boot of the matrix, side by side as far as they fit"],
  ["hiperiso test images.yaml --list", "what it would boot"],
  ["hiperiso test images.yaml --only firmware=uefi --retry 1", "a part of it; what fails is tried once more"],
  ["hiperiso test images.yaml --junit results.xml --html results.html", "for a CI server, and for people"],
] as const;

export function command(cli: Cli): CommandUnknownOpts {
  const several = (value: string, before: readonly string[] | undefined) => [...(before ?? []), value];
  return new Command("test")
    .description("Boots images as a test file says (YAML), records each boot as a session, and tells which passed.")
    .argument("<file>", "the test file: image × firmware × memory × … × script")
    .addOption(new Option("--only <text|glob>", "only boots whose name holds this, or fits it; may be repeated").argParser(several))
    .addOption(new Option("--variable <name=value>", "for the scripts; may be repeated").argParser(several))
    .option("--retry <n>", "run again what did not pass, up to so many times", wholeNumber("--retry", 0, 100), 0)
    .option("--jobs <n>", "at most so many boots at once (default: as many as memory and processors allow)", wholeNumber("--jobs", 1, 1000))
    .option("--log-dir <folder>", "where the sessions are made")
    .option("--junit <file>", "write the results as JUnit XML")
    .option("--html <file>", "write them as a page")
    .option("--json", "print them as JSON")
    .option("--list", "print the boots' names and run nothing")
    .addHelpText(
      "after",
      () =>
        `${examplesText(EXAMPLES)}\nExit status: 0 all passed, 1 some did not, 2 wrong usage or a fault in a file, 3 hiperiso or a tool it needs failed in some.`,
    )
    .action(async (file, options) => {
      const { env } = cli;
      const suite = await readSuite(file, { variables: variablesOf(options.variable), expandHome: (path) => expandTilde(path, env) });
      const jobs = chosenJobs(suite.jobs, options.only ?? []);
      if (options.list === true) {
        if (options.json === true) cli.json(jobs);
        else cli.out(jobs.map(({ id }) => `${printable(id)}\n`).join(""));
        return;
      }
      const logDir = resolve(expandTilde(options.logDir ?? standardLogDirectory(env), env));
      const host = await hostFacts();
      const capacity = planCapacity({ availableRamMb: host.available_ram_mb, cores: host.cpu_logical_cores }, options.jobs);
      const facts = { name: suite.name, startedUtc: systemClock.utc() };
      const startedMs = systemClock.monotonicMs();
      const { signal } = cli.job;
      const onEvent = suiteFace(cli, jobs.length);
      const results = await runJobs(jobs, {
        capacity,
        retries: options.retry,
        signal,
        onEvent,
        runJob: (job) => bootHere(cli, job, logDir),
      });
      const result = suiteResult({ ...facts, durationMs: systemClock.monotonicMs() - startedMs }, results);
      await writeResults(result, options);
      if (options.json === true) cli.json(result);
      else cli.out(resultsTable(result));
      cli.exit(exitOf(result));
    });
}

const exitOf = ({ errors, passed, jobs }: SuiteResult): number =>
  errors > 0 ? EXIT.failure : passed === jobs.length ? EXIT.goalReached : EXIT.goalMissed;

async function writeResults(
  result: SuiteResult,
  { junit, html }: { readonly junit?: string | undefined; readonly html?: string | undefined },
): Promise<void> {
  if (junit !== undefined) await writeFileAtomic(resolve(junit), junitXml(result));
  if (html !== undefined) await writeFileAtomic(resolve(html), resultsHtml(result, dirname(resolve(html))));
}

function wholeNumber(flag: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= min && number <= max) return number;
    throw new HiperisoError({
      what: "understand the flags",
      where: flag,
      expected: `a whole number, ${min} to ${max}`,
      found: `"${printable(text)}"`,
      kind: "usage",
    });
  };
}
