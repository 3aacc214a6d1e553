import type { Streams } from "../../src/cli/terminal.ts";

/** Streams that keep what is written to them. */
export interface KeptStreams extends Streams {
  stdout(): string;
  stderr(): string;
}

export function keptStreams(given: Partial<Pick<Streams, "interactive" | "outInteractive" | "env">> = {}): KeptStreams {
  let stdout = "";
  let stderr = "";
  return {
    out: (text) => {
      stdout += text;
    },
    err: (text) => {
      stderr += text;
    },
    interactive: false,
    outInteractive: false,
    columns: () => 80,
    env: {},
    ...given,
    stdout: () => stdout,
    stderr: () => stderr,
  };
}
