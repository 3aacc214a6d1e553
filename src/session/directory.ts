/**
 * The directory of one session, from its birth on. It appears under its name with its first files in it, by one
 * rename, so that nobody ever sees a session without its `session.json`; what a killed recorder leaves half-made has
 * a name that begins with a dot, and the next start removes it.
 */
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { type Owner, SESSION_FILES, type SessionStarted, type StatusFile, type StatusStage } from "../contract/session.ts";
import { syncDirectory, writeFileAtomic, writeHint } from "../host/atomic-file.ts";
import type { Clock } from "../host/clock.ts";
import { makeFolders } from "../host/make-folders.ts";
import { sessionId } from "./session-id.ts";
import { appendPhase, decodeTiming, encodePhase, type PhaseMark, timingFile } from "./timing.ts";

/** Name of a directory that is not yet a session, or no longer one: it says whose it is, since nothing may be in it. */
export const unbornName = ({ pid, pid_start_ticks }: Pick<Owner, "pid" | "pid_start_ticks">): string =>
  `.unborn-session-${pid}-${pid_start_ticks}-${randomBytes(4).toString("hex")}`;

/** Undefined for any other name. */
export function decodeUnbornName(name: string): { readonly pid: number; readonly startTicks: string } | undefined {
  const parts = /^\.unborn-session-(\d{1,10})-(\d+)-[0-9a-f]{8}$/.exec(name);
  return parts === null ? undefined : { pid: Number(parts[1]), startTicks: parts[2]! };
}

/**
 * Room kept for the session's last words: given back when they are written. On a full disk everything else may be
 * cut short, but the session still says how it ended.
 */
const RESERVE_FILE = ".reserve";
const RESERVE_BYTES = 512 * 1024;

export type Birth = Pick<SessionStarted, "iso_path" | "iso_basename" | "kvm" | "trace_level" | "guest_ram_mb" | "guest_cpus"> & {
  readonly [addition: string]: unknown;
};

export interface NewSession {
  /** The parent: CONTRACT's `hiperiso_log_dir`. Made when missing. */
  readonly logDirectory: string;
  readonly imageBaseName: string;
  readonly owner: Owner;
  /** Fields of `session.json` known at the start, with additions. */
  readonly started: Birth;
  /** Lines of `env.txt`: names and values without control characters. */
  readonly environment: ReadonlyMap<string, string>;
  readonly firstStage: StatusStage;
  /** How the directory's path is written in `session.json`. */
  readonly shownPath: (path: string) => string;
  /** What the computer did before, from its kernel's start on: the first lines of `timing.dat`. */
  readonly earlierPhases?: readonly PhaseMark[] | undefined;
}

export class SessionDirectory {
  readonly id: string;
  readonly path: string;
  readonly logDirectory: string;
  /** `session.json` as it was written at the start. */
  readonly started: SessionStarted;
  readonly #clock: Clock;

  private constructor(logDirectory: string, started: SessionStarted, clock: Clock) {
    this.logDirectory = logDirectory;
    this.id = started.session_id;
    this.path = join(logDirectory, this.id);
    this.started = started;
    this.#clock = clock;
  }

  /** Of a session that is there already. */
  static at(logDirectory: string, started: SessionStarted, clock: Clock): SessionDirectory {
    return new SessionDirectory(logDirectory, started, clock);
  }

  /** Throws when the log directory cannot take a session (missing rights, read-only, full, no rename); nothing is left behind then. */
  static async create(session: NewSession, clock: Clock): Promise<SessionDirectory> {
    const { logDirectory } = session;
    let unborn: string | undefined;
    try {
      await makeFolders(logDirectory);
      unborn = join(logDirectory, unbornName(session.owner));
      await mkdir(unborn);
      const utc = clock.utc();
      for (let attempt = 1; ; attempt++) {
        const id = sessionId(session.imageBaseName, utc, attempt);
        const directory = new SessionDirectory(logDirectory, startedSession(id, session, utc), clock);
        await directory.#writeFirstFiles(unborn, session);
        if (await renameUnlessTaken(unborn, directory.path)) {
          await syncDirectory(logDirectory);
          return directory;
        }
      }
    } catch (error) {
      if (unborn !== undefined) await rm(unborn, { recursive: true, force: true }).catch(() => {}); // else the next start removes it
      throw new HiperisoError({
        what: "make a session directory",
        where: logDirectory,
        expected: "a folder on a file system that can be written, with room, and that can rename",
        found: error instanceof HiperisoError ? (error.found ?? error.message) : reasonOf(error),
        hint: writeHint((error as Error).cause ?? error),
        cause: error,
      });
    }
  }

  async #writeFirstFiles(unborn: string, session: NewSession): Promise<void> {
    const environment = [...session.environment].map(([name, value]) => `${name}=${value}\n`).join("");
    // First, for whoever finds this directory after we were killed: it leads to our private files.
    await writeFileAtomic(join(unborn, SESSION_FILES.owner), encodeJson(session.owner));
    await writeFile(join(unborn, RESERVE_FILE), Buffer.alloc(RESERVE_BYTES, 0x2e));
    await writeFileAtomic(join(unborn, SESSION_FILES.session), encodeJson(this.started));
    await writeFileAtomic(join(unborn, SESSION_FILES.status), encodeJson(this.#status("started", session.firstStage)));
    await writeFileAtomic(join(unborn, SESSION_FILES.env), environment);
    await writeFileAtomic(join(unborn, SESSION_FILES.heartbeat), "");
    await writeFileAtomic(join(unborn, SESSION_FILES.timing), (session.earlierPhases ?? []).map(encodePhase).join(""));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  async writeJson(name: string, value: unknown): Promise<void> {
    await writeFileAtomic(this.file(name), encodeJson(value));
  }

  async setStatus(status: StatusFile["status"], stage: StatusStage, qemuExitCode?: number | null): Promise<void> {
    await this.writeJson(SESSION_FILES.status, this.#status(status, stage, qemuExitCode));
  }

  #status(status: StatusFile["status"], stage: StatusStage, qemuExitCode?: number | null): StatusFile {
    const exit = qemuExitCode === undefined ? {} : { qemu_exit_code: qemuExitCode };
    return { session_id: this.id, status, stage, ...exit, timestamp_utc: this.#clock.utc() };
  }

  async markPhase(phase: string): Promise<void> {
    const utc = new Date(this.#clock.nowMs()).toISOString();
    await appendPhase(this.file(SESSION_FILES.timing), { phase, uptimeS: this.#clock.uptimeS(), utc });
  }

  async writeTimingJson(): Promise<void> {
    const marks = decodeTiming(await readFile(this.file(SESSION_FILES.timing), "utf8"));
    await this.writeJson(SESSION_FILES.timingJson, timingFile(marks));
  }

  /** Says that the session lives, and makes its directory durable as it is now. */
  async beat(): Promise<void> {
    const now = new Date(this.#clock.nowMs());
    const path = this.file(SESSION_FILES.heartbeat);
    await utimes(path, now, now);
    const file = await open(path, "r+");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** Gives back the room kept for the last words. */
  async releaseReserve(): Promise<void> {
    await rm(this.file(RESERVE_FILE), { force: true });
  }
}

/** The contract's fields first, in its order; what the project adds behind them. */
function startedSession(id: string, { started, logDirectory, shownPath }: NewSession, utc: string): SessionStarted {
  const { iso_path, iso_basename, kvm, trace_level, guest_ram_mb, guest_cpus, ...added } = started;
  return {
    session_id: id,
    status: "started",
    iso_path,
    iso_basename,
    log_dir: shownPath(join(logDirectory, id)),
    start_time_utc: utc,
    kvm,
    trace_level,
    guest_ram_mb,
    guest_cpus,
    ...added,
  };
}

export const encodeJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** False when `to` exists: a session's directory is never empty, and rename(2) replaces only an empty one. A file is in the way as well. */
async function renameUnlessTaken(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOTDIR") return false;
    throw error;
  }
}
