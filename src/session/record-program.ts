/**
 * A session without a machine: a program of this computer whose console is recorded, followed and explained as a guest's is. Its goal is
 * that it ends well.
 */
import { open, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ExpectedStep } from "../analysis/build-notes.ts";
import type { Rule } from "../analysis/rule.ts";
import { createConsoleWatch } from "../analysis/watch.ts";
import { reasonOf } from "../contract/error.ts";
import { type Ending, type Owner, SESSION_FILES, type SessionEnded } from "../contract/session.ts";
import { shellCommand } from "../formats/escape-shell.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import { type GuardedProcess, startGuarded } from "../host/guarded-process.ts";
import { hostFacts } from "../host/host-facts.ts";
import { readIdentity } from "../host/identity.ts";
import { maskIdentity } from "../host/mask.ts";
import { identityOf, ownIdentity } from "../host/process-identity.ts";
import { tildify } from "../host/xdg.ts";
import { SessionDirectory } from "./directory.ts";
import { type RecordingPlace, scratchRoot } from "./new-recording.ts";
import { conclude, type Recorded } from "./record.ts";
import { makeScratch, removeScratch } from "./scratch.ts";
import { SerialFollower } from "./serial-follower.ts";
import { UNSTARTED } from "./unstarted-ending.ts";

export interface ProgramToRecord {
  /** The first word is the program, an absolute path. */
  readonly command: readonly string[];
  /** True: what is typed goes to the program. */
  readonly typed: boolean;
  /** What the session is of; an absolute path. */
  readonly subject: string;
  readonly logDir: string;
  readonly rules: readonly Rule[];
  readonly steps: readonly ExpectedStep[];
  readonly added?: Readonly<Record<string, unknown>>;
}

const GOAL = "exit status 0";
const HEARTBEAT_MS = 5_000;
const TICK_MS = 1_000;
/** For a program to end after SIGTERM, before SIGKILL. */
const PATIENCE_MS = 10_000;

/** Throws where the program cannot be started, after a session that says so. */
export async function recordProgram(wish: ProgramToRecord, place: RecordingPlace): Promise<Recorded> {
  const { env, clock, job, onEvent } = place;
  job.signal.throwIfAborted();
  const identity = readIdentity(env);
  const mask = (text: string) => maskIdentity(text, identity);
  const facts = await hostFacts();
  const host: SessionEnded["host"] = {
    kernel_version: mask(facts.kernel_version),
    cpu_model: facts.cpu_model,
    cpu_logical_cores: facts.cpu_logical_cores,
    total_ram_mb: facts.total_ram_mb,
    virt_supported: facts.virt_supported,
  };
  const owner: Owner = { ...ownIdentity(), scratch_dir: await makeScratch(scratchRoot(env), ownIdentity()) };
  try {
    const directory = await SessionDirectory.create(
      {
        logDirectory: wish.logDir,
        imageBaseName: basename(wish.subject),
        owner,
        started: {
          iso_path: tildify(wish.subject, env),
          iso_basename: basename(wish.subject),
          kvm: "unknown",
          trace_level: "none",
          guest_ram_mb: 0,
          guest_cpus: 0,
          goal: GOAL,
          host,
          ...wish.added,
        },
        environment: new Map([["hiperiso_iso", tildify(wish.subject, env)]]),
        firstStage: "mounted",
        shownPath: (path) => tildify(path, env),
      },
      clock,
    );
    onEvent({ type: "session", id: directory.id, directory: directory.path, plan: null });
    await directory.markPhase("started");
    let ending: Ending;
    let thrown: unknown;
    try {
      if (wish.steps.length > 0) await directory.writeJson(SESSION_FILES.buildSteps, wish.steps);
      ending = await follow(directory, wish, place);
    } catch (error) {
      ending = { ...endingOf("recorder_died", reasonOf(error)), goal_reached: false };
      thrown = error;
    }
    onEvent({ type: "ending", ending });
    return await conclude(directory, directory.started, ending, thrown, { clock, host, rules: wish.rules, onEvent });
  } finally {
    await removeScratch(owner).catch((error: unknown) => job.progress.warn(`${owner.scratch_dir} stays: ${reasonOf(error)}`));
  }
}

async function follow(directory: SessionDirectory, wish: ProgramToRecord, { env, clock, job, onEvent }: RecordingPlace): Promise<Ending> {
  const watch = createConsoleWatch({ rules: wish.rules, steps: wish.steps });
  for (const name of [SESSION_FILES.serial, SESSION_FILES.serialTimes]) await writeFile(directory.file(name), "");
  await writeFileAtomic(directory.file("command.txt"), `${shellCommand(wish.command)}\n`);
  const startedMs = clock.monotonicMs();
  const elapsedMs = () => clock.monotonicMs() - startedMs;
  const [program, ...args] = wish.command;
  const output = await open(directory.file(SESSION_FILES.serial), "a");
  const process_ = startGuarded(program!, args, { cwd: "/", env, stdio: [wish.typed ? "inherit" : "ignore", output.fd, output.fd] });
  await output.close();
  const { pid } = process_.child;
  if (pid !== undefined) await directory.writeJson(SESSION_FILES.qemuProcess, identityOf(pid) ?? {});
  using follower = new SerialFollower(
    directory.file(SESSION_FILES.serial),
    directory.file(SESSION_FILES.serialTimes),
    elapsedMs,
    (bytes, timeMs) => {
      onEvent({ type: "serial", bytes });
      for (const event of watch.push(bytes, timeMs)) onEvent({ type: "console", event, source: "serial" });
    },
  );
  const beating = setInterval(() => {
    directory.beat().catch(() => {});
    follower.sync();
  }, HEARTBEAT_MS);
  const ticking = setInterval(() => onEvent({ type: "tick", elapsedMs: elapsedMs(), lastLine: watch.lastLine }), TICK_MS);
  const broken = new AbortController();
  const stop = () => void endGroup(process_);
  job.signal.addEventListener("abort", stop, { once: true });
  broken.signal.addEventListener("abort", stop, { once: true });
  try {
    if (job.signal.aborted) stop();
    follower.start((error) => broken.abort(error));
    const { code, signal, error } = await process_.ended;
    if (error !== undefined) throw error;
    follower.stop();
    if (broken.signal.aborted) throw broken.signal.reason;
    const facts = { duration_ms: Math.round(elapsedMs()), serial_bytes: follower.bytes, qemu_exit_code: code, qemu_signal: signal };
    if (job.signal.aborted) return { ...endingOf("interrupted", "stopped by the person at the computer"), ...facts };
    const well = code === 0;
    return { ...endingOf(well ? "goal" : "program_failed", `it ended with ${signal ?? `status ${code}`}`), ...facts, goal_reached: well };
  } finally {
    clearInterval(beating);
    clearInterval(ticking);
    job.signal.removeEventListener("abort", stop);
  }
}

/** All that the program started is in its group, and ends with it. */
async function endGroup({ child, ended }: GuardedProcess): Promise<void> {
  const send = (signal: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    } catch {
      // It has ended meanwhile.
    }
  };
  send("SIGTERM");
  await Promise.race([ended, delay(PATIENCE_MS, undefined, { ref: false })]);
  send("SIGKILL");
}

const endingOf = (reason: Ending["reason"], detail: string): Ending => ({ ...UNSTARTED, reason, detail, goal: GOAL });
