import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Job } from "../contract/job.ts";

/**
 * What a command may touch of the terminal. Results go to `out` (stdout), all else to stderr through `job.progress` or `err`.
 * Each file in this folder that is a command exports `command(cli: Cli): CommandUnknownOpts`; `hiperiso.ts` imports it only when it is called.
 */
export interface Cli {
  /** Writes a result to stdout. The caller has made outside text harmless (`formats/escape-terminal.ts`). */
  out(text: string): void;
  /** Writes a line for a person to stderr. */
  err(text: string): void;
  /** Redraws the last line of stderr where that is a terminal; does nothing elsewhere. `text` is harmless already. */
  status(text: string): void;
  /** Prints a value as indented JSON on stdout. */
  json(value: unknown): void;
  /** True where stderr is a terminal that takes colour and cursor movement, and neither NO_COLOR nor TERM=dumb is set. */
  readonly colour: boolean;
  /** The same of stdout. */
  readonly colourOut: boolean;
  /** True where stderr is a terminal. */
  readonly interactive: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted by the first Ctrl-C or SIGTERM; a second one ends the program at once. */
  readonly job: Job;
  /** Sets the exit status (`EXIT` of contract/error.ts); the command still returns normally. */
  exit(status: number): void;
}

export type CommandModule = { readonly command: (cli: Cli) => CommandUnknownOpts };
