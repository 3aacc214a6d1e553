/** The power is cut after each write of a thousand operations; and in any order in which a drive's cache may have brought them to the medium. */
import { expect, test } from "vitest";
import { CUT_FILE_SYSTEMS } from "../disk/file-systems.ts";
import { cutAll } from "../disk/power-cuts.ts";

// A new one each time; a failure prints it, and DISK_SEED runs it again.
const seed = Number(process.env["DISK_SEED"] ?? Date.now() % 2 ** 31);
/** FAT32 has 65,525 clusters at least: each look at its tables costs what a hundred on the others do. */
const operationsOn = (name: string) => (name.startsWith("FAT32") ? 100 : 1000);

test.each(
  CUT_FILE_SYSTEMS.flatMap((fileSystem) => (["cut", "reordered"] as const).map((way) => [way, fileSystem.name, fileSystem] as const)),
)("%s: %s loses nothing that was there before, and is mended", async (way, name, fileSystem) => {
  const operations = operationsOn(name);
  const { media, damaged } = await cutAll(fileSystem, { seed, operations, way, fsckEvery: 5 });
  expect(media).toBeGreaterThan(4 * operations);
  expect(damaged).toBeGreaterThan(operations / 10);
});
