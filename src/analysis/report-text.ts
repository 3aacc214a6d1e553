/** `report.txt`: what a good engineer would say after reading the log. All text of the guest's is made harmless for a terminal here. */
import type { SessionAnalysis } from "../contract/session.ts";
import { SEVERITIES } from "../contract/verdict.ts";
import { printable } from "../formats/escape-terminal.ts";
import { adviceOf } from "./advice.ts";
import { rootCause, type ToldFinding } from "./findings.ts";
import { buildRows, stoppedIn } from "./report-build.ts";
import { scriptRows } from "./report-script.ts";
import type { SessionEvidence } from "./session-evidence.ts";
import type { SessionReport } from "./session-report.ts";

const QUOTE_MAX = 200;
const CALLS_SHOWN = 8;
/** Of findings that did not decide, as many are told in full. */
const OTHERS_SHOWN = 12;
const NEARBY_LINES = 50;

export function reportText(report: SessionReport, analysis: SessionAnalysis, evidence: SessionEvidence): string {
  const sections = [
    [verdictLine(report, evidence)],
    ["Timeline", ...timeline(report, evidence)],
    section("The script", scriptRows(report.script)),
    section("The build", buildRows(report.build, report.boot_result)),
    section("What went wrong", wrongs(report)),
    section("Also seen", others(report)),
    section(
      "What to try",
      adviceOf(report, analysis, evidence).map((hint, index) => `  ${index + 1}. ${printable(hint)}`),
    ),
    ["What was recorded", ...recorded(report, analysis, evidence)],
  ];
  return `${sections
    .filter(({ length }) => length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

const section = (title: string, lines: readonly string[]): readonly string[] => (lines.length === 0 ? [] : [title, ...lines]);

/** The verdict in one line: `FAILURE at kernel (domain kernel): …`. */
export function verdictLine(report: SessionReport, { ending }: SessionEvidence): string {
  const head = report.boot_result.toUpperCase().replace("_", " ");
  const place = report.boot_stage_final === "unknown" ? "" : ` at ${report.boot_stage_final}`;
  if (report.boot_result === "success") {
    const wrongs = report.findings.filter(({ severity }) => severity !== "info").length;
    const survived = wrongs === 0 ? "" : `, past ${wrongs} ${wrongs === 1 ? "finding" : "findings"} worth a look`;
    return `${head}${place}: the boot reached its goal (${printable(ending?.goal ?? "login")})${survived}`;
  }
  const domain = ["none", "unknown"].includes(report.failure_domain) ? "" : ` (domain ${report.failure_domain})`;
  return `${head}${place}${domain}: ${reason(report, ending)}`;
}

function reason(report: SessionReport, ending: SessionEvidence["ending"]): string {
  const place = stoppedIn(report.build, report.boot_result);
  return `${place === undefined ? "" : `${printable(place)}: `}${cause(report, ending)}`;
}

function cause(report: SessionReport, ending: SessionEvidence["ending"]): string {
  const first = report.findings.find((finding) => finding.cause);
  if (first !== undefined) return printable(first.explanation.replace(/\.$/, ""));
  if (ending?.duration_ms === null && report.last_line === null) return `QEMU did not run${endedBy(ending)}`;
  if (report.boot_result === "no_serial") return `the console printed nothing, and nothing else tells how far it came${endedBy(ending)}`;
  const { last_line: last } = report;
  const stop = last === null ? "the boot ended" : `the log ends at line ${last.line} ("${quote(last.text, 80)}")`;
  return `${stop} without the goal and without a reason${endedBy(ending)}`;
}

const endedBy = (ending: SessionEvidence["ending"]): string =>
  ending === undefined ? "" : ` (${sentence(ending.detail).replace(/\.$/, "")})`;

/** The recorder's sentence, in one line. */
const sentence = (detail: string): string => printable(detail.trim().replaceAll(/\s*\n\s*/g, "; "));

function timeline(report: SessionReport, { ending }: SessionEvidence): readonly string[] {
  const rows = report.stages.map(({ stage, line, time_ms: timeMs, program, text, boot }) => {
    const boots = report.boots > 1 ? `boot ${boot}  ` : "";
    return `  ${time(timeMs)}  ${where(line)}  ${boots}${stage.padEnd(10)}  ${printable(program)}: ${quote(text, 100)}`;
  });
  if (rows.length === 0) rows.push("  no stage of a boot was seen");
  if (ending !== undefined) rows.push(`  ${time(ending.duration_ms)}  ${"".padEnd(12)}  end: ${sentence(ending.detail)}`);
  return rows;
}

const time = (ms: number | null): string => (ms === null ? "          ?" : `${(ms / 1000).toFixed(3).padStart(9)} s`);
const where = (line: number | null): string => (line === null ? "(no line)" : `line ${line}`).padEnd(12);
const quote = (text: string, max: number = QUOTE_MAX): string => {
  const harmless = printable(text.trim());
  return harmless.length > max ? `${harmless.slice(0, max - 1)}…` : harmless;
};

/** The cause first, then what follows from it. */
function wrongs({ findings, boot_result: result }: SessionReport): readonly string[] {
  const cause = findings.findIndex((finding) => finding.cause);
  if (cause === -1 || result === "success") return [];
  const first = findings[cause]!;
  const following = findings.filter(
    (finding, index) => index !== cause && finding.consequence_of !== null && rootCause(findings, index) === cause,
  );
  return [
    ...told(first, result === "failure" ? "the cause" : "the first suspect"),
    ...following.flatMap((finding) => told(finding, "follows from it", first.line)),
  ];
}

/** The rest, worst first; what is told once is not told again for each boot. */
function others({ findings, boot_result: result, boots }: SessionReport): readonly string[] {
  const cause = findings.findIndex((finding) => finding.cause);
  const rest = findings.filter(
    (finding, index) => finding.severity !== "info" && (result === "success" || !belongsTo(findings, index, cause)),
  );
  const alike = new Map<string, ToldFinding[]>();
  for (const finding of rest) {
    const key = `${finding.id} ${finding.explanation}`;
    alike.set(key, [...(alike.get(key) ?? []), finding]);
  }
  const groups = [...alike.values()].sort((a, b) => SEVERITIES.indexOf(b[0]!.severity) - SEVERITIES.indexOf(a[0]!.severity));
  const infos = findings.filter(({ severity }) => severity === "info").length;
  return [
    ...groups.slice(0, OTHERS_SHOWN).flatMap((group) => [...told(group[0]!, undefined), ...again(group, boots)]),
    ...(groups.length > OTHERS_SHOWN ? [`  and ${groups.length - OTHERS_SHOWN} more in report.json`] : []),
    ...(infos > 0 ? [`  ${infos} ${infos === 1 ? "finding" : "findings"} of no weight in report.json`] : []),
  ];
}

/** The cause, what follows from it, and what tells the same a few lines away. */
function belongsTo(findings: readonly ToldFinding[], index: number, cause: number): boolean {
  if (cause === -1) return false;
  const finding = findings[index]!;
  const first = findings[cause]!;
  if (index === cause || rootCause(findings, index) === cause) return true;
  return finding.kind === first.kind && finding.boot === first.boot && Math.abs((finding.line ?? 0) - (first.line ?? 0)) < NEARBY_LINES;
}

function again(group: readonly ToldFinding[], boots: number): readonly string[] {
  if (group.length === 1) return [];
  const lines = group.slice(1, 6).map(({ line, boot }) => `line ${line}${boots > 1 ? ` (boot ${boot})` : ""}`);
  return [`      again at ${lines.join(", ")}${group.length > 6 ? " …" : ""}`];
}

/** `quoted`: a line that stands above already. */
function told(finding: ToldFinding, role: string | undefined, quoted: number | null = null): readonly string[] {
  const { severity, kind, line, source, count, context, report } = finding;
  const place = line === null ? `from ${source === "screen" ? "the screen" : source}` : `at line ${line}`;
  const times = count > 1 ? `, ${count} times` : "";
  const lines = [`  ${severity} ${kind} ${place}${times}${role === undefined ? "" : ` (${role})`}: ${printable(finding.explanation)}`];
  if (line !== null && line === quoted) return lines;
  const before = line === null ? [] : context.before.slice(-1);
  lines.push(...before.map((text) => `      ${"".padStart(7)} | ${quote(text)}`));
  lines.push(`    > ${String(line ?? "").padStart(7)} | ${quote(finding.text)}`);
  lines.push(...context.after.slice(0, 1).map((text) => `      ${"".padStart(7)} | ${quote(text)}`));
  if (report === null) return lines;
  const facts = [
    report.function === null ? undefined : `in ${printable(report.function)}`,
    report.process === null ? undefined : `process ${printable(report.process)}${report.pid === null ? "" : ` (pid ${report.pid})`}`,
    report.kernel === null ? undefined : `kernel ${printable(report.kernel)}`,
  ].filter((fact) => fact !== undefined);
  if (facts.length > 0) lines.push(`      ${facts.join(", ")}`);
  if (report.call_trace.length > 0) {
    const calls = report.call_trace.slice(0, CALLS_SHOWN).map((call) => printable(call.replace(/\+0x.*?(?= \[|$)/, "")));
    lines.push(`      called from ${calls.join(" < ")}${report.call_trace.length > CALLS_SHOWN ? " < …" : ""}`);
  }
  return lines;
}

function recorded(
  report: SessionReport,
  analysis: SessionAnalysis,
  { ending, screen, firmwareLog, qemuErrors, times }: SessionEvidence,
): readonly string[] {
  const { rule, lines } = report.decided_by;
  const rows = [
    `  console      ${analysis.has_serial === 0 ? "printed nothing" : `${report.boots === 1 ? "one boot" : `${report.boots} boots`}${times.offsets.length > 0 ? ", with times of arrival" : ", times by the kernel's own clock"}`}`,
    `  verdict      by rule ${rule}${lines.length === 0 ? "" : ` on line ${lines.join(", ")}`} (docs/verdict.md)`,
  ];
  if (ending !== undefined) {
    const machine = [ending.firmware, ending.accelerator].filter((fact) => fact !== null).join(", ");
    rows.push(
      `  machine      ${machine === "" ? (analysis.has_serial === 0 ? "QEMU did not run" : "not known") : machine}${ending.resets > 0 ? `, ${ending.resets} resets` : ""}`,
    );
    if (ending.screen !== "") rows.push(`  screen       ${printable(ending.screen)}${ending.screen_drawn === 0 ? ", blank" : ""}`);
  }
  if (screen.trim() !== "") {
    rows.push(
      "  screen text",
      ...screen
        .split("\n")
        .filter((line) => line.trim() !== "")
        .slice(-8)
        .map((line) => `    | ${quote(line, 100)}`),
    );
  }
  if (firmwareLog.trim() !== "") rows.push(`  firmware.log ${firmwareLog.trim().split("\n").length} lines`);
  if (qemuErrors.trim() !== "") rows.push(`  qemu.stderr  ${quote(qemuErrors.trim().split("\n").at(-1)!)}`);
  if (analysis.graphics_drivers !== "")
    rows.push(`  graphics     ${printable(analysis.graphics_drivers)} ${printable(analysis.graphics_resolution)}`.trimEnd());
  return rows;
}
