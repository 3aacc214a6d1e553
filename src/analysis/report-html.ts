/**
 * `report.html`: the report as one page that needs nothing but a browser. No script, no file beside it, no network; all that came
 * from the guest is text (`formats/escape-html.ts`), and a policy in the page itself forbids the rest. A pure function: same
 * content, same bytes.
 */
import type { SessionAnalysis } from "../contract/session.ts";
import { SEVERITIES } from "../contract/verdict.ts";
import { html, type Markup } from "../formats/escape-html.ts";
import { adviceOf } from "./advice.ts";
import { rootCause, type ToldFinding } from "./findings.ts";
import { htmlDocument } from "./html-document.ts";
import type { LogLine } from "./log-excerpt.ts";
import { type LogAnchors, logAnchors, logOutline, logSections, type ShownLog } from "./log-outline.ts";
import { count, duration, size } from "./quantities.ts";
import { buildSection, stoppedIn } from "./report-build.ts";
import { scriptSection } from "./report-script.ts";
import type { Screenshot } from "./screenshots.ts";
import type { SessionEvidence } from "./session-evidence.ts";
import type { ReportedStage, SessionReport } from "./session-report.ts";
import type { Silence } from "./silences.ts";
import { planTimeline, type Timeline } from "./timeline.ts";
import { timelineKey, timelineSvg } from "./timeline-svg.ts";

/** What is known of the boot before it began; the same when it has ended. */
export interface BootFacts {
  readonly sessionId: string;
  readonly image: string;
  readonly startTimeUtc: string;
  readonly ramMb: number;
  readonly cpus: number;
}

export interface PageContent {
  readonly report: SessionReport;
  readonly analysis: SessionAnalysis;
  readonly evidence: SessionEvidence;
  /** Undefined: nothing but a log is known. */
  readonly boot: BootFacts | undefined;
  readonly log: ShownLog;
  /** Of each boot, from boot 1; by arrival all of them with boot 1. */
  readonly silences: readonly (readonly Silence[])[];
  /** When each boot ended, in milliseconds on the clock of its times. */
  readonly endMs: readonly (number | null)[];
  readonly screenshots: readonly Screenshot[];
}

/** Findings beyond these are in `report.json` alone. */
const FINDINGS_MAX = 100;

export function reportHtml(content: PageContent): string {
  const { report, boot, log, screenshots, evidence } = content;
  const advice = adviceOf(report, content.analysis, evidence);
  const outline = logSections(report, log);
  const groups = groupFindings(report);
  const page: Page = {
    ...content,
    advice,
    anchors: logAnchors(outline, new Set(Object.values(groups).flatMap((group) => group.slice(0, FINDINGS_MAX)))),
  };
  const hasScreen = screenshots.length > 0 || evidence.screen.trim() !== "";
  const sections: readonly (Section | undefined)[] = [
    { id: "timeline", title: "Timeline", body: timelineSection(page) },
    report.script === undefined ? undefined : { id: "script", title: "The script", body: scriptSection(report.script, page.anchors.line) },
    report.build === undefined
      ? undefined
      : { id: "build", title: "The build", body: buildSection(report.build, report.boot_result, page.anchors.line) },
    ...findingSections(page, groups),
    advice.length === 0
      ? undefined
      : {
          id: "advice",
          title: "What to try",
          body: html`<ol class="advice">${advice.map((hint) => html`<li>${sentenceWithCode(hint)}</li>`)}</ol>`,
        },
    hasScreen ? { id: "screen", title: "The screen", body: screenSection(page) } : undefined,
    { id: "recorded", title: "What was recorded", body: recordedSection(page) },
    { id: "log", title: "The log", body: logOutline(outline, report, log, page.anchors) },
  ];
  const shown = sections.filter((section) => section !== undefined);
  const title = `${RESULT_WORDS[report.boot_result]}: ${boot?.image ?? "a console log"}`;
  return htmlDocument({
    title,
    pictures: true,
    header: html`${verdictHeader(page)}
<nav aria-label="Sections"><ul>${shown.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>`,
    main: html`${shown.map(({ id, title, body }) => html`<section aria-labelledby="${id}">\n<h2 id="${id}">${title}</h2>\n${body}\n</section>\n`)}`,
    footer: html`Made by hiperiso from this session’s files. <code>report.json</code> holds the same for programs, <code>serial.log</code> the console byte for byte.`,
  });
}

interface Page extends PageContent {
  readonly anchors: LogAnchors;
  /** What "What to try" says: a finding need not say it again. */
  readonly advice: readonly string[];
}

interface Section {
  readonly id: string;
  readonly title: string;
  readonly body: Markup;
}

// The verdict

const RESULT_WORDS = { success: "Success", failure: "Failure", incomplete: "Incomplete", no_serial: "No serial console" } as const;

const PLACES: Readonly<Record<string, string>> = {
  firmware: " in the firmware",
  bootloader: " in the boot loader",
  kernel: " in the kernel",
  initramfs: " in the initramfs",
  userspace: " in userspace",
  login: " after its login",
};

function verdictHeader(page: Page): Markup {
  const { report, evidence, boot } = page;
  const { ending } = evidence;
  const when =
    boot === undefined
      ? "Report on a console log"
      : `Report on the boot of ${boot.image}, ${boot.startTimeUtc.replace("T", " ").replace("Z", " UTC")}`;
  const { rule, lines } = report.decided_by;
  const decided = html`rule <code>${rule}</code>${lines.length === 0 ? undefined : html`, ${lineLinks(lines, page)}`}`;
  const stage = report.boot_stage_final === "unknown" ? "none was seen" : report.boot_stage_final;
  return html`<p class="kicker">${when}</p>
<h1 class="${report.boot_result}">${headline(report)}</h1>
<p class="lead">${lead(page)}</p>
<dl class="facts">
<dt>Last stage</dt><dd>${stage}</dd>
${report.boot_result === "success" ? undefined : html`<dt>Domain of the fault</dt><dd>${report.failure_domain}</dd>\n`}<dt>Decided by</dt><dd>${decided}</dd>
${ending === undefined ? undefined : html`<dt>Ended</dt><dd>${ending.detail.trim()}</dd>`}
</dl>`;
}

function headline({ boot_result: result, boot_stage_final: stage }: SessionReport): string {
  if (result === "success") return "The boot reached its goal.";
  if (result === "no_serial") return "The console printed nothing.";
  return `The boot ${result === "failure" ? "failed" : "did not finish, and stopped"}${PLACES[stage] ?? ""}.`;
}

function lead(page: Page): Markup {
  const { report } = page;
  const { ending } = page.evidence;
  const { boot_duration_ms: ms } = page.analysis;
  const after = ms > 0 ? ` after ${duration(ms)}` : "";
  if (report.boot_result === "success") {
    const wrongs = report.findings.filter(({ severity }) => severity !== "info").length;
    const survived =
      wrongs === 0
        ? undefined
        : html` On the way it survived <a href="#also">${wrongs} ${wrongs === 1 ? "finding" : "findings"}</a> worth a look.`;
    return html`It got to ${goalWords(ending?.goal ?? "login")}${after}.${survived}`;
  }
  const cause = report.findings.find((finding) => finding.cause);
  const place = stoppedIn(report.build, report.boot_result);
  const build = place === undefined ? undefined : html`The build ${place}. `;
  if (cause !== undefined) {
    const line = cause.line === null ? undefined : html` (${lineLinks([cause.line], page)}${after === "" ? "" : `,${after}`})`;
    return html`${build}${cause.explanation.trim().replace(/\.$/, "")}${line}.`;
  }
  if (ending?.duration_ms === null) return html`QEMU did not run.`;
  if (report.boot_result === "no_serial") return html`Nothing else tells how far it came${after}.`;
  const { last_line: last } = report;
  if (last === null) return html`It ended without its goal and without a reason${after}.`;
  return html`${build}The log ends at ${lineLinks([last.line], page)}${after}, without the goal and without a reason: <code>${cutTo(last.text.trim(), 160)}</code>`;
}

function goalWords(goal: string): Markup {
  const [, kind, text] = /^(text|pattern):(.*)$/s.exec(goal) ?? [];
  if (kind !== undefined) return html`the ${kind} <code>${text}</code>`;
  return goal === "login" ? html`a login` : html`its goal, ${goal}`;
}

const lineLinks = (lines: readonly number[], { anchors }: Page): Markup =>
  html`${lines.length === 1 ? "line" : "lines"} ${lines.map((line, index) => html`${index === 0 ? "" : ", "}${anchors.line(line)}`)}`;

const cutTo = (text: string, max: number): string => (text.length <= max ? text : `${text.slice(0, max - 1)}…`);

/** Our own sentences quote commands between backticks. */
const sentenceWithCode = (sentence: string): Markup =>
  html`${sentence.split("`").map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : html`${part}`))}`;

// The timeline

function timelineSection(page: Page): Markup {
  const { report, evidence, silences, endMs } = page;
  const byArrival = evidence.times.offsets.length > 0;
  const timeline = planTimeline({ report, silences, byArrival, endMs });
  const rows = Array.from({ length: report.boots }, (_, index) => index + 1).flatMap((boot) => timelineRows(page, timeline, boot));
  const drawing = timelineSvg(timeline, inWords(timeline));
  const clock = byArrival
    ? "times from QEMU’s start, as the console’s bytes arrived"
    : "times by the kernel’s own clock, so none before it";
  const caption = timeline.lanes.length === 0 ? "Stages; nothing here tells the time." : `Stages and silences; ${clock}.`;
  if (rows.length === 0) return html`<p>No stage of a boot was seen.</p>`;
  return html`${drawing}${drawing === undefined ? undefined : timelineKey(timeline)}${timeline.lanesLeftOut === 0 ? undefined : html`<p class="note">Of the boots in this log ${timeline.lanesLeftOut} are not drawn.</p>`}
<table>
<caption>${caption}</caption>
<thead><tr><th scope="col">Stage</th><th scope="col" class="number">At</th><th scope="col" class="number">For</th><th scope="col" class="number">Line</th></tr></thead>
<tbody>
${rows.slice(0, ROWS_MAX).map((row) => html`${row}\n`)}</tbody>
</table>${rows.length <= ROWS_MAX ? undefined : html`<p class="note">${rows.length - ROWS_MAX} more rows are in report.json.</p>`}`;
}

const ROWS_MAX = 80;

function timelineRows({ report, anchors }: Page, { lanes }: Timeline, boot: number): readonly Markup[] {
  const lane = lanes.find((one) => one.boot === boot);
  const ofBoot = report.stages.filter((stage) => stage.boot === boot);
  const silences = [...(lane?.silences ?? [])];
  const rows: Markup[] = [];
  for (const [index, stage] of ofBoot.entries()) {
    const { time_ms: ms } = stage;
    const next = ofBoot.slice(index + 1).find((later) => later.time_ms !== null)?.time_ms ?? lane?.toMs;
    while (ms !== null && silences[0] !== undefined && silences[0].toMs <= ms) rows.push(silentRow(silences.shift()!, anchors));
    rows.push(stageRow(stage, ms === null || next == null ? null : Math.max(0, next - ms), report.boots > 1, anchors));
  }
  return [...rows, ...silences.map((silence) => silentRow(silence, anchors))];
}

function stageRow(seen: ReportedStage, lasted: number | null, numbered: boolean, anchors: LogAnchors): Markup {
  const { stage, boot, line, time_ms: ms, program, text } = seen;
  const name = line !== null && anchors.section(line) ? html`<a href="#stage-${line}">${stage}</a>` : html`${stage}`;
  return html`<tr><th scope="row"><span class="swatch ${stage}"></span>${name}${numbered ? html` <span class="meta">boot ${boot}</span>` : undefined}<span class="quote">${program}: ${cutTo(text.trim(), 120)}</span></th>${cells(
    ms === null ? "–" : duration(ms),
    lasted === null ? "–" : duration(lasted),
    line === null ? "–" : anchors.line(line),
  )}</tr>`;
}

const silentRow = ({ fromMs, toMs, line }: Silence, anchors: LogAnchors): Markup =>
  html`<tr class="silent"><th scope="row"><span class="swatch silent"></span>silence</th>${cells(
    duration(fromMs),
    duration(toMs - fromMs),
    line === 0 ? "–" : html`after ${anchors.line(line)}`,
  )}</tr>`;

const cells = (...values: readonly (Markup | string)[]): Markup => html`${values.map((value) => html`<td class="number">${value}</td>`)}`;

function inWords({ lanes, endMs }: Timeline): string {
  const told = lanes.map(({ boot, stretches, silences, marks }) => {
    const stages = stretches.map(({ stage, fromMs }) => `${stage} from ${duration(fromMs)}`).join(", ");
    const still = silences.length === 0 ? "" : `; ${silences.length} silences`;
    const found =
      marks.length === 0
        ? ""
        : `; findings at ${marks
            .slice(0, 8)
            .map(({ ms, kind }) => `${duration(ms)} (${kind})`)
            .join(", ")}`;
    return `${lanes.length > 1 ? `boot ${boot}: ` : ""}${stages}${still}${found}`;
  });
  return `Timeline of ${duration(endMs)}: ${told.join(". ")}.`;
}

// Findings

/** Indices of findings: the one that the verdict rests on, what follows from it and what tells the same nearby; and the others, worst first. */
interface FindingGroups {
  readonly central: readonly number[];
  readonly others: readonly number[];
  readonly infos: readonly number[];
}

function groupFindings({ findings }: SessionReport): FindingGroups {
  const cause = findings.findIndex((finding) => finding.cause);
  const isCentral = (index: number) =>
    cause !== -1 && (rootCause(findings, index) === cause || tellsTheSame(findings[index]!, findings[cause]!));
  const all = [...findings.keys()];
  const weight = (index: number) => SEVERITIES.indexOf(findings[index]!.severity);
  const rest = all.filter((index) => !isCentral(index));
  return {
    central: all.filter(isCentral).sort((a, b) => Number(b === cause) - Number(a === cause)),
    others: rest.filter((index) => weight(index) > 0).sort((a, b) => weight(b) - weight(a) || a - b),
    infos: rest.filter((index) => weight(index) === 0),
  };
}

const NEARBY_LINES = 50;

const tellsTheSame = (one: ToldFinding, other: ToldFinding): boolean =>
  one.kind === other.kind && one.boot === other.boot && Math.abs((one.line ?? 0) - (other.line ?? 0)) < NEARBY_LINES;

function findingSections(page: Page, { central, others, infos }: FindingGroups): readonly (Section | undefined)[] {
  const told = (group: readonly number[]) =>
    html`${group.slice(0, FINDINGS_MAX).map((index) => findingArticle(page, index))}${leftOut(group.length)}`;
  const folded = html`<details><summary>${count(infos.length, "finding")} of no weight</summary>\n${told(infos)}</details>`;
  return [
    central.length === 0 ? undefined : { id: "wrong", title: "What went wrong", body: told(central) },
    others.length + infos.length === 0
      ? undefined
      : { id: "also", title: "Also seen", body: html`${told(others)}${infos.length === 0 ? undefined : folded}` },
  ];
}

const leftOut = (count: number): Markup | undefined =>
  count <= FINDINGS_MAX ? undefined : html`<p class="note">${count - FINDINGS_MAX} more are in report.json.</p>`;

function findingArticle(page: Page, index: number): Markup {
  const { report, anchors } = page;
  const finding = report.findings[index]!;
  const { severity, kind, line, source, count, explanation, hint, boot, time_ms: ms, consequence_of: from } = finding;
  const facts: readonly (Markup | undefined)[] = [
    finding.cause ? html`${report.boot_result === "failure" ? "the cause" : "the first suspect"}` : undefined,
    from === null ? undefined : followsFrom(from, report.findings[from]!.kind, anchors),
    line === null ? html`from ${source === "screen" ? "the screen" : source}` : lineLinks([line], page),
    ms === null ? undefined : html`at ${duration(ms)}`,
    report.boots > 1 ? html`boot ${boot}` : undefined,
    count > 1 ? html`seen ${count} times` : undefined,
    html`rule <code>${finding.id}</code>`,
  ];
  return html`<article class="finding ${severity}" id="finding-${index + 1}">
<h3>${explanation}</h3>
<p class="meta"><span class="severity ${severity}">${severity}</span> ${kind}${facts.filter((fact) => fact !== undefined).map((fact) => html` · ${fact}`)}</p>
${quotedLines(page, finding)}
${kernelReport(finding.report)}${hint === "" || page.advice.includes(hint) ? undefined : html`<p>${sentenceWithCode(hint)}</p>`}
</article>
`;
}

const followsFrom = (index: number, kind: string, anchors: LogAnchors): Markup =>
  html`follows from ${anchors.finding(index) ? html`<a href="#finding-${index + 1}">${kind}</a>` : kind}`;

const LINES_BEFORE = 3;
const LINES_AFTER = 3;
const REPORT_LINES_MAX = 24;

/** The lines in place, with those around them; where the page does not hold them, what the analysis kept. */
function quotedLines({ log, anchors, report: whole }: Page, finding: ToldFinding): Markup {
  const { line, text, context, report } = finding;
  if (line === null) return plainLines([text]);
  // Two findings of one line stand one below the other: what stood before is quoted once.
  const follows = finding.consequence_of !== null && whole.findings[finding.consequence_of]!.line === line;
  const first = Math.max(1, (finding.first_line ?? line) - (follows ? 0 : LINES_BEFORE));
  const last = report === null || finding.count > 1 ? line : Math.min(finding.last_line ?? line, line + REPORT_LINES_MAX);
  const lines = slice(log.lines, first, last + LINES_AFTER);
  if (!lines.some(({ number }) => number === line)) return plainLines([...context.before, text, ...context.after]);
  return html`<div class="lines" style="--digits:${digitsOf(last + LINES_AFTER)}ch">${lines.map(
    ({ number, texts }) =>
      html`<p${number === line ? html` class="hit"` : undefined}>${anchors.line(number)}${cutTo(texts.slice(-4).join("\n"), 600)}</p>\n`,
  )}</div>`;
}

const plainLines = (texts: readonly string[]): Markup => html`<pre>${cutTo(texts.join("\n"), 4000)}</pre>`;

const digitsOf = (number: number): number => String(number).length;

/** The shown lines from number `first` to `last`. */
function slice(lines: readonly LogLine[], first: number, last: number): readonly LogLine[] {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lines[middle]!.number < first) low = middle + 1;
    else high = middle;
  }
  const shown: LogLine[] = [];
  for (let at = low; at < lines.length && lines[at]!.number <= last; at += 1) shown.push(lines[at]!);
  return shown;
}

const CALLS_MAX = 40;

function kernelReport(report: ToldFinding["report"]): Markup | undefined {
  if (report === null) return undefined;
  const facts = [
    report.function === null ? undefined : html`in <code>${report.function}</code>`,
    report.process === null
      ? undefined
      : html`process <code>${report.process}</code>${report.pid === null ? undefined : html` (pid ${report.pid})`}`,
    report.cpu === null ? undefined : html`processor ${report.cpu}`,
    report.kernel === null ? undefined : html`kernel <code>${report.kernel}</code>`,
  ].filter((fact) => fact !== undefined);
  const calls = report.call_trace;
  return html`${facts.length === 0 ? undefined : html`<p>${facts.map((fact, index) => html`${index === 0 ? "" : ", "}${fact}`)}</p>\n`}${
    calls.length === 0
      ? undefined
      : html`<details><summary>call trace, ${calls.length} ${calls.length === 1 ? "function" : "functions"}</summary><pre>${calls.slice(0, CALLS_MAX).join("\n")}${calls.length > CALLS_MAX ? "\n…" : ""}</pre></details>\n`
  }`;
}

// What was recorded

function screenSection({ screenshots, evidence }: Page): Markup {
  const text = evidence.screen.trimEnd();
  return html`${screenshots.map(figure)}${text.trim() === "" ? undefined : html`<details${screenshots.some(({ png }) => png !== undefined) ? undefined : html` open`}><summary>Its text, when the boot ended</summary><pre>${text}</pre></details>`}`;
}

function figure({ name, bytes, png, leftOut }: Screenshot): Markup {
  if (png === undefined)
    return html`<p class="note"><code>${name}</code> (${size(bytes)}) is not in this page: ${leftOut ?? "no picture"}.</p>\n`;
  return html`<figure><img src="data:image/png;base64,${png.content.toString("base64")}" width="${png.width}" height="${png.height}" alt="The guest’s screen, ${png.width} by ${png.height} pixels (${name})"><figcaption>${name}, ${png.width} × ${png.height}, ${size(bytes)}</figcaption></figure>\n`;
}

const QEMU_LINES = 12;

function recordedSection({ report, analysis, evidence, boot, log }: Page): Markup {
  const { ending, qemuErrors, firmwareLog, times } = evidence;
  const machine =
    ending === undefined
      ? []
      : [
          ending.firmware === null ? "" : ending.firmware.toUpperCase(),
          ending.accelerator === "tcg" ? "emulation" : (ending.accelerator?.toUpperCase() ?? ""),
        ];
  const rows: readonly (readonly [string, Markup | string] | undefined)[] = [
    boot && ["Session", html`<code>${boot.sessionId}</code>`],
    boot && ["Image", boot.image],
    boot && ["Started", boot.startTimeUtc],
    ending && [
      "Machine",
      [...machine, ...(boot === undefined ? [] : [`${boot.ramMb} MB of memory`, count(boot.cpus, "processor")])]
        .filter((fact) => fact !== "")
        .join(", ") || "QEMU did not run",
    ],
    ending && ending.resets > 0 ? ["Resets", String(ending.resets)] : undefined,
    ["Console", consoleWords(report, log, times.offsets.length > 0, analysis.has_serial === 1)],
    ending && ending.screen !== "" ? ["Screen", `${ending.screen}${ending.screen_drawn === 0 ? ", blank" : ""}`] : undefined,
    analysis.graphics_drivers === "" && analysis.graphics_resolution === ""
      ? undefined
      : ["Graphics", `${analysis.graphics_drivers} ${analysis.graphics_resolution}`.trim()],
    firmwareLog.trim() === "" ? undefined : ["Firmware’s log", `${firmwareLog.trim().split("\n").length} lines in firmware.log`],
    evidence.hasTrace ? ["Trace", html`<code>trace.bin</code>`] : undefined,
  ];
  const errors = qemuErrors.trim();
  return html`<dl class="facts">
${rows.filter((row) => row !== undefined).map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>\n`)}</dl>${
    errors === "" ? undefined : html`<p>QEMU’s own words:</p><pre>${errors.split("\n").slice(-QEMU_LINES).join("\n")}</pre>`
  }`;
}

function consoleWords({ boots }: SessionReport, { lineCount, bytes }: ShownLog, hasTimes: boolean, hasText: boolean): string {
  if (bytes === 0 || !hasText) return bytes === 0 ? "printed nothing" : `${size(bytes)}, nothing that can be read`;
  return `${count(lineCount, "line")}, ${size(bytes)}, ${boots === 1 ? "one boot" : `${boots} boots`}, ${hasTimes ? "with times of arrival" : "without times of arrival"}`;
}
