/** Where QEMU listens for whoever wants to look at a running guest: its monitor, its screen by VNC. */
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";

/** `sockaddr_un.sun_path` holds 108 bytes with its closing zero (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

/**
 * In the session's directory; where its file system takes no sockets (exFAT), in the private one. A path that is too long
 * for a socket's address is said in one word: QEMU's working directory is the session's.
 */
export async function placeSocket(name: string, directory: string, scratch: string): Promise<string> {
  if (!(await takesSockets(directory))) return join(scratch, name);
  const path = join(directory, name);
  return Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX ? path : name;
}

/** Nothing but trying tells. The name goes through the directory's descriptor, so that it is short wherever the directory is. */
async function takesSockets(directory: string): Promise<boolean> {
  const handle = await open(directory, "r");
  try {
    return await new Promise((resolve) => {
      const server = createServer();
      server.once("error", () => resolve(false));
      // Closing takes the socket's name away.
      server.listen(`/proc/self/fd/${handle.fd}/.socket-${randomBytes(4).toString("hex")}`, () => server.close(() => resolve(true)));
    });
  } finally {
    await handle.close();
  }
}
