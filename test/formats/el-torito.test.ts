import { expect, test } from "vitest";
import { decodeBootCatalog, decodeBootRecord } from "../../src/formats/el-torito.ts";
import { bootCatalog, bootRecord, text } from "../image/build-image.ts";
import { keeping, survivesDamage } from "./damage.ts";

const image = text("x");
const three = [
  { platformId: 0, image, loadSectors: 4 },
  { platformId: 0xef, image, loadSectors: 0, emulation: 0 },
  { platformId: 1, image, bootable: false, emulation: 4 },
] as const;

test("the boot record gives the catalogue", () => {
  expect(decodeBootRecord(bootRecord(1234))).toBe(1234);
  expect(decodeBootRecord(new Uint8Array(2048))).toBeUndefined();
  survivesDamage(bootRecord(1234).subarray(0, 80), decodeBootRecord);
});

test("the default entry and sections", () => {
  const place = keeping(4096n);
  const { entries, checksumRight } = decodeBootCatalog(bootCatalog(three, [10, 20, 30]), place);
  expect(checksumRight).toBe(true);
  expect(place.problems).toEqual([]);
  expect(entries).toEqual([
    { number: 1, offset: 4128n, platformId: 0, bootable: true, emulation: 0, loadSegment: 0x7c0, loadSectors: 4, lba: 10, id: "TEST" },
    { number: 2, offset: 4192n, platformId: 0xef, bootable: true, emulation: 0, loadSegment: 0x7c0, loadSectors: 0, lba: 20, id: "" },
    { number: 3, offset: 4256n, platformId: 1, bootable: false, emulation: 4, loadSegment: 0x7c0, loadSectors: 4, lba: 30, id: "" },
  ]);
});

test("extension entries between section entries are passed over", () => {
  const catalog = bootCatalog(three.slice(0, 1), [10]);
  catalog.set([0x91, 0xef, 2, 0], 64);
  catalog.set([0x88, 0x20], 96);
  catalog.set([0x44, 0x20], 128);
  catalog.set([0x44, 0x00], 160);
  catalog.set([0x88], 192);
  expect(decodeBootCatalog(catalog, keeping()).entries.map(({ number, offset }) => [number, offset])).toEqual([
    [1, 32n],
    [2, 96n],
    [3, 192n],
  ]);
});

test("what cannot be is named with its offset", () => {
  const wrong = (change: (catalog: Uint8Array) => void) => {
    const catalog = bootCatalog(three, [10, 20, 30]);
    change(catalog);
    const place = keeping(10_000n);
    const { entries, checksumRight } = decodeBootCatalog(catalog, place);
    return { entries: entries.length, checksumRight, problems: place.problems.map(({ offset, found }) => `${offset}: ${found}`) };
  };
  const edit = (at: number, value: number) => wrong((catalog) => void catalog.set([value], at));
  expect(edit(0, 2)).toEqual({ entries: 0, checksumRight: false, problems: ["10000: 0x02 … 0x55 0xaa"] });
  expect(edit(4, 0x55)).toEqual({ entries: 3, checksumRight: false, problems: ["10028: a sum of 0x0001"] });
  expect(edit(32, 0x77)).toEqual({ entries: 2, checksumRight: true, problems: ["10032: 0x77"] });
  expect(edit(64, 0x77)).toEqual({ entries: 1, checksumRight: true, problems: ["10064: 0x77"] });
  expect(wrong((catalog) => void catalog.set([0x90, 0, 0xff, 0xff], 64)).problems.at(-1)).toBe("10066: 61, then the end of the catalogue");
});

test("survives damage", () => {
  survivesDamage(bootCatalog(three, [10, 20, 30]).subarray(0, 320), decodeBootCatalog);
});
