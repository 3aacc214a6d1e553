import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { resolveInTree } from "../../../src/live/sandbox/resolve.ts";

const LINKS = new Map([
  ["lib", "usr/lib"],
  ["etc/mtab", "/proc/self/mounts"],
  ["usr/lib/up", "../../../../../../etc"],
  ["a", "b"],
  ["b", "a"],
  ["var/run", "/run"],
  ["home/x", "//tmp//./y/"],
]);

describe("a path of a tree", () => {
  test.each([
    ["/", ""],
    ["etc/passwd", "etc/passwd"],
    ["/lib/modules/", "usr/lib/modules"],
    ["lib/../bin", "usr/bin"],
    ["etc/mtab", "proc/self/mounts"],
    ["../../etc", "etc"],
    ["lib/up/shadow", "etc/shadow"],
    ["home/x/z", "tmp/y/z"],
    ["var/run/../root", "root"],
  ])("%s leads to %s", (path, expected) => {
    expect(resolveInTree(path, LINKS)).toBe(expected);
  });

  test("may keep its last part, whatever that is", () => {
    expect(resolveInTree("lib", LINKS, "keep")).toBe("lib");
    expect(resolveInTree("lib/up", LINKS, "keep")).toBe("usr/lib/up");
    expect(resolveInTree("a", LINKS, "keep")).toBe("a");
  });

  test("in a loop of links is refused", () => {
    expect(() => resolveInTree("a/x", LINKS)).toThrow(/expected an end of its links, found a loop/);
  });

  test("never leads out of the tree, whatever links say", () => {
    const path = fc.array(fc.constantFrom("a", "b", "c", "..", ".", ""), { maxLength: 8 }).map((parts) => parts.join("/"));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom("a", "b", "a/b", "b/c", "c"), path), path, (links, wanted) => {
        let found: string;
        try {
          found = resolveInTree(wanted, new Map(Object.entries(links)));
        } catch (error) {
          expect((error as Error).message).toContain("a loop");
          return;
        }
        expect(found).toMatch(/^$|^[abc](\/[abc])*$/);
      }),
    );
  });
});
