import { createReadStream } from "node:fs";
import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readable } from "../../../src/formats/byte-text.ts";
import { completeTree } from "../../../src/formats/file-tree.ts";
import { readTar } from "../../../src/formats/tar-reader.ts";
import { LayeredTree, type LayerOptions } from "../../../src/live/seed/layered-tree.ts";
import { anyTree } from "../../formats/tree-arbitrary.ts";
import { folder as directory, file, link, tarOf } from "./oci-images.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-layers-"));
});
afterEach(() => rm(folder, { recursive: true }));

type Entries = Parameters<typeof tarOf>[0];

let count = 0;
async function layer(entries: Entries): Promise<string> {
  count += 1;
  const path = join(folder, `layer-${count}.tar`);
  await writeFile(path, await tarOf(entries));
  return path;
}

async function listed(tree: LayeredTree): Promise<readonly string[]> {
  count += 1;
  const path = join(folder, `out-${count}.tar`);
  await tree.write(path, { epochS: 100 });
  const all: string[] = [];
  for await (const { entry, content } of readTar(createReadStream(path), { where: path })) {
    let text = "";
    for await (const piece of content) text += Buffer.from(piece).toString("latin1");
    all.push([entry.kind, readable(entry.path), entry.mode.toString(8), "target" in entry ? readable(entry.target) : text].join(" "));
  }
  return all;
}

async function laid(layers: readonly Entries[], options: LayerOptions = {}): Promise<readonly string[]> {
  await using tree = new LayeredTree();
  for (const entries of layers) await tree.add(await layer(entries), options);
  return await listed(tree);
}

describe("archives laid over each other", () => {
  test("give what a tree of all their files gives", async () => {
    await fc.assert(
      fc.asyncProperty(anyTree, anyTree, async (below, above) => {
        let both: ReturnType<typeof completeTree>;
        try {
          both = completeTree([...below, ...above]);
        } catch {
          // A file of one where the other has a folder: the next tests.
          return;
        }
        // A tree of files knows no way through links; here there are none that others go through.
        await using tree = new LayeredTree();
        await tree.add(await layer(completeTree(below)));
        await tree.add(await layer(completeTree(above).filter((entry) => entry.kind !== "directory" || above.includes(entry))));
        expect((await listed(tree)).slice(1).map((line) => line.split(" ")[0])).toHaveLength(both.length);
      }),
      { numRuns: 20 },
    );
  });

  test("put a folder in the place of a link, or go into what it leads to, as they are told", async () => {
    const below = [directory("usr/lib"), file("usr/lib/a", "1"), link("lib", "usr/lib")];
    const above = [directory("lib", 0o700), file("lib/b", "2")];
    expect(await laid([below, above])).toContain("directory lib 700 ");
    const kept = await laid([below, above], { keepFolderLinks: true });
    expect(kept).toContain("symlink lib 777 usr/lib");
    expect(kept).toContain("file usr/lib/b 644 2");
    // A link that leads nowhere keeps nobody.
    expect(await laid([[link("lib", "nowhere")], above], { keepFolderLinks: true })).toContain("directory lib 700 ");
  });

  test("take names of whiteouts as any other where they are no image's layers", async () => {
    expect(await laid([[file("a", "1")], [file(".wh.a", "2")]])).toEqual(["directory  755 ", "file .wh.a 644 2", "file a 644 1"]);
  });

  test("are sorted by the bytes of their names, folders before what is in them", async () => {
    const entries = ["b", "a-b", "a/c", "a", "ä"].map((name) => (name === "a" ? directory(name) : file(name)));
    expect((await laid([entries])).map((line) => line.split(" ")[1])).toEqual(["", "a", "a/c", "a-b", "b", "ä"]);
  });

  test("are refused where links into folders lead deeper than any path", async () => {
    const deep = Array.from({ length: 900 }, () => "d").join("/");
    const chain = [1, 2].flatMap((level) => [directory(`${level}/${deep}`), link(`${level + 1}`, `${level}/${deep}`)]);
    await expect(laid([[directory(deep), link("1", deep), ...chain]])).rejects.toThrow(
      /expected at most 2048 folders in each other, found more/,
    );
  });

  test("lose what is taken away, through links to its folder", async () => {
    await using tree = new LayeredTree();
    await tree.add(await layer([directory("usr/lib"), link("lib", "usr/lib"), file("usr/lib/old", "1"), file("gone/x", "1")]));
    expect([tree.remove("lib/old"), tree.remove("gone"), tree.remove("gone"), tree.remove("no/where")]).toEqual([true, true, false, false]);
    expect(await listed(tree)).toEqual(["directory  755 ", "symlink lib 777 usr/lib", "directory usr 755 ", "directory usr/lib 755 "]);
  });

  test("that are cut while they are used are told", async () => {
    await using tree = new LayeredTree();
    const path = await layer([file("a", "x".repeat(5000))]);
    await tree.add(path);
    await truncate(path, 2000);
    await expect(tree.write(join(folder, "out"), { epochS: 1 })).rejects.toThrow(/write a tar archive: a: expected 5000 bytes, found 1488/);
    expect((await readFile(join(folder, "out"))).length).toBeLessThan(5000);
  });
});
