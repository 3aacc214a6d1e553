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
  /** Tried on a console line's text without escape sequences and printk prefix. */
  readonly pattern: RegExp;
  /** The line is the first that this program prints: where a later stage had been reached already, another boot begins. */
  readonly begins?: boolean;
  /** Lines in the form that the program prints, composed for the test. */
  readonly matches: readonly string[];
  /** Lines that look like it and show nothing. */
  readonly ignores: readonly string[];
}

/** A line that tells of something gone wrong. */
export interface Rule {
  readonly id: string;
  readonly kind: FindingKind;
  readonly severity: Severity;
  /** Where such a thing happens; "reached" is the last stage seen before the line. */
  readonly stage: BootStage | "reached";
  readonly domain: FailureDomain;
  /** As for a mark. Named groups fill the `{name}` of the explanation and the hint. */
  readonly pattern: RegExp;
  /** Says that the pattern's line is harmless after all. */
  readonly except?: RegExp;
  /** True: with this line the goal is out of reach, whatever follows. */
  readonly ends?: boolean;
  /** Findings of these kinds shortly before it are its cause. */
  readonly follows?: readonly FindingKind[];
  /** One report over many lines: function, process and call trace are gathered from those that follow. */
  readonly gathers?: boolean;
  readonly explanation: string;
  readonly hint: string;
  readonly matches: readonly string[];
  readonly ignores: readonly string[];
}
