/** What a recorded boot means for its test. Pure. */
import type { SessionReport } from "../analysis/session-report.ts";
import type { SessionEnded } from "../contract/session.ts";
import type { Expectation, SuiteRun } from "../contract/suite.ts";

export interface Boot {
  readonly session: SessionEnded;
  readonly report: SessionReport | undefined;
  /** The session's, as `--json` and the results tell it. */
  readonly directory: string;
  /** The recorder's sentence. */
  readonly detail: string;
  readonly durationMs: number;
}

export function judge(expect: Expectation, boot: Boot): SuiteRun {
  const { analysis } = boot.session;
  const told = {
    session: boot.directory,
    result: analysis.boot_result,
    stage: analysis.boot_stage_final,
    domain: analysis.failure_domain,
    duration_ms: Math.round(boot.durationMs),
  };
  // The recorder failed: that says nothing of the image.
  if (boot.session.status === "failed") return { status: "error", why: boot.detail, ...told };
  const reasons = reasonsAgainst(expect, boot);
  return { status: reasons.length === 0 ? "passed" : "failed", why: reasons.join("\n"), ...told };
}

function reasonsAgainst(expect: Expectation, { session, report, detail }: Boot): readonly string[] {
  const { boot_result: result, boot_stage_final: stage } = session.analysis;
  const reasons: string[] = [];
  const wanted = expect.result ?? "success";
  const cause = report?.findings.find((finding) => finding.cause);
  if (result !== wanted) {
    const because = report?.script !== undefined && report.script.result !== "passed" ? detail : (cause?.explanation ?? detail);
    reasons.push(wanted === "success" ? `${result} at ${stage}: ${because}` : `${result} at ${stage}, expected ${wanted}: ${because}`);
  }
  if (expect.stage !== undefined && stage !== expect.stage) reasons.push(`it ended at ${stage}, expected ${expect.stage}`);
  if (expect.finding !== undefined && report?.findings.some(({ kind }) => kind === expect.finding) !== true) {
    const found = [...new Set(report?.findings.filter(({ severity }) => severity !== "info").map(({ kind }) => kind))];
    reasons.push(`no finding ${expect.finding}${found.length === 0 ? "" : `; there is ${found.join(", ")}`}`);
  }
  return reasons;
}
