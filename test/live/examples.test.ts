import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkPlan } from "../../src/live/checked-plan.ts";
import { copyExample, EXAMPLES_FOLDER, listExamples } from "../../src/live/examples.ts";
import { orderOf } from "../../src/live/graph.ts";
import { readPlan } from "../../src/live/plan.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-examples-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const examples = await listExamples();

describe("an example", () => {
  test("says what it is", () => {
    expect(examples.map(({ name }) => name)).toContain("demo");
    for (const { name, about } of examples) expect([name, about]).toEqual([name, expect.stringMatching(/^[A-Z].{10,}/)]);
  });

  test.each(examples)("$name is a spec without fault, in each of its variants, in its own folder too", async ({ name }) => {
    const path = await copyExample(name, join(folder, "mine"));
    const plan = await readPlan(path);
    for (const variant of [undefined, ...Object.keys(plan.variants)]) {
      const stages = checkPlan(plan, { variant });
      expect(orderOf(stages, [plan.result.stage]).length).toBeGreaterThan(0);
    }
    expect(await readFile(path, "utf8")).toBe(await readFile(join(EXAMPLES_FOLDER, `${name}.yaml`), "utf8"));
  });

  test("comes with the files of its name, which may be run as before", async () => {
    await copyExample("demo", join(folder, "mine"));
    expect((await readdir(join(folder, "mine"))).sort()).toEqual(["demo", "demo.yaml"]);
    const mode = async (path: string): Promise<number> => (await stat(path)).mode & 0o111;
    const script = "demo/root/etc/init.d/rcS";
    expect(await mode(join(folder, "mine", script))).toBe(await mode(join(EXAMPLES_FOLDER, script)));
  });

  test("goes into a folder that is new or empty only", async () => {
    await mkdir(join(folder, "empty"));
    await copyExample("demo", join(folder, "empty"));
    await expect(copyExample("demo", join(folder, "empty"))).rejects.toMatchObject({
      kind: "usage",
      expected: "a folder that is new or empty",
    });
    await writeFile(join(folder, "file"), "");
    await expect(copyExample("demo", join(folder, "file"))).rejects.toMatchObject({ kind: "usage" });
    await expect(copyExample("dem", join(folder, "x"))).rejects.toThrow(/one of .*demo.*found dem$/);
    expect((await readdir(folder)).sort()).toEqual(["empty", "file"]);
  });
});
