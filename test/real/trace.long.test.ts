/** Real boots at the level `full`, with millions of events; and a recorder that is killed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LOG_PROGRAM } from "../../src/cli/log-commands.ts";
import { runProgram } from "../../src/cli/program.ts";
import { SESSION_FILES } from "../../src/contract/session.ts";
import { keptStreams } from "../cli/streams.ts";
import { bootWords, demoImage, run, sessionDirectories, start, workplace } from "./harness.ts";
import { expectSameLines, tracedBoot } from "./trace-guest.ts";

describe("a trace of a real boot", () => {
  test("full, under OVMF: the polls of the ACPI timer are counted, all other lines are QEMU's", async () => {
    // To the boot loader: until the login QEMU would print more than one text of JavaScript's can hold, the quicker the computer the more.
    const { facts, printed, written } = await tracedBoot("--firmware", "uefi", "--trace-level", "full", "--until", "bootloader");
    expectSameLines(written, printed, (row) => /^\d+ blk_co_pwritev |'acpi-tmr'$/.test(row), facts);
    expect(facts.floods["acpi-tmr"]).toMatchObject({ kept: 256 });
    expect(facts.dropped).toBeGreaterThan(10_000);
  });

  test("with a limit it ends there, and the boot goes on to its goal", async () => {
    const { facts, traceBytes, python } = await tracedBoot("--firmware", "bios", "--trace-level", "full", "--trace-limit", "2");
    expect(traceBytes).toBeLessThan(2_000_000 + 100_000);
    expect(facts.over_limit).toBeGreaterThan(1000);
    const missing = python
      .filter((line) => line.startsWith("dropped "))
      .map((line) => Number(/num_events_dropped=(0x[0-9a-f]+)/.exec(line)?.[1]));
    expect(missing.reduce((sum, count) => sum + count, 0)).toBe(facts.dropped);
  });

  test("of a recorder that was killed is read up to there", async () => {
    await using place = await workplace();
    const running = start(
      bootWords(await demoImage(), place.logs, "--firmware", "bios", "--accel", "tcg", "--trace-level", "detailed", "--until", "never"),
    );
    await running.lineMatching(/kernel/);
    const [directory = ""] = sessionDirectories(place.logs);
    running.child.kill("SIGKILL");
    await running.finished;
    const streams = keptStreams();
    const status = await runProgram(LOG_PROGRAM, ["trace", directory], streams, new AbortController().signal);
    expect([0, 3]).toContain(status);
    expect(streams.stdout().split("\n").length).toBeGreaterThan(1000);
    // The next start finishes the session; its trace stays as it is.
    const before = readFileSync(join(directory, SESSION_FILES.trace));
    expect((await run(["sessions", "list", "--log-dir", place.logs])).status).toBe(0);
    expect(readFileSync(join(directory, SESSION_FILES.trace)).equals(before)).toBe(true);
  });
});
