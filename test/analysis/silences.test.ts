import { describe, expect, test } from "vitest";
import type { LogLine } from "../../src/analysis/log-excerpt.ts";
import { clockSilences, lastClock, silentStretches } from "../../src/analysis/silences.ts";

const lines = (texts: readonly string[], first = 1): readonly LogLine[] =>
  texts.map((text, index) => ({ number: first + index, texts: text === "" ? [] : [text], bytesLeftOut: 0 }));

describe("silences by times of arrival", () => {
  test("are what lies between arrivals, before the first and after the last", () => {
    const times = { offsets: [0, 10, 20, 30], times: [5000, 5100, 15_000, 15_010] };
    expect(silentStretches(times, 40_000)).toEqual([
      { fromMs: 0, toMs: 5000, offset: 0 },
      { fromMs: 5100, toMs: 15_000, offset: 20 },
      { fromMs: 15_010, toMs: 40_000, offset: Number.MAX_SAFE_INTEGER },
    ]);
  });

  test("are no short pauses, of two seconds or of a twentieth of the whole", () => {
    expect(silentStretches({ offsets: [0, 1], times: [1900, 3800] }, 3900)).toEqual([]);
    expect(silentStretches({ offsets: [0, 1], times: [4000, 100_000] }, 100_000)).toEqual([{ fromMs: 4000, toMs: 100_000, offset: 1 }]);
  });

  test("of a console that said nothing are the whole time", () => {
    expect(silentStretches({ offsets: [], times: [] }, 9000)).toEqual([{ fromMs: 0, toMs: 9000, offset: Number.MAX_SAFE_INTEGER }]);
  });

  test("are the longest where there are many, in order of time", () => {
    const times = Array.from({ length: 40 }, (_, index) => (index * (index + 1) * 1000) / 2);
    const stretches = silentStretches({ offsets: times.map((_, index) => index), times }, times.at(-1)!);
    expect(stretches.length).toBeLessThanOrEqual(12);
    expect(stretches.at(-1)).toMatchObject({ toMs: times.at(-1)! });
    expect(stretches.map(({ fromMs }) => fromMs)).toEqual(stretches.map(({ fromMs }) => fromMs).sort((a, b) => a - b));
  });
});

describe("silences by the kernel's clock", () => {
  test("lie between two of its messages that stand together", () => {
    expect(clockSilences(lines(["[    1.000000] a", "[    9.000000] b", "[    9.100000] c"]))).toEqual([
      { fromMs: 1000, toMs: 9000, line: 1 },
    ]);
  });

  test("are not known where other programs printed, or lines are missing", () => {
    expect(clockSilences(lines(["[    1.000000] a", "Starting udevd", "[    9.000000] b"]))).toEqual([]);
    expect(clockSilences([...lines(["[    1.000000] a"]), ...lines(["[    9.000000] b"], 7)])).toEqual([]);
  });

  test("are told once, though dmesg prints it all again", () => {
    const messages = ["[    1.000000] a", "[    9.000000] b", "[   10.000000] c"];
    expect(clockSilences(lines([...messages, ...messages]))).toHaveLength(1);
  });

  test("end with the last message", () => {
    expect(lastClock(lines(["[    1.000000] a", "[    2.500000] b", "login:"]))).toBe(2500);
    expect(lastClock(lines(["login:"]))).toBeNull();
  });
});
