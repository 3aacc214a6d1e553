/**
 * Turns on a folder, for work of minutes: one process works, the others wait until it has ended, however it ended.
 *
 * As in `lock.ts` the turn is a listening socket in Linux' abstract namespace, named after the folder's device and inode. Who waits is
 * connected to it, so that the kernel itself says when the turn is free, and nobody asks again and again.
 */
import { stat } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";

/**
 * Waits for the turn on `folder`, which exists, and holds it until it is disposed of. `onWait` is called once, where somebody else has it.
 * It keeps processes of one computer and one network namespace from doing the same work twice, and nothing more: what they write must be
 * safe without it. Where there is no abstract namespace every process has its turn at once.
 */
export async function takeFolderTurn(folder: string, purpose: string, signal: AbortSignal, onWait: () => void): Promise<AsyncDisposable> {
  if (process.platform !== "linux") return { [Symbol.asyncDispose]: async () => {} };
  const { dev, ino } = await stat(folder, { bigint: true });
  const name = `\0hiperiso-${purpose}-${dev}-${ino}`;
  for (let waited = false; ; waited = true) {
    signal.throwIfAborted();
    const release = await tryListen(name);
    if (release !== undefined) return { [Symbol.asyncDispose]: release };
    if (!waited) onWait();
    signal.throwIfAborted();
    await ended(name, signal);
  }
}

function tryListen(name: string): Promise<(() => Promise<void>) | undefined> {
  return new Promise((resolve, reject) => {
    const waiting = new Set<Socket>();
    const server = createServer((socket) => {
      waiting.add(socket);
      socket.on("error", () => {}).on("close", () => waiting.delete(socket));
    });
    server.once("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(undefined) : reject(error)));
    server.listen(name, () =>
      resolve(
        () =>
          new Promise((closed) => {
            server.close(() => closed());
            for (const socket of waiting) socket.destroy();
          }),
      ),
    );
  });
}

/** Resolves when the holder is gone. */
function ended(name: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(name);
    const abort = (): void => {
      socket.destroy();
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", abort, { once: true });
    // Refused: it was gone before we came. Both end in "close".
    socket.on("error", () => {});
    socket.once("close", () => {
      signal.removeEventListener("abort", abort);
      resolve();
    });
    socket.resume();
  });
}
