import { describe, expect, test } from "vitest";
import { CUT_FILE_SYSTEMS } from "./file-systems.ts";
import { cutAll } from "./power-cuts.ts";

describe("a power cut", () => {
  // A thousand operations of each are in test/real/disk-cuts.long.test.ts.
  test.each(
    CUT_FILE_SYSTEMS.flatMap((fileSystem) => (["cut", "reordered"] as const).map((way) => [way, fileSystem.name, fileSystem] as const)),
  )("(%s) on %s loses nothing that was there before, and is mended", async (way, _, fileSystem) => {
    const { media, damaged } = await cutAll(fileSystem, { seed: 1, operations: 12, way, fsckEvery: 50 });
    expect(media).toBeGreaterThan(30);
    expect(damaged).toBeGreaterThan(0);
  });
});
