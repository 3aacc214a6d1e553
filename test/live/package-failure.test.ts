import { describe, expect, test } from "vitest";
import { FAILURE_ROWS, packageFailure } from "../../src/live/package-failure.ts";

describe("what package managers say", () => {
  test.each(FAILURE_ROWS.map((row) => [row.expected, row] as const))(
    "%s: the row fits its line, and no row fits what looks alike",
    (_, row) => {
      expect(FAILURE_ROWS.find(({ line }) => line.test(row.fits))).toBe(row);
      expect(row.line.test(row.spares)).toBe(false);
    },
  );

  test("is told by the lines that say why, with what to do", () => {
    const said = "Reading package lists...\nE: Unable to locate package no-such\nE: Unable to locate package none-either\nmore";
    const error = packageFailure("install packages", ["less", "no-such"], said);
    expect(error.message).toMatch(
      /install packages: less no-such: expected packages that the sources have, found E: Unable to locate package no-such\nE: Unable/,
    );
    expect(error.hint).toMatch(/names in the spec/);
  });

  test("blames the network before the packages that it did not bring", () => {
    const said = "Temporary failure resolving 'deb.debian.org'\nE: Unable to locate package less";
    expect(packageFailure("install packages", ["less"], said).expected).toBe("a network on which the package sources answer");
  });

  test("is shown as it is where no row fits", () => {
    expect(packageFailure("install packages", ["less"], "a\nb").message).toMatch(/found a\nb/);
  });
});
