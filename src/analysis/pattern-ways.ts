/**
 * How much work a pattern that a stranger wrote can make of one line, read off the pattern. `backtrackingRisk` refuses what has no bound;
 * this counts what has one that is too high: `(?:a{1,30}){1,30}` has 30 to the power of 30 ways to fail.
 */

/** In how many ways the worst group that is repeated can take a text, and how often the pattern repeats without a bound. */
export interface PatternWays {
  /** Infinity where a part with several ways is repeated without a bound. 1 where no group is repeated. */
  readonly repeatedGroup: number;
  readonly unbounded: number;
}

export function patternWays(source: string): PatternWays {
  const reader = new WaysReader(source);
  reader.read();
  return reader;
}

const QUANTIFIER = /^(?:[*+?]|\{(\d{1,6})(,(\d{0,6}))?\})\??/;

class WaysReader implements PatternWays {
  readonly #source: string;
  #at = 0;
  repeatedGroup = 1;
  unbounded = 0;

  constructor(source: string) {
    this.#source = source;
  }

  read(): void {
    // A ")" too many is no regular expression: whoever compiles it says so.
    while (this.#at < this.#source.length) {
      this.#alternatives();
      this.#at += 1;
    }
  }

  #alternatives(): number {
    let ways = this.#sequence();
    while (this.#source[this.#at] === "|") {
      this.#at += 1;
      ways += this.#sequence();
    }
    return ways;
  }

  #sequence(): number {
    let ways = 1;
    while (this.#at < this.#source.length && !"|)".includes(this.#source[this.#at]!)) {
      const isGroup = this.#source[this.#at] === "(";
      ways *= this.#repeated(this.#atom(), isGroup);
    }
    return ways;
  }

  #repeated(once: number, isGroup: boolean): number {
    const match = QUANTIFIER.exec(this.#source.slice(this.#at, this.#at + 20));
    if (match === null) return once;
    this.#at += match[0].length;
    const [least, most] = boundsOf(match);
    if (most === Number.POSITIVE_INFINITY) this.unbounded += 1;
    // A text of n characters in a row is taken in one way by "x{0,9}"; how many of them, is what is tried again.
    if (once === 1) return most - least + 1;
    const ways = (most - least + 1) * once ** most;
    if (isGroup && most > 1) this.repeatedGroup = Math.max(this.repeatedGroup, ways);
    return ways;
  }

  #atom(): number {
    const character = this.#source[this.#at]!;
    this.#at += 1;
    if (character === "\\") this.#at += 1;
    else if (character === "[") this.#skipClass();
    else if (character === "(") return this.#group();
    return 1;
  }

  #group(): number {
    this.#at += /^\?(?:<?[=!]|:|<\w*>)/.exec(this.#source.slice(this.#at, this.#at + 64))?.[0].length ?? 0;
    const ways = this.#alternatives();
    this.#at += 1;
    return ways;
  }

  #skipClass(): void {
    while (this.#at < this.#source.length && this.#source[this.#at] !== "]") this.#at += this.#source[this.#at] === "\\" ? 2 : 1;
    this.#at += 1;
  }
}

function boundsOf([text, least, range, most]: RegExpExecArray): readonly [least: number, most: number] {
  if (least === undefined) return text[0] === "?" ? [0, 1] : [text[0] === "+" ? 1 : 0, Number.POSITIVE_INFINITY];
  if (range === undefined) return [Number(least), Number(least)];
  return [Number(least), most === "" ? Number.POSITIVE_INFINITY : Number(most)];
}
