/** Runs a script on a living guest: step after step, each within its limit, until one fails or all have passed. */
import { PATTERN_TEXT_MAX } from "../analysis/backtracking.ts";
import { reasonOf } from "../contract/error.ts";
import type { ScriptFile, ScriptStepFile } from "../contract/session.ts";
import { PASSED_STAGES } from "../contract/verdict.ts";
import { keysOfText } from "../machine/keys.ts";
import type { ConsoleTap, TappedLine } from "../session/console-tap.ts";
import type { Drive, Driven, GuestControl } from "../session/drive.ts";
import { filled, filledPattern, type Matcher, type Script, type ScriptStep, shownMatcher, type Text, titleOf } from "./script.ts";

/** Of a command's output so much is kept, the last of it. In UTF-16 units. */
const OUTPUT_MAX = 16_384;
const LINE_SHOWN_MAX = 200;

/** The script as what drives a guest. `shownPlace` writes a step's place for the session: without what identifies the computer. */
export const scriptDrive =
  (script: Script, shownPlace: (where: string) => string = (where) => where): Drive =>
  async (control) =>
    await new ScriptRun(script, control, shownPlace).run();

/** A step that did not do what it should; what is found goes into the report. */
class StepFailure extends Error {}

interface Found {
  /** Behind the last character that belongs to it. */
  readonly end: number;
  readonly text: string;
  readonly groups: Readonly<Record<string, string | undefined>>;
}

type Notes = { -readonly [Key in "detail" | "line" | "screenshot" | "exit_status" | "output"]?: ScriptStepFile[Key] };

class ScriptRun {
  readonly #script: Script;
  readonly #control: GuestControl;
  readonly #records: ScriptStepFile[];
  readonly #caught = new Map<string, string>();
  readonly #pictures = new Map<string, number>();
  #forbidden: readonly { readonly shown: string; readonly find: (text: string) => Found | undefined }[] = [];
  /** What was seen and must not be. */
  #fault: { readonly line: number; readonly says: string } | undefined;
  /** Of the console, with something on it. */
  #last: TappedLine | undefined;
  #commands = 0;

  constructor(script: Script, control: GuestControl, shownPlace: (where: string) => string) {
    this.#script = script;
    this.#control = control;
    this.#records = script.steps.map((step, index) => ({
      number: index + 1,
      step: step.does,
      title: titleOf(step),
      where: shownPlace(step.where),
      result: "not_run",
      time_ms: null,
      duration_ms: null,
      line: null,
      detail: "",
    }));
  }

  async run(): Promise<Driven> {
    const { steps, ignoreFatal, failOn } = this.#script;
    const control = this.#control;
    if (ignoreFatal) control.expectFatal();
    this.#forbid(failOn);
    control.console.onLine = (line) => this.#noteLine(line);
    await this.#keep("running");
    for (const [index, step] of steps.entries()) {
      const record = this.#records[index]!;
      const beganMs = control.elapsedMs();
      const notes: Notes = {};
      let failure: string | undefined;
      try {
        await this.#within(step, async (limit) => await this.#does(step, notes, limit));
      } catch (error) {
        failure = reasonOf(error);
      }
      const isStopped = control.signal.aborted;
      this.#records[index] = {
        ...record,
        result: failure === undefined ? "passed" : isStopped ? "stopped" : "failed",
        time_ms: Math.round(beganMs),
        duration_ms: Math.round(control.elapsedMs() - beganMs),
        ...notes,
        ...(failure === undefined ? {} : { detail: failure }),
      };
      if (failure !== undefined) {
        await this.#keep(isStopped ? "stopped" : "failed");
        return { passed: false, detail: `step ${record.number} of ${steps.length}, ${record.title} (${record.where}): ${failure}` };
      }
      await this.#keep(index === steps.length - 1 ? "passed" : "running");
    }
    return { passed: true, detail: steps.length === 1 ? "its one step passed" : `all ${steps.length} steps passed` };
  }

  /** A full disk ends the session where it hurts: at the files of its end. The script goes on. */
  async #keep(result: ScriptFile["result"]): Promise<void> {
    await this.#control.keep({ name: this.#script.name, result, steps: this.#records }).catch(() => {});
  }

  /** The step's limit covers all that it does. */
  async #within(step: ScriptStep, work: (limit: Promise<never>) => Promise<void>): Promise<void> {
    const limitMs = "withinS" in step && step.withinS !== null ? step.withinS * 1000 : this.#control.stepMs;
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new StepFailure(`not within ${limitMs / 1000} s${this.#lastSeen()}`)), limitMs);
    });
    limit.catch(() => {}); // a step that is over does not wait for it
    try {
      this.#checkFault();
      await Promise.race([work(limit), limit]);
      this.#checkFault();
    } finally {
      clearTimeout(timer);
    }
  }

  #checkFault(): void {
    if (this.#fault !== undefined) throw new StepFailure(this.#fault.says);
  }

  /** Waits until `look` gives something; looks again whenever anything has happened. */
  async #until<T>(look: () => T | undefined, limit: Promise<never>): Promise<T> {
    for (;;) {
      this.#checkFault();
      const found = look();
      if (found !== undefined) return found;
      await Promise.race([this.#control.change(), limit]);
    }
  }

  async #does(step: ScriptStep, notes: Notes, limit: Promise<never>): Promise<void> {
    const control = this.#control;
    switch (step.does) {
      case "expect":
        return await this.#expect(step.matcher, notes, limit);
      case "send":
        return await control.send(entered(this.#put(step.text)));
      case "key":
        return await control.press(step.chords);
      case "type":
        return await control.press(keysOfText(this.#put(step.text)));
      case "screenshot": {
        notes.screenshot = await control.screenshot(this.#pictureName(step.name));
        notes.detail = notes.screenshot;
        return;
      }
      case "wait-stage": {
        const isReached = () => control.stage !== undefined && PASSED_STAGES.indexOf(control.stage) >= PASSED_STAGES.indexOf(step.stage);
        await this.#until(() => (isReached() ? true : undefined), limit);
        notes.line = control.console.lineNumber;
        return;
      }
      case "run":
        return await this.#run(step, notes, limit);
      case "fail_on":
        this.#forbid(step.matchers);
        return;
      case "reboot": {
        const before = control.resets;
        control.expectReset();
        await (step.command === null ? control.reset() : control.send(entered(`${this.#put(step.command)}\n`)));
        await this.#until(() => (control.resets > before ? true : undefined), limit);
        control.console.markAllRead();
        return;
      }
      case "shutdown":
        control.expectOff();
        await (step.command === null ? control.powerButton() : control.send(entered(`${this.#put(step.command)}\n`)));
        return void (await this.#until(() => (control.isOff ? true : undefined), limit));
    }
  }

  async #expect(matcher: Matcher, notes: Notes, limit: Promise<never>): Promise<void> {
    const { line, found } = await this.#next(this.#finder(matcher), limit);
    notes.line = line.number;
    notes.detail = found.text;
    for (const [name, value] of Object.entries(found.groups)) if (value !== undefined) this.#caught.set(name, value);
  }

  /** The next place on the console that fits; all up to its end is read then. */
  async #next(find: (text: string) => Found | undefined, limit: Promise<never>): Promise<{ line: TappedLine; found: Found }> {
    const { console } = this.#control;
    return await this.#until(() => {
      const lines = [...console.unread()];
      for (const line of lines) {
        const found = find(line.text);
        if (found === undefined) continue;
        console.markRead(line, found.end);
        return { line, found };
      }
      markEnded(console, lines);
      return undefined;
    }, limit);
  }

  /**
   * A command between two marks. In what is typed, and so in its echo, each mark is written in two parts: only what the shell prints holds it
   * whole. Braces, so that what the command changes in the shell stays; no input of its own, lest it eat what is typed next.
   */
  async #run(step: Extract<ScriptStep, { does: "run" }>, notes: Notes, limit: Promise<never>): Promise<void> {
    this.#commands += 1;
    const mark = `${this.#commands}-`;
    const typed = `echo hiperiso-''begin-${mark}; { ${this.#put(step.command)}\n} </dev/null; echo hiperiso-''end-${mark}$?-\n`;
    await this.#control.send(entered(typed));
    const begin = `hiperiso-begin-${mark}`;
    await this.#next(textFinder(begin), limit);
    const output = await this.#output(new RegExp(`hiperiso-end-${mark}(?<status>\\d+)-`, "u"), limit);
    notes.exit_status = output.status;
    notes.output = output.text;
    notes.line = output.line;
    notes.detail = `exit status ${output.status}`;
    if (step.status !== null && output.status !== step.status)
      throw new StepFailure(`exit status ${output.status}, expected ${step.status}${lastOf(output.text)}`);
    for (const matcher of step.output) {
      const find = this.#finder(matcher);
      const found = output.text
        .split("\n")
        .map(find)
        .find((one) => one !== undefined);
      if (found === undefined) throw new StepFailure(`its output does not hold ${shownMatcher(matcher)}${lastOf(output.text)}`);
      for (const [name, value] of Object.entries(found.groups)) if (value !== undefined) this.#caught.set(name, value);
    }
  }

  /** All that is printed up to the mark. */
  async #output(end: RegExp, limit: Promise<never>): Promise<{ text: string; status: number; line: number }> {
    const { console } = this.#control;
    let text = "";
    const keep = (more: string) => {
      text = (text + more).slice(-OUTPUT_MAX);
    };
    return await this.#until(() => {
      const lines = [...console.unread()];
      for (const line of lines) {
        const match = end.exec(line.text);
        if (match !== null) {
          keep(line.text.slice(0, match.index));
          console.markRead(line, match.index + match[0].length);
          return { text: text.replace(/^\n/, ""), status: Number(match.groups?.["status"]), line: line.number };
        }
        if (line.ended) keep(`${line.text}\n`);
      }
      markEnded(console, lines);
      return undefined;
    }, limit);
  }

  #forbid(matchers: readonly Matcher[]): void {
    const more = matchers.map((matcher) => ({ shown: shownMatcher(matcher), find: this.#finder(matcher) }));
    this.#forbidden = [...this.#forbidden, ...more];
  }

  #noteLine(line: TappedLine): void {
    if (line.text.trim() !== "") this.#last = line;
    if (this.#fault !== undefined) return;
    for (const { shown, find } of this.#forbidden) {
      if (find(line.text) === undefined) continue;
      this.#fault = { line: line.number, says: `${shown} was seen at line ${line.number}, which must not be: ${short(line.text)}` };
      return;
    }
  }

  #finder(matcher: Matcher): (text: string) => Found | undefined {
    if ("text" in matcher) return textFinder(this.#put(matcher.text));
    return patternFinder(new RegExp(filledPattern(matcher.pattern, this.#caught), "u"));
  }

  #put(text: Text): string {
    return filled(text, this.#caught);
  }

  /** A picture that is taken again, as by a script that is included twice, has a number behind its name. */
  #pictureName(name: string): string {
    const count = (this.#pictures.get(name) ?? 0) + 1;
    this.#pictures.set(name, count);
    return `script-${name}${count === 1 ? "" : `-${count}`}`;
  }

  #lastSeen(): string {
    const last = this.#last;
    return last === undefined ? "; the console has printed nothing" : `; the console's last line is ${last.number}: ${short(last.text)}`;
  }
}

/** Lines that have ended are not looked at again; what is being written may still grow. */
function markEnded(console: ConsoleTap, lines: readonly TappedLine[]): void {
  const last = lines.findLast(({ ended }) => ended);
  if (last !== undefined) console.markRead(last);
}

/** A line feed is the Enter key, which sends a carriage return. */
const entered = (text: string): string => text.replaceAll(/\r?\n/g, "\r");

const textFinder =
  (wanted: string) =>
  (text: string): Found | undefined => {
    const at = text.indexOf(wanted);
    return at === -1 ? undefined : { end: at + wanted.length, text: wanted, groups: {} };
  };

/** Tried on each text that stood in the line, on so much of it that no line can keep it busy. */
const patternFinder =
  (pattern: RegExp) =>
  (line: string): Found | undefined => {
    let from = 0;
    for (const text of line.split("\n")) {
      const match = pattern.exec(text.slice(0, PATTERN_TEXT_MAX));
      if (match !== null) return { end: from + match.index + match[0].length, text: match[0], groups: match.groups ?? {} };
      from += text.length + 1;
    }
    return undefined;
  };

const short = (text: string): string => {
  const line = text.trim().replaceAll("\n", " ");
  return line.length > LINE_SHOWN_MAX ? `${line.slice(0, LINE_SHOWN_MAX - 1)}…` : line;
};

function lastOf(output: string): string {
  const last = output.split("\n").findLast((line) => line.trim() !== "");
  return last === undefined ? "; it printed nothing" : `; the last line of its output: ${short(last)}`;
}
