/** Real boots whose traces are read by our reader and compared with what QEMU itself wrote, line by line. */
import { describe, expect, test } from "vitest";
import { expectSameLines, microseconds, tracedBoot } from "./trace-guest.ts";

describe("a trace of a real boot", () => {
  test("standard, under OVMF: QEMU's own lines, but for the flood of flash writes, which are counted", async () => {
    const { facts, session, printed, written, python } = await tracedBoot("--firmware", "uefi");
    expect(session).toMatchObject({ trace_level: "standard", analysis: { has_trace: 1 } });
    expectSameLines(written, printed, (row) => /^\d+ blk_co_pwritev /.test(row), facts);
    expect(facts.floods["firmware variables"]).toMatchObject({ kept: 256 });
    expect(facts.dropped).toBeGreaterThan(1000);
    // A reader by QEMU's rules takes the same records.
    expect(python.map((line) => line.split(" ")[0])).toEqual(
      printed.map((line) => (line.endsWith("events dropped)") ? "dropped" : line.trim().split(" ")[2])),
    );
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
