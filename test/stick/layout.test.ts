import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { STICK_ESP_BYTES } from "../../src/contract/stick.ts";
import { seededIds } from "../../src/disk/ids.ts";
import { encodeGpt } from "../../src/disk/partitions/gpt-layout.ts";
import { planStick, usualSize } from "../../src/stick/layout.ts";

const MIB = 1n << 20n;

describe("the layout of a stick", () => {
  test("is the contract's, on disks of any size and both kinds of sectors", () => {
    fc.assert(
      fc.property(fc.bigInt(80n * MIB, 4n << 40n), fc.constantFrom(512 as const, 4096 as const), (bytes, sectorBytes) => {
        const sizeBytes = bytes - (bytes % BigInt(sectorBytes));
        const { data, esp, table } = planStick({ sizeBytes, sectorBytes }, seededIds("x"));
        expect(data.offset).toBe(MIB);
        expect(esp.offset).toBe(data.offset + data.sizeBytes);
        expect(esp.offset % MIB).toBe(0n);
        expect(esp.sizeBytes).toBe(STICK_ESP_BYTES);
        expect(esp.offset + esp.sizeBytes).toBeLessThanOrEqual(sizeBytes);
        // All of the disk but the end: alignment and the backup table.
        expect(sizeBytes - (esp.offset + esp.sizeBytes)).toBeLessThan(2n * MIB);
        expect(table.partitions.map(({ name, attributes }) => [name, attributes])).toEqual([
          ["hiperiso", 0n],
          ["VTOYEFI", 1n << 63n],
        ]);
        expect(() => encodeGpt(table)).not.toThrow();
      }),
    );
  });

  test("is the same from the same ids, and has other ids from others", () => {
    const planned = (seed: string) => planStick({ sizeBytes: 256n * MIB, sectorBytes: 512 }, seededIds(seed));
    expect(planned("a")).toEqual(planned("a"));
    const [a, b] = [planned("a"), planned("b")];
    for (const part of ["data", "esp"] as const) {
      expect(a[part].guid).not.toBe(b[part].guid);
      expect(a[part].serial).not.toBe(b[part].serial);
    }
    expect(a.data.serial).not.toBe(a.esp.serial);
  });

  test("is refused on a disk that is too small", () => {
    expect(() => planStick({ sizeBytes: 79n * MIB, sectorBytes: 512 }, seededIds("x"))).toThrow(/at least 83886080 bytes.*found 82837504/);
  });

  test("leaves a gigabyte beside what it shall hold", () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt(0n, 20n << 30n), { maxLength: 8 }), (files) => {
        const sizeBytes = usualSize(files);
        const { data } = planStick({ sizeBytes, sectorBytes: 512 }, seededIds("x"));
        const content = files.reduce((sum, bytes) => sum + bytes, 0n);
        expect(data.sizeBytes - content).toBeGreaterThan(1024n * MIB);
        expect(data.sizeBytes - content).toBeLessThan(1200n * MIB + content / 1000n);
      }),
    );
  });
});
