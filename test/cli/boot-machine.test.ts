import { Command } from "@commander-js/extra-typings";
import { describe, expect, test } from "vitest";
import { addMachineFlags, extrasOf, impliedSettings, type MachineOptions, waysIn } from "../../src/cli/boot-machine.ts";
import { noWish } from "../../src/machine/features/extras.ts";
import { parseForward } from "../../src/machine/features/forward.ts";

const env = { HOME: "/home/ann" };

function options(...words: string[]): MachineOptions {
  const command = new Command("boot").exitOverride().configureOutput({ writeErr: () => {} });
  addMachineFlags(command);
  return command.parse(words, { from: "user" }).opts();
}

const extras = (...words: string[]) => extrasOf(options(...words), env);

test("nothing said is nothing wished", () => {
  expect(extras()).toEqual(noWish);
  expect(impliedSettings(options())).toEqual({});
  expect(waysIn({ network: { forwards: [] } as never, shares: [] })).toEqual([]);
});

describe("flags", () => {
  test("that may be repeated keep their order; folders become absolute", () => {
    expect(
      extras("--share", "~/a, b", "--share-writable", "/w", "--share", "/c", "--forward", "1:2", "--forward", "udp:3:4"),
    ).toMatchObject({
      shares: [
        { path: "/home/ann/a, b", writable: false },
        { path: "/c", writable: false },
        { path: "/w", writable: true },
      ],
      forwards: ["1:2", "udp:3:4"].map(parseForward),
    });
  });

  test("words for QEMU are taken as they are, also those that look like flags of ours", () => {
    expect(extras("--qemu-arg", "-device", "--qemu-arg=--json", "--qemu-arg", "a b,c").extraArguments).toEqual([
      "-device",
      "--json",
      "a b,c",
    ]);
  });

  test("a folder for the TPM's state asks for a TPM, a place for VNC for VNC", () => {
    expect(impliedSettings(options("--tpm-state", "~/tpm"))).toEqual({ tpm: true });
    expect(extras("--tpm-state", "~/tpm").tpmState).toBe("/home/ann/tpm");
    expect(impliedSettings(options("--vnc", "auto"))).toEqual({ display: "vnc" });
    expect(["socket", "auto", "5900", "65535"].map((place) => extras("--vnc", place).vnc)).toEqual(["socket", "auto", 5900, 65_535]);
  });

  test.each([
    ["--vnc", "5899"],
    ["--vnc", "65536"],
    ["--vnc", "unix"],
    ["--vnc", ""],
    ["--forward", "22"],
    ["--forward", "1:2,x=y"],
  ])("%s %j is refused with what is expected", (...words) => {
    expect(() => options(...words)).toThrow(
      expect.objectContaining({ kind: "usage", where: words[0], expected: expect.stringMatching(/\w/) }),
    );
  });
});

test("how to get at a guest is said for each port and each folder", () => {
  const shares = [{ path: "/home/ann/drivers", tag: "share0", writable: false, because: "" }];
  expect(waysIn({ network: { forwards: [parseForward("2222:22")] } as never, shares })).toEqual([
    "Port of the guest: tcp:127.0.0.1:2222:22",
    "Shared folder, in the guest: drivers: mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 share0 /mnt",
  ]);
});
