/** Reads a guest's console while it runs, for whoever waits for a stage, an end or the goal. */
import type { FindingKind, PassedStage, Severity } from "../contract/verdict.ts";
import { ConsoleScan, type ScanEvent, textsOf } from "./console-scan.ts";
import { createGoal, type Goal, matchesGoal, STANDARD_GOAL, stageMeetsGoal } from "./goal.ts";

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
  /** Once: what `--until` asked for is there. */
  | { readonly type: "goal"; readonly line: number; readonly timeMs: number; readonly text: string };

export interface ConsoleWatch {
  /** Takes the next bytes, which may end anywhere; `timeMs` counts from QEMU's start. What an unfinished line shows (a prompt) is told at once. */
  push(bytes: Uint8Array, timeMs: number): readonly ConsoleEvent[];
  /** The last line with something on it, without escape sequences. Not made harmless. */
  readonly lastLine: string;
  /** The furthest stage so far. */
  readonly stage: PassedStage | undefined;
  /** True once a `goal` event was given. */
  readonly goalReached: boolean;
}

/** A line that grows beyond this is judged by its first part, and what is over is left out. */
const LINE_BYTES_MAX = 64 * 1024;
const LF = 0x0a;

export function createConsoleWatch(options: { readonly goal?: Goal } = {}): ConsoleWatch {
  return new Watch(options.goal ?? createGoal(STANDARD_GOAL));
}

class Watch implements ConsoleWatch {
  readonly #goal: Goal;
  readonly #scan = new ConsoleScan();
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #line = 1;
  /** Bytes of the unfinished line. */
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #lastLine = "";
  #goalReached = false;

  constructor(goal: Goal) {
    this.#goal = goal;
  }

  get lastLine(): string {
    return this.#lastLine;
  }

  get stage(): PassedStage | undefined {
    return this.#scan.reached;
  }

  get goalReached(): boolean {
    return this.#goalReached;
  }

  push(bytes: Uint8Array, timeMs: number): readonly ConsoleEvent[] {
    const events: ConsoleEvent[] = [];
    let from = 0;
    for (let lf = bytes.indexOf(LF); lf !== -1; lf = bytes.indexOf(LF, from)) {
      this.#keep(bytes.subarray(from, lf));
      this.#read(timeMs, events);
      this.#pending = [];
      this.#pendingBytes = 0;
      this.#line += 1;
      from = lf + 1;
    }
    if (from < bytes.length) {
      this.#keep(bytes.subarray(from));
      this.#read(timeMs, events);
    }
    return events;
  }

  #keep(bytes: Uint8Array): void {
    const kept = bytes.subarray(0, LINE_BYTES_MAX - this.#pendingBytes);
    if (kept.length === 0) return;
    this.#pending.push(kept.slice());
    this.#pendingBytes += kept.length;
  }

  #read(timeMs: number, events: ConsoleEvent[]): void {
    const raw = this.#decoder.decode(this.#pending.length === 1 ? this.#pending[0] : Buffer.concat(this.#pending));
    const texts = textsOf(raw);
    this.#lastLine = texts.at(-1) ?? this.#lastLine;
    for (const event of this.#scan.line(this.#line, raw, timeMs)) events.push(toEvent(event, timeMs));
    const text = this.#goalReached ? undefined : this.#goalIn(texts);
    if (text === undefined) return;
    this.#goalReached = true;
    events.push({ type: "goal", line: this.#line, timeMs, text });
  }

  #goalIn(texts: readonly string[]): string | undefined {
    return stageMeetsGoal(this.#goal, this.#scan.reached) ? (texts.at(-1) ?? "") : texts.find((text) => matchesGoal(this.#goal, text));
  }
}

function toEvent(event: ScanEvent, timeMs: number): ConsoleEvent {
  const { line, text } = event.seen;
  if (event.type === "stage") return { type: "stage", stage: event.seen.stage, line, timeMs, text };
  const { id, kind, severity, ends = false } = event.seen.rule;
  return { type: "finding", rule: id, kind, severity, ends, line, timeMs, text };
}
