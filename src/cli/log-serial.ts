import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { analyseConsole } from "../analysis/analyse.ts";
import { createGoal } from "../analysis/goal.ts";
import type { Rule } from "../analysis/rule.ts";
import type { SessionReport } from "../analysis/session-report.ts";
import { type ConsoleEvent, createConsoleWatch } from "../analysis/watch.ts";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { printable, printableJson } from "../formats/escape-terminal.ts";
import type { Cli } from "./cli.ts";
import { ownRulesFor, RULES_OPTION } from "./own-rules.ts";
import { examplesText } from "./program.ts";

const READ_BYTES = 1024 * 1024;
const FOLLOW_MS = 200;

/** Which parts were asked for; neither option means both. */
interface Wanted {
  readonly stages: boolean;
  readonly findings: boolean;
}

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("serial")
    .description("Says what a console log shows: stages, findings, verdict.")
    .argument("<serial.log>", "the log, or - for standard input")
    .option("--stages", "stages only")
    .option("--findings", "findings only")
    .option("--follow", "go on while the log grows, and print what comes as it comes")
    .option(...RULES_OPTION)
    .option("--json", "print JSON; with --follow one object a line")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso-log serial serial.log", "the whole report"],
        ["hiperiso-log serial serial.log --findings", "what went wrong, line by line"],
        ["hiperiso-log serial /dev/ttyUSB0.log --follow", "while a board boots"],
      ]),
    )
    .action(async (path, { stages = false, findings = false, follow = false, json = false, rules: rulesFile }) => {
      const rules = await ownRulesFor(cli, rulesFile);
      const wanted = stages || findings ? { stages, findings } : { stages: true, findings: true };
      if (follow) await followLog(cli, path, wanted, json, rules);
      else await readLog(cli, path, stages || findings ? wanted : undefined, json, rules);
    });
}

async function readLog(cli: Cli, path: string, wanted: Wanted | undefined, json: boolean, rules: readonly Rule[]): Promise<void> {
  const { report, text } = await analyseConsole(wholeLog(path, cli.job.signal), undefined, rules);
  if (wanted === undefined && json) cli.json(report);
  else if (wanted === undefined) cli.out(text);
  else if (json)
    cli.json({ ...(wanted.stages ? { stages: report.stages } : {}), ...(wanted.findings ? { findings: report.findings } : {}) });
  else
    cli.out(
      rowsOf(report, wanted)
        .map((row) => `${row}\n`)
        .join(""),
    );
}

function rowsOf({ stages, findings }: SessionReport, wanted: Wanted): readonly string[] {
  return [
    ...(wanted.stages ? stages.map(({ line, stage, text }) => row(line, "stage", stage, text)) : []),
    ...(wanted.findings
      ? findings.map(({ line, severity, id, text, count }) => row(line, severity, count > 1 ? `${id} (${count} times)` : id, text))
      : []),
  ];
}

const row = (line: number | null, sort: string, name: string, text: string): string =>
  `${String(line ?? "").padStart(7)}  ${sort.padEnd(8)} ${name.padEnd(30)} ${printable(text)}`.trimEnd();

async function followLog(cli: Cli, path: string, wanted: Wanted, json: boolean, rules: readonly Rule[]): Promise<void> {
  const watch = createConsoleWatch({ goal: createGoal("never"), rules });
  for await (const chunk of path === "-" ? wholeLog(path, cli.job.signal) : growingLog(path, cli.job.signal)) {
    for (const event of watch.push(chunk, 0)) {
      if (!(event.type === "stage" ? wanted.stages : event.type === "finding" && wanted.findings)) continue;
      cli.out(`${json ? printableJson(withoutTime(event)) : rowOf(event)}\n`);
    }
  }
}

/** Nobody knows when a followed log's bytes came. */
function withoutTime({ timeMs: _, ...event }: ConsoleEvent): Omit<ConsoleEvent, "timeMs"> {
  return event;
}

const rowOf = (event: ConsoleEvent): string =>
  event.type === "finding"
    ? row(event.line, event.severity, event.rule, event.text)
    : row(event.line, "stage", event.type === "stage" ? event.stage : "", event.text);

async function* wholeLog(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* (path === "-" ? process.stdin : createReadStream(path, { signal, highWaterMark: READ_BYTES })) as AsyncIterable<Buffer>;
  } catch (error) {
    throw signal.aborted ? error : unreadable(path, error);
  }
}

/** Ends when the person interrupts it. A log that got shorter is read again from its start. */
async function* growingLog(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    let offset = 0;
    const buffer = Buffer.alloc(READ_BYTES);
    while (!signal.aborted) {
      if ((await stat(path)).size < offset) offset = 0;
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, offset);
      offset += bytesRead;
      if (bytesRead > 0) yield buffer.subarray(0, bytesRead);
      else await sleep(FOLLOW_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    await file.close();
  }
}

const unreadable = (path: string, error: unknown): HiperisoError =>
  new HiperisoError({ what: "read a console log", where: path, found: reasonOf(error), kind: "usage", cause: error });
