import { uptime } from "node:os";

/** Time, handed to whatever needs it, so that tests decide what time it is. */
export interface Clock {
  /** Wall clock, milliseconds since 1970-01-01T00:00:00Z. Steps when somebody sets it. */
  nowMs(): number;
  /** Milliseconds since some moment in the past; never steps. For durations. */
  monotonicMs(): number;
  /** Seconds since this computer started, with a fraction. */
  uptimeS(): number;
  /** The wall clock as `YYYY-MM-DDTHH:MM:SSZ`. */
  utc(): string;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  uptimeS: () => uptime(),
  utc: () => utcOf(Date.now()),
};

/** `YYYY-MM-DDTHH:MM:SSZ`; the fraction of a second is cut off. `ms` counts from 1970-01-01T00:00:00Z, years 0 to 9999. */
export function utcOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, "YYYY-MM-DDTHH:MM:SS".length)}Z`;
}
