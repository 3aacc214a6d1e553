/** What a boot is asked to reach: `--until`. */
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { PASSED_STAGES, type PassedStage } from "../contract/verdict.ts";
import { backtrackingRisk, PATTERN_TEXT_MAX } from "./backtracking.ts";

export type Goal =
  | { readonly type: "stage"; readonly spec: string; readonly stage: PassedStage }
  | { readonly type: "text"; readonly spec: string; readonly text: string }
  | { readonly type: "pattern"; readonly spec: string; readonly pattern: RegExp }
  /** All steps of the script that drives the guest: the recorder sees that, no line of the console shows it. */
  | { readonly type: "script"; readonly spec: string }
  | { readonly type: "never"; readonly spec: string };

export const STANDARD_GOAL = "login";

/**
 * `login` (the default) or another stage, `text:…`, `pattern:…` (a regular expression of JavaScript, tried on the
 * first 512 characters of each line, escape sequences taken out), `never`. Throws a usage error on anything else.
 */
export function createGoal(spec: string): Goal {
  const bad = (expected: string, found: string, cause?: unknown) =>
    new HiperisoError({ what: "understand the goal of the boot", where: "--until", expected, found, kind: "usage", cause });
  if (spec === "never" || spec === "script") return { type: spec, spec };
  const stage = PASSED_STAGES.find((name) => name === spec);
  if (stage !== undefined) return { type: "stage", spec, stage };
  if (spec.startsWith("text:")) {
    if (spec.length === "text:".length) throw bad("a text after text:", "nothing");
    return { type: "text", spec, text: spec.slice("text:".length) };
  }
  if (spec.startsWith("pattern:")) {
    const source = spec.slice("pattern:".length);
    if (source === "") throw bad("a regular expression after pattern:", "nothing");
    const risk = backtrackingRisk(source);
    if (risk !== undefined) throw bad("a pattern that no line can keep busy for long", `one with ${risk}`);
    try {
      return { type: "pattern", spec, pattern: new RegExp(source, "u") };
    } catch (error) {
      throw bad("a regular expression after pattern:", reasonOf(error), error);
    }
  }
  throw bad(`${PASSED_STAGES.join(", ")}, never, text:… or pattern:…`, `"${spec}"`);
}

/** True when this line's text (escape sequences taken out) is what the goal waits for. */
export function matchesGoal(goal: Goal, text: string): boolean {
  switch (goal.type) {
    case "text":
      return text.includes(goal.text);
    case "pattern":
      return goal.pattern.test(text.slice(0, PATTERN_TEXT_MAX));
    default:
      return false;
  }
}

/** True when a boot that has come to `stage` has reached the goal. */
export function stageMeetsGoal(goal: Goal, stage: PassedStage | undefined): boolean {
  return goal.type === "stage" && stage !== undefined && PASSED_STAGES.indexOf(stage) >= PASSED_STAGES.indexOf(goal.stage);
}
