/**
 * The verdict, a pure function of what was seen and of how the boot ended. The rules are tried in order, the first that
 * fits decides; `docs/verdict.md` says the same for a person who checks one by hand.
 */
import type { Ending } from "../contract/session.ts";
import type { BootResult, BootStage, FailureDomain, FindingKind, PassedStage, Severity } from "../contract/verdict.ts";

/** A finding as far as the verdict looks at it. */
export interface JudgedFinding {
  readonly id: string;
  readonly kind: FindingKind;
  readonly severity: Severity;
  readonly stage: BootStage;
  readonly domain: FailureDomain;
  readonly line: number | null;
}

export interface Evidence {
  /** Of the boot that is judged: the last one in the log. In order. */
  readonly stages: readonly { readonly stage: PassedStage; readonly line: number | null }[];
  readonly findings: readonly JudgedFinding[];
  /** The goal was seen in the log (a log without an `Ending`: the stage login). */
  readonly goalLine: number | null;
  readonly goalReached: boolean;
  readonly ending: Ending | undefined;
  /** The console printed something that can be read. */
  readonly hasSerial: boolean;
}

export interface Verdict {
  readonly result: BootResult;
  readonly stage: BootStage;
  readonly domain: FailureDomain;
  /** Number and name of the rule that decided. */
  readonly rule: string;
  /** Lines of serial.log that it rests on. */
  readonly lines: readonly number[];
  /** Index in `findings`. */
  readonly cause: number | undefined;
}

interface VerdictRule {
  readonly id: string;
  readonly decide: (evidence: Evidence) => { readonly result: BootResult; readonly cause?: number } | undefined;
}

export const VERDICT_RULES: readonly VerdictRule[] = [
  { id: "1-goal-reached", decide: ({ goalReached }) => (goalReached ? { result: "success" } : undefined) },
  {
    id: "2-fatal-finding",
    decide: ({ findings }) => {
      const cause = findings.findIndex(({ severity, kind }) => severity === "fatal" && kind !== "hang");
      return cause === -1 ? undefined : { result: "failure", cause };
    },
  },
  {
    id: "3-machine-failed",
    decide: ({ ending, findings }) => {
      if (ending === undefined || !["internal_error", "qemu_died", "guest_panic", "reset_loop"].includes(ending.reason)) return undefined;
      const cause = findings.findIndex(({ kind }) => ["kvm_error", "qemu_error", "panic", "reset_loop"].includes(kind));
      return cause === -1 ? { result: "failure" } : { result: "failure", cause };
    },
  },
  {
    id: "4-silent-console",
    decide: ({ hasSerial, stages }) =>
      hasSerial || stages.some(({ stage }) => stage !== "firmware") ? undefined : { result: "no_serial" },
  },
  { id: "5-no-evidence", decide: () => ({ result: "incomplete" }) },
];

export function decideVerdict(evidence: Evidence): Verdict {
  for (const { id, decide } of VERDICT_RULES) {
    const decision = decide(evidence);
    if (decision === undefined) continue;
    const cause = decision.cause === undefined ? undefined : evidence.findings[decision.cause];
    const line = decision.result === "success" ? evidence.goalLine : (cause?.line ?? null);
    return {
      result: decision.result,
      stage: finalStage(evidence),
      domain: decision.result === "success" ? "none" : (cause?.domain ?? (decision.result === "no_serial" ? "none" : "unknown")),
      rule: id,
      lines: line === null ? [] : [line],
      cause: decision.cause,
    };
  }
  throw new Error("the last rule decides everything");
}

function finalStage({ stages, findings }: Evidence): BootStage {
  const last = stages.at(-1);
  if (last !== undefined) return last.stage;
  return findings.some(({ severity }) => severity === "error" || severity === "fatal") ? "error" : "unknown";
}
