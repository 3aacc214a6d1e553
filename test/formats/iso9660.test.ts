import { describe, expect, test } from "vitest";
import { decodeDescriptorHeader, decodeDirectoryRecord, decodeVolumeDescriptor, jolietName, plainName } from "../../src/formats/iso9660.ts";
import { directoryRecord, text, volumeDescriptor } from "../image/build-image.ts";
import { keeping, survivesDamage } from "./damage.ts";

const ROOT = { lba: 20, bytes: 2048 };

describe("volume descriptor", () => {
  test("primary", () => {
    const place = keeping();
    const volume = decodeVolumeDescriptor(volumeDescriptor(1, "VOLUME ID", ROOT, 100), place);
    expect(place.problems).toEqual([]);
    expect(volume).toMatchObject({ volumeId: "VOLUME ID", publisher: "PUBLISHER", preparer: "PREPARER", application: "APPLICATION" });
    expect(volume).toMatchObject({ blockBytes: 2048, volumeBytes: 204_800n, modified: "2024-01-02-03-04-05-06", jolietLevel: null });
    expect(volume?.root).toMatchObject({ block: 20, dataBytes: 2048, directory: true });
  });

  test("Joliet: UCS-2 and its level", () => {
    const sector = volumeDescriptor(2, "Grüße 世界", ROOT, 100);
    expect(decodeVolumeDescriptor(sector, keeping())).toMatchObject({ volumeId: "Grüße 世界", jolietLevel: 3 });
    sector.set(text("%/@"), 88);
    expect(decodeVolumeDescriptor(sector, keeping())?.jolietLevel).toBe(1);
    sector.set(text("???"), 88);
    expect(decodeVolumeDescriptor(sector, keeping())?.jolietLevel).toBeNull();
  });

  test("blocks that are no blocks, a root that is a file, a date that is none", () => {
    const place = keeping(32_768n);
    const sector = volumeDescriptor(1, "X", ROOT, 100);
    sector.set([0x34, 0x12, 0x12, 0x34], 128);
    expect(decodeVolumeDescriptor(sector, place)).toBeUndefined();
    sector.set([0, 8, 8, 0], 128);
    sector[156 + 25] = 0;
    expect(decodeVolumeDescriptor(sector, place)).toBeUndefined();
    expect(place.problems).toMatchObject([
      { offset: 32_896n, expected: "a logical block size of 512, 1024 or 2048", found: "4660" },
      { offset: 32_949n, structure: "root directory record" },
    ]);
    sector[156 + 25] = 2;
    sector.fill(0x30, 830, 846);
    expect(decodeVolumeDescriptor(sector, place)?.modified).toBeNull();
  });

  test("only CD001 makes a descriptor", () => {
    expect(decodeDescriptorHeader(volumeDescriptor(1, "X", ROOT, 1))).toEqual({ type: 1, version: 1 });
    expect(decodeDescriptorHeader(text("\x01CD002\x01"))).toBeUndefined();
    expect(decodeDescriptorHeader(new Uint8Array())).toBeUndefined();
  });

  test("survives damage", () => {
    survivesDamage(volumeDescriptor(1, "DAMAGED", ROOT, 100), decodeVolumeDescriptor);
  });
});

describe("directory record", () => {
  test("a file with system use", () => {
    const place = keeping();
    const record = decodeDirectoryRecord(directoryRecord(text("A.TXT;1"), { lba: 7, bytes: 99 }, { systemUse: text("SYSTEMUSE!") }), place);
    expect(record).toMatchObject({ block: 7, dataBytes: 99, directory: false, moreExtents: false, interleaved: false });
    expect(plainName(record!.rawName)).toBe("A.TXT");
    expect(Buffer.from(record!.systemUse).toString()).toBe("SYSTEMUSE!");
    expect(place.problems).toEqual([]);
  });

  test("extended attributes stand before the data", () => {
    const bytes = directoryRecord(text("A"), { lba: 7, bytes: 99 });
    bytes[1] = 2;
    expect(decodeDirectoryRecord(bytes, keeping())?.block).toBe(9);
  });

  test("survives damage", () => {
    survivesDamage(directoryRecord(text("NAME.EXT;1"), { lba: 7, bytes: 99 }, { systemUse: text("NM") }), decodeDirectoryRecord);
  });
});

test.each([
  ["KERNEL.IMG;1", "KERNEL.IMG"],
  ["README.;1", "README"],
  ["NOVERSION", "NOVERSION"],
  ["A;B;2", "A;B"],
])("%s is called %s", (raw, name) => {
  expect(plainName(text(raw))).toBe(name);
  expect(jolietName(Buffer.from("x y.z;1", "utf16le").swap16())).toBe("x y.z");
});
