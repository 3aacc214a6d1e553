/** What the computer did from its kernel's start on until the program ran, as the first process wrote it down. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../host/clock.ts";
import { decodeTiming, type PhaseMark } from "../../session/timing.ts";
import type { StickPlaces } from "./places.ts";

export const TIMING_FILE = "timing.dat";

/** What is not there is nothing. The last phase is this program's own begin. */
export async function earlierPhases({ run }: StickPlaces, clock: Clock): Promise<readonly PhaseMark[]> {
  const text = await readFile(join(run, TIMING_FILE), "utf8").catch(() => "");
  return [...decodeTiming(text), phaseNow("program", clock)];
}

export const phaseNow = (phase: string, clock: Clock): PhaseMark => ({
  phase,
  uptimeS: clock.uptimeS(),
  utc: new Date(clock.nowMs()).toISOString(),
});
