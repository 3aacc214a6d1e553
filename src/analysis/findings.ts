/**
 * What was seen becomes findings: how bad each is in the light of what came after it, and which follows from which.
 */
import type { Finding } from "../contract/report.ts";
import type { BootStage, FindingSource, Severity } from "../contract/verdict.ts";
import { type Boot, isLater, type SeenFinding } from "./console-scan.ts";
import type { Rule } from "./rule.ts";

/** A finding as `report.json` has it; what is ours comes after the contract's fields. */
export interface ToldFinding extends Finding {
  /** Of the boots in the log, from 1. */
  readonly boot: number;
  /** Lines from the first to the last of its report; null for other sources than the serial console. */
  readonly first_line: number | null;
  readonly last_line: number | null;
  readonly time_ms: number | null;
  /** Index in `findings` of the one that it follows from. */
  readonly consequence_of: number | null;
  readonly context: { readonly before: readonly string[]; readonly after: readonly string[] };
  readonly report: {
    readonly function: string | null;
    readonly process: string | null;
    readonly pid: number | null;
    readonly cpu: number | null;
    readonly kernel: string | null;
    readonly call_trace: readonly string[];
  } | null;
}

/** A finding with its boot, before it is judged. */
export interface Noted {
  readonly seen: SeenFinding;
  readonly boot: Boot;
  readonly bootNumber: number;
  readonly source: FindingSource;
  /** A step of a build came to its end all the same. */
  readonly overcome?: boolean;
}

/** A cause stands at most this many lines before what it brings about. */
const CAUSE_REACHES_LINES = 2000;

/** `noted` in order of appearance. */
export function tellFindings(noted: readonly Noted[]): readonly ToldFinding[] {
  const causes = noted.map((note, index) => causeOf(note, index, noted));
  return noted.map((note, index) => ({
    id: note.seen.rule.id,
    kind: note.seen.rule.kind,
    severity: severityOf(note, causes[index]!),
    stage: stageOf(note.seen),
    domain: note.seen.rule.domain,
    source: note.source,
    line: note.source === "serial" ? note.seen.line : null,
    text: note.seen.text,
    explanation: filled(note.seen.rule.explanation, note.seen.values),
    hint: filled(note.seen.rule.hint, note.seen.values),
    count: note.seen.count,
    cause: false,
    boot: note.bootNumber,
    first_line: note.source === "serial" ? note.seen.firstLine : null,
    last_line: note.source === "serial" ? note.seen.lastLine : null,
    time_ms: note.seen.timeMs ?? millis(note.seen.clock),
    consequence_of: causes[index]!,
    context: { before: note.seen.before, after: note.seen.after },
    report: reportOf(note.seen),
  }));
}

export const millis = (clock: number | null): number | null => (clock === null ? null : Math.round(clock * 1000));

function severityOf({ seen, boot, overcome = false }: Noted, cause: number | null): Severity {
  const { rule } = seen;
  if (overcome) return rule.survived ?? "warning";
  if (!wentOn(seen, boot)) return gaveUp(rule, cause) ? "fatal" : rule.severity;
  if (rule.survived !== undefined) return rule.survived;
  return rule.severity === "fatal" ? "error" : rule.severity;
}

/** A prompt that an error led to: nothing more happens there by itself. One without may be a person's wish, who pressed a key. */
const gaveUp = ({ severity, prompt, waits }: Rule, cause: number | null): boolean =>
  severity === "error" && prompt === true && waits === true && cause !== null;

/** True where the boot got further after this, to a later stage or a prompt, or had its login before. */
function wentOn({ line, rule }: SeenFinding, boot: Boot): boolean {
  if (boot.promptLine > line) return true;
  if (rule.ends === true && rule.stage === "reached") return false;
  if (rule.ends !== true && boot.stages.some(({ stage }) => stage === "login")) return true;
  return boot.stages.some((stage) => stage.line > line && (rule.stage === "reached" || isLaterBootStage(stage.stage, rule.stage)));
}

const isLaterBootStage = (stage: Boot["stages"][number]["stage"], than: BootStage): boolean =>
  than === "error" || than === "unknown" || isLater(stage, than);

function stageOf({ rule, reached }: SeenFinding): BootStage {
  return rule.stage === "reached" ? (reached ?? "unknown") : rule.stage;
}

/** The nearest finding before it, in its boot, of a kind that its rule names; two reports on one line follow from one another too. */
function causeOf({ seen, boot }: Noted, index: number, noted: readonly Noted[]): number | null {
  const kinds = seen.rule.follows;
  if (kinds === undefined) return null;
  for (let at = index - 1; at >= 0; at -= 1) {
    const other = noted[at]!;
    if (other.boot !== boot || other.seen.line < seen.line - CAUSE_REACHES_LINES) continue;
    if (other.overcome !== true && kinds.includes(other.seen.rule.kind) && canCause(other.seen.rule, seen.rule)) return at;
  }
  return null;
}

/** What a loader says at the end of one attempt is not why the next attempt fails, only why it waits in the end. */
const canCause = ({ severity, kind, waits }: Rule, effect: Rule): boolean =>
  severity === "fatal" && waits === true ? effect.waits === true : severity !== "info" || kind === "user_crash";

function reportOf({ report, rule }: SeenFinding): ToldFinding["report"] {
  if (report === undefined || rule.gathers !== true) return null;
  const { callTrace, ...rest } = report;
  return { ...rest, call_trace: callTrace };
}

/** Groups that the line did not have leave nothing behind, nor blanks before a full stop. */
export const filled = (sentence: string, values: Readonly<Record<string, string>>): string =>
  sentence
    .replace(/\{(\w+)(:wait)?\}/g, (_, name: string, wait?: string) => (wait === undefined ? values[name] : waitStatus(values[name])) ?? "")
    .replace(/ \((?:exit code|exit status|error)? ?\)/g, "")
    .replace(/ +([.,:;])(?= |$)/g, "$1")
    .replace(/:\.$/, ".")
    .replace(/: ?$/, ".")
    .trim();

const SIGNALS: Readonly<Record<number, string>> = {
  4: "illegal instruction",
  6: "aborted",
  7: "bus error",
  8: "arithmetic error",
  9: "killed",
  11: "segmentation fault",
};

/** A status as wait(2) gives it, in words: the low seven bits are a signal, else the byte above them is what the program returned. */
function waitStatus(code: string | undefined): string | undefined {
  if (code === undefined) return undefined;
  const status = Number(code);
  const signal = status & 0x7f;
  if (signal === 0) return `exit status ${(status >> 8) & 0xff}`;
  return `signal ${signal}${SIGNALS[signal] === undefined ? "" : `, ${SIGNALS[signal]}`}`;
}

/** The finding from which `index` follows in the end. */
export function rootCause(findings: readonly ToldFinding[], index: number): number {
  let at = index;
  for (let steps = 0; steps < findings.length; steps += 1) {
    const next = findings[at]!.consequence_of;
    if (next === null) return at;
    at = next;
  }
  return at;
}
