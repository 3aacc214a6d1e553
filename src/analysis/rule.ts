/**
 * The forms in which the analyser's knowledge is written: rows of data, one table a field (`rules/`, `stage-marks.ts`).
 * A person's own rules have the same form. `docs/writing-a-rule.md` explains each field.
 */
import type { BootStage, FailureDomain, FindingKind, PassedStage, Severity } from "../contract/verdict.ts";

/** A line that shows that a boot has come to a stage. */
export interface StageMark {
  readonly id: string;
  readonly stage: PassedStage;
  /** Who prints it: "GRUB", "systemd". */
  readonly program: string;
  /**
   * Tried on a console line's text without escape sequences, trailing blanks and printk prefix. Must not end in `$` where a line
   * that goes on means something else: the live watch sees unfinished lines.
   */
  readonly pattern: RegExp;
  /** The line is the first that this program prints, once a boot. Where the boot had come further already, another one begins. */
  readonly begins?: boolean;
  /** Shows nothing once this stage was reached. */
  readonly onlyBefore?: PassedStage;
  /** Shows nothing in a boot that holds a finding of this kind: a shell for emergencies has the prompt of any other. */
  readonly unlessFound?: FindingKind;
  /** Lines in the form that the program prints, composed for the test. */
  readonly matches: readonly string[];
  /** Lines that look like it and show nothing. */
  readonly ignores: readonly string[];
}

/** A line that tells of something gone wrong. */
export interface Rule {
  readonly id: string;
  readonly kind: FindingKind;
  /** At its worst: a finding that the boot gets past is lowered to `survived`. */
  readonly severity: Severity;
  /** What a fatal finding, or one that only counts while it lasts, becomes when the boot went on all the same. Default: `error`. */
  readonly survived?: Severity;
  /** Where such a thing happens; "reached": the last stage seen before the line. */
  readonly stage: BootStage | "reached";
  readonly domain: FailureDomain;
  /** As for a mark. Named groups fill the `{name}` of explanation and hint and tell one finding of this rule from another. */
  readonly pattern: RegExp;
  /** The pattern's line is harmless after all where this fits too. */
  readonly except?: RegExp;
  /** With this line the goal is out of reach, whatever follows in this boot. */
  readonly ends?: boolean;
  /** A goal that shows itself behind it, in the same boot, is none: what prints it says its last words whether it failed or not. */
  readonly denies?: boolean;
  /** Stands at a line's end without a newline: seen before the line is finished. All other rules want whole lines. */
  readonly prompt?: boolean;
  /**
   * The program waits here, or tries the next thing: where the boot holds another fatal finding, that one decides. A prompt that waits and
   * follows from an error is fatal: nothing more happens there by itself.
   */
  readonly waits?: boolean;
  /** Findings of these kinds before it, in the same boot, are its cause. */
  readonly follows?: readonly FindingKind[];
  /** The first of many lines: function, process and call trace are gathered from those that follow. */
  readonly gathers?: boolean;
  readonly explanation: string;
  readonly hint: string;
  readonly matches: readonly string[];
  readonly ignores: readonly string[];
}
