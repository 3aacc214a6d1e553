/** One piece of a long work, with a known or unknown end. */
export interface Step {
  /** Adds to what is done, in the unit of `total`. */
  advance(amount: number): void;
  end(): void;
}

/**
 * How long work tells what it does. Workers know only this; a terminal, plain lines and
 * JSON events each implement it in `cli/`. Text may come from outside: the printer escapes it.
 */
export interface Progress {
  /** `total` in bytes unless the title says otherwise; undefined when it cannot be known. */
  begin(title: string, total?: bigint): Step;
  /** One line for a person: what is being done now. */
  say(line: string): void;
  /** Something that stops nothing but that the person should know. */
  warn(line: string): void;
}

/** What every long function takes: how it is cancelled, and whom it tells. */
export interface Job {
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

export const silentProgress: Progress = {
  begin: () => ({ advance: () => {}, end: () => {} }),
  say: () => {},
  warn: () => {},
};

/** A job that nobody watches or cancels: for tests and for work of milliseconds. */
export const quietJob: Job = { signal: new AbortController().signal, progress: silentProgress };
