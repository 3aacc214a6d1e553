/** Flags of `hiperiso boot` that say how much of a trace is kept; how much is recorded at all is a setting, `--trace-level`. */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";

export interface TraceOptions {
  readonly traceLimit?: number | undefined;
}

/** A terabyte: what is more is a slip of the hand. */
const LIMIT_MAX_MB = 1_000_000;

export function addTraceFlags(command: CommandUnknownOpts): void {
  command.option(
    "--trace-limit <MB>",
    "of trace.bin: events after that are counted and not kept (default: no limit, at --trace-level full 1024)",
    traceLimit,
  );
}

function traceLimit(text: string): number {
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= LIMIT_MAX_MB) return limit;
  throw new HiperisoError({
    what: "understand the flags",
    where: "--trace-limit",
    expected: `whole MB, 1 to ${LIMIT_MAX_MB}`,
    found: `"${text}"`,
    kind: "usage",
  });
}
