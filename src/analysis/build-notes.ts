/**
 * How a build goes on, step by step, as its console tells it: which steps of the manifest were seen, how long each took, and where it
 * stopped. What the console does not tell (bash runs an improvement without a word) is known from the steps that come behind it.
 */
import type { BuildMark, StepDirective } from "./build-marks.ts";

/** A step as the plan of the build knows it. */
export interface ExpectedStep {
  /** Counted from 1 among the steps that run. */
  readonly number: number;
  readonly directive: StepDirective;
  readonly name: string;
  readonly pass?: number | undefined;
  /** How much of the work it is, in any unit: for the time that is left. */
  readonly weight?: number | undefined;
}

export interface StepSeen {
  /** Null where no plan knows the step. */
  readonly number: number | null;
  readonly directive: StepDirective;
  readonly name: string;
  /** Which build of this package. */
  readonly pass: number | null;
  /** What is done at the moment, or was last, in words; null before the console said so. */
  readonly phase: string | null;
  readonly result: "running" | "done" | "installed";
  readonly line: number;
  readonly time_ms: number | null;
  /** Until the step that came next, or its own end; null where one of the two is not known. */
  readonly duration_ms: number | null;
}

export interface Handover {
  readonly to: string;
  readonly line: number;
  readonly time_ms: number | null;
}

export interface Stopped {
  /** Null where it stopped before the first step that the console tells. */
  readonly step: StepSeen | null;
  /** Line of what went wrong, or the last one. */
  readonly line: number | null;
  readonly last_lines: readonly string[];
}

/** What `report.json` holds of a build. */
export interface BuildReport {
  /** Null where no plan is known. */
  readonly total: number | null;
  readonly steps: readonly StepSeen[];
  readonly handovers: readonly Handover[];
  /** Null for a build that came to its end. */
  readonly stopped: Stopped | null;
}

/** More steps than any manifest has: a console that repeats itself must not fill the memory. */
const STEPS_MAX = 5_000;

interface Trouble {
  readonly line: number;
  readonly lines: readonly string[];
}

export class BuildNotes {
  readonly #expected: readonly ExpectedStep[];
  readonly #steps: StepSeen[] = [];
  readonly #handovers: Handover[] = [];
  /** Index behind the last expected step that was seen. */
  #at = 0;
  #active: boolean;
  /** The first of the current step. */
  #trouble: Trouble | undefined;

  constructor(expected: readonly ExpectedStep[] = []) {
    this.#expected = expected;
    this.#active = expected.length > 0;
  }

  /** A build is going on, or is to. */
  get active(): boolean {
    return this.#active;
  }

  get total(): number | null {
    return this.#expected.length === 0 ? null : this.#expected.length;
  }

  get steps(): readonly StepSeen[] {
    return this.#steps;
  }

  /** The step that is new or has changed; undefined where nothing has. */
  note(mark: BuildMark, match: RegExpExecArray, line: number, timeMs: number | null): StepSeen | undefined {
    this.#active = true;
    const { tells } = mark;
    const pass = match.groups?.["pass"] === undefined ? undefined : Number(match.groups["pass"]);
    switch (tells.what) {
      case "begin":
        return this.#begin(tells.directive, match.groups?.["name"] ?? "", pass, line, timeMs);
      case "pass":
        return this.#change((step) => ({ pass: pass ?? null, ...(pass === step.pass ? {} : this.#numberOf(step, pass)) }));
      case "phase":
        return this.#phase(tells.phase, match.groups?.["name"]);
      case "done":
        return this.#done(tells.as, match.groups?.["name"] ?? "", line, timeMs);
      case "handover":
        if (this.#handovers.length < STEPS_MAX) this.#handovers.push({ to: tells.to, line, time_ms: timeMs });
        return undefined;
    }
  }

  /** `lines`: what stands before and the line itself. Only the first trouble of a step is kept: the others follow from it. */
  noteTrouble(line: number, lines: () => readonly string[]): void {
    this.#trouble ??= { line, lines: lines() };
  }

  /** The step that was going on at this line has come to its end since: what went wrong there did not stop it. */
  isOver(line: number): boolean {
    const step = this.#steps.findLast((seen) => seen.line <= line);
    return step !== undefined && step.result !== "running";
  }

  /** `troubleLine`: the line that the verdict rests on. `lastLines`: the end of the console. Undefined where no build was seen. */
  report(succeeded: boolean, troubleLine: number | null, lastLine: number | null, lastLines: readonly string[]): BuildReport | undefined {
    if (!this.#active) return undefined;
    return {
      total: this.total,
      steps: this.#steps,
      handovers: this.#handovers,
      stopped: succeeded ? null : this.#stopped(troubleLine, lastLine, lastLines),
    };
  }

  #stopped(troubleLine: number | null, lastLine: number | null, lastLines: readonly string[]): Stopped {
    const line = troubleLine ?? lastLine;
    const step = (line === null ? undefined : this.#steps.findLast((seen) => seen.line <= line)) ?? null;
    const trouble = troubleLine === null ? undefined : this.#trouble;
    return { step, line: trouble?.line ?? line, last_lines: trouble?.lines ?? lastLines };
  }

  #begin(directive: StepDirective, name: string, pass: number | undefined, line: number, timeMs: number | null): StepSeen | undefined {
    // One line of the manifest takes away several packages, and the console tells each.
    const current = this.#steps.at(-1);
    if (directive === "uninstall" && current?.directive === "uninstall" && current.name.split(" ").includes(name)) return undefined;
    this.#end("done", timeMs);
    this.#trouble = undefined;
    if (this.#steps.length >= STEPS_MAX) return undefined;
    const step = { number: null, directive, name, pass: pass ?? null };
    const seen: StepSeen = {
      ...step,
      ...this.#numberOf(step, pass),
      phase: null,
      result: "running",
      line,
      time_ms: timeMs,
      duration_ms: null,
    };
    this.#steps.push(seen);
    return seen;
  }

  /** Of the plan's steps that are to come the first that fits, else any: a build may be begun anew in the middle. */
  #numberOf(
    { directive, name }: Pick<StepSeen, "directive" | "name">,
    pass: number | undefined,
  ): Pick<StepSeen, "number"> | Pick<StepSeen, "number" | "name"> {
    const fits = (step: ExpectedStep): boolean =>
      step.directive === directive &&
      (directive === "uninstall" ? step.name.split(" ").includes(name) : step.name === name) &&
      (pass === undefined || step.pass === undefined || step.pass === pass);
    const ahead = this.#expected.findIndex((step, index) => index >= this.#at && fits(step));
    const index = ahead === -1 ? this.#expected.findIndex(fits) : ahead;
    const step = this.#expected[index];
    if (step === undefined) return { number: null };
    this.#at = index + 1;
    return directive === "uninstall" ? { number: step.number, name: step.name } : { number: step.number };
  }

  /** `name`: what the line speaks of; another package's phase is none of this step. */
  #phase(phase: string, name: string | undefined): StepSeen | undefined {
    const current = this.#steps.at(-1);
    if (current === undefined || current.phase === phase || (name !== undefined && name !== current.name)) return undefined;
    return this.#change(() => ({ phase }));
  }

  #done(as: "built" | "installed", name: string, line: number, timeMs: number | null): StepSeen | undefined {
    // A package that is only unpacked tells nothing else.
    if (as === "installed") this.#begin("build", name, undefined, line, timeMs);
    if (this.#steps.at(-1)?.name !== name) return undefined;
    this.#trouble = undefined;
    return this.#end(as === "installed" ? "installed" : "done", timeMs);
  }

  #end(result: "done" | "installed", timeMs: number | null): StepSeen | undefined {
    const current = this.#steps.at(-1);
    if (current === undefined || current.result !== "running") return undefined;
    const durationMs = timeMs === null || current.time_ms === null ? null : timeMs - current.time_ms;
    return this.#change(() => ({ result, duration_ms: durationMs }));
  }

  #change(by: (step: StepSeen) => Partial<StepSeen>): StepSeen | undefined {
    const current = this.#steps.at(-1);
    if (current === undefined) return undefined;
    const changed = { ...current, ...by(current) };
    this.#steps[this.#steps.length - 1] = changed;
    return changed;
  }
}

/** `step 3 of 158, package mes-0.27.1, phase compile`. */
export function describeStep(step: StepSeen, total: number | null): string {
  const number = step.number === null ? [] : [`step ${step.number}${total === null ? "" : ` of ${total}`}`];
  const what = step.directive === "build" ? "package" : step.directive;
  const pass = step.pass !== null && step.pass > 1 ? ` (pass ${step.pass})` : "";
  return [...number, `${what} ${step.name}${pass}`, ...(step.phase === null ? [] : [`phase ${step.phase}`])].join(", ");
}
