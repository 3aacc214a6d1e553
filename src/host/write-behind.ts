/** Brings a file onto the disk while a program is still writing it, so that little is left to wait for when the program ends. */
import { open } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

const PAUSE_MS = 20;

/**
 * Does the work, which writes `path`, and meanwhile has what stands there written to the disk again and again (fdatasync(2)). Nothing is promised of the
 * file: whoever wants it on the disk syncs it at the end, and is told then what could not be written.
 */
export async function writtenBehind<T>(path: string, work: () => Promise<T>): Promise<T> {
  const ended = new AbortController();
  const writing = writeOut(path, ended.signal);
  try {
    return await work();
  } finally {
    ended.abort();
    await writing;
  }
}

async function writeOut(path: string, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    // Opened anew each time: the program may replace the file.
    const file = await open(path, "r").catch(() => undefined);
    await file?.datasync().catch(() => {});
    await file?.close();
    await delay(PAUSE_MS, undefined, { signal: ended }).catch(() => {});
  }
}
