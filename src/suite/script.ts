/**
 * A script, ready to run: included scripts put in, variables too, all but those that the console gives while it runs. Plain data: it can
 * be kept as JSON and run on another computer.
 */
import type { PassedStage } from "../contract/verdict.ts";
import type { Chord } from "../machine/keys.ts";

/** Pieces of a text; a variable stands where a step before caught something from the console (`(?<name>…)` in a pattern). */
export type Text = readonly (string | { readonly caught: string })[];

/** `text`: stands in a line. `pattern`: a regular expression that fits one; what is put into it stands for itself. */
export type Matcher = { readonly text: Text } | { readonly pattern: Text };

export type ScriptStep = {
  /** `file:line:column`. */
  readonly where: string;
} & (
  | { readonly does: "expect"; readonly matcher: Matcher; readonly withinS: number | null }
  | { readonly does: "send"; readonly text: Text; readonly withinS: number | null }
  | { readonly does: "key"; readonly chords: readonly Chord[]; readonly title: string }
  | { readonly does: "type"; readonly text: Text }
  | { readonly does: "screenshot"; readonly name: string }
  | { readonly does: "wait-stage"; readonly stage: PassedStage; readonly withinS: number | null }
  | {
      readonly does: "run";
      readonly command: Text;
      /** Null: any. */
      readonly status: number | null;
      readonly output: readonly Matcher[];
      readonly withinS: number | null;
    }
  | { readonly does: "fail_on"; readonly matchers: readonly Matcher[] }
  /** `command`: typed into the shell. Null: the reset button. */
  | { readonly does: "reboot"; readonly command: Text | null; readonly withinS: number | null }
  /** `command`: typed into the shell. Null: the power button. */
  | { readonly does: "shutdown"; readonly command: Text | null; readonly withinS: number | null }
);

export interface Script {
  readonly name: string;
  readonly ignoreFatal: boolean;
  /** What must not be seen at any time. */
  readonly failOn: readonly Matcher[];
  readonly steps: readonly ScriptStep[];
}

/** What the steps ask for in all, in seconds: a boot that runs the script may take so much longer. */
export const askedSeconds = ({ steps }: Script): number =>
  steps.reduce((sum, step) => sum + ("withinS" in step ? (step.withinS ?? 0) : 0), 0);

/** A text with what was caught put in. */
export const filled = (text: Text, caught: ReadonlyMap<string, string>): string =>
  text.map((part) => (typeof part === "string" ? part : (caught.get(part.caught) ?? ""))).join("");

/** The source of a pattern: what was caught stands for itself. */
export const filledPattern = (pattern: Text, caught: ReadonlyMap<string, string>): string =>
  pattern.map((part) => (typeof part === "string" ? part : literal(caught.get(part.caught) ?? ""))).join("");

/** A pattern that fits this text and nothing else. */
export const literal = (text: string): string =>
  text.replace(/[\\^$.*+?()[\]{}|/-]/g, (character) => ESCAPED[character] ?? `\\${character}`);

/** With the flag `u` a hyphen outside a class has no escape of its own. */
const ESCAPED: Readonly<Record<string, string>> = { "-": "\\x2d" };

/** How a person would name a step. */
export function titleOf(step: ScriptStep): string {
  switch (step.does) {
    case "expect":
      return `expect ${shownMatcher(step.matcher)}`;
    case "send":
      return `send ${quoted(step.text)}`;
    case "key":
      return `press ${step.title}`;
    case "type":
      return `type ${quoted(step.text)}`;
    case "screenshot":
      return `take the picture ${step.name}`;
    case "wait-stage":
      return `wait for the stage ${step.stage}`;
    case "run":
      return `run ${shown(step.command).trim()}`;
    case "fail_on":
      return `fail from here on where ${step.matchers.map(shownMatcher).join(" or ")} is seen`;
    case "reboot":
      return step.command === null ? "press the reset button" : `reboot by ${quoted(step.command)}`;
    case "shutdown":
      return step.command === null ? "press the power button" : `shut down by ${quoted(step.command)}`;
  }
}

export const shownMatcher = (matcher: Matcher): string => ("text" in matcher ? quoted(matcher.text) : `/${shown(matcher.pattern)}/`);
const shown = (text: Text): string => text.map((part) => (typeof part === "string" ? part : `{{${part.caught}}}`)).join("");
const quoted = (text: Text): string => JSON.stringify(shown(text));
