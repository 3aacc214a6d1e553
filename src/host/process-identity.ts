/**
 * A process, told apart from a later one with the same number: process id, the moment it started, and the boot of the
 * computer in which it did (proc_pid_stat(5), field 22; random(4), boot_id).
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";

/** Names as in `owner.json`. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since the computer started, decimal. */
  readonly pid_start_ticks: string;
  readonly boot_id: string;
}

/** Throws where /proc cannot be read. */
export function ownIdentity(proc = "/proc"): ProcessIdentity {
  const identity = identityOf(process.pid, proc);
  if (identity !== undefined) return identity;
  throw new HiperisoError({
    what: "tell this process from others",
    where: join(proc, String(process.pid), "stat"),
    expected: "the moment the process started (field 22)",
    found: "no such field",
    hint: "Mount /proc.",
  });
}

/** Undefined when no such process runs; a zombie no longer does. */
export function identityOf(pid: number, proc = "/proc"): ProcessIdentity | undefined {
  const stat = readText(join(proc, String(pid), "stat"));
  const fields = stat === undefined ? undefined : decodeProcessStat(stat);
  if (fields === undefined || fields.state === "Z" || fields.state === "X") return undefined;
  return { pid, pid_start_ticks: fields.startTicks, boot_id: readBootId(proc) };
}

/** False after a restart of the computer, after the process ended, and when its number went to another process. */
export function isAlive(identity: ProcessIdentity, proc = "/proc"): boolean {
  if (identity.boot_id !== readBootId(proc)) return false;
  return identityOf(identity.pid, proc)?.pid_start_ticks === identity.pid_start_ticks;
}

/** Throws where /proc cannot be read. */
export function readBootId(proc = "/proc"): string {
  const path = join(proc, "sys/kernel/random/boot_id");
  try {
    return readFileSync(path, "latin1").trim();
  } catch (error) {
    throw new HiperisoError({
      what: "read the computer's boot id",
      where: path,
      found: reasonOf(error),
      hint: "Mount /proc.",
      cause: error,
    });
  }
}

/** Fields 3 and 22 of /proc/PID/stat; undefined when the line is not whole. The name (field 2) may hold blanks and parentheses. */
export function decodeProcessStat(line: string): { readonly state: string; readonly startTicks: string } | undefined {
  const nameEnd = line.lastIndexOf(")");
  if (nameEnd < 0 || !/^\d+ \(/.test(line) || !line.endsWith("\n")) return undefined;
  const [state, ...rest] = line
    .slice(nameEnd + 1)
    .trim()
    .split(" ");
  const startTicks = rest[22 - 4];
  if (state === undefined || !/^[A-Za-z]$/.test(state) || startTicks === undefined || !/^\d+$/.test(startTicks)) return undefined;
  return { state, startTicks };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined; // ENOENT or ESRCH: it is gone
  }
}
