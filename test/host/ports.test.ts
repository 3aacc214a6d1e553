import { createSocket } from "node:dgram";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { checkPortFree } from "../../src/host/ports.ts";

test("a TCP port that a program listens on is refused, and free once that is gone", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const place = { protocol: "tcp", address: "127.0.0.1", port: (server.address() as AddressInfo).port } as const;
  await expect(checkPortFree(place, "forward a port")).rejects.toMatchObject({
    kind: "usage",
    what: "forward a port",
    where: `127.0.0.1:${place.port} (tcp)`,
    found: "another program has it",
  });
  // Of another kind it is free.
  await checkPortFree({ ...place, protocol: "udp" }, "forward a port");
  await new Promise((resolve) => server.close(resolve));
  await checkPortFree(place, "forward a port");
});

test("a UDP port too", async () => {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const place = { protocol: "udp", address: "127.0.0.1", port: socket.address().port } as const;
  await expect(checkPortFree(place, "forward a port")).rejects.toMatchObject({ kind: "usage", found: "another program has it" });
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  await checkPortFree(place, "forward a port");
});

test.each(["tcp", "udp"] as const)("an address that is not this computer's (%s) is said to be none", async (protocol) => {
  // RFC 5737: for documents, never anybody's.
  await expect(checkPortFree({ protocol, address: "192.0.2.1", port: 40_000 }, "forward a port")).rejects.toMatchObject({
    kind: "usage",
    found: "the address is not one of this computer",
  });
});
