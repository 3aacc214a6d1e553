/** Stretches of a boot in which its console printed nothing: where a person waited, and often where something went wrong. */
import { decodePrintk } from "../formats/printk.ts";
import type { LogLine } from "./log-excerpt.ts";
import type { ArrivalTimes } from "./serial-times.ts";

export interface Silence {
  /** Milliseconds, on the clock of the boot's times. */
  readonly fromMs: number;
  readonly toMs: number;
  /** The last line before it; 0 where nothing had been printed. */
  readonly line: number;
}

/** A pause of less is no silence; */
const SILENCE_MS_MIN = 2000;
/** nor is one of less than this part of the whole time. */
const SILENCE_PART_MIN = 0.05;
const SILENCES_MAX = 12;

export interface SilentStretch {
  readonly fromMs: number;
  readonly toMs: number;
  /** Bytes that had come before it. */
  readonly offset: number;
}

/** By the times of arrival (`serial.times`), from QEMU's start to `endMs`. The longest, in order of time. */
export function silentStretches({ offsets, times }: ArrivalTimes, endMs: number): readonly SilentStretch[] {
  const stretches: SilentStretch[] = [];
  let fromMs = 0;
  for (const [index, toMs] of [...times, endMs].entries()) {
    // A row is the beginning of what came then: the bytes before it had come by the row before.
    if (toMs > fromMs) stretches.push({ fromMs, toMs, offset: offsets[index] ?? Number.MAX_SAFE_INTEGER });
    fromMs = Math.max(fromMs, toMs);
  }
  return longest(stretches, endMs);
}

/**
 * By the kernel's own clock, of lines that all belong to one boot: from one of its messages to the next line, where that is one of its
 * messages too. Where other programs printed in between, nobody knows when; where lines are missing (`number` jumps), neither.
 */
export function clockSilences(lines: readonly LogLine[]): readonly Silence[] {
  const silences: Silence[] = [];
  let before: { readonly ms: number; readonly line: number } | undefined;
  let number = 0;
  let lastMs = 0;
  for (const line of lines) {
    if (line.number !== number + 1) before = undefined;
    number = line.number;
    for (const text of line.texts) {
      const { clock } = decodePrintk(text);
      const ms = clock === null ? undefined : Math.round(clock * 1000);
      // What `dmesg` prints again has been waited for already.
      if (ms !== undefined && ms > lastMs && before !== undefined) silences.push({ fromMs: before.ms, toMs: ms, line: before.line });
      lastMs = Math.max(lastMs, ms ?? 0);
      before = ms === undefined ? undefined : { ms: lastMs, line: number };
    }
  }
  return longest(silences, lastMs);
}

/** The last time of the kernel's clock in these lines, in milliseconds; null without one. */
export function lastClock(lines: readonly LogLine[]): number | null {
  for (const { texts } of [...lines].reverse()) {
    const clock = texts.map((text) => decodePrintk(text).clock).findLast((found) => found !== null);
    if (clock != null) return Math.round(clock * 1000);
  }
  return null;
}

function longest<T extends { readonly fromMs: number; readonly toMs: number }>(stretches: readonly T[], wholeMs: number): readonly T[] {
  const least = Math.max(SILENCE_MS_MIN, wholeMs * SILENCE_PART_MIN);
  return stretches
    .filter(({ fromMs, toMs }) => toMs - fromMs >= least)
    .sort((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs))
    .slice(0, SILENCES_MAX)
    .sort((a, b) => a.fromMs - b.fromMs);
}
