import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { endOfLog, findFailedStage } from "../../src/live/failed-stage.ts";
import { Store } from "../../src/live/store.ts";

let folder: string;
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-failed-"));
  store = await Store.open(folder, process.env);
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const fail = async (name: string, tree?: string): Promise<void> => {
  const scratch = join(folder, "failed", name, "scratch");
  await mkdir(join(scratch, tree ?? ""), { recursive: true });
  await writeFile(join(folder, "failed", name, "log.txt"), "one\ntwo\nthree\n");
  if (tree !== undefined) await writeFile(join(scratch, tree, "tree.json"), "{}");
};

describe("what a failed stage left", () => {
  test("is found by the stage's name, with its log and the tree in it", async () => {
    await fail("debian.root", "work");
    const failed = await findFailedStage(store, "root");
    expect(failed).toMatchObject({ name: "debian.root", tree: join(folder, "failed/debian.root/scratch/work") });
    expect(await endOfLog(failed, 2)).toEqual(["two", "three"]);
    expect((await findFailedStage(store, "debian.root")).name).toBe("debian.root");
  });

  test("has no tree where the stage unpacked none", async () => {
    await fail("debian.iso");
    expect((await findFailedStage(store, "iso")).tree).toBeUndefined();
  });

  test("of several specs needs the spec's name too", async () => {
    await fail("debian.root");
    await fail("demo.root");
    await expect(findFailedStage(store, "root")).rejects.toMatchObject({
      kind: "usage",
      expected: "one of debian.root, demo.root",
      found: "several",
    });
    expect((await findFailedStage(store, "demo.root")).name).toBe("demo.root");
  });

  test("is not there where nothing failed, and that is told", async () => {
    await expect(findFailedStage(store, "root")).rejects.toMatchObject({ kind: "usage", expected: "a stage that failed" });
    await fail("demo.root");
    await expect(findFailedStage(store, "image")).rejects.toMatchObject({ kind: "usage", expected: "one of demo.root", found: "none" });
    await expect(findFailedStage(store, "../demo.root")).rejects.toMatchObject({ kind: "usage" });
  });
});
