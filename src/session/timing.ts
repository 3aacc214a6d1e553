/** `timing.dat` and `timing.json`: when each phase of a session began, by the recording computer's own uptime. */
import { appendFile } from "node:fs/promises";
import type { TimingFile } from "../contract/session.ts";

export interface PhaseMark {
  readonly phase: string;
  /** Seconds. */
  readonly uptimeS: number;
  /** ISO 8601, UTC, with milliseconds. */
  readonly utc: string;
}

/** `phase<TAB>uptime<TAB>iso8601` and a line end. Phases are our own words: no tabs, no line ends. */
export const encodePhase = ({ phase, uptimeS, utc }: PhaseMark): string => `${phase}\t${uptimeS.toFixed(3)}\t${utc}\n`;

export async function appendPhase(path: string, mark: PhaseMark): Promise<void> {
  await appendFile(path, encodePhase(mark));
}

/** A last line that was cut, or anything that is no mark, is left out. */
export function decodeTiming(text: string): readonly PhaseMark[] {
  return text.split("\n").flatMap((line) => {
    const [phase, uptime, utc, ...rest] = line.split("\t");
    const uptimeS = Number(uptime);
    if (!phase || utc === undefined || rest.length > 0 || uptime === "" || !Number.isFinite(uptimeS) || uptimeS < 0) return [];
    return [{ phase, uptimeS, utc }];
  });
}

export function timingFile(marks: readonly PhaseMark[]): TimingFile {
  return {
    phases: marks.map(({ phase, uptimeS, utc }, index) => {
      const previous = marks[index - 1];
      return {
        phase,
        uptime_s: uptimeS,
        time_utc: utc,
        // Uptime that runs backwards: the computer was started anew, and this session was finished after that.
        since_previous_ms: previous === undefined || uptimeS < previous.uptimeS ? null : Math.round((uptimeS - previous.uptimeS) * 1000),
      };
    }),
  };
}
