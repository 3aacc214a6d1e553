/**
 * What a line must hold for a pattern to have any chance: a few literal texts, one of which is in every match. Read off the
 * pattern itself, so that no row of a table can forget its own.
 *
 * Knows the syntax that rules are written in: literals, classes, groups, lookaround, alternation, quantifiers. Of anything else it
 * says "cannot tell", which costs time and loses no match.
 */

/** What is known of the texts that a part of a pattern matches. The sieve that uses them tells no case. */
interface Known {
  /** Every match is one of these; undefined: too many to list. */
  readonly exact: readonly string[] | undefined;
  /** Every match holds one of these; empty: cannot tell. */
  readonly holds: readonly string[];
}

const EXACT_MAX = 64;
const CLASS_MAX = 3;
const ANYTHING: Known = { exact: undefined, holds: [] };
const NOTHING: Known = { exact: [""], holds: [] };

/** Each match of `pattern` holds one of these; empty when it cannot be told. */
export function needlesOf(pattern: RegExp): readonly string[] {
  const reader = new PatternReader(pattern.source);
  const known = reader.alternatives();
  return reader.atEnd ? needlesIn(known) : [];
}

const needlesIn = ({ exact, holds }: Known): readonly string[] => {
  const exactNeedles = exact === undefined || exact.includes("") ? [] : exact;
  return better(exactNeedles, holds);
};

/** The set whose weakest text says more; of two alike the first. */
function better(first: readonly string[], second: readonly string[]): readonly string[] {
  return weakest(second) > weakest(first) ? second : first;
}

const weakest = (texts: readonly string[]): number => (texts.length === 0 ? 0 : Math.min(...texts.map(worth)));

/** Healthy logs are full of these: a needle of such a word alone finds nearly every line. */
const COMMON =
  /^[ :]*(?:starting|running|loading|initializing|panic|waiting|mounting|checking|stopping|timeout|failed|not found|device|error|systemd\[1\]:|linux)[ :.]*$/i;
const COMMON_WORTH = 3;

/** Length, as far as it still makes a text rarer. */
const worth = (text: string): number => Math.min(COMMON.test(text) ? COMMON_WORTH : text.length, 12);

class PatternReader {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  get atEnd(): boolean {
    return this.#at === this.#source.length;
  }

  alternatives(): Known {
    const branches = [this.#sequence()];
    while (this.#take("|")) branches.push(this.#sequence());
    if (branches.length === 1) return branches[0]!;
    const exact = branches.every((branch) => branch.exact !== undefined) ? branches.flatMap((branch) => branch.exact!) : undefined;
    const needles = branches.map(needlesIn);
    return {
      exact: exact !== undefined && exact.length <= EXACT_MAX ? [...new Set(exact)] : undefined,
      holds: needles.some(({ length }) => length === 0) ? [] : [...new Set(needles.flat())],
    };
  }

  #sequence(): Known {
    let holds: readonly string[] = [];
    /** The run of parts so far of which every text is known. */
    let run: readonly string[] = [""];
    let allExact = true;
    const flush = () => {
      if (!run.includes("")) holds = better(holds, run);
      run = [""];
    };
    while (!this.atEnd && this.#peek() !== "|" && this.#peek() !== ")") {
      const part = this.#quantified();
      const joined = part.exact === undefined ? undefined : run.flatMap((text) => part.exact!.map((more) => text + more));
      if (joined !== undefined && joined.length <= EXACT_MAX) {
        run = joined;
        continue;
      }
      allExact = false;
      flush();
      if (part.exact !== undefined) run = part.exact;
      else holds = better(holds, part.holds);
    }
    if (allExact) return { exact: run, holds: [] };
    flush();
    return { exact: undefined, holds };
  }

  #quantified(): Known {
    const atom = this.#atom();
    const quantifier = /^(?:[*+?]|\{(\d+)(,\d*)?\})\??/.exec(this.#source.slice(this.#at, this.#at + 24));
    if (quantifier === null) return atom;
    this.#at += quantifier[0].length;
    const sign = quantifier[0][0];
    if (sign === "?") return { exact: atom.exact === undefined ? undefined : [...new Set([...atom.exact, ""])], holds: [] };
    if (sign === "*" || quantifier[1] === "0") return ANYTHING;
    if (quantifier[1] === "1" && quantifier[2] === undefined) return atom;
    return { exact: undefined, holds: needlesIn(atom) };
  }

  #atom(): Known {
    const character = this.#next();
    switch (character) {
      case "^":
      case "$":
        return NOTHING;
      case ".":
        return ANYTHING;
      case "[":
        return this.#class();
      case "(":
        return this.#group();
      case "\\":
        return this.#escape();
      default:
        return { exact: [character], holds: [] };
    }
  }

  #group(): Known {
    const look = /^\?<?[=!]/.exec(this.#source.slice(this.#at, this.#at + 4));
    const opening = look ?? /^\?(?::|<[A-Za-z]\w*>)/.exec(this.#source.slice(this.#at, this.#at + 64));
    this.#at += opening?.[0].length ?? 0;
    const inner = this.alternatives();
    if (!this.#take(")")) this.#at = Number.NaN;
    return look === null ? inner : NOTHING;
  }

  #escape(): Known {
    const character = this.#next();
    if (character === "b" || character === "B") return NOTHING;
    if (/[a-zA-Z0-9]/.test(character)) {
      if (character === "x") this.#at += 2;
      if (character === "t") return { exact: ["\t"], holds: [] };
      return ANYTHING;
    }
    return { exact: [character], holds: [] };
  }

  #class(): Known {
    const from = this.#at;
    while (!this.atEnd && (this.#peek() !== "]" || this.#at === from)) this.#at += this.#peek() === "\\" ? 2 : 1;
    const body = this.#source.slice(from, this.#at);
    this.#at += 1;
    const letters = new Set(body);
    const plain = !body.startsWith("^") && !/[\\-]/.test(body) && letters.size <= CLASS_MAX;
    return plain ? { exact: [...letters], holds: [] } : ANYTHING;
  }

  #peek(): string {
    return this.#source[this.#at] ?? "";
  }

  #next(): string {
    this.#at += 1;
    return this.#source[this.#at - 1] ?? "";
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at += 1;
    return true;
  }
}
