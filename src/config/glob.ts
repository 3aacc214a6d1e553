/**
 * Globs as a shell means them (POSIX.1-2017, Shell Command Language, 2.13), over paths:
 *
 *   *       any characters but `/`          [ab] [a-z]    one of these, never `/`
 *   ?       one character but `/`           [!ab] [^ab]   one but these, never `/`
 *   **      as a whole path element: any number of folders, also none; elsewhere as `*`
 *   \x      x itself; so is a `[` that is never closed, and every other character (there are no classes like `[:alpha:]`)
 *
 * All ways to match are followed at once, which bounds the time by pattern × path. A glob turned into a regular
 * expression (picomatch does this) backtracks: minutes for `*a*a*a*a*a*a*a*ab`, and a line in a configuration
 * must not be able to stop a boot.
 */

/** A place in the pattern. Moves are relative. */
interface Place {
  /** Reached from here without a character. */
  readonly skip?: number;
  /** Where a character leads; undefined: nowhere. */
  readonly after: (character: string) => number | undefined;
}

export function compileGlob(pattern: string): (path: string) => boolean {
  const places = placesOf([...pattern]);
  const withSkips = (reached: ReadonlySet<number>): Set<number> => {
    // A set hands out what is added while it is walked.
    const all = new Set(reached);
    for (const at of all) {
      const skip = places[at]?.skip;
      if (skip !== undefined) all.add(at + skip);
    }
    return all;
  };
  return (path) => {
    let reached = withSkips(new Set([0]));
    for (const character of path) {
      const next = new Set<number>();
      for (const at of reached) {
        const move = places[at]?.after(character);
        if (move !== undefined) next.add(at + move);
      }
      reached = withSkips(next);
    }
    return reached.has(places.length);
  };
}

const one = (accepts: (character: string) => boolean): Place => ({ after: (character) => (accepts(character) ? 1 : undefined) });
const MANY: Place = { skip: 1, after: (character) => (character === "/" ? undefined : 0) };
const REST: Place = { skip: 1, after: () => 0 };
/** At the start of a path element, and inside one. */
const FOLDERS: readonly Place[] = [
  { skip: 2, after: (character) => (character === "/" ? 0 : 1) },
  { after: (character) => (character === "/" ? -1 : 0) },
];

function placesOf(pattern: readonly string[]): Place[] {
  const places: Place[] = [];
  for (let at = 0; at < pattern.length; ) {
    const character = pattern[at]!;
    const bracket = character === "[" ? bracketAt(pattern, at) : undefined;
    if (character === "*") {
      const startsElement = at === 0 || pattern[at - 1] === "/";
      let end = at;
      while (pattern[end] === "*") end += 1;
      const isElement = startsElement && end - at === 2;
      if (isElement && pattern[end] === "/") {
        places.push(...FOLDERS);
        end += 1;
      } else {
        places.push(isElement && end === pattern.length ? REST : MANY);
      }
      at = end;
    } else if (character === "?") {
      places.push(one((found) => found !== "/"));
      at += 1;
    } else if (bracket !== undefined) {
      places.push(one(bracket.accepts));
      at = bracket.end;
    } else {
      const escapes = character === "\\" && at + 1 < pattern.length;
      const literal = escapes ? pattern[at + 1]! : character;
      places.push(one((found) => found === literal));
      at += escapes ? 2 : 1;
    }
  }
  return places;
}

export interface BracketExpression {
  readonly isNegated: boolean;
  /** Code points, both ends included. The first may be above the second: then nothing is in it. */
  readonly ranges: readonly (readonly [low: number, high: number])[];
  /** Behind the closing bracket. */
  readonly end: number;
}

/** The bracket expression at `start` of a pattern's characters, or undefined where it is never closed or holds a `/`. */
export function readBracket(pattern: readonly string[], start: number): BracketExpression | undefined {
  const isNegated = pattern[start + 1] === "!" || pattern[start + 1] === "^";
  const first = start + (isNegated ? 2 : 1);
  const ranges: (readonly [low: number, high: number])[] = [];
  let at = first;
  const take = (): number | undefined => {
    if (pattern[at] === "\\") at += 1;
    const character = pattern[at];
    at += 1;
    return character === undefined || character === "/" ? undefined : character.codePointAt(0)!;
  };
  // `]` right behind the opening stands for itself.
  while (at === first || pattern[at] !== "]") {
    const low = take();
    if (low === undefined) return undefined;
    const isRange = pattern[at] === "-" && pattern[at + 1] !== undefined && pattern[at + 1] !== "]";
    if (isRange) at += 1;
    const high = isRange ? take() : low;
    if (high === undefined) return undefined;
    ranges.push([low, high]);
  }
  return { isNegated, ranges, end: at + 1 };
}

function bracketAt(
  pattern: readonly string[],
  start: number,
): { readonly accepts: (character: string) => boolean; readonly end: number } | undefined {
  const bracket = readBracket(pattern, start);
  if (bracket === undefined) return undefined;
  const { isNegated, ranges, end } = bracket;
  const listed = (code: number): boolean => ranges.some(([low, high]) => code >= low && code <= high);
  return { accepts: (character) => character !== "/" && listed(character.codePointAt(0)!) !== isNegated, end };
}
