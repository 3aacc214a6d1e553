/** Ports of the host that lead into the guest, as a person writes them and as QEMU's user network takes them. Pure. */
import { isIPv4 } from "node:net";
import { HiperisoError } from "../../contract/error.ts";
import { printable } from "../../formats/escape-terminal.ts";

export interface Forward {
  readonly protocol: "tcp" | "udp";
  /** An IPv4 address of the host; QEMU's user network forwards no other. */
  readonly address: string;
  readonly hostPort: number;
  readonly guestPort: number;
}

const LOOP_BACK = "127.0.0.1";

/**
 * `[tcp:|udp:][ADDRESS:]HOST:GUEST`: `2222:22`, `udp:5353:53`, `0.0.0.0:8080:80`. Without an address the port is open to this computer
 * alone. Throws a usage error on anything else.
 */
export function parseForward(text: string): Forward {
  const parts = /^(?:(tcp|udp):)?(?:([0-9.]+):)?(\d{1,5}):(\d{1,5})$/.exec(text);
  const [, protocol = "tcp", address = LOOP_BACK, host = "", guest = ""] = parts ?? [];
  const [hostPort, guestPort] = [Number(host), Number(guest)];
  if (parts === null || !isIPv4(address) || !isPort(hostPort) || !isPort(guestPort)) {
    throw new HiperisoError({
      what: "understand the flags",
      where: "--forward",
      expected: "[tcp:|udp:][IPv4 address:]HOST:GUEST, ports 1 to 65535, as in 2222:22",
      found: `"${printable(text)}"`,
      kind: "usage",
    });
  }
  return { protocol: protocol === "udp" ? "udp" : "tcp", address, hostPort, guestPort };
}

const isPort = (port: number): boolean => port >= 1 && port <= 65_535;

/** As `parseForward` reads it, always whole. */
export const forwardText = ({ protocol, address, hostPort, guestPort }: Forward): string =>
  `${protocol}:${address}:${hostPort}:${guestPort}`;

/** One key of `-netdev user`. */
export const forwardOption = ({ protocol, address, hostPort, guestPort }: Forward): string =>
  `hostfwd=${protocol}:${address}:${hostPort}-:${guestPort}`;

/** Two of one port of the host, or undefined. 0.0.0.0 takes the port on every address. */
export function clashingForwards(forwards: readonly Forward[]): readonly [Forward, Forward] | undefined {
  for (const [index, one] of forwards.entries()) {
    const other = forwards.slice(index + 1).find((next) => clash(one, next));
    if (other !== undefined) return [one, other];
  }
  return undefined;
}

const ANY = "0.0.0.0";

const clash = (a: Forward, b: Forward): boolean =>
  a.protocol === b.protocol && a.hostPort === b.hostPort && (a.address === b.address || a.address === ANY || b.address === ANY);

/** Whether more than this computer reaches the port. */
export const isOpenToOthers = ({ address }: Forward): boolean => !address.startsWith("127.");
