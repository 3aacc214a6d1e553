/** The log in a page: folded by the stages of the boot, each line with its number, findings noted where they stand. */
import { html, type Markup } from "../formats/escape-html.ts";
import type { LogLine } from "./log-excerpt.ts";
import { count, duration, grouped } from "./quantities.ts";
import type { ReportedStage, SessionReport } from "./session-report.ts";

/** The log as far as a page shows it. */
export interface ShownLog {
  /** Ascending by number. */
  readonly lines: readonly LogLine[];
  /** Of the whole log. */
  readonly lineCount: number;
  readonly bytes: number;
}

/** From the line that shows a stage to the one before the next stage. */
export interface LogSection {
  readonly first: number;
  readonly last: number;
  /** Those that `first` shows; none before the first stage. */
  readonly stages: readonly ReportedStage[];
  readonly lines: readonly LogLine[];
}

/** Sections of which the page shows any line. */
export function logSections({ stages }: SessionReport, { lines, lineCount }: ShownLog): readonly LogSection[] {
  const starts = [...new Set([1, ...stages.flatMap(({ line }) => (line === null ? [] : [line]))])].sort((a, b) => a - b);
  const sections: LogSection[] = [];
  let at = 0;
  for (const [index, first] of starts.entries()) {
    const last = (starts[index + 1] ?? lineCount + 1) - 1;
    const from = at;
    while (at < lines.length && lines[at]!.number <= last) at += 1;
    if (at > from) sections.push({ first, last, stages: stages.filter(({ line }) => line === first), lines: lines.slice(from, at) });
  }
  return sections;
}

/** What of the log can be pointed to: a link to what the page leaves out would lead nowhere. */
export interface LogAnchors {
  /** The number, a link where the page holds the line. */
  line(number: number): Markup;
  /** True where a section begins with this line. */
  section(line: number): boolean;
  /** True where the page tells of this finding. */
  finding(index: number): boolean;
}

export function logAnchors(sections: readonly LogSection[], toldFindings: ReadonlySet<number>): LogAnchors {
  const shown = new Set(sections.flatMap(({ lines }) => lines.map(({ number }) => number)));
  const begun = new Set(sections.map(({ first }) => first));
  return {
    line: (number) => (shown.has(number) ? numberLink(number) : html`${number}`),
    section: (line) => begun.has(line),
    finding: (index) => toldFindings.has(index),
  };
}

const numberLink = (number: number): Markup => html`<a href="#L${number}">${number}</a>`;

/** A log of no more lines than this is not folded. */
const UNFOLDED_LINES_MAX = 60;

export function logOutline(sections: readonly LogSection[], report: SessionReport, log: ShownLog, anchors: LogAnchors): Markup {
  if (sections.length === 0) return html`<p>The console printed nothing.</p>`;
  const { lines, lineCount } = log;
  const notes = notesByLine(report, anchors);
  const leftOut = lineCount - lines.length;
  const how = html`<p class="note">${
    leftOut === 0
      ? html`All ${count(lineCount, "line")}.`
      : html`The log has ${count(lineCount, "line")}. This page holds ${grouped(lines.length)} of them: the beginning, the end, and what lies around stages and findings; ${grouped(leftOut)} are left out, each gap says which. <code>serial.log</code> has them all.`
  } Escape sequences are taken out, other control characters are written out (\\x00).</p>`;
  let before = 0;
  return html`${how}
${sections.map((section, index) => {
  const gap = gapBefore(before, section.first);
  const hasFindings = section.lines.some(({ number }) => notes.has(number));
  const open = hasFindings || index === sections.length - 1 || lineCount <= UNFOLDED_LINES_MAX;
  const shown = html`${gap}<details class="stage" id="stage-${section.first}"${open ? html` open` : undefined}><summary><h3>${nameOf(section)}</h3> <span class="meta">${factsOf(section, report)}</span></summary>
${sectionLines(section, notes, String(lineCount).length)}</details>
`;
  before = section.last;
  return shown;
})}`;
}

const nameOf = ({ stages }: LogSection): string =>
  stages.length === 0 ? "before the first stage" : [...new Set(stages.map(({ stage }) => stage))].join(", ");

function factsOf({ first, last, stages }: LogSection, { boots, findings }: SessionReport): string {
  const ms = stages[0]?.time_ms ?? null;
  const inside = findings.filter(({ line, severity }) => line !== null && line >= first && line <= last && severity !== "info");
  return [
    boots > 1 && stages.length > 0 ? `boot ${stages[0]!.boot}` : "",
    first === last ? `line ${grouped(first)}` : `lines ${grouped(first)} to ${grouped(last)}`,
    ms === null ? "" : `from ${duration(ms)}`,
    inside.length === 0 ? "" : count(inside.length, "finding"),
  ]
    .filter((fact) => fact !== "")
    .join(" · ");
}

/** Findings above `info`, by the line that they stand on. */
function notesByLine({ findings }: SessionReport, anchors: LogAnchors): ReadonlyMap<number, readonly Markup[]> {
  const notes = new Map<number, Markup[]>();
  for (const [index, { line, severity, kind, explanation }] of findings.entries()) {
    if (line === null || severity === "info") continue;
    const name = anchors.finding(index) ? html`<a href="#finding-${index + 1}">${kind}</a>` : html`${kind}`;
    const note = html`<p class="seen"><span class="severity ${severity}">${severity}</span> ${name}: ${explanation}</p>\n`;
    notes.set(line, [...(notes.get(line) ?? []), note]);
  }
  return notes;
}

/** A browser lays out only the pieces that are looked at. */
const PIECE_LINES = 400;

function sectionLines({ first, last, lines }: LogSection, notes: ReadonlyMap<number, readonly Markup[]>, digits: number): Markup {
  const pieces: Markup[] = [];
  let before = first - 1;
  for (let at = 0; at < lines.length; at += PIECE_LINES) {
    const rows = lines.slice(at, at + PIECE_LINES).map((line) => {
      const gap = gapBefore(before, line.number);
      before = line.number;
      return html`${gap}${logLine(line, notes.get(line.number))}`;
    });
    pieces.push(html`<div style="--lines:${rows.length}">\n${rows}</div>\n`);
  }
  return html`<div class="log" style="--digits:${digits}ch">\n${pieces}${gapBefore(before, last + 1)}</div>\n`;
}

function logLine({ number, texts, bytesLeftOut }: LogLine, notes: readonly Markup[] | undefined): Markup {
  const cut = bytesLeftOut === 0 ? undefined : html` <span class="cut">… and ${count(bytesLeftOut, "byte")} more</span>`;
  return html`<p id="L${number}"${notes === undefined ? undefined : html` class="hit"`}>${numberLink(number)}${texts.join("\n")}${cut}</p>\n${notes}`;
}

/** What the page leaves out between two lines of the log. */
function gapBefore(before: number, next: number): Markup | undefined {
  const missing = next - before - 1;
  if (missing <= 0) return undefined;
  const which = missing === 1 ? `line ${grouped(next - 1)} is` : `lines ${grouped(before + 1)} to ${grouped(next - 1)} are`;
  return html`<p class="gap">… ${which} not in this page …</p>\n`;
}
