/** Whether a port of this computer can be had. Another program may still be quicker; most often the answer comes before a boot was begun in vain. */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { HiperisoError, reasonOf } from "../contract/error.ts";

export interface HostPort {
  readonly protocol: "tcp" | "udp";
  /** An IPv4 address of this computer. */
  readonly address: string;
  readonly port: number;
}

/** Throws a usage error where the port is taken, is not ours to take, or the address is not this computer's. */
export async function checkPortFree(place: HostPort, what: string): Promise<void> {
  const error = await (place.protocol === "tcp" ? tryTcp(place) : tryUdp(place));
  if (error === undefined) return;
  throw new HiperisoError({
    what,
    where: `${place.address}:${place.port} (${place.protocol})`,
    expected: "a port of this computer that is free",
    found: FOUND[error.code ?? ""] ?? reasonOf(error),
    hint: HINTS[error.code ?? ""] ?? "Choose another port.",
    kind: "usage",
    cause: error,
  });
}

const FOUND: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program has it",
  EACCES: "this user may not open it",
  EADDRNOTAVAIL: "the address is not one of this computer",
};
const HINTS: Readonly<Record<string, string>> = {
  EACCES: "Ports below 1024 are the administrator's: choose a higher one.",
  EADDRNOTAVAIL: "127.0.0.1 is this computer alone, 0.0.0.0 all its addresses.",
};

function tryTcp({ address, port }: HostPort): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

function tryUdp({ address, port }: HostPort): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    socket.once("error", (error) => socket.close(() => resolve(error)));
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve(undefined)));
  });
}
