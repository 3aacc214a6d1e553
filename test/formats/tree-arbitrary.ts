/** Trees of any shape, for the writers of archives and volumes. */
import fc from "fast-check";
import { completeTree, type TreeEntry } from "../../src/formats/file-tree.ts";

const name = fc.oneof(
  fc.constantFrom("a", "A.TXT", "ä ö", "name~1", "init"),
  fc.stringMatching(/^[a-z0-9_ -]{1,120}$/).map((text) => `${text}x`),
);
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
const mode = fc.constantFrom(0o644, 0o755, 0o4755, 0o1777, 0o600);

export const fileEntry: fc.Arbitrary<TreeEntry> = fc.record({
  kind: fc.constant("file" as const),
  path,
  mode,
  content: fc.uint8Array({ maxLength: 2000 }),
});
const directoryEntry: fc.Arbitrary<TreeEntry> = fc.record({ kind: fc.constant("directory" as const), path, mode });
const symlinkEntry: fc.Arbitrary<TreeEntry> = fc.record({
  kind: fc.constant("symlink" as const),
  path,
  target: fc.oneof(fc.constantFrom("/bin/busybox", "../ä"), fc.stringMatching(/^[a-z/]{1,200}$/)),
});
const deviceEntry: fc.Arbitrary<TreeEntry> = fc.record({
  kind: fc.constantFrom("character-device" as const, "block-device" as const),
  path,
  mode,
  major: fc.nat({ max: 255 }),
  minor: fc.nat({ max: 255 }),
});

/** Entries of which no file stands where another needs a folder. */
const fitting = (entries: readonly TreeEntry[]): boolean => {
  try {
    completeTree(entries);
    return true;
  } catch {
    return false;
  }
};

export const plainTree = fc.array(fc.oneof(fileEntry, directoryEntry), { maxLength: 8 }).filter(fitting);
export const anyTree = fc.array(fc.oneof(fileEntry, directoryEntry, symlinkEntry, deviceEntry), { maxLength: 8 }).filter(fitting);
