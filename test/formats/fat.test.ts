import { describe, expect, test } from "vitest";
import {
  decodeFatBootSector,
  decodeFatDirectory,
  decodeFatLink,
  type FatLayout,
  fatLinkRange,
  shortNameChecksum,
} from "../../src/formats/fat.ts";
import { buildFat12, text } from "../image/build-image.ts";
import { keeping, survivesDamage } from "./damage.ts";

const volume = buildFat12({ "README.TXT": text("x") });
const layout = decodeFatBootSector(volume, keeping())!;

/** Of a volume with so many clusters of one sector. */
function bootSector(clusters: number): Uint8Array {
  const sector = volume.slice(0, 512);
  const view = new DataView(sector.buffer);
  const isFat32 = clusters >= 65_525;
  const fatSectors = Math.ceil(((clusters + 2) * 4) / 512);
  view.setUint16(17, isFat32 ? 0 : 112, true);
  view.setUint16(19, 0, true);
  view.setUint16(22, isFat32 ? 0 : fatSectors, true);
  view.setUint32(32, 1 + 2 * fatSectors + (isFat32 ? 0 : 7) + clusters, true);
  if (isFat32) {
    view.setUint32(36, fatSectors, true);
    view.setUint32(44, 2, true);
  }
  return sector;
}

describe("boot sector", () => {
  test("the layout of a small volume", () => {
    expect(layout).toMatchObject({
      fatBits: 12,
      sectorBytes: 512,
      clusterBytes: 512,
      fatOffset: 512n,
      rootOffset: 3584n,
      rootBytes: 3584,
      dataOffset: 7168n,
    });
    expect(layout).toMatchObject({ clusterCount: 706, volumeBytes: 368_640n, label: "TESTFAT", serial: "1234-ABCD" });
  });

  test.each([
    [4084, 12],
    [4085, 16],
    [65_524, 16],
    [65_525, 32],
  ])("%d clusters make FAT%d", (clusters, bits) => {
    expect(decodeFatBootSector(bootSector(clusters), keeping())).toMatchObject({ fatBits: bits, clusterCount: clusters });
  });

  test("sizes that contradict each other are named", () => {
    const place = keeping(100n);
    const sector = volume.slice(0, 512);
    new DataView(sector.buffer).setUint16(19, 10, true);
    expect(decodeFatBootSector(sector, place)).toBeUndefined();
    const small = bootSector(4000);
    new DataView(small.buffer).setUint16(22, 1, true);
    decodeFatBootSector(small, place);
    expect(place.problems).toMatchObject([
      { offset: 132n, structure: "FAT boot sector", expected: "more than 14 sectors", found: "10" },
      { offset: 122n, structure: "FAT boot sector", found: "512" },
    ]);
  });

  test("other boot sectors are not FAT", () => {
    const sector = new Uint8Array(512);
    sector.set([0xeb, 0x63, 0x90]);
    const place = keeping();
    expect(decodeFatBootSector(sector, place)).toBeUndefined();
    expect(decodeFatBootSector(new Uint8Array(512), place)).toBeUndefined();
    expect(place.problems).toEqual([]);
  });

  test("survives damage", () => {
    survivesDamage(volume.slice(0, 512), decodeFatBootSector);
  });
});

describe("links", () => {
  const as = (fatBits: 12 | 16 | 32): FatLayout => ({ ...layout, fatBits, clusterCount: 1000 });

  test("FAT12 links share a byte", () => {
    expect(fatLinkRange(as(12), 3)).toEqual({ at: 4, bytes: 2 });
    expect(decodeFatLink(as(12), 2, Uint8Array.of(0x23, 0xf1))).toEqual({ next: 0x123 });
    expect(decodeFatLink(as(12), 3, Uint8Array.of(0x3f, 0x12))).toEqual({ next: 0x123 });
    expect(decodeFatLink(as(12), 2, Uint8Array.of(0xf8, 0xff))).toBe("end");
  });

  test.each([
    [16, 0xfff8, "end"],
    [16, 0xfff7, { bad: 0xfff7 }],
    [16, 1, { bad: 1 }],
    [16, 1001, { next: 1001 }],
    [16, 1002, { bad: 1002 }],
    [32, 0xf000_0005, { next: 5 }],
    [32, 0x0fff_ffff, "end"],
    [32, 0, { bad: 0 }],
  ] as const)("FAT%d: %d", (bits, value, link) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    expect(decodeFatLink(as(bits), 2, bytes)).toEqual(link);
  });
});

describe("directory", () => {
  const short = (name: string, attributes = 32): Uint8Array => {
    const entry = new Uint8Array(32);
    entry.set(text(name.padEnd(11)));
    entry[11] = attributes;
    entry[26] = 5;
    return entry;
  };
  const long = (number: number, part: string, checksum: number): Uint8Array => {
    const entry = new Uint8Array(32);
    const units = Buffer.from(part.padEnd(13, "\0"), "utf16le");
    entry[0] = number;
    entry[11] = 15;
    entry[13] = checksum;
    entry.set(units.subarray(0, 10), 1);
    entry.set(units.subarray(10, 22), 14);
    entry.set(units.subarray(22, 26), 28);
    return entry;
  };
  const names = (...entries: Uint8Array[]) => decodeFatDirectory(Buffer.concat(entries), layout).entries.map(({ name }) => name);
  const sum = shortNameChecksum(text("AVERYL~1TXT"));

  test("long names, short names, letters that Windows NT made small", () => {
    const small = short("readme  txt");
    small.set(text("README  TXT"));
    small[12] = 24;
    expect(names(long(0x42, "ame.txt", sum), long(1, "a very long n", sum), short("AVERYL~1TXT"), short("PLAIN   BIN"), small)).toEqual([
      "a very long name.txt",
      "PLAIN.BIN",
      "readme.txt",
    ]);
  });

  test("a long name with another's checksum, or a part missing, is not believed", () => {
    expect(names(long(0x41, "lie.txt", sum ^ 1), short("AVERYL~1TXT"))).toEqual(["AVERYL~1.TXT"]);
    expect(names(long(0x42, "me.txt", sum), short("AVERYL~1TXT"))).toEqual(["AVERYL~1.TXT"]);
    expect(names(long(1, "a very long n", sum), short("AVERYL~1TXT"))).toEqual(["AVERYL~1.TXT"]);
  });

  test("deleted entries, dots and the label are passed over; zero ends", () => {
    const deleted = short("GONE    TXT");
    deleted[0] = 0xe5;
    const { entries, label } = decodeFatDirectory(
      Buffer.concat([short("THE LABEL", 8), short(".", 16), short("..", 16), deleted, short("A", 16), new Uint8Array(32), short("B")]),
      layout,
    );
    expect(entries).toMatchObject([{ name: "A", directory: true, firstCluster: 5 }]);
    expect(label).toBe("THE LABEL");
  });

  test("survives damage", () => {
    survivesDamage(Buffer.concat([long(0x42, "me.txt", sum), long(1, "a very long n", sum), short("AVERYL~1TXT")]), (bytes) =>
      decodeFatDirectory(bytes, layout),
    );
  });
});
