import { describe, test } from "vitest";
import { drive } from "./drive-volume.ts";
import { SOME_FILE_SYSTEMS } from "./file-systems.ts";

describe("random operations beside a plain map", () => {
  // Ten thousand of each, with the foreign programs as referees, are in test/real/disk-model.long.test.ts.
  test.each(SOME_FILE_SYSTEMS.map((fileSystem) => [fileSystem.name, fileSystem] as const))("%s", async (_, fileSystem) => {
    await drive(fileSystem, { seed: 1, operations: 120, judgedEvery: 120 });
  });
});
