/** Whole processes, timed: what the benches compare are command lines, from spawn to exit. */
import { spawnSync } from "node:child_process";

export interface Measured {
  readonly seconds: number;
  /** User and system, of all that the line started. */
  readonly processorSeconds: number;
  /** At most, of a process that `timedNode` started last; else 0. */
  readonly residentMb: number;
}

/** A line of bash in `folder`, timed by bash itself: it is told what its children took. Throws with what the line printed when it fails. */
export function timedLine(folder: string, line: string): Measured {
  const timed = `TIMEFORMAT='%R %U %S'; time { ${line}; }`;
  const { status, stderr } = spawnSync("bash", ["-ec", timed], { cwd: folder, encoding: "utf8" });
  const times = /^([\d.]+) ([\d.]+) ([\d.]+)$/m.exec(stderr);
  if (status !== 0 || times === null) throw new Error(`${line}: ${stderr}`);
  const [seconds, user, system] = times.slice(1).map(Number) as [number, number, number];
  return { seconds, processorSeconds: user + system, residentMb: Number(/^resident (\d+)$/m.exec(stderr)?.[1] ?? 0) / 1024 };
}

/** Node with a script and its words, which says itself at its end how large it was. */
export function timedNode(script: string): string {
  const probe = `--import 'data:text/javascript,process.on("exit",()=>process._rawDebug("resident "+process.resourceUsage().maxRSS))'`;
  return `'${process.execPath}' ${probe} ${script}`;
}
