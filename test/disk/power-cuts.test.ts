import { describe, expect, test } from "vitest";
import { CUT_FILE_SYSTEMS } from "./file-systems.ts";
import { cutAll } from "./power-cuts.ts";

describe("a power cut", () => {
  // A thousand operations of each are in test/real/disk-cuts.long.test.ts.
  test.each(
    CUT_FILE_SYSTEMS.slice(0, 2).flatMap((fileSystem) =>
      (["cut", "reordered"] as const).map((way) => [way, fileSystem.name, fileSystem] as const),
    ),
  )("(%s) on %s loses nothing that was there before, and is mended", async (way, _, fileSystem) => {
    const { media, damaged, judged } = await cutAll(fileSystem, { seed: 1, operations: 10, way, fsckEvery: 20 });
    expect(media).toBeGreaterThan(30);
    expect(damaged).toBeGreaterThan(0);
    expect(judged).toBeGreaterThan(0);
  });
});
