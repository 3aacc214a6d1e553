/**
 * Reads a console line by line and keeps what it tells: stages and findings. Feeds the live watch while a guest runs,
 * and the analysis afterwards: both see the same.
 */
import type { PassedStage } from "../contract/verdict.ts";
import { PASSED_STAGES } from "../contract/verdict.ts";
import { consoleTexts } from "../formats/console-text.ts";
import { decodePrintk, splitAtPrintk } from "../formats/printk.ts";
import type { Rule, StageMark } from "./rule.ts";
import { RULES } from "./rules.ts";
import { STAGE_MARKS } from "./stage-marks.ts";

export interface SeenStage {
  readonly stage: PassedStage;
  readonly mark: StageMark;
  readonly line: number;
  /** Since QEMU's start; null where nobody wrote it down. */
  readonly timeMs: number | null;
  /** Seconds by the kernel's own clock, of the line itself or of the last that had one; null before the kernel. */
  readonly clock: number | null;
  readonly text: string;
}

export interface SeenFinding {
  readonly rule: Rule;
  readonly line: number;
  readonly timeMs: number | null;
  readonly clock: number | null;
  /** Where the boot was when it was seen. */
  readonly reached: PassedStage | undefined;
  readonly text: string;
  /** The pattern's named groups. */
  readonly values: Readonly<Record<string, string>>;
  count: number;
}

export type ScanEvent = { readonly type: "stage"; readonly seen: SeenStage } | { readonly type: "finding"; readonly seen: SeenFinding };

/** What comes after this on one line, no program printed as a line. */
const TEXT_MAX = 4096;

export class ConsoleScan {
  readonly stages: SeenStage[] = [];
  readonly findings: SeenFinding[] = [];
  #reached: PassedStage | undefined;
  #clock: number | null = null;

  get reached(): PassedStage | undefined {
    return this.#reached;
  }

  /** One raw line without its LF. The same number may come again with a longer text: a line that was not finished. */
  line(number: number, raw: string, timeMs: number | null): readonly ScanEvent[] {
    const events: ScanEvent[] = [];
    for (const text of textsOf(raw)) {
      const { message, clock } = decodePrintk(text);
      if (clock !== null) this.#clock = clock;
      this.#mark(number, message, text, timeMs, events);
      this.#judge(number, message, text, timeMs, events);
    }
    return events;
  }

  #mark(line: number, message: string, text: string, timeMs: number | null, events: ScanEvent[]): void {
    for (const mark of STAGE_MARKS) {
      if (!isLater(mark.stage, this.#reached) || !mark.pattern.test(message)) continue;
      const seen = { stage: mark.stage, mark, line, timeMs, clock: this.#clock, text };
      this.#reached = mark.stage;
      this.stages.push(seen);
      events.push({ type: "stage", seen });
    }
  }

  #judge(line: number, message: string, text: string, timeMs: number | null, events: ScanEvent[]): void {
    for (const rule of RULES) {
      const match = rule.pattern.exec(message);
      if (match === null || rule.except?.test(message) === true) continue;
      const before = this.findings.find((finding) => finding.rule === rule);
      if (before !== undefined) {
        if (before.line !== line) before.count += 1;
        continue;
      }
      const values = Object.fromEntries(
        Object.entries(match.groups ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined),
      );
      const seen = { rule, line, timeMs, clock: this.#clock, reached: this.#reached, text, values, count: 1 };
      this.findings.push(seen);
      events.push({ type: "finding", seen });
    }
  }
}

/** What stood on the screen, one text after the other, each with the kernel's messages parted from others'. */
export function textsOf(raw: string): readonly string[] {
  return consoleTexts(raw).flatMap((text) => splitAtPrintk(text.slice(0, TEXT_MAX)));
}

export const isLater = (stage: PassedStage, than: PassedStage | undefined): boolean =>
  than === undefined || PASSED_STAGES.indexOf(stage) > PASSED_STAGES.indexOf(than);
