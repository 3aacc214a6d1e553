import { stat } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { HiperisoError } from "../contract/error.ts";

const RETRY_MS = 15;
/** Most holders keep a lock for milliseconds; a longer wait means that something else is wrong. */
const WAIT_MAX_MS = 60_000;

/** A directory has a lock for each: who holds one may take another. */
export type LockPurpose = "index" | "sweep" | "tpm" | "store" | "lists";

/**
 * Runs `use` while no other process of this computer holds the lock on `directory`.
 *
 * The lock is a listening socket in Linux' abstract namespace, named after the directory's device and inode: the
 * kernel frees it when its holder dies, however it dies, so there is no stale lock to break, and it works where
 * the file system knows no locks (exFAT). Node has no flock().
 */
export async function withDirectoryLock<T>(
  directory: string,
  signal: AbortSignal,
  use: () => Promise<T>,
  purpose: LockPurpose = "index",
  waitMaxMs = WAIT_MAX_MS,
): Promise<T> {
  const { dev, ino } = await stat(directory, { bigint: true });
  const release = await acquire(`\0hiperiso-${purpose}-${dev}-${ino}`, { directory, signal, waitMaxMs });
  try {
    return await use();
  } finally {
    await release();
  }
}

/** As `withDirectoryLock`, for as long as a guest runs: undefined at once where another process holds it. */
export async function tryHoldDirectory(directory: string, purpose: LockPurpose): Promise<AsyncDisposable | undefined> {
  const { dev, ino } = await stat(directory, { bigint: true });
  const release = await tryListen(`\0hiperiso-${purpose}-${dev}-${ino}`);
  return release === undefined ? undefined : { [Symbol.asyncDispose]: release };
}

interface Waiting {
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly waitMaxMs: number;
}

async function acquire(name: string, { directory, signal, waitMaxMs }: Waiting): Promise<() => Promise<void>> {
  for (let waited = 0; waited < waitMaxMs; waited += RETRY_MS) {
    signal.throwIfAborted();
    const release = await tryListen(name);
    if (release !== undefined) return release;
    await delay(RETRY_MS, undefined, { signal });
  }
  throw new HiperisoError({
    what: "lock a directory",
    where: directory,
    expected: `the lock within ${waitMaxMs / 1000} s`,
    found: "another process that holds it",
    hint: "See which hiperiso still runs (pgrep -af hiperiso).",
  });
}

function tryListen(name: string): Promise<(() => Promise<void>) | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(undefined) : reject(error)));
    server.listen(name, () => resolve(() => new Promise((closed) => server.close(() => closed()))));
  });
}
