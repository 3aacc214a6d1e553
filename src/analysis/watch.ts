/** Reads a guest's console while it runs, for whoever waits for a stage, an end or the goal. */
import type { FindingKind, PassedStage, Severity } from "../contract/verdict.ts";
import { describeStep, type ExpectedStep, type StepSeen } from "./build-notes.ts";
import { ConsoleScan, type ScanEvent } from "./console-scan.ts";
import { createGoal, type Goal, STANDARD_GOAL } from "./goal.ts";
import type { Rule } from "./rule.ts";

export type ConsoleEvent =
  | { readonly type: "stage"; readonly stage: PassedStage; readonly line: number; readonly timeMs: number; readonly text: string }
  | {
      readonly type: "finding";
      readonly rule: string;
      readonly kind: FindingKind;
      readonly severity: Severity;
      /** This alone means that the goal will not be reached. */
      readonly ends: boolean;
      readonly line: number;
      readonly timeMs: number;
      readonly text: string;
    }
  /** A step of a build has begun, come to another phase, or ended. */
  | {
      readonly type: "step";
      readonly step: StepSeen;
      readonly total: number | null;
      readonly line: number;
      readonly timeMs: number;
      readonly text: string;
    }
  /** Once: what `--until` asked for is there. */
  | { readonly type: "goal"; readonly line: number; readonly timeMs: number; readonly text: string };

export interface ConsoleWatch {
  /** Takes the next bytes, which may end anywhere; `timeMs` counts from QEMU's start. What an unfinished line shows (a prompt) is told at once. */
  push(bytes: Uint8Array, timeMs: number): readonly ConsoleEvent[];
  /** The last line with something on it, without escape sequences. Not made harmless. */
  readonly lastLine: string;
  /** The furthest stage of the boot that is going on. */
  readonly stage: PassedStage | undefined;
  /** True once a `goal` event was given. */
  readonly goalReached: boolean;
}

export interface ConsoleWatchOptions {
  readonly goal?: Goal;
  readonly rules?: readonly Rule[];
  /** The steps of the build that runs in the guest. */
  readonly steps?: readonly ExpectedStep[];
}

export function createConsoleWatch({ goal, rules, steps = [] }: ConsoleWatchOptions = {}): ConsoleWatch {
  return new Watch(goal ?? createGoal(STANDARD_GOAL), rules, steps);
}

class Watch implements ConsoleWatch {
  readonly #scan: ConsoleScan;
  #events: ConsoleEvent[] = [];
  #timeMs = 0;

  constructor(goal: Goal, rules: readonly Rule[] | undefined, steps: readonly ExpectedStep[]) {
    const own = rules === undefined || rules.length === 0 ? {} : { rules };
    this.#scan = new ConsoleScan({ goal, ...own, expected: steps, onEvent: (event) => this.#events.push(toEvent(event, this.#timeMs)) });
  }

  get lastLine(): string {
    return this.#scan.lastText();
  }

  get stage(): PassedStage | undefined {
    return this.#scan.reached;
  }

  get goalReached(): boolean {
    return this.#scan.goalLine !== null;
  }

  push(bytes: Uint8Array, timeMs: number): readonly ConsoleEvent[] {
    this.#events = [];
    this.#timeMs = timeMs;
    this.#scan.push(bytes, timeMs);
    this.#scan.peek();
    return this.#events;
  }
}

function toEvent(event: ScanEvent, timeMs: number): ConsoleEvent {
  if (event.type === "goal") return { type: "goal", line: event.line, timeMs, text: event.text };
  if (event.type === "step") {
    const { seen: step, total } = event;
    return { type: "step", step, total, line: step.line, timeMs, text: describeStep(step, total) };
  }
  const { line, text } = event.seen;
  if (event.type === "stage") return { type: "stage", stage: event.seen.stage, line, timeMs, text };
  const { id, kind, severity, ends = false } = event.seen.rule;
  return { type: "finding", rule: id, kind, severity, ends, line, timeMs, text };
}
