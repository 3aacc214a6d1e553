/** What the script did with the guest, for a person: as rows of `report.txt`, as a section of `report.html`. */
import type { ScriptFile, ScriptStepFile } from "../contract/session.ts";
import { html, type Markup } from "../formats/escape-html.ts";
import { printable } from "../formats/escape-terminal.ts";
import { duration } from "./quantities.ts";

const TEXT_MAX = 160;
/** Of a failed command's output. */
const OUTPUT_LINES = 8;

const RESULTS = { passed: "passed", failed: "FAILED", stopped: "stopped", not_run: "not run" } as const;

/** `step 3 of 7 failed: run test -e /etc/fstab`. A script that still `running` says so was cut off with its recorder. */
export function scriptSummary({ result, steps }: ScriptFile): string {
  const last =
    steps.find((step) => step.result === "failed" || step.result === "stopped") ?? steps.findLast((step) => step.result !== "not_run");
  if (result === "passed") return steps.length === 1 ? "its one step passed" : `all ${steps.length} steps passed`;
  if (last === undefined) return `none of its ${steps.length === 1 ? "steps" : `${steps.length} steps`} was begun`;
  const word = result === "failed" ? "failed" : "was stopped by the end of the boot";
  return `step ${last.number} of ${steps.length} ${result === "running" ? "was the last that is known of" : word}: ${last.title}`;
}

/** Text of the guest's and of the script is made harmless. */
export function scriptRows(script: ScriptFile | undefined): readonly string[] {
  if (script === undefined) return [];
  const width = String(script.steps.length).length;
  const rows = script.steps.map((step) => {
    const time = step.duration_ms === null ? "" : duration(step.duration_ms);
    const line = step.line === null ? "" : `line ${step.line}`;
    return `  ${String(step.number).padStart(width)}. ${RESULTS[step.result].padEnd(7)}  ${time.padStart(10)}  ${line.padEnd(11)}  ${shortened(step.title)}`;
  });
  return [`  ${shortened(`${script.name}: ${scriptSummary(script)}`)}`, ...rows, ...script.steps.flatMap(failureRows)];
}

function failureRows(step: ScriptStepFile): readonly string[] {
  if (step.result !== "failed" && step.result !== "stopped") return [];
  const output = (step.output ?? "").trimEnd().split("\n").slice(-OUTPUT_LINES);
  return [
    `  step ${step.number}, ${printable(step.where)}: ${printable(step.detail)}`,
    ...(step.output === undefined || step.output === "" ? [] : output.map((line) => `    | ${shortened(line)}`)),
  ];
}

function shortened(text: string): string {
  const line = printable(text.trim().replaceAll(/\s*\n\s*/g, "; "));
  return line.length > TEXT_MAX ? `${line.slice(0, TEXT_MAX - 1)}…` : line;
}

/** `lineLink`: a line's number, as a link where the page shows it. */
export function scriptSection(script: ScriptFile, lineLink: (line: number) => Markup): Markup {
  return html`<p><b>${script.name}</b>: ${scriptSummary(script)}.</p>
<table>
<caption>Steps, with the time from QEMU’s start.</caption>
<thead><tr><th scope="col">Step</th><th scope="col">Result</th><th scope="col" class="number">At</th><th scope="col" class="number">For</th><th scope="col" class="number">Line</th></tr></thead>
<tbody>
${script.steps.map((step) => html`${stepRow(step, lineLink)}\n`)}</tbody>
</table>`;
}

function stepRow(step: ScriptStepFile, lineLink: (line: number) => Markup): Markup {
  const { number, title, result, time_ms: at, duration_ms: took, line, detail, output = "" } = step;
  const bad = result === "failed" || result === "stopped";
  const told = bad ? html`<br>${detail}` : undefined;
  const printed = output === "" ? undefined : html`<details><summary>Output</summary><pre>${output}</pre></details>`;
  return html`<tr><th scope="row">${number}. ${title}</th><td>${bad ? html`<b>${RESULTS[result]}</b>` : RESULTS[result]}${told}${printed}</td><td class="number">${
    at === null ? "–" : duration(at)
  }</td><td class="number">${took === null ? "–" : duration(took)}</td><td class="number">${line === null ? "–" : lineLink(line)}</td></tr>`;
}
