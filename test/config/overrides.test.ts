import { describe, expect, test } from "vitest";
import { firstMatch, matchesPath } from "../../src/config/overrides.ts";

describe("a pattern of iso_overrides", () => {
  test.each([
    ["*./windows11*.iso", "/ISOs/windows11-24h2.iso", true],
    ["*./windows11*.iso", "/windows11.iso", true],
    ["*./windows11*.iso", "/a/b/c/windows11.iso", true],
    ["*/windows11*.iso", "/a/b/windows11.iso", true],
    ["*/windows11*.iso", "/a/notwindows11.iso", false],
    ["windows11*.iso", "/a/b/windows11.iso", true],
    ["windows11*.iso", "/windows11/other.iso", false],
    ["/ISOs/*.iso", "/ISOs/a.iso", true],
    ["/ISOs/*.iso", "/a.iso", false],
    ["ISOs/*.iso", "/ISOs/a.iso", true],
    ["*/ISOs/*.iso", "/x/ISOs/a.iso", true],
    ["/**/*.iso", "/x/y/a.iso", true],
    ["*.iso", "/ISOs/Ärger & $(x), 'y'.iso", true],
    ["?.iso", "/ISOs/ä.iso", true],
    ["*.ISO", "/ISOs/a.iso", false],
  ])("%s against %s: %s", (pattern, path, expected) => {
    expect(matchesPath(pattern, path)).toBe(expected);
  });

  test("that matches first wins, whatever stands below it", () => {
    const entries = [{ pattern: "*.img" }, { pattern: "deb*.iso", n: 1 }, { pattern: "debian.iso", n: 2 }];
    expect(firstMatch(entries, "/ISOs/debian.iso")).toEqual({ pattern: "deb*.iso", n: 1 });
    expect(firstMatch(entries, "/ISOs/arch.iso")).toBeUndefined();
  });
});
