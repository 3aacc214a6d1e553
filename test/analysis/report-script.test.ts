import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { analyseSession } from "../../src/analysis/analyse.ts";
import { scriptRows, scriptSection, scriptSummary } from "../../src/analysis/report-script.ts";
import type { ScriptFile, ScriptStepFile } from "../../src/contract/session.ts";
import { html } from "../../src/formats/escape-html.ts";
import { HEALTHY } from "./composed-logs.ts";

const step = (number: number, changes: Partial<ScriptStepFile> = {}): ScriptStepFile => ({
  number,
  step: "expect",
  title: `expect "${number}"`,
  where: `s.yaml:${number}:5`,
  result: "passed",
  time_ms: 1500 * number,
  duration_ms: 1500,
  line: number,
  detail: "",
  ...changes,
});
const FAILED: ScriptFile = {
  name: "s",
  result: "failed",
  steps: [
    step(1),
    step(2, {
      result: "failed",
      step: "run",
      title: "run false",
      detail: "exit status 1, expected 0",
      exit_status: 1,
      output: "one\ntwo\n",
    }),
    step(3, { result: "not_run", time_ms: null, duration_ms: null, line: null }),
  ],
};

describe("what a script did", () => {
  test("stands in report.txt step by step, with why one failed and what it printed", () => {
    expect(scriptRows(FAILED)).toEqual([
      "  s: step 2 of 3 failed: run false",
      '  1. passed        1.5 s  line 1       expect "1"',
      "  2. FAILED        1.5 s  line 2       run false",
      '  3. not run                           expect "3"',
      "  step 2, s.yaml:2:5: exit status 1, expected 0",
      "    | one",
      "    | two",
    ]);
    expect(scriptRows(undefined)).toEqual([]);
  });

  test.each([
    [{ ...FAILED, result: "passed" }, "all 3 steps passed"],
    [
      { ...FAILED, result: "stopped", steps: [step(1, { result: "stopped" })] },
      'step 1 of 1 was stopped by the end of the boot: expect "1"',
    ],
    [
      { ...FAILED, result: "running", steps: [step(1), step(2, { result: "not_run" })] },
      'step 1 of 2 was the last that is known of: expect "1"',
    ],
    [{ ...FAILED, result: "running", steps: [step(1, { result: "not_run" })] }, "none of its steps was begun"],
  ] as const)("is said in a sentence", (script, sentence) => {
    expect(scriptSummary(script as ScriptFile)).toBe(sentence);
  });

  test("is harmless whatever a guest printed and a script says", () => {
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("<script>alert(1)</script>", "\x1b[2J", "a\nb", "\u202e"));
    fc.assert(
      fc.property(text, text, text, (title, detail, output) => {
        const hostile: ScriptFile = {
          name: title,
          result: "failed",
          steps: [step(1, { title, detail, output, where: title, result: "failed" })],
        };
        for (const row of scriptRows(hostile)) expect(row).not.toMatch(/[\0-\x08\x0a-\x1f\x7f-\x9f\u202e]/);
        expect(String(scriptSection(hostile, (line) => html`${line}`))).not.toMatch(/<script|[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
      }),
    );
  });
});

describe("a session with steps.json", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "hiperiso-steps-"));
    await writeFile(join(directory, "serial.log"), HEALTHY);
  });
  afterEach(() => rm(directory, { recursive: true }));
  const analysed = async () => {
    const { report } = await analyseSession(directory);
    const files = await Promise.all(["report.json", "report.txt", "report.html"].map((name) => readFile(join(directory, name), "utf8")));
    return { report, files };
  };

  test("has it in all its reports, with the same bytes each time", async () => {
    await writeFile(join(directory, "steps.json"), JSON.stringify(FAILED));
    const first = await analysed();
    expect(first.report.script).toEqual(FAILED);
    expect(first.files[2]).toContain('<h2 id="script">The script</h2>');
    expect((await analysed()).files).toEqual(first.files);
  });

  test("that is damaged anywhere is analysed all the same", async () => {
    const whole = JSON.stringify(FAILED);
    const without = (await analysed()).report;
    for (let length = 0; length < whole.length; length += 7) {
      await writeFile(join(directory, "steps.json"), whole.slice(0, length));
      expect((await analyseSession(directory, { write: false })).report).toEqual(without);
    }
  });
});
