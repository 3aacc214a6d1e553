/**
 * POSIX extended regular expressions (IEEE Std 1003.1-2017, Base Definitions, 9.4), for patterns that come from foreign files: they are never
 * handed to the engine of the language, which a short pattern can hold for hours. Ours counts its steps and gives up.
 *
 * Alternatives are tried from left to right and repetitions take as much as they can, which differs from the longest match of POSIX only
 * where an earlier alternative is the beginning of a later one. Back references, which GNU adds, are not there.
 */

export interface PosixMatch {
  /** The whole match, then each group; undefined for a group that took no part. */
  readonly groups: readonly (string | undefined)[];
}

type Node =
  | { readonly kind: "character"; readonly matches: (character: string) => boolean }
  | { readonly kind: "start" | "end" }
  | { readonly kind: "group"; readonly index: number; readonly inside: Node }
  | { readonly kind: "sequence"; readonly parts: readonly Node[] }
  | { readonly kind: "either"; readonly ways: readonly Node[] }
  | { readonly kind: "repeat"; readonly of: Node; readonly min: number; readonly max: number };

const PATTERN_CHARACTERS_MAX = 1024;
const DEPTH_MAX = 32;
const STEPS_MAX = 20_000;
/** RE_DUP_MAX is at least 255. */
const REPEAT_MAX = 255;

/** Undefined where `pattern` is no expression, or is longer or deeper than anybody writes. `given up` where the search takes too long. */
export function matchPosix(pattern: string, text: string): PosixMatch | "none" | "given up" | undefined {
  const parsed = parse(pattern);
  return parsed === undefined ? undefined : new Matcher(text).search(parsed.root, parsed.groups);
}

class NoPattern extends Error {}

function parse(pattern: string): { readonly root: Node; readonly groups: number } | undefined {
  if (pattern.length > PATTERN_CHARACTERS_MAX) return undefined;
  let at = 0;
  let groups = 0;
  const fail = (): never => {
    throw new NoPattern();
  };

  function alternatives(depth: number): Node {
    if (depth > DEPTH_MAX) fail();
    const ways = [sequence(depth)];
    while (pattern[at] === "|") {
      at += 1;
      ways.push(sequence(depth));
    }
    return ways.length === 1 ? ways[0]! : { kind: "either", ways };
  }

  function sequence(depth: number): Node {
    const parts: Node[] = [];
    while (at < pattern.length && pattern[at] !== "|" && pattern[at] !== ")") {
      let part = atom(depth);
      for (let bounds = repetition(); bounds !== undefined; bounds = repetition()) part = { kind: "repeat", of: part, ...bounds };
      parts.push(part);
    }
    return parts.length === 1 ? parts[0]! : { kind: "sequence", parts };
  }

  function repetition(): { min: number; max: number } | undefined {
    const sign = pattern[at];
    if (sign === "*" || sign === "+" || sign === "?") {
      at += 1;
      return { min: sign === "+" ? 1 : 0, max: sign === "?" ? 1 : Number.POSITIVE_INFINITY };
    }
    const bounds = /^\{(\d{1,3})(,(\d{1,3})?)?\}/.exec(pattern.slice(at, at + 10));
    if (bounds === null) return undefined;
    const min = Number(bounds[1]);
    const max = bounds[2] === undefined ? min : bounds[3] === undefined ? Number.POSITIVE_INFINITY : Number(bounds[3]);
    if (min > REPEAT_MAX || max < min || (max > REPEAT_MAX && max !== Number.POSITIVE_INFINITY)) fail();
    at += bounds[0].length;
    return { min, max };
  }

  function atom(depth: number): Node {
    const character = pattern[at]!;
    at += 1;
    switch (character) {
      case "(": {
        groups += 1;
        const index = groups;
        const inside = alternatives(depth + 1);
        if (pattern[at] !== ")") fail();
        at += 1;
        return { kind: "group", index, inside };
      }
      case "^":
        return { kind: "start" };
      case "$":
        return { kind: "end" };
      case ".":
        return { kind: "character", matches: () => true };
      case "[":
        return { kind: "character", matches: bracket() };
      case "*":
      case "+":
      case "?":
        return fail();
      case "\\": {
        const escaped = pattern[at] ?? fail();
        at += 1;
        return literal(escaped);
      }
      default:
        return literal(character);
    }
  }

  /** 9.3.5: a `]` or `-` that stands first is itself. */
  function bracket(): (character: string) => boolean {
    const not = pattern[at] === "^";
    if (not) at += 1;
    const tests: ((character: string) => boolean)[] = [];
    for (let first = true; first || pattern[at] !== "]"; first = false) {
      const character = pattern[at] ?? fail();
      const named = /^\[:([a-z]+):\]/.exec(pattern.slice(at, at + 12));
      if (named !== null) {
        tests.push(CLASSES[named[1]!] ?? fail());
        at += named[0].length;
        continue;
      }
      at += 1;
      const last = pattern[at + 1];
      if (pattern[at] === "-" && last !== undefined && last !== "]") {
        if (last < character) fail();
        tests.push((one) => one >= character && one <= last);
        at += 2;
      } else tests.push((one) => one === character);
    }
    at += 1;
    return (character) => tests.some((test) => test(character)) !== not;
  }

  try {
    const root = alternatives(0);
    return at < pattern.length ? undefined : { root, groups };
  } catch (error) {
    if (error instanceof NoPattern) return undefined;
    throw error;
  }
}

const literal = (wanted: string): Node => ({ kind: "character", matches: (character) => character === wanted });

/** In the C locale, as GRUB has no other. */
const CLASSES: Readonly<Record<string, (character: string) => boolean>> = {
  alpha: (character) => /[A-Za-z]/.test(character),
  digit: (character) => /[0-9]/.test(character),
  alnum: (character) => /[A-Za-z0-9]/.test(character),
  upper: (character) => /[A-Z]/.test(character),
  lower: (character) => /[a-z]/.test(character),
  space: (character) => /[ \t\n\v\f\r]/.test(character),
  blank: (character) => /[ \t]/.test(character),
  punct: (character) => /[!-/:-@[-`{-~]/.test(character),
  print: (character) => /[ -~]/.test(character),
  graph: (character) => /[!-~]/.test(character),
  cntrl: (character) => character < " " || character === "\x7f",
  xdigit: (character) => /[0-9A-Fa-f]/.test(character),
};

class GivenUp extends Error {}

type Groups = readonly (readonly [start: number, end: number] | undefined)[];

/** What comes behind a node: true where the rest matches from `at`. */
type Rest = (at: number, groups: Groups) => boolean;

class Matcher {
  readonly #text: string;
  #steps = 0;
  /** Calls in calls: each character that a repetition takes is one, and the stack is not endless. */
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  search(root: Node, groupCount: number): PosixMatch | "none" | "given up" {
    const none: Groups = Array.from({ length: groupCount + 1 }, () => undefined);
    try {
      for (let start = 0; start <= this.#text.length; start += 1) {
        let found: Groups | undefined;
        this.#match(root, start, none, (end, groups) => {
          found = groups.with(0, [start, end]);
          return true;
        });
        if (found !== undefined) return { groups: found.map((range) => range && this.#text.slice(range[0], range[1])) };
      }
      return "none";
    } catch (error) {
      if (error instanceof GivenUp) return "given up";
      throw error;
    }
  }

  #match(node: Node, at: number, groups: Groups, rest: Rest): boolean {
    this.#steps += 1;
    this.#depth += 1;
    if (this.#steps > STEPS_MAX || this.#depth > CALLS_MAX) throw new GivenUp();
    try {
      return this.#tryNode(node, at, groups, rest);
    } finally {
      this.#depth -= 1;
    }
  }

  #tryNode(node: Node, at: number, groups: Groups, rest: Rest): boolean {
    switch (node.kind) {
      case "character": {
        const character = this.#text[at];
        return character !== undefined && node.matches(character) && rest(at + 1, groups);
      }
      case "start":
        return at === 0 && rest(at, groups);
      case "end":
        return at === this.#text.length && rest(at, groups);
      case "group":
        return this.#match(node.inside, at, groups, (end, inner) => rest(end, inner.with(node.index, [at, end])));
      case "sequence":
        return this.#sequence(node.parts, 0, at, groups, rest);
      case "either":
        return node.ways.some((way) => this.#match(way, at, groups, rest));
      case "repeat":
        return node.of.kind === "character" ? this.#repeatCharacter(node, at, groups, rest) : this.#repeat(node, 0, at, groups, rest);
    }
  }

  #sequence(parts: readonly Node[], index: number, at: number, groups: Groups, rest: Rest): boolean {
    const part = parts[index];
    if (part === undefined) return rest(at, groups);
    return this.#match(part, at, groups, (end, inner) => this.#sequence(parts, index + 1, end, inner, rest));
  }

  /** By far the most usual, and without a call for each character. */
  #repeatCharacter({ of, min, max }: Extract<Node, { kind: "repeat" }>, at: number, groups: Groups, rest: Rest): boolean {
    if (of.kind !== "character") return false;
    let end = at;
    while (end - at < max && end < this.#text.length && of.matches(this.#text[end]!)) {
      end += 1;
      this.#steps += 1;
    }
    for (; end - at >= min; end -= 1) {
      this.#steps += 1;
      if (this.#steps > STEPS_MAX) throw new GivenUp();
      if (rest(end, groups)) return true;
    }
    return false;
  }

  #repeat(node: Extract<Node, { kind: "repeat" }>, count: number, at: number, groups: Groups, rest: Rest): boolean {
    if (count < node.max) {
      // A turn that takes nothing would go on for ever; one is enough.
      const another = this.#match(
        node.of,
        at,
        groups,
        (end, inner) => (end > at || count < node.min) && this.#repeat(node, count + 1, end, inner, rest),
      );
      if (another) return true;
    }
    return count >= node.min && rest(at, groups);
  }
}

/** Each costs a few frames of the stack. */
const CALLS_MAX = 1000;
