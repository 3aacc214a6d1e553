import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { timingSchema } from "../../src/contract/session.ts";
import { appendPhase, decodeTiming, timingFile } from "../../src/session/timing.ts";

const MARKS = [
  { phase: "started", uptimeS: 100.5, utc: "2026-11-21T09:00:00.000Z" },
  { phase: "kernel", uptimeS: 102.0014, utc: "2026-11-21T09:00:01.501Z" },
];

test("a phase is a line of three columns, appended", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  const path = join(folder, "timing.dat");
  for (const mark of MARKS) await appendPhase(path, mark);
  const text = await readFile(path, "utf8");
  expect(text).toBe("started\t100.500\t2026-11-21T09:00:00.000Z\nkernel\t102.001\t2026-11-21T09:00:01.501Z\n");
  expect(decodeTiming(text)).toEqual([MARKS[0], { ...MARKS[1], uptimeS: 102.001 }]);
  await rm(folder, { recursive: true });
});

describe("a damaged file", () => {
  const whole = "started\t100.500\t2026-11-21T09:00:00.000Z\nkernel\t102.001\t2026-11-21T09:00:01.501Z\n";
  test("cut at any byte keeps the whole lines before the cut", () => {
    const first = whole.indexOf("\n");
    for (let length = 0; length <= whole.length; length += 1) {
      const marks = decodeTiming(whole.slice(0, length));
      expect(timingSchema.safeParse(timingFile(marks)).success).toBe(true);
      if (length > first) expect(marks[0]).toEqual(MARKS[0]);
    }
  });

  test.each(["a\t\tx", "a\tNaN\tx", "a\t-1\tx", "\t1\tx", "a\t1", "a\t1\tx\ty", "a\tInfinity\tx"])("the line %j is no mark", (line) => {
    expect(decodeTiming(`${line}\n`)).toEqual([]);
  });

  test("any text gives a file that the contract allows", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a\t\n0-9.e-]{0,80}$/), (text) => {
        expect(timingSchema.safeParse(timingFile(decodeTiming(text))).success).toBe(true);
      }),
    );
  });
});

test("time between phases in milliseconds; none before the first, none over a restart of the computer", () => {
  const later = { phase: "finalised", uptimeS: 7, utc: "2026-11-22T00:00:00.000Z" };
  expect(timingFile([...MARKS, later]).phases.map(({ since_previous_ms }) => since_previous_ms)).toEqual([null, 1501, null]);
  expect(timingFile([])).toEqual({ phases: [] });
});
