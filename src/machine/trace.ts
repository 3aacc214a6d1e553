/** Which of QEMU's events a boot records, and how QEMU is told. Pure. */
import type { TraceLevel } from "../contract/parameters.ts";
import { qemuOptionValue } from "../formats/escape-qemu-option.ts";
import type { TraceFlood } from "../formats/trace-transcoder.ts";

export interface TracePlan {
  readonly level: Exclude<TraceLevel, "none">;
  /** The tier's list of events, a file that a person may have edited. Absolute. */
  readonly list: string;
  /** QEMU's declarations of its events. Absolute. */
  readonly declarations: string;
  /** Built with the back-end that writes the binary form itself; its text log, where that was built in too, is then of no use. */
  readonly binary: boolean;
  /** Bytes of `trace.bin`; null for no limit. */
  readonly bytesMax: number | null;
  readonly because: string;
}

/** What of this computer a trace needs. */
export interface TraceOffer {
  readonly lists: Readonly<Record<TracePlan["level"], string>>;
  /** `trace-events-all`; undefined where this QEMU came without it. */
  readonly declarations: string | undefined;
  readonly binary: boolean;
}

export interface TraceWish {
  readonly level: TraceLevel;
  /** MB; undefined: none but at `full`. */
  readonly limitMb: number | undefined;
}

/** At `full` a guest that polls a device fills any disk. */
const FULL_LIMIT_MB = 1024;

/** A sentence for a person where a trace was asked for and cannot be had: a boot is worth recording without one. */
export function planTrace({ level, limitMb }: TraceWish, offer: TraceOffer): TracePlan | string | undefined {
  if (level === "none") return undefined;
  if (offer.declarations === undefined)
    return "No trace is recorded: QEMU's declarations of its events (trace-events-all) are not where this QEMU should have them.";
  const limit = limitMb ?? (level === "full" ? FULL_LIMIT_MB : undefined);
  return {
    level,
    list: offer.lists[level],
    declarations: offer.declarations,
    binary: offer.binary,
    bytesMax: limit === undefined ? null : limit * 1_000_000,
    because: `trace level ${level}${limit === undefined ? "" : `, at most ${limit} MB`}`,
  };
}

/** Where the trace of one boot goes through: both absolute. */
export interface TracePlaces {
  readonly list: string;
  readonly fifo: string;
}

export function traceArguments({ binary }: Pick<TracePlan, "binary">, { list, fifo }: TracePlaces): readonly string[] {
  return [
    // Times and threads in the text form; QEMU's messages get a time too.
    ...["-msg", "timestamp=on"],
    ...["-trace", `events=${qemuOptionValue(list)},file=${qemuOptionValue(fifo)}`],
    ...(binary ? ["-D", "/dev/null"] : []),
  ];
}

/** OVMF writes its variables sector by sector and polls the ACPI timer in its delays: thousands, hundreds of thousands of the same event. */
export const traceFloods = (variables: string): readonly TraceFlood[] => [
  { name: "firmware variables", events: ["blk_co_pwritev"], argument: "bs", is: { nodeOf: variables } },
  { name: "acpi-tmr", events: ["memory_region_ops_read", "memory_region_ops_write"], argument: "name", is: { text: "acpi-tmr" } },
];
