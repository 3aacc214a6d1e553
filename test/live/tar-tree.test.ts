import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { byteText } from "../../src/formats/byte-text.ts";
import { tarEntryOf, writeTar } from "../../src/formats/tar.ts";
import type { TarMember } from "../../src/formats/tar-entry.ts";
import { openTarTree } from "../../src/live/tar-tree.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-tar-tree-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function* once(content: string): AsyncGenerator<Uint8Array> {
  yield new TextEncoder().encode(content);
}
const empty = { kind: "file", mode: 0o644, content: new Uint8Array() } as const;
const file = (path: string, content: string): TarMember => ({
  entry: { ...tarEntryOf({ ...empty, path, content: new TextEncoder().encode(content) }, { mtimeS: 0 }) },
  content: once(content),
});
const symlink = (path: string, target: string): TarMember => ({
  entry: tarEntryOf({ kind: "symlink", path, target }, { mtimeS: 0 }),
  content: once(""),
});
const hardLink = (path: string, target: string): TarMember => {
  const { path: name, mode, uid, gid, mtimeS, xattrs, records } = tarEntryOf({ ...empty, path }, { mtimeS: 0 });
  return { entry: { path: name, mode, uid, gid, mtimeS, xattrs, records, kind: "hard-link", target: byteText(target) }, content: once("") };
};

async function open(...members: readonly TarMember[]) {
  const path = join(folder, "root.tar");
  await writeFile(path, writeTar(members));
  return await openTarTree(path);
}
const textOf = (bytes: Uint8Array | undefined): string | undefined => (bytes === undefined ? undefined : Buffer.from(bytes).toString());

test("a file is read through links of its folders, of itself, and by its second name", async () => {
  await using tree = await open(
    ...[symlink("lib", "usr/lib"), symlink("usr/lib/a", "../../lib/b"), file("usr/lib/b", "bytes"), hardLink("usr/lib/c", "usr/lib/b")],
  );
  for (const path of ["usr/lib/b", "lib/b", "lib/a", "/lib/../lib/c"])
    expect([path, textOf(await tree.read(path))]).toEqual([path, "bytes"]);
  expect(await tree.list("lib")).toEqual(["a", "b", "c"]);
  expect(await tree.list("none")).toEqual([]);
});

test("a link never leaves the tree", async () => {
  await using tree = await open(symlink("etc/passwd", "../../../../etc/passwd"), symlink("out", "/etc"));
  await expect(tree.read("etc/passwd")).rejects.toThrow(/loop/);
  expect(await tree.read("out/hostname")).toBeUndefined();
});

test("second names that stand for each other are no file", async () => {
  await using tree = await open(hardLink("a", "b"), hardLink("b", "a"), hardLink("c", "c"));
  for (const path of ["a", "b", "c"]) expect(await tree.read(path)).toBeUndefined();
});

test("what comes later in the archive counts, and what is too large is refused", async () => {
  await using tree = await open(file("a", "first"), file("a", "second"));
  expect(textOf(await tree.read("a"))).toBe("second");
  await expect(tree.read("a", 5)).rejects.toThrow(/expected at most 5 bytes, found 6/);
});
