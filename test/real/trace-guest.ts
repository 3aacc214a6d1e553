/** A boot whose trace is kept twice: by the recorder, and as the text that QEMU itself wrote. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { LOG_PROGRAM } from "../../src/cli/log-commands.ts";
import { runProgram } from "../../src/cli/program.ts";
import { SESSION_FILES } from "../../src/contract/session.ts";
import { type TraceFacts, traceFactsSchema } from "../../src/contract/trace.ts";
import { findTool } from "../../src/host/tools.ts";
import { keptStreams } from "../cli/streams.ts";
import { bootWords, demoImage, onlySession, run, workplace } from "./harness.ts";

/** A reader of our own in another language, as strict as QEMU's. */
const READER = fileURLToPath(new URL("../formats/simpletrace-reader.py", import.meta.url));

/**
 * A program by QEMU's name that runs QEMU, but with a FIFO of its own for the trace: `tee` copies it into `qemu-trace.txt` on its way to the
 * recorder's. It ends when both have. `PATH` of the environment begins with it.
 */
async function qemuThatKeepsItsText(root: string): Promise<{ readonly env: NodeJS.ProcessEnv; readonly text: string }> {
  const qemu = await findTool("qemu-system-x86_64", process.env);
  const folder = join(root, "bin");
  const text = join(root, "qemu-trace.txt");
  mkdirSync(folder);
  const program = join(folder, "qemu-system-x86_64");
  writeFileSync(
    program,
    `#!/bin/bash
args=()
fifo=
for word in "$@"; do
  case $word in
    events=*,file=*) fifo=\${word##*,file=}; word=\${word%%,file=*},file=$fifo.own ;;
  esac
  args+=("$word")
done
if [ -z "$fifo" ]; then exec ${qemu} "$@"; fi
mkfifo "$fifo.own"
tee ${text} < "$fifo.own" > "$fifo" 3>&- &
${qemu} "\${args[@]}"
status=$?
exec 3>&-
wait
exit $status
`,
  );
  chmodSync(program, 0o755);
  return { env: { PATH: `${folder}${delimiter}${process.env["PATH"] ?? ""}` }, text };
}

/** Boots the demo image and gives what QEMU wrote, what our reader prints and what the one in Python does, a row an event. */
export async function tracedBoot(...words: readonly string[]) {
  await using place = await workplace();
  const { env, text } = await qemuThatKeepsItsText(place.root);
  const { status, stderr } = await run(bootWords(await demoImage(), place.logs, "--accel", "tcg", ...words), env);
  expect(status, stderr).toBe(0);
  const { directory, session } = onlySession(place.logs);
  const facts = traceFactsSchema.parse(JSON.parse(readFileSync(join(directory, SESSION_FILES.traceFacts), "utf8")));
  const streams = keptStreams();
  expect(await runProgram(LOG_PROGRAM, ["trace", directory], streams, new AbortController().signal)).toBe(0);
  const printed = streams.stdout().trimEnd().split("\n");
  const written = readFileSync(text, "latin1").trimEnd().split("\n");
  const trace = join(directory, SESSION_FILES.trace);
  const python = execFileSync("python3", [READER, join(directory, SESSION_FILES.traceEvents), trace], {
    encoding: "latin1",
    maxBuffer: 2 ** 30,
  });
  return { facts, session, printed, written, traceBytes: statSync(trace).size, python: python.trimEnd().split("\n") };
}

/** `THREAD NAME ARGUMENTS`, and the microsecond. */
const writtenRow = (line: string): string => line.replace(/^(\d+)@\d+\.\d+:/, "$1 ").trimEnd();
const printedRow = (line: string): string =>
  line
    .trim()
    .replace(/^-?[\d.]+ /, "")
    .trimEnd();
export const microseconds = (line: string): number => {
  const [, seconds, micros] = /@(\d+)\.(\d+):/.exec(line) ?? [];
  return Number(seconds) * 1e6 + Number(micros);
};

/** Every line of QEMU's is the next row, or one of a flood; and as many are missing as the trace says. */
export function expectSameLines(
  written: readonly string[],
  printed: readonly string[],
  ofFlood: (row: string) => boolean,
  facts: TraceFacts,
): void {
  const rows = printed.filter((line) => !line.endsWith("events dropped)"));
  let next = 0;
  let missing = 0;
  for (const line of written) {
    if (next < rows.length && printedRow(rows[next]!) === writtenRow(line)) next++;
    else if (ofFlood(writtenRow(line))) missing++;
    else expect(printedRow(rows[next] ?? "nothing"), `row ${next}`).toBe(writtenRow(line));
  }
  expect(next).toBe(rows.length);
  expect(facts).toMatchObject({ source: "text", events: next, dropped: missing, unread: 0, ambiguous: 0, foreign_lines: 0, trouble: null });
  const dropped = printed.filter((line) => line.endsWith("events dropped)")).map((line) => Number(/\((\d+) events/.exec(line)?.[1]));
  expect(dropped.reduce((sum, count) => sum + count, 0)).toBe(missing);
}
