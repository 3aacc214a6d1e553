import type { Report } from "../contract/report.ts";
import type { Ending, SessionAnalysis } from "../contract/session.ts";
import { printable } from "../formats/escape-terminal.ts";

/** `report.txt`: what a good engineer would say after reading the log. */
export function reportText(report: Report, summary: SessionAnalysis, ending: Ending | undefined): string {
  const cause = report.findings.find((finding) => finding.cause);
  const lines = [verdictLine(report, ending), ""];
  if (ending !== undefined) lines.push(`Ended: ${printable(ending.detail)}`, "");
  lines.push("Timeline");
  for (const { stage, line, time_ms: timeMs } of report.stages) {
    lines.push(
      `  ${timeMs === null ? "       ?" : `${(timeMs / 1000).toFixed(3).padStart(8)} s`}  ${stage.padEnd(10)}  ${line === null ? "" : `line ${line}`}`.trimEnd(),
    );
  }
  for (const finding of report.findings) {
    lines.push(
      "",
      `${finding.severity.toUpperCase()} ${finding.id}${finding.line === null ? ` (${finding.source})` : ` at line ${finding.line}`}${finding.count > 1 ? `, ${finding.count} times` : ""}`,
    );
    lines.push(`  | ${printable(finding.text)}`, `  ${printable(finding.explanation)}`);
  }
  if (cause !== undefined) lines.push("", "What to try", `  1. ${printable(cause.hint)}`);
  lines.push("", `Console output: ${summary.has_serial === 1 ? "yes" : "none"}.`);
  return `${lines.join("\n")}\n`;
}

/** The verdict in one line: `FAILURE at kernel (domain kernel): …`. */
export function verdictLine(report: Report, ending: Ending | undefined): string {
  const cause = report.findings.find((finding) => finding.cause);
  const head = report.boot_result.toUpperCase();
  if (report.boot_result === "success") return `${head}: reached ${ending?.goal ?? "login"}`;
  const domain = ["none", "unknown"].includes(report.failure_domain) ? "" : ` (domain ${report.failure_domain})`;
  const why =
    cause?.explanation ??
    (report.boot_result === "no_serial"
      ? "the console printed nothing, and nothing else tells how far it came"
      : "the log ends without the goal and without a reason");
  return `${head} at ${report.boot_stage_final}${domain}: ${printable(why)}`;
}
