/**
 * `usage`: the person can mend the command or the configuration (exit status 2).
 * `failure`: the program, a tool it needs, or the computer failed (exit status 3).
 */
export type ErrorKind = "usage" | "failure";

export interface ErrorFacts {
  /** What was being done, as an infinitive: "read the GPT header". */
  readonly what: string;
  /** To which file or device; may be `path@byte`. */
  readonly where?: string;
  readonly expected?: string;
  readonly found?: string;
  /** What the person can do next: a whole sentence. */
  readonly hint?: string;
  readonly kind?: ErrorKind;
  readonly cause?: unknown;
}

/**
 * The one error type of the program. Its parts stay apart so that `--json` can print them as fields;
 * `message` is the same in one line. Printed in `cli/` only, where outside text is made harmless.
 */
export class HiperisoError extends Error {
  readonly what: string;
  readonly where: string | undefined;
  readonly expected: string | undefined;
  readonly found: string | undefined;
  readonly hint: string | undefined;
  readonly kind: ErrorKind;

  constructor(facts: ErrorFacts) {
    super(sentence(facts), facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = "HiperisoError";
    this.what = facts.what;
    this.where = facts.where;
    this.expected = facts.expected;
    this.found = facts.found;
    this.hint = facts.hint;
    this.kind = facts.kind ?? "failure";
  }
}

function sentence({ what, where, expected, found, hint }: ErrorFacts): string {
  const head = `cannot ${what}${where === undefined ? "" : `: ${where}`}`;
  const body = [expected === undefined ? "" : `expected ${expected}`, found === undefined ? "" : `found ${found}`].filter(
    (part) => part !== "",
  );
  return [body.length === 0 ? head : `${head}: ${body.join(", ")}`, ...(hint === undefined ? [] : [hint])].join(". ");
}

/** The message of anything that was thrown, for use as `found`. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Exit statuses of every command. */
export const EXIT = { goalReached: 0, goalMissed: 1, usage: 2, failure: 3 } as const;
