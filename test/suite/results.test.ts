import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SessionEnded } from "../../src/contract/session.ts";
import { type SuiteRun, suiteResultSchema } from "../../src/contract/suite.ts";
import type { BootJob } from "../../src/suite/job.ts";
import { judge } from "../../src/suite/judge.ts";
import { junitXml } from "../../src/suite/junit.ts";
import { resultsTable, suiteResult, suiteSummary } from "../../src/suite/results.ts";
import { resultsHtml } from "../../src/suite/results-html.ts";
import type { JobResult } from "../../src/suite/run-jobs.ts";

const job = (id: string): BootJob => ({
  id,
  test: "t",
  image: "/isos/a.iso",
  words: ["--firmware=uefi"],
  script: null,
  expect: {},
  needs: { memoryMb: 1, processors: 1 },
  settings: { firmware: "uefi" },
});
const run = (status: SuiteRun["status"], why = "", session: string | null = "/logs/a.iso_1"): SuiteRun => ({
  status,
  why,
  session,
  result: status === "passed" ? "success" : status === "failed" ? "failure" : null,
  stage: status === "error" ? null : "login",
  domain: "none",
  duration_ms: 12_345,
});
const result = (id: string, ...runs: readonly SuiteRun[]): JobResult => {
  const status = runs.at(-1)?.status ?? "not_run";
  return { job: job(id), status, flaky: status === "passed" && runs.length > 1, runs };
};
const RESULTS = [
  result("one", run("passed")),
  result("two", run("failed", "step 3: x\nsecond line"), run("failed", "step 3: no <login>\nsecond line")),
  result("three", run("error", "no QEMU here", null)),
  result("four", run("failed"), run("passed")),
  result("five"),
];
const FACTS = { name: "demo", startedUtc: "2026-11-21T09:00:00Z", durationMs: 61_000.4 };
const whole = suiteResult(FACTS, RESULTS);

describe("the results", () => {
  test("as a value keep to their schema and count what came of each", () => {
    expect(suiteResultSchema.parse(JSON.parse(JSON.stringify(whole)))).toEqual(whole);
    expect(whole).toMatchObject({ passed: 2, failed: 1, errors: 1, not_run: 1, flaky: 1, duration_ms: 61_000 });
    expect(suiteSummary(whole)).toBe("2 of 5 passed, 1 failed, 1 error, 1 not run, 1 only when run again");
  });

  test("as a table have a row each, and below those that did not pass, why and where", () => {
    expect(resultsTable(whole)).toBe(`passed   one    login  12.3 s
FAILED   two    login  12.3 s  2 runs
    step 3: no <login>; second line
    /logs/a.iso_1
ERROR    three         12.3 s
    no QEMU here
passed   four   login  12.3 s  2 runs
not run  five

demo: 2 of 5 passed, 1 failed, 1 error, 1 not run, 1 only when run again, in 61.0 s
`);
  });

  test("as a page lead to each session's report, relative to the page", () => {
    const page = resultsHtml(whole, "/logs/pages");
    expect(page).toContain('href="./../a.iso_1/report.html">run 1</a>');
    expect(page).toContain("step 3: no &lt;login&gt;");
    expect(page).toBe(resultsHtml(whole, "/logs/pages"));
  });

  test("whatever they hold, table and page hold nothing that a terminal or a browser would act on", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom("<script>", '" onload="', "javascript:alert(1)", "\x1b[2J", "\u202e", "a\nb"),
    );
    fc.assert(
      fc.property(text, text, text, (id, why, session) => {
        const hostile = suiteResult({ ...FACTS, name: id }, [result(id, run("failed", why, `/${session}`))]);
        expect(resultsTable(hostile)).not.toMatch(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
        const page = resultsHtml(hostile, "/");
        expect(page).not.toMatch(/<script|" onload="|[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
        for (const [, href] of page.matchAll(/href="([^"]*)"/g)) expect(href).toMatch(/^\.\/[\w%.!~*'()/-]*$/);
      }),
    );
  });
});

describe("JUnit XML", () => {
  const python = spawnSync("python3", ["-c", "import xml.etree.ElementTree"]).status === 0;
  const PROGRAM = `
import sys, json, xml.etree.ElementTree as e
root = e.fromstring(sys.stdin.buffer.read())
suite = root[0]
print(json.dumps({"root": root.tag, "suite": suite.attrib, "cases": [[c.get("name"), c.get("classname"), [(d.tag, d.get("message"), d.text) for d in c if d.tag != "system-out"]] for c in suite]}))`;
  const read = (xml: string) => {
    const { stdout, stderr } = spawnSync("python3", ["-c", PROGRAM], { input: xml, encoding: "utf8" });
    expect(stderr).toBe("");
    return JSON.parse(stdout) as unknown;
  };

  test.runIf(python)("is read by a foreign reader: a case a job, with failure, error or skipped", () => {
    expect(read(junitXml(whole))).toEqual({
      root: "testsuites",
      suite: { name: "demo", tests: "5", failures: "1", errors: "1", skipped: "1", time: "61.000", timestamp: "2026-11-21T09:00:00" },
      cases: [
        ["one", "demo.t", []],
        ["two", "demo.t", [["failure", "step 3: no <login>", "step 3: no <login>\nsecond line"]]],
        ["three", "demo.t", [["error", "no QEMU here", "no QEMU here"]]],
        ["four", "demo.t", []],
        ["five", "demo.t", [["skipped", "not run", null]]],
      ],
    });
  });

  test.runIf(python)("is XML whatever a guest printed", () => {
    const hostile = fc
      .sample(fc.string({ unit: "binary" }), 50)
      .map((text, index) => result(`${index}${text}`, run("failed", `${text}]]>\0\ufffe`)));
    expect(read(junitXml(suiteResult(FACTS, hostile)))).toMatchObject({ suite: { tests: "50" } });
  });
});

describe("what a boot means for its test", () => {
  const boot = (changes: {
    result?: "success" | "failure";
    stage?: "kernel" | "login";
    kinds?: readonly string[];
    status?: "complete" | "failed";
  }) => {
    const { result: bootResult = "success", stage = "login", kinds = [], status = "complete" } = changes;
    const findings = kinds.map((kind, index) => ({ kind, severity: "error", cause: index === 0, explanation: `${kind} happened.` }));
    return {
      session: {
        status,
        analysis: { boot_result: bootResult, boot_stage_final: stage, failure_domain: "none" },
      } as unknown as SessionEnded,
      report: { findings } as never,
      directory: "/s",
      detail: "it ended so",
      durationMs: 5.4,
    };
  };

  test.each([
    [{}, {}, "passed", ""],
    [{}, { result: "failure" }, "failed", "failure at login: it ended so"],
    [{}, { result: "failure", stage: "kernel", kinds: ["no_root"] }, "failed", "failure at kernel: no_root happened."],
    [{ result: "failure" }, { result: "failure", kinds: ["no_root"] }, "passed", ""],
    [{ result: "failure" }, {}, "failed", "success at login, expected failure: it ended so"],
    [{ result: "failure", finding: "panic" }, { result: "failure", kinds: ["no_root"] }, "failed", "no finding panic; there is no_root"],
    [{ stage: "login" }, { stage: "kernel" }, "failed", "it ended at kernel, expected login"],
    [{}, { status: "failed" }, "error", "it ended so"],
  ] as const)("expected %j, found %j: %s", (expectation, found, status, why) => {
    expect(judge(expectation, boot(found))).toMatchObject({ status, why, session: "/s", duration_ms: 5 });
  });
});
