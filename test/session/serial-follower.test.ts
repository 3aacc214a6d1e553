import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SerialFollower } from "../../src/session/serial-follower.ts";

let folder: string;
let log: string;
let times: string;
let nowMs = 0;
const came: { text: string; timeMs: number }[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-test-"));
  log = join(folder, "serial.log");
  times = join(folder, "serial.times");
  for (const path of [log, times]) writeFileSync(path, "");
  nowMs = 0;
  came.length = 0;
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

const follow = () =>
  new SerialFollower(
    log,
    times,
    () => nowMs,
    (bytes, timeMs) => came.push({ text: Buffer.from(bytes).toString("latin1"), timeMs }),
  );
const timeLines = () =>
  readFileSync(times, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split("\t").map(Number));
const openFiles = () => readdirSync("/proc/self/fd").length;

describe("what arrives", () => {
  test("is handed on once, with its time; the line says where it begins", () => {
    using follower = follow();
    expect(follower.lastArrivalMs).toBe(Number.NEGATIVE_INFINITY);
    expect(follower.poll()).toBe(false);
    nowMs = 120.4;
    appendFileSync(log, "SeaBIOS");
    expect(follower.poll()).toBe(true);
    nowMs = 500;
    appendFileSync(log, "\nLinux");
    follower.poll();
    expect(follower.poll()).toBe(false);
    expect(came).toEqual([
      { text: "SeaBIOS", timeMs: 120 },
      { text: "\nLinux", timeMs: 500 },
    ]);
    expect(timeLines()).toEqual([
      [0, 120],
      [7, 500],
    ]);
    expect(follower.bytes).toBe(13);
    expect(follower.lastArrivalMs).toBe(500);
  });

  test("more than one read at once is one arrival", () => {
    using follower = follow();
    writeFileSync(log, "x".repeat(200_000));
    follower.poll();
    expect(came.map(({ text }) => text.length)).toEqual([65_536, 65_536, 65_536, 3_392]);
    expect(timeLines()).toEqual([[0, 0]]);
  });

  test("a byte every 4 ms: a line every 10 ms at most, and none is starved of its line", () => {
    using follower = follow();
    for (nowMs = 0; nowMs <= 100; nowMs += 4) {
      appendFileSync(log, "x");
      follower.poll();
    }
    const stamps = timeLines().map(([, timeMs]) => timeMs!);
    expect(stamps).toEqual([0, 12, 24, 36, 48, 60, 72, 84, 96]);
    expect(timeLines().map(([offset]) => offset)).toEqual([0, 3, 6, 9, 12, 15, 18, 21, 24]);
  });

  test("whatever the pace: lines ascend, are 10 ms apart, and put each byte at most 10 ms too early", () => {
    const arrival = fc.record({ pauseMs: fc.nat(40), bytes: fc.integer({ min: 1, max: 5 }) });
    fc.assert(
      fc.property(fc.array(arrival, { minLength: 1, maxLength: 40 }), (arrivals) => {
        for (const path of [log, times]) writeFileSync(path, "");
        nowMs = 0;
        using follower = follow();
        const arrivedMs: number[] = [];
        for (const { pauseMs, bytes } of arrivals) {
          nowMs += pauseMs;
          appendFileSync(log, "x".repeat(bytes));
          for (let count = 0; count < bytes; count += 1) arrivedMs.push(nowMs);
          follower.poll();
        }
        const lines = timeLines();
        lines.slice(1).forEach(([offset, timeMs], index) => {
          expect(offset).toBeGreaterThan(lines[index]![0]!);
          expect(timeMs! - lines[index]![1]!).toBeGreaterThanOrEqual(10);
        });
        arrivedMs.forEach((truth, at) => {
          const told = lines.findLast(([offset]) => offset! <= at)![1]!;
          expect(truth - told).toBeGreaterThanOrEqual(0);
          expect(truth - told).toBeLessThan(10);
        });
      }),
    );
  });
});

describe("its life", () => {
  test("it looks again by itself, until it is stopped; the last bytes are not lost and nothing stays open", () => {
    vi.useFakeTimers();
    const before = openFiles();
    const follower = follow();
    follower.start(() => {});
    appendFileSync(log, "one");
    vi.advanceTimersByTime(50);
    appendFileSync(log, "two");
    follower.stop();
    follower.stop();
    expect(came.map(({ text }) => text)).toEqual(["one", "two"]);
    expect(vi.getTimerCount()).toBe(0);
    expect(openFiles()).toBe(before);
    expect(follower.poll()).toBe(false);
  });

  test("an error of whoever reads it is told, and it looks no more", () => {
    vi.useFakeTimers();
    const before = openFiles();
    const errors: unknown[] = [];
    const follower = new SerialFollower(
      log,
      times,
      () => nowMs,
      () => {
        throw new Error("analyser");
      },
    );
    follower.start((error) => errors.push(error));
    appendFileSync(log, "x");
    vi.advanceTimersByTime(100);
    expect(errors).toEqual([expect.objectContaining({ message: "analyser" })]);
    expect(vi.getTimerCount()).toBe(0);
    appendFileSync(log, "y");
    expect(() => follower.stop()).toThrow("analyser");
    expect(openFiles()).toBe(before);
  });

  test("a log or a file of times that is not there", () => {
    const before = openFiles();
    rmSync(times);
    expect(
      () =>
        new SerialFollower(
          log,
          join(folder, "missing/times"),
          () => 0,
          () => {},
        ),
    ).toThrow("ENOENT");
    expect(
      () =>
        new SerialFollower(
          join(folder, "missing"),
          times,
          () => 0,
          () => {},
        ),
    ).toThrow("ENOENT");
    expect(openFiles()).toBe(before);
  });
});
