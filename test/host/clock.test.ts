import { expect, test } from "vitest";
import { systemClock, utcOf } from "../../src/host/clock.ts";

test("a moment in UTC, its fraction of a second cut off", () => {
  expect(utcOf(0)).toBe("1970-01-01T00:00:00Z");
  expect(utcOf(1_709_210_096_999)).toBe("2024-02-29T12:34:56Z");
});

test("the real clock: wall, monotonic and uptime go on, each in its unit", () => {
  const before = { now: Date.now(), monotonic: systemClock.monotonicMs(), uptime: systemClock.uptimeS() };
  expect(systemClock.nowMs()).toBeGreaterThanOrEqual(before.now);
  expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(before.monotonic);
  expect(systemClock.uptimeS()).toBeGreaterThanOrEqual(before.uptime);
  expect(Date.parse(systemClock.utc())).toBeGreaterThanOrEqual(before.now - 1000);
});
