/** How a build went, for a person: in the verdict's sentence, as rows of `report.txt`, as a section of `report.html`. */
import { html, type Markup } from "../formats/escape-html.ts";
import { printable } from "../formats/escape-terminal.ts";
import { type BuildReport, describeStep, type StepSeen } from "./build-notes.ts";
import { count, duration } from "./quantities.ts";

/** The table of the page, and the slowest steps in the text. */
const ROWS_MAX = 1_000;
const SLOWEST = 3;
const QUOTE_MAX = 200;

/** `failed in step 3 of 158, package mes-0.27.1, phase compile`; undefined where no build was seen, or it came to its end. */
export function stoppedIn(build: BuildReport | undefined, result: string): string | undefined {
  if (build?.stopped == null) return undefined;
  const { step } = build.stopped;
  const verb = result === "failure" ? "failed" : "stopped";
  return step === null ? `${verb} before the first step that the console tells` : `${verb} in ${describeStep(step, build.total)}`;
}

/** Rows of `report.txt`; text of the guest's is made harmless. */
export function buildRows(build: BuildReport | undefined, result: string): readonly string[] {
  if (build === undefined) return [];
  const stopped = stoppedIn(build, result);
  const rows = [`  ${summary(build)}`, ...handovers(build).map((line) => `  ${printable(line)}`)];
  const slow = slowest(build).map((step) => `${printable(nameOf(step))} ${duration(step.duration_ms ?? 0)}`);
  if (slow.length > 0) rows.push(`  longest: ${slow.join(", ")}`);
  if (stopped === undefined || build.stopped === null) return rows;
  rows.push(`  ${printable(stopped)}: last lines`);
  return [...rows, ...build.stopped.last_lines.map((line) => `    | ${printable(line).slice(0, QUOTE_MAX)}`)];
}

function summary({ steps, total, stopped }: BuildReport): string {
  const over = steps.filter(({ result }) => result !== "running").length;
  const seen = `${count(steps.length, "step")} seen on the console`;
  const of = total === null ? "" : ` of ${total} planned`;
  return `${seen}${of}, ${over} of them came to their end${stopped === null ? "; the build came to its end" : ""}`;
}

const handovers = ({ handovers: all }: BuildReport): readonly string[] =>
  all.map(({ to, line, time_ms: ms }) => `handed over to ${to} at line ${line}${ms === null ? "" : `, after ${duration(ms)}`}`);

const slowest = ({ steps }: BuildReport): readonly StepSeen[] =>
  steps
    .filter(({ duration_ms: ms }) => ms !== null && ms >= 1_000)
    .sort((a, b) => (b.duration_ms ?? 0) - (a.duration_ms ?? 0))
    .slice(0, SLOWEST);

const nameOf = ({ directive, name, pass }: StepSeen): string =>
  `${directive === "build" ? "" : `${directive} `}${name}${pass !== null && pass > 1 ? ` (pass ${pass})` : ""}`;

/** `lineLink`: a line's number, as a link where the page shows it. */
export function buildSection(build: BuildReport, result: string, lineLink: (line: number) => Markup): Markup {
  const stopped = stoppedIn(build, result);
  const last = build.stopped?.last_lines ?? [];
  const shown = build.steps.slice(-ROWS_MAX);
  const hidden = build.steps.length - shown.length;
  return html`<p>${summary(build)}.${handovers(build).map((line) => html` ${line[0]!.toUpperCase()}${line.slice(1)}.`)}</p>
${stopped === undefined ? undefined : html`<p>It ${stopped}. The last lines:</p>\n<pre>${last.map((line) => `${line}\n`).join("")}</pre>\n`}${
  shown.length === 0
    ? undefined
    : html`<table>
<caption>Steps${hidden === 0 ? "" : `, the last ${shown.length}`}.</caption>
<thead><tr><th scope="col">Step</th><th scope="col">Result</th><th scope="col" class="number">At</th><th scope="col" class="number">For</th><th scope="col" class="number">Line</th></tr></thead>
<tbody>
${shown.map((step) => html`${row(step, step === build.stopped?.step, result, lineLink)}\n`)}</tbody>
</table>`
}`;
}

function row(step: StepSeen, isStop: boolean, result: string, lineLink: (line: number) => Markup): Markup {
  const ended = isStop ? `${result === "failure" ? "failed" : "stopped"}${step.phase === null ? "" : `: ${step.phase}`}` : step.result;
  return html`<tr><th scope="row">${step.number === null ? "" : `${step.number}. `}${nameOf(step)}</th><td>${ended}</td><td class="number">${
    step.time_ms === null ? "–" : duration(step.time_ms)
  }</td><td class="number">${step.duration_ms === null ? "–" : duration(step.duration_ms)}</td><td class="number">${lineLink(step.line)}</td></tr>`;
}
