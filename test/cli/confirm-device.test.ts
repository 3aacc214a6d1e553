import { describe, expect, test } from "vitest";
import { confirmDevice, isNameOf, judgeConfirmation } from "../../src/cli/confirm-device.ts";
import { openTerminal } from "../../src/cli/terminal.ts";
import { keptStreams } from "./streams.ts";

const identity = {
  path: "/dev/sdb",
  number: "8:16",
  sizeBytes: 15_931_539_456n,
  serial: "4C530001230",
  wwn: null,
  model: "Cruzer \x1b[2JBlade",
};

describe("judgeConfirmation", () => {
  test.each([
    [{}, "ask"],
    [{ expectSerial: "4C530001230" }, "ask"],
    [{ yes: true, expectSerial: "4C530001230" }, "confirmed"],
    [{ yes: true, expectSize: "15931539456" }, "confirmed"],
    [{ yes: true, expectSize: "15931539456", expectSerial: "4C530001230" }, "confirmed"],
  ] as const)("%j: %s", (flags, verdict) => {
    expect(judgeConfirmation(identity, flags)).toBe(verdict);
  });

  test.each([
    [{ yes: true }, /--expect-serial or --expect-size.*This disk has --expect-serial '4C530001230'/],
    [{ expectSerial: "4C53000123" }, /the serial number 4C53000123/],
    [{ yes: true, expectSerial: "", expectSize: "15931539456" }, /the serial number/],
    [{ yes: true, expectSerial: "4C530001230", expectSize: "15931539457" }, /15931539457 bytes/],
    [{ expectSize: "16G" }, /a number of bytes/],
    [{ expectSize: "-1" }, /a number of bytes/],
  ])("%j is refused", (flags, message) => {
    expect(() => judgeConfirmation(identity, flags)).toThrow(
      expect.objectContaining({ kind: "usage", message: expect.stringMatching(message) }),
    );
  });

  test("a disk without a serial number is named by its size", () => {
    expect(() => judgeConfirmation({ ...identity, serial: null }, { yes: true })).toThrow(/--expect-size 15931539456/);
    expect(() => judgeConfirmation({ ...identity, serial: null }, { expectSerial: "x" })).toThrow(/found none/);
  });
});

test.each([
  ["sdb", true],
  ["/dev/sdb", true],
  [" sdb\n", true],
  ["", false],
  ["sd", false],
  ["sdb1", false],
  ["SDB", false],
  ["y", false],
  ["yes", false],
  ["dev/sdb", false],
])("%j typed: %s", (typed, is) => {
  expect(isNameOf(typed, identity)).toBe(is);
});

describe("confirmDevice", () => {
  const device = { identity, contents: 'gpt: vfat "A\u202eB"', change: "make an empty volume: what is there is lost" };
  const cliOf = () => openTerminal(keptStreams(), { asJson: false, signal: new AbortController().signal, exit: () => {} }).cli;

  test("shows what is on the disk and what will be done, with nothing that a terminal acts on", async () => {
    let asked = "";
    await confirmDevice(cliOf(), device, {}, async (question) => {
      asked = question;
      return "sdb";
    });
    expect(asked).toBe(
      [
        "/dev/sdb  14.8 GiB, Cruzer \\x1b[2JBlade, serial 4C530001230",
        '  on it: gpt: vfat "A\\u202eB"',
        "  make an empty volume: what is there is lost",
        "Type its name (sdb) to go on: ",
      ].join("\n"),
    );
  });

  test.each([["sdc"], [""], ["yes"]])("%j typed: nothing is written", async (typed) => {
    await expect(confirmDevice(cliOf(), device, {}, async () => typed)).rejects.toThrow(/Nothing was written/);
  });

  test("where nobody can be asked, the flags for a script are named", async () => {
    await expect(confirmDevice(cliOf(), device, {})).rejects.toThrow(/nobody who could be asked.*--yes --expect-serial '4C530001230'/);
  });

  test("a script that names the disk exactly is not asked", async () => {
    const ask = async (): Promise<string> => {
      throw new Error("asked");
    };
    await expect(confirmDevice(cliOf(), device, { yes: true, expectSize: "15931539456" }, ask)).resolves.toBeUndefined();
  });
});
