import { describe, expect, test } from "vitest";
import { nameFault } from "../../src/formats/exfat-entries.ts";
import type { ImageSource } from "../../src/stick/image-sources.ts";
import { type DataFacts, parentsOf, planAdd, type ThereEntry } from "../../src/stick/plan-add.ts";

const MIB = 1n << 20n;
const image = (to: string, changes: Partial<ImageSource> = {}): ImageSource => ({
  from: `/home/me${to}`,
  to,
  sizeBytes: 10n * MIB,
  modifiedMs: 1_000_000,
  expected: undefined,
  damage: undefined,
  ...changes,
});
const there = (path: string, changes: Partial<ThereEntry> = {}): ThereEntry => ({
  kind: "file",
  path,
  sizeBytes: 10n * MIB,
  modifiedMs: 1_000_000,
  ...changes,
});
const facts = (entries: readonly ThereEntry[] = [], changes: Partial<DataFacts> = {}): DataFacts => ({
  where: "stick.img:1",
  there: new Map(entries.map((entry) => [entry.path.toUpperCase(), entry])),
  freeBytes: 100n * MIB,
  clusterBytes: 32_768,
  fileBytesMax: 1n << 62n,
  heldBytes: new Map(),
  recorded: new Set(["/ISOS/B.ISO"]),
  folded: (path) => path.toUpperCase(),
  nameFault,
  ...changes,
});
const plan = (images: readonly ImageSource[], of: DataFacts = facts(), wish: { replace?: boolean; allowDamaged?: boolean } = {}) =>
  planAdd({ images, replace: false, allowDamaged: false, ...wish }, of);

describe("adding images is planned", () => {
  test("what is not there is written, what is there of the same size and time is skipped", () => {
    const { images, skipped, totalBytes } = plan([image("/ISOs/a.iso"), image("/ISOs/b.iso")], facts([there("/ISOs/B.iso")]));
    expect(images.map(({ to }) => to)).toEqual(["/ISOs/a.iso"]);
    expect(skipped.map(({ to }) => to)).toEqual(["/ISOs/b.iso"]);
    expect(totalBytes).toBe(10n * MIB);
  });

  test("what is there and not in the record is compared and recorded", () => {
    const { images, skipped, unrecorded } = plan([image("/ISOs/a.iso")], facts([there("/ISOs/a.iso")]));
    expect([images, skipped, unrecorded.map(({ to }) => to)]).toEqual([[], [], ["/ISOs/a.iso"]]);
  });

  test.each<[string, readonly ImageSource[], DataFacts, RegExp]>([
    ["two names that differ in case", [image("/ISOs/a.iso"), image("/ISOs/A.ISO")], facts(), /"\/home\/me\/ISOs\/A\.ISO".*differ in case alone/],
    ["another one of that name", [image("/ISOs/a.iso")], facts([there("/ISOs/A.iso", { sizeBytes: 3n })]), /\/ISOs\/A\.iso is there already.*--force/],
    ["a folder of that name", [image("/ISOs/a.iso")], facts([there("/ISOs/a.iso", { kind: "directory" })]), /is a folder on the stick/],
    ["a file where a folder must be", [image("/ISOs/x/a.iso")], facts([there("/ISOs/x")]), /\/ISOs\/x is a file on the stick/],
    ["a name that exFAT cannot hold", [image("/ISOs/a:b.iso")], facts(), /cannot hold the name "a:b\.iso"/],
    ["a folder's name that is none", [image("/../a.iso")], facts(), /cannot hold the name "\.\."/],
    ["an image that is cut off", [image("/ISOs/a.iso", { damage: "it is cut off" })], facts(), /it is cut off; --allow-damaged/],
    ["a file that is too large for FAT", [image("/ISOs/a.iso")], facts([], { fileBytesMax: 5n }), /files there have at most 5/],
    ["no room", [image("/ISOs/a.iso", { sizeBytes: 100n * MIB })], facts(), /room for \d+ bytes, found 104857600 bytes free.*Nothing was written/s],
  ])("%s is refused before anything is written", (_, images, of, message) => {
    expect(() => plan(images, of)).toThrow(message);
    try {
      plan(images, of);
    } catch (error) {
      expect(error).toMatchObject({ kind: "usage" });
    }
  }); // biome-ignore format: rows

  test("all that stands against it is in one list", () => {
    const many = Array.from({ length: 30 }, (_, index) => image(`/ISOs/${index}?.iso`));
    expect(() => plan(many)).toThrow(/"\/home\/me\/ISOs\/0\?\.iso"[\s\S]*and 10 more/);
  });

  test("with --force the one that is there is replaced, under its own name, and both need room for a while", () => {
    const of = facts([there("/ISOs/A.iso")], { freeBytes: 12n * MIB });
    expect(plan([image("/ISOs/a.iso")], of, { replace: true }).images[0]?.replaces).toBe("/ISOs/A.iso");
    expect(() => plan([image("/ISOs/a.iso")], { ...of, freeBytes: 10n * MIB }, { replace: true })).toThrow(/room/);
    expect(plan([image("/ISOs/a.iso"), image("/ISOs/b.iso")], of, { replace: true }).images).toHaveLength(2);
  });

  test("what an unfinished copy holds needs no room again", () => {
    const of = facts([], { freeBytes: 2n * MIB });
    expect(() => plan([image("/ISOs/a.iso")], of)).toThrow(/room/);
    expect(plan([image("/ISOs/a.iso")], { ...of, heldBytes: new Map([["/ISOs/a.iso", 10n * MIB]]) }).images).toHaveLength(1);
  });

  test("folders above a path", () => {
    expect(parentsOf("/a/b/c.iso")).toEqual(["/a", "/a/b"]);
    expect(parentsOf("/c.iso")).toEqual([]);
  });
});
