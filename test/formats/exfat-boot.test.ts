import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { bootChecksums, decodeExfatBootSector, type ExfatBoot, encodeExfatBootRegion } from "../../src/formats/exfat-boot.ts";
import { decodeExfatTime, encodeExfatTime } from "../../src/formats/exfat-time.ts";

const boot: ExfatBoot = {
  partitionOffsetSectors: 2048n,
  volumeSectors: 8192n,
  fatSector: 128,
  fatSectors: 8,
  heapSector: 256,
  clusterCount: 992,
  rootCluster: 5,
  serial: 0x1234abcd,
  revision: 0x0100,
  flags: 0,
  sectorShift: 9,
  clusterShift: 3,
  fatCount: 1,
  percentInUse: 0,
};

describe("a boot region", () => {
  test.each([9, 10, 11, 12])("with sectors of 2^%i bytes is read back as it was, its sum right", (sectorShift) => {
    const region = encodeExfatBootRegion({ ...boot, sectorShift });
    expect(region).toHaveLength(12 << sectorShift);
    expect(decodeExfatBootSector(region, "b")).toEqual({ ...boot, sectorShift });
    const { actual, stored } = bootChecksums(region);
    expect(stored).toBe(actual);
  });

  test("keeps its sum when flags and percentage change, and no other byte", () => {
    const region = encodeExfatBootRegion(boot);
    const { actual } = bootChecksums(region);
    for (let at = 0; at < 11 * 512; at += 1) {
      const changed = region.slice();
      changed[at]! ^= 0x10;
      expect(bootChecksums(changed).actual === actual, `byte ${at}`).toBe([106, 107, 112].includes(at));
    }
  });

  test("cut at any byte is refused", () => {
    const region = encodeExfatBootRegion(boot);
    for (let length = 0; length < 512; length += 1)
      expect(() => decodeExfatBootSector(region.subarray(0, length), "b")).toThrow(HiperisoError);
  });

  test("with any bit flipped is read within its limits, or refused at a byte", () => {
    const region = encodeExfatBootRegion(boot).subarray(0, 512);
    for (let bit = 0; bit < 512 * 8; bit += 1) {
      const flipped = region.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      try {
        const read = decodeExfatBootSector(flipped, "b", 512n);
        expect(read.sectorShift + read.clusterShift).toBeLessThanOrEqual(25);
        expect(BigInt(read.heapSector) + (BigInt(read.clusterCount) << BigInt(read.clusterShift))).toBeLessThanOrEqual(read.volumeSectors);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
        expect(Number(/^b@(\d+)$/.exec((error as HiperisoError).where ?? "")?.[1])).toBeGreaterThanOrEqual(512);
      }
    }
  });

  test.each([
    ["clusters of 2^255 bytes", 109, [0xff], /@109: expected clusters of 32 MiB at most, found 2\^264 bytes/],
    ["sectors of 2^255 bytes", 108, [0xff], /@108: expected sectors of 2\^9 to 2\^12 bytes/],
    ["no FAT", 110, [0], /@110: expected one FAT or two/],
    ["a root outside", 96, [0xff, 0xff], /@96: expected a cluster of 2 to 993, found 65535/],
    ["more clusters than sectors", 92, [0, 0, 0, 0x10], /@84: expected \d+ sectors or more/],
    ["a FAT too short", 84, [7, 0], /@84: expected 8 sectors or more for 992 clusters, found 7/],
    ["a FAT over the boot regions", 80, [23], /@80: expected a FAT from sector 24 on/],
    ["a heap over the FAT", 88, [10, 0], /@88: expected a heap from sector 136 on, found 10/],
    ["another revision", 105, [2], /@104: expected revision 1, found 2.0/],
    ["bytes of a FAT16 boot sector", 11, [0, 2], /@12: expected zero, found 2/],
  ])("with %s is refused, with the place", (_, at, bytes, message) => {
    const region = encodeExfatBootRegion(boot);
    region.set(bytes, at);
    expect(() => decodeExfatBootSector(region, "b")).toThrow(message);
  });
});

describe("a point in time", () => {
  test("is kept to 10 ms, from 1980 to 2107", () => {
    fc.assert(
      fc.property(fc.integer({ min: Date.UTC(1980, 0, 1) / 10, max: Date.UTC(2108, 0, 1) / 10 - 1 }), (tens) => {
        expect(decodeExfatTime(encodeExfatTime(tens * 10))).toBe(tens * 10);
      }),
    );
  });

  test("outside is the nearest that can be held; fields without a date are none", () => {
    expect(decodeExfatTime(encodeExfatTime(0))).toBe(Date.UTC(1980, 0, 1));
    expect(decodeExfatTime(encodeExfatTime(Number.NaN))).toBe(Date.UTC(1980, 0, 1));
    expect(decodeExfatTime(encodeExfatTime(Date.UTC(3000, 0, 1)))).toBe(Date.UTC(2107, 11, 31, 23, 59, 59, 990));
    expect(decodeExfatTime({ timestamp: 0, tenMs: 0, utcOffset: 0x80 })).toBeNull();
    expect(decodeExfatTime({ timestamp: (45 << 25) | (4 << 21) | (31 << 16), tenMs: 0, utcOffset: 0x80 })).toBeNull();
  });

  test.each([
    [0x80, 0],
    [0x84, -60],
    [0xff, 15],
    [0xc0, 16 * 60],
    [0xbf, -(15 * 60 + 45)],
    [0x04, 0], // not valid: taken for UTC
  ])("with the offset 0x%s is %i minutes from UTC (7.4.10, table 31)", (utcOffset, minutes) => {
    const stored = encodeExfatTime(Date.UTC(2026, 5, 15, 12));
    expect(decodeExfatTime({ ...stored, utcOffset })).toBe(Date.UTC(2026, 5, 15, 12) + minutes * 60_000);
  });
});
