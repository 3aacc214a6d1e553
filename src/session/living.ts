/** A session whose guest runs: its console to read and to type into, and its QEMU's monitor, for whoever is not its recorder. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { guestProcessSchema, ownerSchema, SESSION_FILES } from "../contract/session.ts";
import { isAlive, type ProcessIdentity } from "../host/process-identity.ts";
import { QmpClient } from "../host/qmp.ts";
import { exists, readJson } from "./finalise.ts";
import { CONSOLE_INPUT } from "./guest.ts";

export interface LivingGuest {
  readonly directory: string;
  readonly qemu: ProcessIdentity;
  /** The FIFO that the guest's serial console reads. */
  readonly consoleInput: string;
  /** Of its QEMU. */
  readonly monitorSocket: string;
}

/**
 * Throws (kind `usage`) where no guest runs: the session is over, was cut off, or has not come so far. Files are believed only as far as
 * the process that they name lives.
 */
export async function findLivingGuest(directory: string): Promise<LivingGuest> {
  const owner = ownerSchema.safeParse(await readJson(join(directory, SESSION_FILES.owner)).catch(() => undefined)).data;
  const qemu = guestProcessSchema.safeParse(await readJson(join(directory, SESSION_FILES.qemuProcess)).catch(() => undefined)).data;
  if (owner === undefined || qemu === undefined || !isAlive(qemu)) {
    const over = await exists(join(directory, SESSION_FILES.complete));
    throw new HiperisoError({
      what: "reach the guest",
      where: directory,
      expected: "a session whose guest runs",
      found: over ? "one that is over" : qemu === undefined ? "one without a guest" : "one whose guest has ended",
      hint: "`hiperiso sessions list` shows which run; `hiperiso rerun` boots one again.",
      kind: "usage",
    });
  }
  const folder = join(owner.scratch_dir, qemu.private_folder);
  const inSession = join(directory, SESSION_FILES.monitorSocket);
  return {
    directory,
    qemu,
    consoleInput: join(folder, CONSOLE_INPUT),
    monitorSocket: (await exists(inSession)) ? inSession : join(folder, SESSION_FILES.monitorSocket),
  };
}

const FULL_PIPE_MS = 20;
/** So much goes into a pipe whole or not at all (PIPE_BUF, at least). */
const PIECE_BYTES = 512;

/** Types into the console. A guest that does not read makes this wait. Throws where the guest is gone, or when aborted. */
export async function typeInto({ consoleInput, directory }: LivingGuest, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  await using input = await openFifo(consoleInput, directory);
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    const piece = bytes.subarray(at, at + PIECE_BYTES);
    while (!(await wrote(input, piece))) await delay(FULL_PIPE_MS, undefined, { signal });
  }
}

/** For many small writes: open once, close with the owner. */
export async function openConsoleInput({ consoleInput, directory }: LivingGuest): Promise<FileHandle> {
  return await openFifo(consoleInput, directory);
}

async function openFifo(path: string, directory: string): Promise<FileHandle> {
  try {
    const handle = await open(path, constants.O_WRONLY | constants.O_NONBLOCK); // without a reader it fails, and does not wait
    if ((await handle.stat()).isFIFO()) return handle;
    await handle.close();
    throw new Error("it is no FIFO");
  } catch (error) {
    throw new HiperisoError({
      what: "type into the guest's console",
      where: directory,
      found: reasonOf(error),
      kind: "failure",
      cause: error,
    });
  }
}

/** False where the pipe is full. */
export async function wrote(input: FileHandle, piece: Uint8Array): Promise<boolean> {
  try {
    await input.write(piece);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return false;
    throw error;
  }
}

/** The monitor serves one at a time, and who waits is not told so. */
const MONITOR_LIMIT_MS = 10_000;

/** Speaks to QEMU while `use` runs. Throws where the monitor cannot be had, and what `use` throws. */
export async function withMonitor<T>(guest: LivingGuest, use: (qmp: QmpClient) => Promise<T>): Promise<T> {
  // A socket's address holds 107 bytes: the name goes through the folder's descriptor, so that it is short wherever that is.
  const folder = await open(dirname(guest.monitorSocket), "r");
  try {
    const socket = await connected(`/proc/self/fd/${folder.fd}/${SESSION_FILES.monitorSocket}`, guest);
    try {
      const qmp = new QmpClient(socket, () => {}, MONITOR_LIMIT_MS);
      await qmp.open().catch((error: unknown) => {
        throw new HiperisoError({
          what: "speak to QEMU",
          where: guest.monitorSocket,
          found: reasonOf(error),
          hint: "Its monitor serves one at a time: something else may hold it.",
          cause: error,
        });
      });
      return await use(qmp);
    } finally {
      socket.destroy();
    }
  } finally {
    await folder.close();
  }
}

function connected(path: string, { monitorSocket }: LivingGuest): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once("connect", () => resolve(socket));
    socket.once("error", (error) => {
      reject(new HiperisoError({ what: "speak to QEMU", where: monitorSocket, found: error.message, kind: "failure", cause: error }));
    });
  });
}

/** How often a log is looked at: an emulated serial line writes byte by byte, and a watch would wake us for each. */
const LOOK_MS = 30;
const READ_BYTES = 64 * 1024;

/**
 * What comes on the console from byte `offset` of its log on, until the guest has ended and all was read, or until aborted. A log that is
 * put aside because the boot begins anew under emulation is read to its end, and no further.
 */
export async function* followConsole({ directory, qemu }: LivingGuest, offset: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  await using log = await open(join(directory, SESSION_FILES.serial), "r");
  const buffer = new Uint8Array(READ_BYTES);
  let at = offset;
  while (!signal.aborted) {
    const lives = isAlive(qemu); // before the read: what it wrote as its last words is in the log then
    const { bytesRead } = await log.read(buffer, 0, buffer.length, at);
    at += bytesRead;
    if (bytesRead > 0) yield buffer.slice(0, bytesRead);
    else if (!lives) return;
    else await delay(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

/** From which byte of the log on somebody who comes now should read: the last lines, at most `bytes`, whole. */
export async function lastLinesOffset({ directory }: Pick<LivingGuest, "directory">, bytes: number): Promise<number> {
  await using log = await open(join(directory, SESSION_FILES.serial), "r");
  const { size } = await log.stat();
  const start = Math.max(0, size - bytes);
  if (start === 0) return 0;
  const tail = Buffer.alloc(size - start);
  const { bytesRead } = await log.read(tail, 0, tail.length, start);
  return start + tail.subarray(0, bytesRead).indexOf("\n") + 1;
}

/** Resolves when the session is closed: its recorder has written its last file. Rejects when aborted, or when the recorder dies before. */
export async function untilClosed(directory: string, signal: AbortSignal): Promise<void> {
  const owner = ownerSchema.safeParse(await readJson(join(directory, SESSION_FILES.owner)).catch(() => undefined)).data;
  const complete = join(directory, SESSION_FILES.complete);
  while (!(await exists(complete))) {
    signal.throwIfAborted();
    if (owner === undefined || !isAlive(owner)) {
      if (await exists(complete)) return;
      throw new HiperisoError({
        what: "see the session closed",
        where: directory,
        found: "its recorder has died",
        hint: "`hiperiso sessions list` closes it.",
      });
    }
    await delay(LOOK_MS * 5, undefined, { signal });
  }
}
