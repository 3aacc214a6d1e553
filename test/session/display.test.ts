import { expect, test } from "vitest";
import type { DisplayPlan } from "../../src/machine/features/extras.ts";
import { displayPlace } from "../../src/session/display.ts";

/** QEMU's answer to `query-vnc`, as 7.2 gives it. */
const told = (answer: object) => ({
  execute: async (command: string) => {
    expect(command).toBe("query-vnc");
    return { enabled: true, auth: "none", clients: [], ...answer };
  },
});
const nobody = {
  execute: () => {
    throw new Error("QEMU was asked");
  },
};
const vnc: DisplayPlan = { kind: "vnc", place: "socket", because: "" };

test("VNC's address is QEMU's word: the port it found free, or its socket, whole where QEMU says it by its working directory", async () => {
  const tcp = told({ family: "ipv4", host: "127.0.0.1", service: "5903" });
  expect(await displayPlace({ display: { ...vnc, place: "auto" } }, tcp, "/logs/s")).toEqual({ kind: "vnc", address: "127.0.0.1:5903" });
  const socket = (service: string) => displayPlace({ display: vnc }, told({ family: "unix", host: "", service }), "/logs/s");
  expect(await socket("/tmp/x/vnc.sock")).toEqual({ kind: "vnc", address: "unix:/tmp/x/vnc.sock" });
  expect(await socket("vnc.sock")).toEqual({ kind: "vnc", address: "unix:/logs/s/vnc.sock" });
});

test("of a window there is no address, and of no screen nothing: QEMU is not asked", async () => {
  expect(await displayPlace({ display: { kind: "gtk", because: "" } }, nobody, "/")).toEqual({ kind: "gtk", address: null });
  expect(await displayPlace({ display: { kind: "none" } }, nobody, "/")).toBeNull();
});
