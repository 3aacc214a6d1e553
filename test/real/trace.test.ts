/** Real boots whose traces are read by our reader and compared with what QEMU itself wrote, line by line. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LOG_PROGRAM } from "../../src/cli/log-commands.ts";
import { runProgram } from "../../src/cli/program.ts";
import { SESSION_FILES } from "../../src/contract/session.ts";
import { type TraceFacts, traceFactsSchema } from "../../src/contract/trace.ts";
import { keptStreams } from "../cli/streams.ts";
import { bootWords, demoImage, onlySession, run, workplace } from "./harness.ts";
import { qemuThatKeepsItsText } from "./trace-guest.ts";

/** Boots the demo image and gives what QEMU wrote and what our reader prints, a row an event. */
async function tracedBoot(...words: readonly string[]) {
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
  return { facts, session, printed, written };
}

/** `THREAD NAME ARGUMENTS`, and the microsecond. */
const writtenRow = (line: string): string => line.replace(/^(\d+)@\d+\.\d+:/, "$1 ").trimEnd();
const printedRow = (line: string): string =>
  line
    .trim()
    .replace(/^-?[\d.]+ /, "")
    .trimEnd();
const microseconds = (line: string): number => {
  const [, seconds, micros] = /@(\d+)\.(\d+):/.exec(line) ?? [];
  return Number(seconds) * 1e6 + Number(micros);
};

/** Every line of QEMU's is the next row, or one of a flood; and as many are missing as the trace says. */
function expectSameLines(
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

describe("a trace of a real boot", () => {
  test("standard, under OVMF: QEMU's own lines, but for the flood of flash writes, which are counted", async () => {
    const { facts, session, printed, written } = await tracedBoot("--firmware", "uefi");
    expect(session).toMatchObject({ trace_level: "standard", analysis: { has_trace: 1 } });
    expectSameLines(written, printed, (row) => /^\d+ blk_co_pwritev /.test(row), facts);
    expect(facts.floods["firmware variables"]).toMatchObject({ kept: 256 });
    expect(facts.dropped).toBeGreaterThan(1000);
  });

  test("detailed, under SeaBIOS: every line of QEMU's, at its microsecond", async () => {
    const { facts, printed, written } = await tracedBoot("--firmware", "bios", "--trace-level", "detailed");
    expectSameLines(written, printed, () => false, facts);
    expect(facts.events).toBeGreaterThan(10_000);
    const first = microseconds(written[0]!) - Number.parseFloat(printed[0]!) * 1e6;
    for (const [index, line] of written.entries()) {
      if (index % 101 === 0) expect(Math.round(Number.parseFloat(printed[index]!) * 1e6 + first)).toBe(microseconds(line));
    }
  });
});
