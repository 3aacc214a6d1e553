import { describe, expect, test } from "vitest";
import { type MenuFacts, stickMenu } from "../../../src/stick/menu-maker.ts";

const facts = (diskGuid: string, modifiedMs: number): MenuFacts => ({
  diskGuid,
  images: [{ path: "/ISOs/a.iso", sizeBytes: 1n << 20n, modifiedMs, look: undefined }],
  configBytes: undefined,
  goodConfig: undefined,
  theme: [],
});

const bytesOf = (given: MenuFacts): readonly string[] =>
  stickMenu(given).map(({ path, from }) => `${path}\n${from instanceof Uint8Array ? Buffer.from(from).toString("latin1") : ""}`);

describe("the menu of a stick", () => {
  test("is the same from a file that waits to be copied, with its own time, as from the copy, found by the kernel's line", () => {
    const [waiting, onExfat, onFat] = [1_795_299_711_946, 1_795_299_711_940, 1_795_299_710_000];
    const planned = bytesOf(facts("B1732E71-F3DB-431A-8478-298AF941FB6A", waiting));
    expect(bytesOf(facts("b1732e71-f3db-431a-8478-298af941fb6a", onExfat))).toEqual(planned);
    expect(bytesOf(facts("b1732e71-f3db-431a-8478-298af941fb6a", onFat))).toEqual(planned);
    expect(bytesOf(facts("b1732e71-f3db-431a-8478-298af941fb6a", onFat + 2000))).not.toEqual(planned);
  });
});
