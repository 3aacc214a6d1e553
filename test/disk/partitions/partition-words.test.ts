import { describe, expect, test } from "vitest";
import { seededIds } from "../../../src/disk/ids.ts";
import { decodePartitions, decodePrimaries, decodeSize } from "../../../src/disk/partitions/partition-words.ts";
import { encodeGuid } from "../../../src/formats/gpt.ts";

const guid = () => "00000000-0000-4000-8000-000000000001";

describe("decodeSize", () => {
  test.each([
    ["0", 0n],
    ["512", 512n],
    ["1440K", 1_474_560n],
    ["64M", 67_108_864n],
    ["64MiB", 67_108_864n],
    ["8g", 8_589_934_592n],
    ["1.5G", 1_610_612_736n],
    ["2T", 2_199_023_255_552n],
    ["10B", 10n],
  ])("%s", (text, bytes) => {
    expect(decodeSize(text, "x")).toBe(bytes);
  });

  test.each(["", "x", "-1", "1.5", "1.5.5G", "64 M", "1E", "0x10", "1e3", "9999999999999999", "M"])("%j is none", (text) => {
    expect(() => decodeSize(text, "x")).toThrow(expect.objectContaining({ kind: "usage" }));
  });
});

describe("decodePartitions", () => {
  test("sizes, types, names and attributes", () => {
    const wishes = decodePartitions(
      ["rest:data:DATA", "64M:ESP:a\\:b:required+no-drive-letter", "1G:0fc63daf-8483-4772-8e79-3d69d8477de4::0x4", "1M:bios"],
      guid,
    );
    expect(wishes).toEqual([
      { size: "rest", typeGuid: "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", guid: guid(), name: "DATA", attributes: 0n },
      { size: 67_108_864n, typeGuid: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", guid: guid(), name: "a:b", attributes: (1n << 63n) | 1n },
      { size: 1n << 30n, typeGuid: "0FC63DAF-8483-4772-8E79-3D69D8477DE4", guid: guid(), name: "", attributes: 4n },
      { size: 1n << 20n, typeGuid: "21686148-6449-6E6F-744E-656564454649", guid: guid(), name: "", attributes: 0n },
    ]);
  });

  test.each([
    ["64M", /SIZE:TYPE/],
    ["64M:esp:a:required:x", /5 parts/],
    ["big:esp", /a number of bytes/],
    ["64M:esq", /a type: data, esp/],
    ["64M:constructor", /a type: data, esp/],
    ["64M:esp:x:bootable", /an attribute: required/],
  ])("%s is refused", (word, message) => {
    expect(() => decodePartitions([word], guid)).toThrow(
      expect.objectContaining({ kind: "usage", message: expect.stringMatching(message) }),
    );
  });
});

describe("decodePrimaries", () => {
  test("types by word and number, and what is active", () => {
    expect(decodePrimaries(["64M:fat::active", "rest:0x83"])).toEqual([
      { size: 67_108_864n, type: 0x0c, active: true },
      { size: "rest", type: 0x83, active: false },
    ]);
  });

  test.each([
    ["1M:fat:NAME", /have none/],
    ["1M:fat::hidden", /active as the only/],
    ["1M:bios", /a number as 0x83/],
    ["1M:0x183", /a number as 0x83/],
  ])("%s is refused", (word, message) => {
    expect(() => decodePrimaries([word])).toThrow(message);
  });
});

test("ids of a seed are GUIDs of version 8 and serial numbers, each once, and the same again", () => {
  const some = (seed: string) => {
    const ids = seededIds(seed);
    return [ids.guid(), ids.guid(), ids.serial(), ids.serial()];
  };
  expect(some("a")).toEqual(some("a"));
  expect(new Set([...some("a"), ...some("b"), ...some("")]).size).toBe(12);
  for (const id of some("a").slice(0, 2)) {
    expect(id).toMatch(/^[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$/);
    expect(encodeGuid(`${id}`)).toHaveLength(16);
  }
});
