import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ownIdentity } from "../../src/host/process-identity.ts";
import { type Recipe, recipeHash } from "../../src/live/graph.ts";
import { Store } from "../../src/live/store.ts";

const recipe = (revision: number): Recipe => ({ kind: "test", revision, epochS: 0, options: {}, inputs: {}, ingredients: {} });

let root: string;
beforeEach(async () => {
  root = join(await mkdtemp(join(tmpdir(), "hiperiso-store-")), "store");
});
afterEach(async () => {
  await rm(join(root, ".."), { recursive: true });
});

describe("the store", () => {
  test("keeps an output under its recipe's hash, whole", async () => {
    const store = await Store.open(root, process.env);
    const hash = recipeHash(recipe(1));
    expect(await store.has(hash)).toBe(false);
    {
      await using workplace = await store.workplace();
      await mkdir(join(workplace.output, "folder"));
      await writeFile(join(workplace.output, "folder/file"), "content");
      expect(await store.has(hash)).toBe(false);
      await store.keep(recipe(1), workplace);
    }
    expect(await store.has(hash)).toBe(true);
    expect(await readFile(join(store.pathOf(hash), "folder/file"), "utf8")).toBe("content");
    expect(await readdir(join(root, "work"))).toEqual([]);
  });

  test("keeps nothing of what was given up", async () => {
    const store = await Store.open(root, process.env);
    {
      await using workplace = await store.workplace();
      await writeFile(join(workplace.output, "half"), "x");
    }
    expect(await readdir(join(root, "work"))).toEqual([]);
    expect(await readdir(join(root, "outputs"))).toEqual([]);
  });

  test("keeps the first of two outputs with one hash", async () => {
    const store = await Store.open(root, process.env);
    for (const content of ["first", "second"]) {
      await using workplace = await store.workplace();
      await writeFile(join(workplace.output, "file"), content);
      await store.keep(recipe(1), workplace);
    }
    expect(await readFile(join(store.pathOf(recipeHash(recipe(1))), "file"), "utf8")).toBe("first");
  });

  test("remembers what a stage was made from", async () => {
    const store = await Store.open(root, process.env);
    expect(await store.lastRecipe("plan", "stage")).toBeUndefined();
    await using workplace = await store.workplace();
    await store.keep(recipe(3), workplace);
    await store.rememberLatest("plan", "stage", recipeHash(recipe(3)));
    expect(await store.lastRecipe("plan", "stage")).toEqual(recipe(3));
    expect(await store.lastRecipe("plan", "other")).toBeUndefined();
  });

  test("that cannot be made is named, with what to do", async () => {
    await writeFile(join(root, "../file"), "");
    await expect(Store.open(join(root, "../file/store"), process.env)).rejects.toThrow(/open the store of stages: .*ENOTDIR.*--store/);
  });

  test("removes the work of builds that are gone, and leaves that of those that run", async () => {
    const store = await Store.open(root, process.env);
    await using alive = await store.workplace();
    const { pid, pid_start_ticks, boot_id } = ownIdentity();
    const boot = boot_id.replaceAll("-", "_");
    const ended = spawn("true");
    await new Promise((resolve) => ended.once("close", resolve));
    for (const gone of [`${ended.pid}-1-${boot}-aa`, `${pid}-${pid_start_ticks}-other_boot-aa`, "nonsense"]) {
      await mkdir(join(root, "work", gone, "output"), { recursive: true });
    }
    await Store.open(root, process.env);
    expect(await readdir(join(root, "work"))).toHaveLength(1);
    expect(await readdir(alive.output)).toEqual([]);
  });
});
