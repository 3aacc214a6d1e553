import { type Automaton, buildAutomaton, type Needle } from "./automaton.ts";
import { BUILD_MARKS, type BuildMark } from "./build-marks.ts";
import { GRAPHICS_MARKS, type GraphicsMark } from "./graphics.ts";
import { needlesOf } from "./needles.ts";
import type { Rule, StageMark } from "./rule.ts";
import { RULES } from "./rules.ts";
import { STAGE_MARKS } from "./stage-marks.ts";

/** All that lines are tried on, in one list, and the automaton that says which of it a line needs to be tried on. */
export interface Matchers {
  readonly marks: readonly StageMark[];
  readonly rules: readonly Rule[];
  readonly graphics: readonly GraphicsMark[];
  readonly build: readonly BuildMark[];
  /** Owners: marks first, then rules, graphics marks, build marks, the goal. */
  readonly automaton: Automaton;
  readonly firstRule: number;
  readonly firstGraphics: number;
  readonly firstBuild: number;
  readonly goalOwner: number;
  /** Escape sequences written out as text ("^[[0m"): words may be broken, so such a line is asked again once they are taken out. */
  readonly caretOwner: number;
  /** Rules (a person's own) and goals whose pattern names no text: tried on every line. */
  readonly always: readonly number[];
}

export function createMatchers(options: { readonly rules?: readonly Rule[]; readonly goalNeedles?: readonly string[] } = {}): Matchers {
  const marks = STAGE_MARKS;
  const graphics = GRAPHICS_MARKS;
  const build = BUILD_MARKS;
  const rules = [...(options.rules ?? []), ...RULES];
  const patterns = [...marks, ...rules, ...graphics, ...build].map(({ pattern }) => needlesOf(pattern));
  const goalOwner = patterns.length;
  const caretOwner = goalOwner + 1;
  const needles: Needle[] = patterns.flatMap((texts, owner) => texts.map((text) => ({ text, owner })));
  for (const text of options.goalNeedles ?? []) needles.push({ text, owner: goalOwner });
  for (const text of ["^[[", "#033["]) needles.push({ text, owner: caretOwner });
  return {
    marks,
    rules,
    graphics,
    build,
    automaton: buildAutomaton(needles),
    firstRule: marks.length,
    firstGraphics: marks.length + rules.length,
    firstBuild: marks.length + rules.length + graphics.length,
    goalOwner,
    caretOwner,
    always: patterns.flatMap((texts, owner) => (texts.length === 0 ? [owner] : [])),
  };
}

let standard: Matchers | undefined;

/** The program's own tables, built once. */
export function standardMatchers(): Matchers {
  standard ??= createMatchers();
  return standard;
}
