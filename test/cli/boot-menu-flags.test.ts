import { describe, expect, test } from "vitest";
import { menuSettings, menuWishOf } from "../../src/cli/boot-menu-flags.ts";

describe("flags for the image's own menu", () => {
  test("--kernel-from-iso and --entry mean boot mode grub2", () => {
    expect(menuSettings({})).toEqual({});
    expect(menuSettings({ kernelFromIso: true })).toEqual({ bootMode: "grub2" });
    expect(menuSettings({ entry: "2" })).toEqual({ bootMode: "grub2" });
    expect(menuSettings({ entry: "2", bootMode: "grub2" })).toEqual({ bootMode: "grub2" });
    expect(menuWishOf({ entry: "2", append: "a b" })).toEqual({ entry: "2", append: "a b" });
  });

  test.each([
    [{ kernelFromIso: true, kernel: "/k" } as const, /--kernel-from-iso or --kernel/],
    [{ entry: "1", bootMode: "memdisk" } as const, /--entry or --boot-mode memdisk/],
  ])("what they contradict is refused", (options, message) => {
    expect(() => menuSettings(options)).toThrow(message);
  });
});
