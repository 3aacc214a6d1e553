import type { Report, StageReached } from "../contract/report.ts";
import type { ScriptFile } from "../contract/session.ts";
import type { BuildReport } from "./build-notes.ts";
import type { ToldFinding } from "./findings.ts";

/** A stage as `report.json` has it; what is ours comes after the contract's fields. */
export interface ReportedStage extends StageReached {
  /** Of the boots in the log, from 1. */
  readonly boot: number;
  readonly program: string;
  readonly text: string;
}

/** `report.json`, whole. */
export interface SessionReport extends Report {
  readonly stages: ReportedStage[];
  readonly findings: ToldFinding[];
  /** The rule of the verdict that decided (`docs/verdict.md`), and the lines of serial.log that it rests on. */
  readonly decided_by: { readonly rule: string; readonly lines: readonly number[] };
  /** Only where a build was seen, or one was to run. */
  readonly build?: BuildReport;
  /** Only where a script drove the guest: what it did, step by step. */
  readonly script?: ScriptFile;
  /** Boots in the log. */
  readonly boots: number;
  /** The last line of serial.log with something on it. */
  readonly last_line: { readonly line: number; readonly text: string } | null;
}
