/** Ten thousand random operations on each file system beside a plain map, judged by foreign programs every hundred. */
import { test } from "vitest";
import { drive } from "../disk/drive-volume.ts";
import { FILE_SYSTEMS } from "../disk/file-systems.ts";

// A new one each time; a failure prints it, and DISK_SEED runs it again.
const seed = Number(process.env["DISK_SEED"] ?? Date.now() % 2 ** 31);

test.each(FILE_SYSTEMS.map((fileSystem) => [fileSystem.name, fileSystem] as const))("%s", async (_, fileSystem) => {
  await drive(fileSystem, { seed, operations: 10_000, judgedEvery: 100 });
});
