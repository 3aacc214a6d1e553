/** `trace.json`: what a session's trace holds and what it lacks. Beside `trace.bin`, whose own format has no room for it. */
import * as z from "zod";
import { TRACE_LEVELS } from "./parameters.ts";

const count = z.int().min(0);

export const traceFactsSchema = z.looseObject({
  level: z.enum(TRACE_LEVELS),
  /** Where the events came from: QEMU's text log, or its own binary trace; null before the first. */
  source: z.enum(["text", "binary"]).nullable(),
  /** The trace's time at QEMU's start, in nanoseconds: what `serial.times` counts from. A decimal number. */
  origin_ns: z.string().regex(/^\d{1,20}$/),
  /** False while the guest runs, and for ever where the recorder was killed. */
  ended: z.boolean(),
  /** Records of events in `trace.bin`. */
  events: count,
  /** Events that are not in it; the sum of the five below. */
  dropped: count,
  /** Beyond what is kept of a known flood, by the flood's name. */
  floods: z.record(z.string(), z.object({ kept: count, dropped: count })),
  /** After `--trace-limit` was reached. */
  over_limit: count,
  /** At `full`: came faster than they could be written. */
  too_fast: count,
  /** QEMU's own buffer was full, or so it says. */
  dropped_by_qemu: count,
  /** Lines that name an event and do not print its format. */
  unread: count,
  /** Records whose line could be read in more than one way; each line is in `trace.rest`. */
  ambiguous: count,
  /** Lines of QEMU's log that are no events; in `trace.rest`. */
  foreign_lines: count,
  /** Times at which the wall clock was set, and the trace's time went on without it. */
  clock_steps: count,
  /** Why the trace ends before the guest did; null where it does not. */
  trouble: z.string().nullable(),
});
export type TraceFacts = z.infer<typeof traceFactsSchema>;
