import { expect, test } from "vitest";
import { clockDoubt } from "../../../src/stick/onboard/stick-clock.ts";

const written = Date.UTC(2026, 10, 21);

test("a clock twenty years behind or ahead of the stick is told with both dates", () => {
  expect(clockDoubt(Date.UTC(2006, 10, 21), written)).toMatch(/2006-11-21, is before 2026-11-21/);
  expect(clockDoubt(Date.UTC(2046, 10, 21), written)).toMatch(/2046-11-21, is more than 15 years after 2026-11-21/);
});

test("one that is some hours off (a time zone) or some years later is believed", () => {
  expect(clockDoubt(written - 14 * 3_600_000, written)).toBeUndefined();
  expect(clockDoubt(Date.UTC(2031, 1, 1), written)).toBeUndefined();
  expect(clockDoubt(written, written)).toBeUndefined();
});
