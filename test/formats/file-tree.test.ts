import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { completeTree, type TreeEntry } from "../../src/formats/file-tree.ts";

const file = (path: string): TreeEntry => ({ kind: "file", path, mode: 0o644, content: new Uint8Array() });

describe("a complete tree", () => {
  test("has every parent, before its children", () => {
    expect(completeTree([file("b/c/d"), file("a")]).map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      "file a",
      "directory b",
      "directory b/c",
      "file b/c/d",
    ]);
  });

  test("keeps a folder's own mode, and the later of two entries", () => {
    const tree = completeTree([{ kind: "directory", path: "a", mode: 0o700 }, file("a/x"), { kind: "symlink", path: "a/x", target: "y" }]);
    expect(tree).toEqual([
      { kind: "directory", path: "a", mode: 0o700 },
      { kind: "symlink", path: "a/x", target: "y" },
    ]);
  });

  test("does not depend on the order of what goes in", () => {
    const paths = fc.uniqueArray(fc.array(fc.constantFrom("a", "b", "a-b", "ä"), { minLength: 1, maxLength: 4 }), {
      maxLength: 8,
      selector: (parts) => parts.join("/"),
    });
    fc.assert(
      fc.property(paths, (list) => {
        const entries = list.map((parts): TreeEntry => ({ kind: "directory", path: parts.join("/"), mode: 0o755 }));
        expect(completeTree([...entries].reverse())).toEqual(completeTree(entries));
      }),
    );
  });

  test.each(["", "/a", "a/", "a//b", ".", "a/../b", "./a", "a\0b"])("refuses the path %j", (path) => {
    expect(() => completeTree([file(path)])).toThrow(/without empty, \. or \.\. parts/);
  });

  test("refuses a file where a folder must be", () => {
    expect(() => completeTree([file("a"), file("a/b")])).toThrow(/a\/b: expected a folder at a, found a file/);
  });
});
