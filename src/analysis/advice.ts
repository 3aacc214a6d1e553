/** What to try, in order: sentences for a person, not escaped. Empty where the boot reached its goal. */
import type { SessionAnalysis } from "../contract/session.ts";
import type { SessionEvidence } from "./session-evidence.ts";
import type { SessionReport } from "./session-report.ts";

const HINTS_MAX = 3;

/** The cause's advice, then that of what follows or stands beside it, each once; of a log without a cause, where to look. */
export function adviceOf(report: SessionReport, analysis: SessionAnalysis, { ending }: SessionEvidence): readonly string[] {
  if (report.boot_result === "success") return [];
  const { findings } = report;
  const cause = findings.find((finding) => finding.cause);
  const weighty = findings.filter(
    ({ severity, boot }) => (severity === "fatal" || severity === "error") && boot === (cause?.boot ?? report.boots),
  );
  const hints = [...new Set([cause, ...weighty].flatMap((finding) => (finding === undefined ? [] : [finding.hint])))].slice(0, HINTS_MAX);
  if (cause !== undefined) return hints;
  if (analysis.has_serial === 0) {
    hints.push(
      "A system that does not write to the serial console prints nothing here: add console=ttyS0 to its kernel's command line, or look at the screenshots.",
    );
    return hints;
  }
  hints.push("Look at the last lines of serial.log: what was started last is the first suspect.");
  if (ending?.reason === "time_limit") hints.push("It may only have been slow: give it more time with --time-limit.");
  if (report.boot_stage_final === "bootloader" || report.boot_stage_final === "kernel") {
    hints.push("If the kernel says nothing, add console=ttyS0 (and earlyprintk=ttyS0) to its command line, and take `quiet` away.");
  }
  return hints;
}
