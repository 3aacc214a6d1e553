/** Sessions for tests: births, owners that live or are gone, endings, a clock that the test sets. */
import { spawnSync } from "node:child_process";
import type { Ending, IndexLine, Owner } from "../../src/contract/session.ts";
import { type Clock, utcOf } from "../../src/host/clock.ts";
import { ownIdentity } from "../../src/host/process-identity.ts";
import type { NewSession } from "../../src/session/directory.ts";

export const never = new AbortController().signal;

/** 2026-11-21T09:00:00Z. */
export const START_MS = Date.UTC(2026, 10, 21, 9);

export interface SetClock extends Clock {
  ms: number;
}

/** Stands still unless the test moves it. */
export function setClock(ms = START_MS): SetClock {
  const clock: SetClock = {
    ms,
    nowMs: () => clock.ms,
    monotonicMs: () => clock.ms - START_MS,
    uptimeS: () => 1000 + (clock.ms - START_MS) / 1000,
    utc: () => utcOf(clock.ms),
  };
  return clock;
}

export const livingOwner = (scratch = "/nonexistent/hiperiso-abcdef"): Owner => ({ ...ownIdentity(), scratch_dir: scratch });

/** A process that has been and is no more. */
export function deadOwner(scratch = "/nonexistent/hiperiso-abcdef"): Owner {
  const { pid } = spawnSync("/bin/true");
  return { ...ownIdentity(), pid, scratch_dir: scratch };
}

export function newSession(logDirectory: string, changes: Partial<NewSession> = {}): NewSession {
  return {
    logDirectory,
    imageBaseName: "demo image.iso",
    owner: livingOwner(),
    started: {
      iso_path: "~/isos/demo image.iso",
      iso_basename: "demo image.iso",
      kvm: "unavailable",
      trace_level: "standard",
      guest_ram_mb: 512,
      guest_cpus: 2,
      goal: "login",
    },
    environment: new Map([["hiperiso_guest_ram", "512"]]),
    firstStage: "mounted",
    shownPath: (path) => path,
    ...changes,
  };
}

export const ENDING: Ending = {
  reason: "time_limit",
  detail: "30 s were over",
  goal: "login",
  goal_reached: false,
  duration_ms: 30_000,
  firmware: "bios",
  accelerator: "tcg",
  resets: 0,
  qemu_exit_code: 0,
  qemu_signal: null,
  serial_bytes: 0,
  screen: "text 80x25",
  screen_drawn: 12,
  still: false,
};

export function indexLine(id: string, changes: Partial<IndexLine> = {}): IndexLine {
  return {
    session_id: id,
    status: "complete",
    result: "success",
    iso_basename: "demo.iso",
    iso_path: "/isos/demo.iso",
    log_dir: `/logs/${id}`,
    start_time_utc: "2026-11-21T09:00:00Z",
    end_time_utc: "2026-11-21T09:01:00Z",
    kvm: "unknown",
    trace_level: "none",
    qemu_exit_code: 0,
    report_available: 1,
    boot_result: "success",
    boot_stage_final: "login",
    failure_domain: "none",
    graphics_drivers: "",
    ...changes,
  };
}
