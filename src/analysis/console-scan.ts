/**
 * Reads a console and keeps what it tells: boots, their stages, their findings. Feeds the live watch while a guest runs and the
 * analysis afterwards: both see the same.
 */
import type { PassedStage } from "../contract/verdict.ts";
import { PASSED_STAGES } from "../contract/verdict.ts";
import { consoleTexts } from "../formats/console-text.ts";
import { decodePrintk, splitAtPrintk } from "../formats/printk.ts";
import { BuildNotes, type ExpectedStep, type StepSeen } from "./build-notes.ts";
import { type Goal, matchesGoal, stageMeetsGoal } from "./goal.ts";
import { type Graphics, GraphicsNotes } from "./graphics.ts";
import { type KernelReport, KernelReportReader } from "./kernel-report.ts";
import { createMatchers, type Matchers, standardMatchers } from "./matchers.ts";
import { needlesOf } from "./needles.ts";
import type { Rule, StageMark } from "./rule.ts";
import { Sieve, type SievedLine } from "./sieve.ts";

export interface SeenStage {
  readonly stage: PassedStage;
  /** Id of the mark, or "kernel clock" where only printk's time in front of a line shows the kernel. */
  readonly mark: string;
  readonly program: string;
  readonly line: number;
  /** Since QEMU's start; null where nobody wrote it down. */
  readonly timeMs: number | null;
  /** Seconds by the kernel's own clock, of the line itself or of the last before it that had one; null before the kernel. */
  readonly clock: number | null;
  readonly text: string;
}

export interface SeenFinding {
  readonly rule: Rule;
  readonly line: number;
  /** Where its report begins (the "cut here" line) and ends; both `line` for a single line. */
  readonly firstLine: number;
  lastLine: number;
  readonly timeMs: number | null;
  readonly clock: number | null;
  /** Where the boot was when it was seen. */
  readonly reached: PassedStage | undefined;
  readonly text: string;
  /** The pattern's named groups that matched. */
  readonly values: Readonly<Record<string, string>>;
  /** Texts of the lines around it. */
  readonly before: readonly string[];
  readonly after: string[];
  readonly report: KernelReport | undefined;
  count: number;
}

export interface Boot {
  readonly firstLine: number;
  readonly stages: readonly SeenStage[];
  readonly findings: readonly SeenFinding[];
  readonly reached: PassedStage | undefined;
  /** Line of the last login or shell prompt; 0 without one. */
  readonly promptLine: number;
  /** The kernel prints its time: what it says without one is somebody's copy. */
  readonly hasClock: boolean;
}

export type ScanEvent =
  | { readonly type: "stage"; readonly seen: SeenStage }
  | { readonly type: "finding"; readonly seen: SeenFinding }
  | { readonly type: "step"; readonly seen: StepSeen; readonly total: number | null }
  | { readonly type: "goal"; readonly line: number; readonly timeMs: number | null; readonly text: string };

/** A text of a line, taken apart. */
interface ReadMessage {
  readonly message: string;
  readonly clock: number | null;
  readonly copy: boolean;
  readonly text: string;
  readonly line: SievedLine;
}

export interface ScanOptions {
  readonly goal: Goal;
  /** A person's own rules, tried before the program's. */
  readonly rules?: readonly Rule[];
  /** When the byte at this offset came, in milliseconds since QEMU's start. */
  readonly timeAt?: (offset: number) => number | null;
  /** The steps of the build that runs in this guest, in order, where somebody knows them. */
  readonly expected?: readonly ExpectedStep[];
  readonly onEvent?: (event: ScanEvent) => void;
}

/** What comes after this in one line, no program printed as a line. */
const LINE_BYTES_MAX = 16 * 1024;
const TEXT_MAX = 4096;
/** The first lines are all read, whatever they hold: is there text, is it a kernel that speaks. */
const FIRST_LINES = 20;
const CONTEXT_LINES = 2;
/** Before the trouble of a build step, so many are kept: the first error of a compiler stands well before the last word of make. */
const TROUBLE_LINES = 12;
/** Beyond this, more of the same are only counted. */
const FINDINGS_PER_RULE_MAX = 20;
const FINDINGS_MAX = 500;
/** So many lines of a kernel are remembered, to tell a second boot from a copy that `dmesg` prints; */
const REMEMBERED_LINES = 64;
/** and after so many lines without one that is remembered, it is another boot. */
const COPY_DECIDED_AFTER = 3;

class BootRecord implements Boot {
  readonly stages: SeenStage[] = [];
  readonly findings: SeenFinding[] = [];
  reached: PassedStage | undefined;
  promptLine = 0;
  hasClock = false;
  clock: number | null = null;
  /** A program that says its last words in any case has failed. */
  goalDenied = false;
  /** Marks that begin something and were seen, each with its line: an unfinished one comes again. */
  readonly begun = new Map<string, number>();
  /** Kernel messages with their time, those that the sieve let through first. */
  readonly remembered = new Set<string>();
  /** Kernel messages that became findings, with their time. */
  readonly told = new Set<string>();
  /** While it is not sure that this is a boot: the boot that it may be a copy of. */
  suspectedCopyOf: BootRecord | undefined;
  copiedLines = 0;
  comparedLines = 0;
  readonly firstLine: number;

  constructor(firstLine: number) {
    this.firstLine = firstLine;
  }
}

export class ConsoleScan {
  readonly #options: ScanOptions;
  readonly #matchers: Matchers;
  readonly #sieve: Sieve;
  readonly #boots: BootRecord[] = [new BootRecord(1)];
  readonly #graphics = new GraphicsNotes();
  readonly #build: BuildNotes;
  #pushTimeMs: number | null = null;
  #hasText = false;
  #goalLine: number | null = null;
  #goalTimeMs: number | null = null;
  #reader: { readonly reader: KernelReportReader; readonly finding: SeenFinding } | undefined;
  #contextFor: SeenFinding[] = [];
  #lastNumber = 0;

  constructor(options: ScanOptions) {
    this.#options = options;
    this.#matchers = matchersFor(options);
    this.#build = new BuildNotes(options.expected);
    this.#sieve = new Sieve(this.#matchers.automaton, { brokenOwner: this.#matchers.caretOwner }, (line) => this.#line(line));
    this.#sieve.wantAll = true;
  }

  get boots(): readonly Boot[] {
    return this.#boots;
  }

  /** Something that a person can read was printed. */
  get hasText(): boolean {
    return this.#hasText;
  }

  get graphics(): Graphics {
    return this.#graphics.graphics;
  }

  get build(): BuildNotes {
    return this.#build;
  }

  get goalLine(): number | null {
    return this.#goalLine;
  }

  /** Since QEMU's start; null where nobody wrote it down. */
  get goalTimeMs(): number | null {
    return this.#goalTimeMs;
  }

  /** The last line with something on it; 0 without one. */
  get lastLine(): number {
    return this.#hasText ? this.#sieve.lastLineWithText() : 0;
  }

  /** The furthest stage of the boot that is going on. */
  get reached(): PassedStage | undefined {
    return this.#boot.reached;
  }

  push(bytes: Uint8Array, timeMs: number | null = null): void {
    this.#pushTimeMs = timeMs;
    this.#sieve.push(bytes);
  }

  /** Looks at the unfinished line, for a prompt that waits there. */
  peek(): void {
    this.#sieve.peek();
  }

  end(): void {
    this.#sieve.end();
    this.#decideCopy();
  }

  /** The last lines, without escape sequences and blank ones. */
  lastTexts(): readonly string[] {
    return this.#sieve.tail().split("\n").flatMap(consoleTexts).slice(-TROUBLE_LINES);
  }

  /** The last line with something on it, without escape sequences. */
  lastText(): string {
    return this.#sieve.tail().split("\n").flatMap(consoleTexts).at(-1) ?? "";
  }

  get #boot(): BootRecord {
    return this.#boots.at(-1)!;
  }

  #line(line: SievedLine): void {
    const raw = line.bytes.toString("utf8", 0, LINE_BYTES_MAX);
    const texts = textsOf(raw);
    const isNew = line.number !== this.#lastNumber;
    this.#lastNumber = line.number;
    if (texts.length > 0) this.#hasText = true;
    for (const text of texts) this.#text(text, line, line.owners);
    if (isNew && !line.unfinished) this.#addContext(line.number, texts);
    this.#sieve.wantAll = this.#needsAll(line.number);
  }

  #needsAll(number: number): boolean {
    if (!this.#hasText || number < FIRST_LINES || this.#matchers.always.length > 0) return true;
    if (this.#reader !== undefined || this.#contextFor.length > 0) return true;
    const { goal } = this.#options;
    return this.#goalLine === null && goal.type === "pattern" && needlesOf(goal.pattern).length === 0;
  }

  /** When the first `length` characters of `text` had come: a line may go on for long after what it shows. */
  #timeOf({ startOffset, endOffset, bytes }: SievedLine, text: string, length: number): number | null {
    if (this.#options.timeAt === undefined) return this.#pushTimeMs;
    const shown = text.slice(0, length).trimEnd();
    const at = bytes.indexOf(shown);
    // Escape sequences in its midst: then all of the line.
    return this.#options.timeAt(at === -1 ? endOffset : startOffset + at + Buffer.byteLength(shown) - 1);
  }

  #text(text: string, line: SievedLine, asking: readonly number[]): void {
    const { always } = this.#matchers;
    const owners = always.length === 0 ? asking : [...always, ...asking];
    const { message, clock, copy } = decodePrintk(text);
    if (clock !== null && !copy && !line.unfinished) this.#noteClock(clock, message);
    const marked = owners.length > 0 && this.#tryMarks(owners, message, line, text, clock);
    if (clock !== null && !copy && !marked) this.#reach("kernel", "kernel clock", "Linux", line, text, text.length, clock);
    if (!line.unfinished) this.#readReport(message, line.number);
    if (owners.length > 0) this.#tryRules(owners, { message, clock, copy, text, line });
    this.#seekGoal(text, line);
  }

  /** True where a mark matched that may. */
  #tryMarks(owners: readonly number[], message: string, line: SievedLine, text: string, clock: number | null): boolean {
    let marked = false;
    for (const owner of owners) {
      const mark = this.#matchers.marks[owner];
      const match = mark?.pattern.exec(message);
      if (mark === undefined || match == null) continue;
      if (mark.onlyBefore !== undefined && !isLater(mark.onlyBefore, this.#boot.reached)) continue;
      if (mark.unlessFound !== undefined && this.#boot.findings.some(({ rule }) => rule.kind === mark.unlessFound)) continue;
      marked = true;
      this.#mark(mark, line, text, text.length - message.length + match.index + match[0].length, clock);
    }
    return marked;
  }

  #tryRules(owners: readonly number[], where: ReadMessage): void {
    const { message, line } = where;
    const kinds: string[] = [];
    // The first of a kind speaks. A person's own rules stand first in the table, whatever text in the line was found first.
    for (const owner of owners.length < 2 ? owners : [...owners].sort((one, other) => one - other)) {
      const rule = this.#matchers.rules[owner - this.#matchers.firstRule];
      if (rule === undefined || kinds.includes(rule.kind) || (line.unfinished && rule.prompt !== true)) continue;
      const match = rule.pattern.exec(message);
      if (match === null || rule.except?.test(message) === true) continue;
      kinds.push(rule.kind);
      this.#find(rule, match, where);
    }
    for (const owner of owners) {
      const match = this.#matchers.graphics[owner - this.#matchers.firstGraphics]?.pattern.exec(message);
      if (match != null) this.#graphics.note(match);
    }
    if (!line.unfinished) this.#noteBuild(owners, where);
  }

  #noteBuild(owners: readonly number[], { message, text, line }: ReadMessage): void {
    for (const owner of owners) {
      const mark = this.#matchers.build[owner - this.#matchers.firstBuild];
      const match = mark?.pattern.exec(message);
      if (mark === undefined || match == null) continue;
      const seen = this.#build.note(mark, match, line.number, this.#timeOf(line, text, text.length));
      if (seen !== undefined) this.#options.onEvent?.({ type: "step", seen, total: this.#build.total });
      return;
    }
  }

  #noteClock(clock: number, message: string): void {
    const boot = this.#boot;
    boot.hasClock = true;
    boot.clock = clock;
    if (clock === 0 || (boot.remembered.size >= REMEMBERED_LINES && boot.suspectedCopyOf === undefined)) return;
    const key = `${clock} ${message}`;
    if (boot.remembered.size < REMEMBERED_LINES) boot.remembered.add(key);
    if (boot.suspectedCopyOf === undefined) return;
    boot.comparedLines += 1;
    if (boot.suspectedCopyOf.remembered.has(key)) boot.copiedLines += 1;
    if (boot.copiedLines > 0 || boot.comparedLines >= COPY_DECIDED_AFTER) this.#decideCopy();
  }

  /** A second "Linux version" is another boot, or `dmesg` typed into a shell: then its lines have the very times of the first. */
  #decideCopy(): void {
    const boot = this.#boot;
    const original = boot.suspectedCopyOf;
    boot.suspectedCopyOf = undefined;
    // The same words at the same microsecond: no second boot does that.
    if (original === undefined || boot.copiedLines === 0) return;
    this.#boots.pop();
    this.#silencePassedMarks();
    original.promptLine = Math.max(original.promptLine, boot.promptLine);
  }

  #mark(mark: StageMark, line: SievedLine, text: string, length: number, clock: number | null): void {
    if (mark.begins === true) {
      const boot = this.#boot;
      const known = boot.begun.get(mark.id);
      const again = mark.stage === "kernel" ? known !== undefined && known !== line.number : !isLater("kernel", boot.reached);
      if (again) this.#beginBoot(line.number, mark.stage === "kernel");
      this.#boot.begun.set(mark.id, line.number);
    }
    if (mark.stage === "login") this.#boot.promptLine = line.number;
    this.#reach(mark.stage, mark.id, mark.program, line, text, length, clock);
  }

  #beginBoot(number: number, mayBeCopy: boolean): void {
    const before = this.#boot;
    const boot = new BootRecord(number);
    if (mayBeCopy && before.remembered.size > 0) boot.suspectedCopyOf = before;
    boot.hasClock = mayBeCopy && before.hasClock;
    this.#boots.push(boot);
    this.#silencePassedMarks();
    this.#reader = undefined;
  }

  #reach(stage: PassedStage, mark: string, program: string, line: SievedLine, text: string, length: number, clock: number | null): void {
    const boot = this.#boot;
    if (!isLater(stage, boot.reached)) return;
    const seen = {
      stage,
      mark,
      program,
      line: line.number,
      timeMs: this.#timeOf(line, text, length),
      clock: clock ?? this.#clockBefore(stage),
      text,
    };
    boot.reached = stage;
    boot.stages.push(seen);
    this.#silencePassedMarks();
    this.#options.onEvent?.({ type: "stage", seen });
    if (this.#goalLine === null && stageMeetsGoal(this.#options.goal, stage)) this.#reachGoal(line, text, length);
  }

  /** Marks of stages that are reached tell nothing new, but for prompts and for what begins another boot. */
  #silencePassedMarks(): void {
    const { reached } = this.#boot;
    const { marks } = this.#matchers;
    this.#sieve.quieten(marks.length, (owner) => {
      const { stage, begins, onlyBefore } = marks[owner]!;
      const tells = isLater(stage, reached) && (onlyBefore === undefined || isLater(onlyBefore, reached));
      return !tells && begins !== true && stage !== "login";
    });
  }

  /** The kernel's time of the nearest line before this one; none before the kernel runs. */
  #clockBefore(stage: PassedStage): number | null {
    if (isLater("kernel", stage)) return null;
    for (const raw of [...this.#sieve.linesBefore(40)].reverse()) {
      const clock = textsOf(raw)
        .map((text) => decodePrintk(text).clock)
        .findLast((found) => found !== null);
      if (clock !== undefined) return clock;
    }
    return this.#boot.clock;
  }

  #seekGoal(text: string, line: SievedLine): void {
    if (this.#goalLine === null && !this.#boot.goalDenied && matchesGoal(this.#options.goal, text))
      this.#reachGoal(line, text, text.length);
  }

  #reachGoal(line: SievedLine, text: string, length: number): void {
    this.#goalLine = line.number;
    this.#goalTimeMs = this.#timeOf(line, text, length);
    this.#options.onEvent?.({ type: "goal", line: line.number, timeMs: this.#goalTimeMs, text });
  }

  #find(rule: Rule, match: RegExpExecArray, where: ReadMessage): void {
    const { message, clock, copy, text, line } = where;
    const boot = this.#boot;
    if (clock !== null) {
      const key = `${rule.id} ${clock} ${message}`;
      // The very line again: an unfinished one that went on, or a copy by `dmesg`.
      if (boot.told.has(key)) return;
      boot.told.add(key);
    }
    const values = Object.fromEntries(
      Object.entries(match.groups ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
    const ofRule = boot.findings.filter((finding) => finding.rule === rule);
    if (copy && ofRule.length > 0) return;
    const active = this.#reader;
    if (active?.finding.rule.kind === rule.kind && active.finding.rule !== rule && !active.reader.hasTrace) {
      // "BUG: unable to handle…" and "Oops: 0002 [#1]" are the first lines of one report.
      return;
    }
    const distinct = rule.gathers === true && Object.keys(values).length === 0;
    const same = ofRule.find((finding) => (distinct ? finding.line === line.number : sameValues(finding.values, values)));
    if (same !== undefined || ofRule.length >= FINDINGS_PER_RULE_MAX || boot.findings.length >= FINDINGS_MAX) {
      const counted = same ?? ofRule.at(-1);
      if (counted !== undefined && counted.lastLine !== line.number && counted.line !== line.number) {
        counted.count += 1;
        counted.lastLine = Math.max(counted.lastLine, line.number);
      }
      return;
    }
    this.#tell(rule, values, clock, text, line);
  }

  #tell(rule: Rule, values: Readonly<Record<string, string>>, clock: number | null, text: string, line: SievedLine): void {
    const boot = this.#boot;
    const before = this.#sieve.linesBefore(CONTEXT_LINES);
    const cutHere = before.findLastIndex((raw) => /-{4,}\[ cut here \]-{4,}|={20,}/.test(raw));
    const reader = rule.gathers === true ? new KernelReportReader() : undefined;
    const finding: SeenFinding = {
      rule,
      line: line.number,
      firstLine: rule.gathers === true && cutHere !== -1 ? line.number - (before.length - cutHere) : line.number,
      lastLine: line.number,
      timeMs: this.#timeOf(line, text, text.length),
      clock: clock ?? this.#clockBefore(boot.reached ?? "firmware"),
      reached: boot.reached,
      text,
      values,
      before: before.flatMap(consoleTexts),
      after: [],
      get report() {
        return reader?.report;
      },
      count: 1,
    };
    boot.findings.push(finding);
    if (rule.denies === true) boot.goalDenied = true;
    if (this.#build.active && rule.severity !== "info" && rule.severity !== "warning")
      this.#build.noteTrouble(line.number, () => [...this.#sieve.linesBefore(TROUBLE_LINES).flatMap(consoleTexts), text]);
    this.#contextFor.push(finding);
    if (reader !== undefined) this.#reader = { reader, finding };
    this.#options.onEvent?.({ type: "finding", seen: finding });
  }

  #readReport(message: string, number: number): void {
    if (this.#reader === undefined || number === this.#reader.finding.line) return;
    const { reader, finding } = this.#reader;
    if (reader.read(message)) finding.lastLine = number;
    if (reader.ended) this.#reader = undefined;
  }

  #addContext(number: number, texts: readonly string[]): void {
    if (this.#contextFor.length === 0) return;
    for (const finding of this.#contextFor)
      if (finding.line < number) finding.after.push(...texts.slice(0, CONTEXT_LINES - finding.after.length));
    this.#contextFor = this.#contextFor.filter(({ after, line }) => after.length < CONTEXT_LINES && number - line < 8);
  }
}

function matchersFor({ goal, rules }: ScanOptions): Matchers {
  const goalNeedles = goal.type === "text" ? [goal.text] : goal.type === "pattern" ? needlesOf(goal.pattern) : [];
  return rules === undefined && goalNeedles.length === 0 ? standardMatchers() : createMatchers({ rules: rules ?? [], goalNeedles });
}

function sameValues(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** What stood on the screen, one text after the other, each with the kernel's messages parted from others'. */
export function textsOf(raw: string): readonly string[] {
  const texts = consoleTexts(raw);
  const [only] = texts;
  if (only === undefined) return texts;
  return texts.length === 1 ? splitAtPrintk(only.slice(0, TEXT_MAX)) : texts.flatMap((text) => splitAtPrintk(text.slice(0, TEXT_MAX)));
}

export const isLater = (stage: PassedStage, than: PassedStage | undefined): boolean =>
  than === undefined || PASSED_STAGES.indexOf(stage) > PASSED_STAGES.indexOf(than);
