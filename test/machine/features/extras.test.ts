import { describe, expect, test } from "vitest";
import type { Settings } from "../../../src/contract/parameters.ts";
import { deviceExtras, displayArguments } from "../../../src/machine/features/arguments.ts";
import {
  checkForwards,
  type ExtrasWish,
  extrasWarnings,
  type HostOffer,
  mountCommand,
  noExtras,
  noWish,
  planExtras,
} from "../../../src/machine/features/extras.ts";
import { parseForward } from "../../../src/machine/features/forward.ts";
import { OFFER, PLACES } from "../requests.ts";

const plan = (wish: Partial<ExtrasWish>, settings: Partial<Settings> = {}, offer: Partial<HostOffer> = {}) =>
  planExtras({ ...noWish, ...wish }, { display: "none", vga: "std", tpm: false, ...settings }, { ...OFFER, ...offer });

test("nothing asked for is nothing given", () => {
  expect(plan({})).toEqual(noExtras);
  expect(deviceExtras(noExtras, PLACES)).toEqual([]);
  expect(displayArguments(noExtras.display, PLACES)).toEqual(["-display", "none"]);
  expect(extrasWarnings(noExtras, [])).toEqual([]);
});

describe("a screen to look at", () => {
  const words = (wish: Partial<ExtrasWish>, settings: Partial<Settings>) => displayArguments(plan(wish, settings).display, PLACES)[1];

  test("VNC listens on a socket of its owner unless a port is asked for", () => {
    expect(words({}, { display: "vnc" })).toBe("vnc=unix:/logs/s/vnc.sock");
    expect(words({ vnc: "auto" }, { display: "vnc" })).toBe("vnc=127.0.0.1:0,to=99");
    expect(words({ vnc: 5917 }, { display: "vnc" })).toBe("vnc=127.0.0.1:17");
    expect(displayArguments(plan({}, { display: "vnc" }).display, { ...PLACES, vncSocket: "/a,b" })[1]).toBe("vnc=unix:/a,,b");
  });

  test("a port is a door for all users of the computer, and that is said", () => {
    expect(extrasWarnings(plan({ vnc: 5900 }, { display: "vnc" }), [])).toEqual([expect.stringContaining("no password")]);
    expect(extrasWarnings(plan({}, { display: "vnc" }), [])).toEqual([]);
  });

  test("a window needs QEMU's module and a desktop", () => {
    expect(words({}, { display: "gtk" })).toBe("gtk");
    expect(() => plan({}, { display: "gtk" }, { displays: ["none", "curses"] })).toThrow(
      expect.objectContaining({ kind: "failure", hint: expect.stringContaining("--display vnc") }),
    );
    expect(() => plan({}, { display: "gtk" }, { desktop: false })).toThrow(
      expect.objectContaining({ kind: "usage", hint: expect.stringContaining("--display vnc") }),
    );
  });

  test("needs an adapter, and --vnc needs VNC", () => {
    expect(() => plan({}, { display: "vnc", vga: "none" })).toThrow(expect.objectContaining({ kind: "usage", found: "--vga none" }));
    expect(() => plan({ vnc: "auto" }, { display: "gtk" })).toThrow(expect.objectContaining({ kind: "usage" }));
  });
});

describe("a TPM", () => {
  test("is private to the session unless a folder keeps its state", () => {
    expect(plan({}, { tpm: true }).tpm).toMatchObject({ program: "/usr/bin/swtpm", state: null });
    expect(plan({ tpmState: "/home/ann/tpm" }).tpm).toMatchObject({ state: "/home/ann/tpm" });
    expect(deviceExtras(plan({}, { tpm: true }), { ...PLACES, tpmSocket: "/s,t" })).toEqual([
      ...["-chardev", "socket,id=tpm,path=/s,,t", "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm0"],
    ]);
  });

  test.each([{ swtpm: undefined }, { devices: ["VGA"] }])("cannot be had with %j: a failure", (offer) => {
    expect(() => plan({}, { tpm: true }, offer)).toThrow(expect.objectContaining({ kind: "failure", what: "attach a TPM" }));
  });
});

describe("shared folders", () => {
  const shares = [
    { path: "/a,b", writable: false },
    { path: "/c", writable: true },
  ];

  test("are read only unless said, each under a name of its own", () => {
    const planned = plan({ shares });
    expect(deviceExtras(planned, PLACES)).toEqual([
      "-fsdev",
      "local,id=share0,path=/a,,b,security_model=none,multidevs=remap,readonly=on",
      "-device",
      "virtio-9p-pci,fsdev=share0,mount_tag=share0",
      "-fsdev",
      "local,id=share1,path=/c,security_model=none,multidevs=remap,readonly=off",
      "-device",
      "virtio-9p-pci,fsdev=share1,mount_tag=share1",
    ]);
    expect(extrasWarnings(planned, [])).toEqual(["The guest may write to the folder /c."]);
    expect(planned.shares.map(mountCommand)[1]).toMatch(/ share1 \/mnt$/);
  });

  test("too many, of a QEMU without 9p, or with a name that no option can hold, are refused", () => {
    expect(() => plan({ shares: Array.from({ length: 9 }, () => shares[0]!) })).toThrow(expect.objectContaining({ kind: "usage" }));
    expect(() => plan({ shares }, {}, { devices: [] })).toThrow(expect.objectContaining({ kind: "failure" }));
    expect(() => plan({ shares: [{ path: "/a\nb", writable: false }] })).toThrow(expect.objectContaining({ kind: "usage" }));
  });
});

test("words for QEMU are kept as they are, and said; an empty one is a slip", () => {
  const planned = plan({ extraArguments: ["-device", "edu,x=y"] });
  expect(planned.extraArguments).toEqual(["-device", "edu,x=y"]);
  expect(extrasWarnings(planned, [])).toEqual([expect.stringContaining("-device edu,x=y")]);
  for (const word of ["", "a\0b"]) expect(() => plan({ extraArguments: [word] })).toThrow(expect.objectContaining({ kind: "usage" }));
});

test("a port that is open to other computers is said; one port twice is refused", () => {
  expect(extrasWarnings(noExtras, ["0.0.0.0:80:80", "81:81"].map(parseForward))).toEqual([expect.stringContaining("0.0.0.0, port 80")]);
  expect(() => checkForwards(["80:1", "80:2"].map(parseForward))).toThrow(expect.objectContaining({ kind: "usage" }));
});
