import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  clashingForwards,
  type Forward,
  forwardOption,
  forwardText,
  isOpenToOthers,
  parseForward,
} from "../../../src/machine/features/forward.ts";

describe("what a person writes", () => {
  test.each<[string, Forward]>([
    ["2222:22", { protocol: "tcp", address: "127.0.0.1", hostPort: 2222, guestPort: 22 }],
    ["tcp:1:65535", { protocol: "tcp", address: "127.0.0.1", hostPort: 1, guestPort: 65_535 }],
    ["udp:5353:53", { protocol: "udp", address: "127.0.0.1", hostPort: 5353, guestPort: 53 }],
    ["0.0.0.0:8080:80", { protocol: "tcp", address: "0.0.0.0", hostPort: 8080, guestPort: 80 }],
    ["udp:192.168.1.2:69:69", { protocol: "udp", address: "192.168.1.2", hostPort: 69, guestPort: 69 }],
  ])("%s", (text, forward) => {
    expect(parseForward(text)).toEqual(forward);
  });

  test.each([
    "",
    "22",
    "0:22",
    "22:0",
    "65536:22",
    "22:65536",
    "sctp:1:2",
    "localhost:1:2",
    "256.0.0.1:1:2",
    "1:2:3",
    "::1:1:2",
    "2222:22,restrict=off",
    "-1:2",
    "1:2\n",
    " 1:2",
    "1e3:2",
  ])("%j is refused", (text) => {
    expect(() => parseForward(text)).toThrow(expect.objectContaining({ kind: "usage", where: "--forward" }));
  });

  test("whatever is taken comes back from its whole text, and adds no key to QEMU's option", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^(udp:)?([0-9]{1,3}\.){3}[0-9]{1,3}:[0-9]{1,5}:[0-9]{1,5}$/)), (text) => {
        let forward: Forward;
        try {
          forward = parseForward(text);
        } catch {
          return;
        }
        expect(parseForward(forwardText(forward))).toEqual(forward);
        expect(forwardOption(forward)).toMatch(/^hostfwd=(tcp|udp):[0-9.]+:[0-9]+-:[0-9]+$/);
      }),
    );
  });
});

test("two forwards of one port of the host are found, also where one is on every address", () => {
  const forwards = (...texts: string[]) => clashingForwards(texts.map(parseForward))?.map(forwardText);
  expect(forwards("1:2", "3:4", "1:5")).toEqual(["tcp:127.0.0.1:1:2", "tcp:127.0.0.1:1:5"]);
  expect(forwards("0.0.0.0:1:2", "1:3")).toEqual(["tcp:0.0.0.0:1:2", "tcp:127.0.0.1:1:3"]);
  expect(forwards("1:2", "udp:1:2", "127.0.0.2:1:2", "3:2")).toBeUndefined();
});

test("only the loop-back is closed to others", () => {
  const open = ["1:2", "127.0.0.9:1:2", "0.0.0.0:1:2", "10.0.0.1:1:2"].map((text) => isOpenToOthers(parseForward(text)));
  expect(open).toEqual([false, false, true, true]);
});
