/** What is said where the recorder failed or the boot did: its ending, its analysis all the same, and FAILURE.txt for a person. */
import { stat } from "node:fs/promises";
import { type Analysed, analyseSession } from "../analysis/analyse.ts";
import { stoppedIn } from "../analysis/report-build.ts";
import type { Rule } from "../analysis/rule.ts";
import type { SessionReport } from "../analysis/session-report.ts";
import { reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { type Ending, SESSION_FILES, type SessionAnalysis } from "../contract/session.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { MachinePlan } from "../machine/plan.ts";
import type { SessionDirectory } from "./directory.ts";
import { readJson } from "./finalise.ts";

/** What can be said of a boot whose recorder did not see its end. */
export async function failedEnding(directory: SessionDirectory, goal: string, thrown: unknown): Promise<Ending> {
  const plan = (await readJson(directory.file(SESSION_FILES.plan)).catch(() => undefined)) as MachinePlan | undefined;
  const serial = await stat(directory.file(SESSION_FILES.serial)).catch(() => undefined);
  return {
    reason: "recorder_died",
    detail: reasonOf(thrown),
    goal,
    goal_reached: false,
    duration_ms: null,
    firmware: plan?.firmware.interface ?? null,
    accelerator: plan?.accelerator.use ?? null,
    resets: 0,
    qemu_exit_code: null,
    qemu_signal: null,
    serial_bytes: serial?.size ?? 0,
    screen: "",
    screen_drawn: null,
    still: false,
  };
}

const UNKNOWN: SessionAnalysis = {
  boot_result: "incomplete",
  boot_stage_final: "unknown",
  failure_domain: "unknown",
  reached_login: 0,
  kernel_panic_count: 0,
  error_count: 0,
  has_serial: 0,
  has_trace: 0,
  boot_duration_ms: 0,
  graphics_drivers: "",
  graphics_resolution: "",
};

type Concluded = Pick<Analysed, "analysis"> & { readonly report: SessionReport | undefined; readonly trouble: unknown };

/** A session is closed whether or not it could be analysed (a full disk, evidence that cannot be read). Throws only when aborted. */
export async function analyseOrSayWhy(directory: string, rules: readonly Rule[], job: Job): Promise<Concluded> {
  try {
    return { ...(await analyseSession(directory, { job, rules })), trouble: undefined };
  } catch (trouble) {
    job.signal.throwIfAborted();
    const unwritten = await analyseSession(directory, { job, rules, write: false }).catch(() => undefined);
    return { report: unwritten?.report, analysis: unwritten?.analysis ?? UNKNOWN, trouble };
  }
}

/** Undefined where neither the recorder failed nor the boot. `thrown` is undefined where the recorder ended in order. */
export function failureText(thrown: unknown, ending: Ending, report: SessionReport | undefined): string | undefined {
  if (thrown === undefined && report?.boot_result !== "failure") return undefined;
  const lines: string[] = [];
  if (thrown !== undefined) lines.push(`The recorder failed: ${printable(reasonOf(thrown))}`);
  if (report?.boot_result === "failure") {
    const cause = report.findings.find((finding) => finding.cause);
    lines.push(`The boot failed at stage ${report.boot_stage_final} (domain ${report.failure_domain}).`);
    const place = stoppedIn(report.build, report.boot_result);
    if (place !== undefined) lines.push(`The build ${printable(place)}.`);
    if (cause !== undefined) {
      lines.push(printable(cause.explanation));
      lines.push(`${cause.source}${cause.line === null ? "" : `, line ${cause.line}`}: ${printable(cause.text.trim())}`);
      lines.push(`What to try: ${printable(cause.hint)}`);
    }
  }
  if (thrown === undefined || reasonOf(thrown) !== ending.detail) lines.push(`The boot ended because: ${printable(ending.detail)}`);
  if (report !== undefined) lines.push(`The whole story is in ${SESSION_FILES.reportText}.`);
  return lines.join("\n");
}
