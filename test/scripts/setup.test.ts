import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const script = (name: string): string => fileURLToPath(new URL(`../../scripts/${name}`, import.meta.url));

describe("an older Node", () => {
  const check = (version: string) => {
    const pretend = `Object.defineProperty(process.versions, "node", { value: ${JSON.stringify(version)} }); require(${JSON.stringify(script("check-node.cjs"))});`;
    return spawnSync(process.execPath, ["-e", pretend], { encoding: "utf8" });
  };

  test.each(["4.9.1", "12.22.12", "18.20.8", "20.18.3"])("%s gets a sentence and status 3", (version) => {
    const { status, stderr, stdout } = check(version);
    expect(stderr).toMatch(
      new RegExp(`^hiperiso needs Node 20\\.19\\.0 or newer; this is ${version} \\(.*\\)\\.\nNewer ones: https://\\S+\n$`),
    );
    expect([status, stdout]).toEqual([3, ""]);
  });

  test.each(["20.19.0", "20.20.2", "22.0.0", "24.1.0"])("%s goes on without a word", (version) => {
    const { status, stderr } = check(version);
    expect([status, stderr]).toEqual([0, ""]);
  });

  test("can read the check: it is ECMAScript 5", () => {
    expect(readFileSync(script("check-node.cjs"), "utf8")).not.toMatch(/=>|`|\b(?:const|let|import|class|async)\b/);
  });
});

describe("the line that sums up the tests", () => {
  const summary = (results: unknown) => {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-summary-"));
    try {
      const path = join(folder, "results.json");
      writeFileSync(path, typeof results === "string" ? results : JSON.stringify(results));
      const { status, stdout } = spawnSync(process.execPath, [script("test-summary.mjs"), path], { encoding: "utf8" });
      return [stdout, status];
    } finally {
      rmSync(folder, { recursive: true });
    }
  };
  const file = (status: string, ...tests: string[]) => ({ status, assertionResults: tests.map((each) => ({ status: each })) });

  test.each<[string, unknown, [string, number]]>([
    [
      "all passed",
      { testResults: [file("passed", "passed", "passed"), file("passed", "skipped", "pending")] },
      ["2 passed, 0 failed, 2 skipped\n", 0],
    ],
    ["one failed", { testResults: [file("failed", "passed", "failed")] }, ["1 passed, 1 failed, 0 skipped\n", 1]],
    [
      "a file that could not be loaded",
      { testResults: [file("passed", "passed"), file("failed")] },
      ["1 passed, 1 failed, 0 skipped\n", 1],
    ],
    ["nothing ran", { testResults: [] }, ["0 passed, 0 failed, 0 skipped\n", 1]],
    ["all skipped", { testResults: [file("passed", "skipped")] }, ["0 passed, 0 failed, 1 skipped\n", 1]],
    ["no results", "", ["0 passed, 0 failed, 0 skipped\n", 1]],
  ])("%s", (_, results, expected) => {
    expect(summary(results)).toEqual(expected);
  });
});

describe("the table of system programs", () => {
  const { tools } = JSON.parse(readFileSync(script("system-packages.json"), "utf8")) as { tools: Record<string, unknown>[] };

  test("says of each how it is found, what brings it, and what its lack costs", () => {
    expect(tools.length).toBeGreaterThan(10);
    expect(new Set(tools.map((tool) => tool["id"])).size).toBe(tools.length);
    for (const tool of tools) {
      expect([...(tool["commands"] as string[]), ...(tool["files"] as string[])].length).toBeGreaterThan(0);
      expect(Object.keys(tool["packages"] as object)).toEqual(["debian", "fedora", "arch", "opensuse"]);
      for (const key of ["what", "needed_for", "cost_when_missing"]) expect(tool[key]).toMatch(/\w/);
      expect(["boot", "demo", "test"]).toContain(tool["stage"]);
    }
  });
});
