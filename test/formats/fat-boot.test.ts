import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import {
  decodeFatBoot,
  decodeFsInfo,
  encodeFatBoot,
  encodeFsInfo,
  FAT_BOOT_BYTES,
  type FatBits,
  type FatBoot,
  fatBytesFor,
  fatPlaces,
} from "../../src/formats/fat-boot.ts";

/** A boot sector of a type, with a FAT that is large enough. */
const boots: fc.Arbitrary<FatBoot> = fc
  .record({
    bits: fc.constantFrom<FatBits>(12, 16, 32),
    sectorBytes: fc.constantFrom(512, 1024, 2048, 4096),
    clusterShift: fc.nat(6),
    reservedSectors: fc.integer({ min: 32, max: 200 }),
    fatCount: fc.integer({ min: 1, max: 2 }),
    media: fc.constantFrom(0xf0, 0xf8, 0xff),
    hiddenSectors: fc.nat(0xffff_ffff),
    serial: fc.option(fc.nat(0xffff_ffff), { nil: undefined }),
    flags: fc.nat(3),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ bits, clusterShift, serial, share, ...rest }) => {
    const [min, max] = bits === 12 ? [1, 4084] : bits === 16 ? [4085, 65_524] : [65_525, 1_000_000];
    const clusterCount = min + Math.floor(share * (max - min));
    const fatSectors = Math.ceil(fatBytesFor(bits, clusterCount) / rest.sectorBytes);
    const rootEntries = bits === 32 ? 0 : 512;
    const clusterSectors = 1 << clusterShift;
    const sectors =
      rest.reservedSectors + rest.fatCount * fatSectors + (rootEntries * 32) / rest.sectorBytes + clusterCount * clusterSectors;
    const isFat32 = bits === 32;
    return {
      ...rest,
      bits,
      clusterSectors,
      fatSectors,
      rootEntries,
      sectors,
      trackSectors: 63,
      heads: 255,
      rootCluster: isFat32 ? 2 : 0,
      fsInfoSector: isFat32 ? 1 : 0,
      backupSector: isFat32 ? 6 : 0,
      onlyFat: undefined,
      serial,
      label: serial === undefined ? undefined : new TextEncoder().encode("SOME LABEL "),
    };
  });

describe("a FAT boot sector", () => {
  test("is read as it was written", () => {
    fc.assert(
      fc.property(boots, (boot) => {
        const sector = encodeFatBoot(boot);
        expect(sector.length).toBe(FAT_BOOT_BYTES);
        expect(decodeFatBoot(sector, "test")).toEqual(boot);
      }),
    );
  });

  test("cut at any byte is refused", () => {
    const [boot] = fc.sample(boots, { numRuns: 1, seed: 1 });
    const sector = encodeFatBoot(boot!);
    for (let length = 0; length < FAT_BOOT_BYTES; length += 1) {
      expect(() => decodeFatBoot(sector.subarray(0, length), "test")).toThrow(HiperisoError);
    }
  });

  test("with any bytes changed is refused with the place, or describes clusters that its FAT has room for", () => {
    const changes = fc.array(fc.tuple(fc.nat(63), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(boots, changes, (boot, changed) => {
        const sector = encodeFatBoot(boot);
        for (const [at, value] of changed) sector[at] = value;
        try {
          const decoded = decodeFatBoot(sector, "test", 1000n);
          const { clusterCount } = fatPlaces(decoded);
          expect(clusterCount).toBeGreaterThan(0);
          expect(decoded.fatSectors * decoded.sectorBytes).toBeGreaterThanOrEqual(fatBytesFor(decoded.bits, clusterCount));
        } catch (error) {
          expect(error).toBeInstanceOf(HiperisoError);
          expect((error as HiperisoError).where).toMatch(/^test@1\d\d\d$/);
        }
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ["a cluster of 2^255 bytes", 13, 0xff],
    ["no FAT", 16, 0],
    ["no reserved sectors", 14, 0],
    ["sectors of 768 bytes", 12, 3],
    ["a medium that is none", 21, 0x12],
    ["no jump", 0, 0],
  ])("with %s is refused at byte %i", (_, at, value) => {
    const [boot] = fc.sample(boots, { numRuns: 1, seed: 2 });
    const sector = encodeFatBoot({ ...boot!, reservedSectors: 32 });
    sector[at] = value;
    expect(() => decodeFatBoot(sector, "disk", 0n)).toThrow(new RegExp(`disk@${at === 12 ? 11 : at}\\b`));
  });
});

describe("FSInfo", () => {
  test("is read as it was written, and known by its signatures", () => {
    fc.assert(
      fc.property(
        fc.option(fc.nat(0x0fff_ffff), { nil: undefined }),
        fc.option(fc.nat(0x0fff_ffff), { nil: undefined }),
        (freeClusters, nextFree) => {
          const sector = encodeFsInfo({ freeClusters, nextFree });
          expect(decodeFsInfo(sector)).toEqual({ freeClusters, nextFree });
          for (const at of [0, 3, 484, 487, 508, 511]) {
            const broken = sector.slice();
            broken[at]! ^= 1;
            expect(decodeFsInfo(broken)).toBeUndefined();
          }
        },
      ),
      { numRuns: 20 },
    );
    expect(decodeFsInfo(encodeFsInfo({ freeClusters: 1, nextFree: 2 }).subarray(0, 511))).toBeUndefined();
  });
});
