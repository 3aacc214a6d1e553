import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
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

const spec = { name: "plan", path: fileURLToPath(import.meta.url) };

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
    expect(await store.lastRecipe(spec, "stage")).toBeUndefined();
    await using workplace = await store.workplace();
    await store.keep(recipe(3), workplace);
    await store.rememberLatest(spec, "stage", recipeHash(recipe(3)));
    expect(await store.lastRecipe(spec, "stage")).toEqual(recipe(3));
    expect(await store.lastRecipe(spec, "other")).toBeUndefined();
    expect(await store.lastRecipe({ ...spec, path: "/copy/spec.yaml" }, "stage"), "a copy of the spec elsewhere").toBeUndefined();
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

const signal = new AbortController().signal;
const NOW_MS = 1_800_000_000_000;

async function kept(store: Store, revision: number, content = "x"): Promise<string> {
  await using workplace = await store.workplace();
  await writeFile(join(workplace.output, "file"), content);
  await store.keep(recipe(revision), workplace);
  return recipeHash(recipe(revision));
}

describe("cleaning the store", () => {
  test("takes an output away with its recipe and log, and only then", async () => {
    const store = await Store.open(root, process.env);
    const [one, two] = [await kept(store, 1), await kept(store, 2)];
    expect(await store.removeOutputs([one], signal)).toEqual([one]);
    expect([await store.has(one), await store.has(two)]).toEqual([false, true]);
    expect(await readdir(join(root, "recipes"))).toEqual([`${two}.json`]);
    expect(await readdir(join(root, "work"))).toEqual([]);
  });

  test("leaves what a living build uses, until that ends", async () => {
    const store = await Store.open(root, process.env);
    const hash = await kept(store, 1);
    {
      await using pins = await store.pins(NOW_MS, signal);
      expect(await pins.holds(hash)).toBe(true);
      expect((await store.inventory()).outputs).toMatchObject([{ hash, isPinned: true, usedMs: NOW_MS }]);
      expect(await store.removeOutputs([hash], signal)).toEqual([]);
      expect(await store.has(hash)).toBe(true);
    }
    expect(await store.removeOutputs([hash], signal)).toEqual([hash]);
  });

  test("and a build that begins at that moment never both have their way", async () => {
    const store = await Store.open(root, process.env);
    for (let round = 0; round < 20; round++) {
      const hash = await kept(store, round);
      await using pins = await store.pins(NOW_MS, signal);
      const [holds, gone] = await Promise.all([pins.holds(hash), store.removeOutputs([hash], signal)]);
      expect([holds, gone, await store.has(hash)]).toEqual(holds ? [true, [], true] : [false, [hash], false]);
    }
  });

  test("takes the pins of a build that was killed", async () => {
    const store = await Store.open(root, process.env);
    const hash = await kept(store, 1);
    const child = spawn("sleep", ["1000000"]);
    const ended = new Promise((resolve) => child.once("exit", resolve));
    const { boot_id } = ownIdentity();
    const startTicks = (await readFile(`/proc/${child.pid}/stat`, "latin1")).replace(/^.*\) /s, "").split(" ")[19];
    const pin = join(root, "pins", `${child.pid}-${startTicks}-${boot_id.replaceAll("-", "_")}-0`);
    await writeFile(pin, `${hash}\n`);
    await Store.open(root, process.env);
    expect(await store.removeOutputs([hash], signal), "it lives").toEqual([]);
    child.kill("SIGKILL");
    await ended;
    await Store.open(root, process.env);
    expect(await store.removeOutputs([hash], signal)).toEqual([hash]);
  });

  test("leaves recipes of what is no longer kept where a spec may ask what changed since", async () => {
    const store = await Store.open(root, process.env);
    const [one, two] = [await kept(store, 1), await kept(store, 2)];
    await store.rememberLatest(spec, "stage", one);
    for (const hash of [one, two]) await rm(store.pathOf(hash), { recursive: true });
    await store.removeRemains();
    expect(await readdir(join(root, "recipes"))).toEqual([`${one}.json`]);
    expect(await store.lastRecipe(spec, "stage")).toEqual(recipe(1));
  });

  test("needs nothing for a spec that is gone", async () => {
    const store = await Store.open(root, process.env);
    const path = join(root, "spec.yaml");
    await writeFile(path, "");
    const hash = await kept(store, 1);
    await store.rememberLatest({ name: "plan", path }, "stage", hash);
    await store.removeRemains();
    expect((await store.inventory()).outputs).toMatchObject([{ hash, isLatest: true }]);
    await rm(path);
    expect((await store.inventory()).outputs).toMatchObject([{ hash, isLatest: false }]);
    await store.removeRemains();
    expect(await readdir(join(root, "latest"))).toEqual([]);
  });

  test("tells sizes as they are on disk, and what the last builds need", async () => {
    const store = await Store.open(root, process.env);
    const hash = await kept(store, 1, "x".repeat(100_000));
    await store.rememberLatest(spec, "stage", hash);
    const [output] = (await store.inventory()).outputs;
    expect(output).toMatchObject({ hash, kind: "test", isLatest: true, isPinned: false });
    expect(output!.sizeBytes).toBeGreaterThanOrEqual(100_000);
  });
});

describe("the workplace of a failed stage", () => {
  const failedWith = async (store: Store, content: string, diskWasFull = false): Promise<string> => {
    await using workplace = await store.workplace();
    await writeFile(join(workplace.output, "half"), content);
    await writeFile(workplace.log, "log");
    return await store.keepFailed("plan", "stage", workplace, diskWasFull);
  };

  test("is kept in place of an earlier one", async () => {
    const store = await Store.open(root, process.env);
    await failedWith(store, "first");
    const path = await failedWith(store, "second");
    expect(await readFile(join(path, "output/half"), "utf8")).toBe("second");
    expect(await store.failed()).toEqual(["plan.stage"]);
    expect(await readdir(join(root, "work"))).toEqual([]);
    await store.forgetFailed("plan", "stage");
    expect(await store.failed()).toEqual([]);
  });

  test("is its log alone where the disk was full", async () => {
    const store = await Store.open(root, process.env);
    expect(await readdir(await failedWith(store, "much", true))).toEqual(["log.txt"]);
  });
});
