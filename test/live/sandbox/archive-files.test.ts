import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { byteText } from "../../../src/formats/byte-text.ts";
import type { TreeEntry } from "../../../src/formats/file-tree.ts";
import { tarEntries } from "../../../src/formats/tar-reader.ts";
import { compareTreePaths } from "../../../src/live/sandbox/apart.ts";
import { ArchiveFiles } from "../../../src/live/sandbox/archive-files.ts";
import { membersOf, Placement } from "../../../src/live/sandbox/tree-index.ts";
import { archiveOf, EPOCH_S, unusualFiles } from "./unusual-files.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-archive-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const file = (path: string, content = ""): TreeEntry => ({ kind: "file", path, mode: 0o644, content: new TextEncoder().encode(content) });
const link = (path: string, target: string): TreeEntry => ({ kind: "symlink", path, target });
const write = async (files: ArchiveFiles, name = "out.tar"): Promise<string> => {
  const scratch = await mkdtemp(join(folder, "scratch-"));
  await files.write(join(folder, name), { epochS: EPOCH_S, scratch, signal: new AbortController().signal });
  return join(folder, name);
};
async function* bytesOf(path: string) {
  yield await readFile(path);
}
const paths = async (path: string): Promise<readonly string[]> =>
  (await tarEntries(bytesOf(path), { where: path })).map((entry) => `${entry.kind} ${entry.path}`);

describe("a tree that is changed as an archive", () => {
  test("keeps all that is hard to carry, sorted", async () => {
    const members = unusualFiles(new Uint8Array([1, 2, 3]));
    const archive = join(folder, "in.tar");
    // A hard link may not come before its file; all else may stand anywhere.
    const mixed = [...members].sort(
      (a, b) => Number(a.entry.kind === "hard-link") - Number(b.entry.kind === "hard-link") || (a.entry.path < b.entry.path ? 1 : -1),
    );
    const given = [...mixed.filter(({ entry }) => entry.kind !== "hard-link"), ...mixed.filter(({ entry }) => entry.kind === "hard-link")];
    await pipeline(Readable.from(archiveOf(given)), createWriteStream(archive));
    const out = await write(await ArchiveFiles.open(archive, { mtimeS: EPOCH_S }));
    const sorted = join(folder, "sorted.tar");
    await pipeline(Readable.from(archiveOf(members)), createWriteStream(sorted));
    expect((await readFile(out)).equals(await readFile(sorted))).toBe(true);
  });

  test("takes files where links lead, also links that came with them", async () => {
    const files = await ArchiveFiles.open(undefined, { mtimeS: 0 });
    await files.put([{ kind: "directory", path: "usr/lib", mode: 0o755 }, link("lib", "usr/lib"), file("lib/a", "a")]);
    await files.put([file("lib/b", "b"), link("x", "/lib/../lib"), file("x/c")]);
    expect(await paths(await write(files))).toEqual([
      ...[
        "directory ",
        "symlink lib",
        "directory usr",
        "directory usr/lib",
        "file usr/lib/a",
        "file usr/lib/b",
        "file usr/lib/c",
        "symlink x",
      ],
    ]);
    expect(new TextDecoder().decode(await files.readIfThere("x/a"))).toBe("a");
  });

  test("forgets what is removed, and what came before it in its place", async () => {
    const files = await ArchiveFiles.open(undefined, { mtimeS: 0 });
    await files.put([file("a/b", "1"), file("a/c"), link("l", "a")]);
    await files.remove("a");
    await files.put([file("a/b", "2")]);
    await files.remove("l");
    expect(await paths(await write(files))).toEqual(["directory ", "directory a", "file a/b"]);
    expect(new TextDecoder().decode(await files.readIfThere("a/b"))).toBe("2");
    expect(await files.exists("a/c")).toBe(false);
  });

  test("changes owners, with all that is below where asked, and not through links", async () => {
    const files = await ArchiveFiles.open(undefined, { mtimeS: 0 });
    await files.put([file("home/x/a", "content"), file("other"), link("home/x/l", "/other")]);
    await files.changeOwner("home/x", { uid: 5, gid: 6, below: true });
    await files.changeOwner("home/x/l", { uid: 7, gid: 8 });
    const owners = (await tarEntries(bytesOf(await write(files)), { where: "out" })).map(({ path, uid, gid }) => `${path} ${uid}:${gid}`);
    expect(owners).toEqual([" 0:0", "home 0:0", "home/x 5:6", "home/x/a 5:6", "home/x/l 7:8", "other 0:0"]);
    await expect(files.changeOwner("none", { uid: 1, gid: 1 })).rejects.toThrow(/found nothing/);
  });
});

describe("the order of a packed tree", () => {
  const path = fc.array(fc.stringMatching(/^[!-.0-~]{1,3}$/), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));

  test("has a folder before what is in it, and all of that before its neighbours", () => {
    expect(["a.b", "a/b", "a", "a!", "a/b/c", "b"].sort(compareTreePaths)).toEqual(["a", "a/b", "a/b/c", "a!", "a.b", "b"]);
    fc.assert(
      fc.property(path, path, path, (a, b, c) => {
        expect(Math.sign(compareTreePaths(a, b))).toBe(-Math.sign(compareTreePaths(b, a)) + 0);
        expect(compareTreePaths(a, `${a}/${b}`)).toBeLessThan(0);
        if (compareTreePaths(a, c) < 0 && !c.startsWith(`${a}/`)) expect(compareTreePaths(`${a}/${b}`, c)).toBeLessThan(0);
      }),
    );
  });
});

test("no file is placed outside of the tree or below a file, whatever links are there", () => {
  const name = fc.constantFrom("a", "b", "c");
  const plain = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
  const target = fc.array(fc.constantFrom("a", "b", "..", "/", "."), { minLength: 1, maxLength: 4 }).map((parts) => parts.join("/"));
  const entry = fc.oneof(
    plain.map((path) => file(path)),
    fc.tuple(plain, target).map(([path, to]) => link(path, to)),
    plain.map((path): TreeEntry => ({ kind: "directory", path, mode: 0o700 })),
  );
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
      const placement = new Placement(new Map());
      const kinds = new Map<string, string>();
      for (const member of membersOf(entries, { mtimeS: 0 })) {
        try {
          for (const placed of placement.place(member)) kinds.set(placed.entry.path, placed.entry.kind);
        } catch (error) {
          expect((error as Error).message).toMatch(/put a file into a tree|a loop/);
        }
      }
      for (const path of kinds.keys()) {
        expect(path).toMatch(/^[abc](?:\/[abc])*$/);
        const parent = path.slice(0, Math.max(path.lastIndexOf("/"), 0));
        if (parent !== "") expect(kinds.get(parent)).toBe("directory");
        expect(placement.index.get(byteText(path))?.kind).toBe(kinds.get(path));
      }
    }),
  );
});
