/**
 * The verdict: a pure function of what was seen and of how the boot ended. Rules are tried in order and the first that fits
 * decides. `docs/verdict.md` says the same in words, so that a person can check one by hand.
 */
import type { Ending } from "../contract/session.ts";
import type { BootResult, BootStage, FailureDomain, FindingKind, PassedStage } from "../contract/verdict.ts";
import { rootCause, type ToldFinding } from "./findings.ts";

export interface ReachedStage {
  readonly stage: PassedStage;
  /** Null where screen or firmware.log show it. */
  readonly line: number | null;
  readonly boot: number;
}

export interface Evidence {
  readonly stages: readonly ReachedStage[];
  readonly findings: readonly ToldFinding[];
  /** Ids of rules whose program tries the next thing, or waits, after such a line (`waits`). */
  readonly attempts: ReadonlySet<string>;
  /** Number of the last boot in the log. */
  readonly lastBoot: number;
  /** Where the log shows what the boot was to reach. Null: not in the log. */
  readonly goalLine: number | null;
  /** The goal was seen: in the log, on the screen, or by the recorder. */
  readonly goalReached: boolean;
  /** The last line with something on it: where an incomplete boot is looked at first. Null without one. */
  readonly lastLine: number | null;
  /** Line of the last prompt in the log; 0 without one. */
  readonly promptLine: number;
  readonly ending: Ending | undefined;
  /** The console printed something that can be read. */
  readonly hasText: boolean;
}

export interface Verdict {
  readonly result: BootResult;
  readonly stage: BootStage;
  readonly domain: FailureDomain;
  /** Number and name of the rule that decided. */
  readonly rule: string;
  /** Lines of serial.log that it rests on, ascending. */
  readonly lines: readonly number[];
  /** Index in `findings` of the cause. */
  readonly cause: number | undefined;
}

interface Decision {
  readonly result: BootResult;
  /** Index of the finding that it rests on. */
  readonly finding?: number;
}

interface VerdictRule {
  readonly id: string;
  readonly decide: (evidence: Evidence) => Decision | undefined;
}

/** Kinds by which a kernel, or the first process with it, stops for good. */
const KERNEL_STOPS: readonly FindingKind[] = ["panic", "init_died", "no_init", "no_root", "oom"];

export const VERDICT_RULES: readonly VerdictRule[] = [
  {
    id: "1-stopped-after-goal",
    decide: ({ goalReached, goalLine, ending, findings, promptLine }) => {
      if (!goalReached || goalLine === null || ending?.goal_reached === true) return undefined;
      const finding = findings.findIndex(
        ({ kind, severity, line }) =>
          severity === "fatal" && KERNEL_STOPS.includes(kind) && line !== null && line > goalLine && line > promptLine,
      );
      return finding === -1 ? undefined : { result: "failure", finding };
    },
  },
  { id: "2-goal-reached", decide: ({ goalReached }) => (goalReached ? { result: "success" } : undefined) },
  {
    id: "3-fatal-finding",
    decide: ({ findings, lastBoot, attempts }) => {
      const isFatal = ({ severity, kind, boot }: ToldFinding) => severity === "fatal" && kind !== "hang" && boot === lastBoot;
      // A loader that tries one device after the other says of each that it failed: what went wrong with the one that it should have booted says more.
      const own = findings.findIndex((finding) => isFatal(finding) && !attempts.has(finding.id));
      const finding = own === -1 ? findings.findIndex(isFatal) : own;
      return finding === -1 ? undefined : { result: "failure", finding };
    },
  },
  {
    id: "4-earlier-boot-failed",
    decide: ({ findings }) => {
      const finding = findings.findLastIndex(({ severity, kind }) => severity === "fatal" && kind !== "hang");
      return finding === -1 ? undefined : { result: "failure", finding };
    },
  },
  { id: "5-handed-over", decide: ({ ending }) => (ending?.reason === "handed_over" ? { result: "incomplete" } : undefined) },
  {
    id: "5-silent-console",
    decide: ({ hasText, stages }) => (hasText || stages.some(({ stage }) => stage !== "firmware") ? undefined : { result: "no_serial" }),
  },
  {
    id: "6-ends-in-error",
    decide: ({ findings, lastBoot }) => {
      const finding = findings.findLastIndex(({ severity, kind, boot }) => severity === "error" && kind !== "hang" && boot === lastBoot);
      return finding === -1 ? undefined : { result: "incomplete", finding };
    },
  },
  { id: "7-no-evidence", decide: () => ({ result: "incomplete" }) },
];

export function decideVerdict(evidence: Evidence): Verdict {
  for (const { id, decide } of VERDICT_RULES) {
    const decision = decide(evidence);
    if (decision === undefined) continue;
    const { findings } = evidence;
    const cause = decision.finding === undefined ? undefined : rootCause(findings, decision.finding);
    const lines =
      decision.result === "success"
        ? [evidence.goalLine]
        : cause === undefined
          ? [evidence.lastLine]
          : [cause, decision.finding].map((index) => (index === undefined ? null : findings[index]!.line));
    return {
      result: decision.result,
      stage: finalStage(evidence, decision),
      domain: domainOf(decision, cause === undefined ? undefined : findings[cause]),
      rule: id,
      lines: [...new Set(lines.filter((line) => line !== null))].sort((a, b) => a - b),
      cause,
    };
  }
  throw new Error("the last rule decides everything");
}

function domainOf({ result }: Decision, cause: ToldFinding | undefined): FailureDomain {
  if (result === "success" || (result === "no_serial" && cause === undefined)) return "none";
  return cause?.domain ?? "unknown";
}

/** The furthest stage of the boot that decided: the one that failed, or the last; of a success the one that reached the goal. */
function finalStage({ stages, findings, lastBoot, goalLine }: Evidence, { result, finding }: Decision): BootStage {
  const atGoal = stages.find(({ line }) => line !== null && goalLine !== null && line >= goalLine)?.boot ?? lastBoot;
  const boot = result === "success" ? atGoal : finding === undefined ? lastBoot : findings[finding]!.boot;
  const last = stages.findLast((stage) => stage.boot === boot);
  if (last !== undefined) return last.stage;
  return findings.some(({ severity }) => severity === "error" || severity === "fatal") ? "error" : "unknown";
}
