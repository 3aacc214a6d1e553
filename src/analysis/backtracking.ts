/**
 * Which regular expressions are refused: those that a line from a guest can keep busy for ever. JavaScript's engine tries all ways in
 * which a pattern could match; a repetition inside a repetition has exponentially many, and several repetitions side by side
 * have as many as the line's length to the power of their number.
 */

import { patternWays } from "./pattern-ways.ts";

/** With lines of at most `PATTERN_TEXT_MAX` characters, three cost some millions of steps; four would cost billions. */
const UNBOUNDED_MAX = 3;
/** A pattern that a person gave is tried on so much of a line. */
export const PATTERN_TEXT_MAX = 512;

/** In so many ways may a group under a bounded repetition fit one text: `(?:a{1,30}){1,30}` has billions. */
const GROUP_WAYS_MAX = 10_000;

/** Why the pattern is refused, as the end of a sentence that begins with "a pattern with"; undefined where it is safe. */
export function backtrackingRisk(source: string): string | undefined {
  const risk = unboundedRisk(source);
  if (risk !== undefined) return risk;
  return patternWays(source).repeatedGroup > GROUP_WAYS_MAX ? "a part that fits in several ways inside a repetition" : undefined;
}

function unboundedRisk(source: string): string | undefined {
  /** For each open group: does it hold a choice or an unbounded repetition? */
  const groups = [{ repeats: false, chooses: false }];
  let last = groups[0]!;
  let unbounded = 0;
  for (let at = 0; at < source.length; at += 1) {
    const character = source[at]!;
    const group = groups.at(-1)!;
    if (character === "\\") {
      if (/[1-9k]/.test(source[at + 1] ?? "")) return "a back reference";
      at += 1;
      last = { repeats: false, chooses: false };
    } else if (character === "[") {
      at = endOfClass(source, at);
      last = { repeats: false, chooses: false };
    } else if (character === "(") {
      groups.push({ repeats: false, chooses: false });
    } else if (character === ")") {
      last = groups.length > 1 ? groups.pop()! : group;
      const outer = groups.at(-1)!;
      outer.repeats ||= last.repeats;
      outer.chooses ||= last.chooses;
    } else if (character === "|") {
      group.chooses = true;
    } else if (isUnbounded(source, at)) {
      if (last.repeats) return "a repetition inside a repetition";
      if (last.chooses) return "a choice inside a repetition";
      unbounded += 1;
      if (unbounded > UNBOUNDED_MAX) return `more than ${UNBOUNDED_MAX} unbounded repetitions (*, +, {n,})`;
      group.repeats = true;
    } else if (character !== "?") {
      last = { repeats: false, chooses: false };
    }
  }
  return undefined;
}

function endOfClass(source: string, from: number): number {
  let at = from + 1;
  while (at < source.length && source[at] !== "]") at += source[at] === "\\" ? 2 : 1;
  return at;
}

const isUnbounded = (source: string, at: number): boolean =>
  source[at] === "*" || source[at] === "+" || /^\{\d+,\}/.test(source.slice(at, at + 16));
