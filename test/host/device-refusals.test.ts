import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { type ComputerFacts, decodeLsblk, decodeMountInfo, decodeSwaps, deviceNumber, readComputer } from "../../src/host/block-devices.ts";
import { judgeDevices, refusalsOf } from "../../src/host/device-refusals.ts";
import { COMPUTERS, type Computer, textsOf } from "./computers.ts";

/** More than floppies have. */
const NEEDED_BYTES = 300_000_000n;

function factsOf(computer: Computer): ComputerFacts {
  const texts = textsOf(computer);
  const numbers = new Map((computer.swaps ?? []).map((line) => line.split(" ") as [string, string]));
  return {
    devices: decodeLsblk(texts.lsblk),
    mounts: decodeMountInfo(texts.mountInfo),
    swaps: decodeSwaps(texts.swaps).map((path) => ({ path, number: numbers.get(path) ?? null })),
    holders: new Map(Object.entries(computer.holders ?? {})),
    btrfs: computer.btrfs ?? [],
    cardTypes: new Map(Object.entries(computer.cardTypes ?? {})),
  };
}

const verdicts = (facts: ComputerFacts, allowFixed: boolean) =>
  Object.fromEntries(
    judgeDevices(facts, { allowFixed, neededBytes: NEEDED_BYTES }).map(({ device, refusals }) => [
      device.path,
      refusals.map(({ id }) => id),
    ]),
  );

test("there are at least thirty computers", () => {
  expect(COMPUTERS.length).toBeGreaterThanOrEqual(30);
});

describe.each(COMPUTERS.map((computer) => [computer.about, computer] as const))("%s", (_about, computer) => {
  test("its disks are refused for the right reasons, or not", () => {
    expect(verdicts(factsOf(computer), false)).toEqual(computer.disks);
  });

  test("with built-in disks allowed no other refusal goes away", () => {
    const allowed = Object.fromEntries(Object.entries(computer.disks).map(([path, ids]) => [path, ids.filter((id) => id !== "fixed")]));
    expect(verdicts(factsOf(computer), true)).toEqual(computer.disksAllowingFixed ?? allowed);
  });

  test("each part of its disks is refused, as no whole disk", () => {
    const facts = factsOf(computer);
    for (const device of facts.devices.filter(({ parents }) => parents.length > 0))
      expect(refusalsOf(facts, device, { allowFixed: true, neededBytes: 0n }).map(({ id }) => id)).toContain("not-a-disk");
  });
});

test("reasons are sentences that name the place", () => {
  const facts = factsOf(COMPUTERS.find(({ about }) => about.includes("path with a blank"))!);
  const [, stick] = judgeDevices(facts, { allowFixed: false, neededBytes: 0n });
  expect(stick?.refusals).toEqual([
    { id: "mounted", text: "/dev/sda1 is mounted at /media/jo/USB STICK", hint: "Unmount it: umount /media/jo/USB STICK" },
  ]);
});

test("what is on a disk is told with its labels", () => {
  const [, stick] = judgeDevices(factsOf(COMPUTERS[0]!), { allowFixed: false, neededBytes: 0n });
  expect(stick?.contents).toBe('gpt: exfat "DATA"');
});

test("a device number is taken apart as the kernel packs it", () => {
  expect(deviceNumber(0x803n)).toBe("8:3");
  expect(deviceNumber(0x10_0008_00n + 5n)).toBe("8:65541");
});

test.each(["", "{", "[]", '{"blockdevices": 5}', '{"blockdevices": [{"name": 5}]}'])("a list that is none is refused: %s", (text) => {
  expect(() => decodeLsblk(text)).toThrow(HiperisoError);
});

test("lines that are no mounts are passed over", () => {
  expect(decodeMountInfo("nonsense\n\n22 27 0:21 / /proc rw\n22 27 0:21 / /proc rw - proc proc rw")).toEqual([
    { number: "0:21", mountPoint: "/proc", fileSystem: "proc", source: "proc" },
  ]);
});

test("this computer can be read", async () => {
  const facts = await readComputer(process.env, new AbortController().signal);
  expect(facts.mounts.some(({ mountPoint }) => mountPoint === "/")).toBe(true);
  for (const { device, refusals } of judgeDevices(facts, { allowFixed: false, neededBytes: 0n })) {
    expect(device.path).toMatch(/^\/dev\//);
    // Whatever runs the tests: its own disk is never offered.
    if (facts.mounts.some(({ number, mountPoint }) => number === device.number && mountPoint === "/"))
      expect(refusals.map(({ id }) => id)).toContain("running-system");
  }
});
