import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";

export interface GuardedProcess {
  readonly child: ChildProcess;
  /** How the process ended. Never rejects; a program that could not be started has code null and `error`. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly error?: Error }>;
}

export interface GuardedOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly stdio: NonNullable<Parameters<typeof spawn>[2]["stdio"]>;
}

/**
 * Starts a program that dies with us, even when we are killed with SIGKILL.
 *
 * setpriv asks the kernel for SIGKILL at our death (PR_SET_PDEATHSIG); that request survives exec. Were we killed
 * before setpriv came to ask, nothing would ever be sent, so the shell then compares its parent with the process
 * that started it and goes on only when that is still us. Every word travels as an argument, none as shell text.
 * Must be called on Node's main thread: the signal follows the thread that forked. A session of its own (setsid) keeps
 * away what a terminal sends to the whole foreground group: Ctrl-C is ours to hear, and the program's end ours to order.
 */
export function startGuarded(program: string, args: readonly string[], options: GuardedOptions): GuardedProcess {
  const guard = ["--pdeathsig", "KILL", "--", "/bin/sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"', String(process.pid), program];
  const child = spawn("setpriv", [...guard, ...args], { cwd: options.cwd, env: options.env, stdio: options.stdio, detached: true });
  const ended = new Promise<Awaited<GuardedProcess["ended"]>>((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, error }));
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  return { child, ended };
}

/** SIGTERM, then SIGKILL after `patienceMs`; returns when the process is reaped. */
export async function endProcess({ child, ended }: GuardedProcess, patienceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill("SIGTERM");
  const timer = new AbortController();
  const patience = delay(patienceMs, "late", { signal: timer.signal }).catch(() => "ended");
  if ((await Promise.race([ended.then(() => "ended"), patience])) === "late") child.kill("SIGKILL");
  timer.abort();
  await ended;
}

/**
 * As `endProcess`, with all that the program started and that stayed in its process group (a guarded program leads one). Of a program that
 * has ended already, what it left there gets SIGKILL.
 */
export async function endProcessGroup(guarded: GuardedProcess, patienceMs: number): Promise<void> {
  const { child, ended } = guarded;
  if (child.pid === undefined) return;
  const group = -child.pid;
  if (child.exitCode === null && child.signalCode === null) {
    signalGroup(group, "SIGTERM");
    const timer = new AbortController();
    const patience = delay(patienceMs, undefined, { signal: timer.signal }).catch(() => {});
    await Promise.race([ended, patience]);
    timer.abort();
  }
  signalGroup(group, "SIGKILL");
  await ended;
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(group, signal);
  } catch {
    // ESRCH: nobody is left. EPERM: whoever is left became another user's.
  }
}
