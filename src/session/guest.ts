import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { withoutMessageTimes } from "../formats/qemu-messages.ts";
import { makeFifo } from "../host/fifo.ts";
import { endProcess, type GuardedProcess, startGuarded } from "../host/guarded-process.ts";
import { QmpClient, type QmpEvent } from "../host/qmp.ts";
import { MONITOR_FD, SERIAL_CHARDEV } from "../machine/qemu-arguments.ts";

/** Name of the FIFO that the console reads, in the private folder of a run. */
export const CONSOLE_INPUT = "console-in";

export interface GuestStart {
  readonly qemu: string;
  readonly args: readonly string[];
  /** QEMU's working directory: the session's, so that the monitor's socket may have a short relative name. */
  readonly directory: string;
  /** Exists; QEMU appends to it. */
  readonly serialLog: string;
  /** What QEMU says on stderr is appended here. */
  readonly errorLog: string;
  /** A private directory on a file system that has FIFOs. */
  readonly scratch: string;
  readonly env: NodeJS.ProcessEnv;
  /** Gives up waiting for QEMU to speak. What runs after that is ended by `end` or by disposal. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: QmpEvent) => void;
}

/** QEMU with a stopped guest in it, its console attached. `cont` lets it run. */
export interface Guest extends AsyncDisposable {
  readonly qmp: QmpClient;
  readonly pid: number;
  readonly ended: GuardedProcess["ended"];
  /** Types into the guest's serial console. */
  type(text: string | Uint8Array): Promise<void>;
  /** `quit`, SIGTERM, SIGKILL, each when the one before has not helped within `patienceMs`; then reaped. */
  end(patienceMs: number): Promise<void>;
}

/**
 * Starts QEMU. Throws when it ends before its monitor speaks; its own words are then in `errorLog` and in the error.
 *
 * The console is a file that QEMU itself appends to, with a FIFO for input, set through QMP while the guest is still
 * stopped: QEMU's option for a file takes no input before 8.x, and its `logfile=` on a socket writes bytes twice
 * when the reader is slow.
 */
export async function startGuest(start: GuestStart): Promise<Guest> {
  start.signal.throwIfAborted();
  const input = await holdFifo(join(start.scratch, CONSOLE_INPUT));
  const process = await startProcess(start).catch(async (error: unknown) => {
    await input.handle.close();
    throw error;
  });
  const guest = guestOf(process, input, start);
  const giveUp = () => void process.child.stdio[MONITOR_FD]?.destroy();
  start.signal.addEventListener("abort", giveUp, { once: true });
  try {
    await guest.qmp.open();
    await guest.qmp.execute("chardev-change", {
      id: SERIAL_CHARDEV,
      backend: { type: "file", data: { out: start.serialLog, in: input.path, append: true } },
    });
    return guest;
  } catch (error) {
    await guest[Symbol.asyncDispose]();
    start.signal.throwIfAborted();
    const { code, signal, error: spawnError } = await process.ended;
    throw new HiperisoError({
      what: "start QEMU",
      where: start.qemu,
      found: spawnError?.message ?? `it ended with ${signal ?? `status ${code}`}: ${(await lastWords(start.errorLog)) || reasonOf(error)}`,
      hint: "The command line is in the session's qemu.cmdline.",
      cause: error,
    });
  } finally {
    start.signal.removeEventListener("abort", giveUp);
  }
}

async function startProcess({ qemu, args, directory, env, errorLog }: GuestStart): Promise<GuardedProcess> {
  const errors = await open(errorLog, "a");
  try {
    return startGuarded(qemu, args, { cwd: directory, env, stdio: ["ignore", errors.fd, errors.fd, "pipe"] });
  } finally {
    await errors.close();
  }
}

interface Fifo {
  readonly path: string;
  readonly handle: FileHandle;
}

/** Held open for reading and writing by us: QEMU's own open would otherwise wait for a writer. */
async function holdFifo(path: string): Promise<Fifo> {
  await makeFifo(path);
  return { path, handle: await open(path, constants.O_RDWR | constants.O_NONBLOCK) };
}

function guestOf(process: GuardedProcess, input: Fifo, start: GuestStart): Guest {
  const monitor = process.child.stdio[MONITOR_FD] as Duplex;
  const qmp = new QmpClient(monitor, start.onEvent);
  const end = async (patienceMs: number) => {
    qmp.execute("quit").catch(() => {}); // it may end before it answers
    await Promise.race([process.ended, delay(patienceMs, undefined, { ref: false })]);
    await endProcess(process, patienceMs);
    await input.handle.close().catch(() => {});
  };
  return {
    qmp,
    pid: process.child.pid ?? 0,
    ended: process.ended,
    type: async (text) => void (await input.handle.write(Buffer.from(text))),
    end,
    [Symbol.asyncDispose]: async () => {
      monitor.destroy();
      await endProcess(process, 1000);
      await input.handle.close().catch(() => {});
    },
  };
}

/** The end of what QEMU printed: its reason stands in the last lines. */
export async function lastWords(errorLog: string): Promise<string> {
  const file = await open(errorLog, "r").catch(() => undefined);
  if (file === undefined) return "";
  try {
    const { size } = await file.stat();
    const tail = Buffer.alloc(Math.min(size, 2000));
    await file.read(tail, 0, tail.length, size - tail.length);
    return withoutMessageTimes(tail.toString("utf8")).trim().split("\n").slice(-3).join("; ");
  } finally {
    await file.close();
  }
}
