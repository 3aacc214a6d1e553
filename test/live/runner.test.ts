import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { HiperisoError } from "../../src/contract/error.ts";
import { type Job, quietJob, silentProgress } from "../../src/contract/job.ts";
import { type BuildOptions, buildPlan } from "../../src/live/runner.ts";
import { stageKind } from "../../src/live/stage.ts";
import { runTool } from "../../src/live/tool.ts";

/** Writes its text; a source file beside the plan is an ingredient. */
const write = stageKind({
  kind: "write",
  revision: 1,
  options: z.strictObject({ text: z.string(), source: z.string().optional() }),
  inputs: {},
  ingredients: async ({ source }, { planFolder }): Promise<Record<string, string>> =>
    source === undefined ? {} : { [source]: await readFile(join(planFolder, source), "utf8") },
  run: async ({ text, source }, { output, planFolder }) => {
    const beside = source === undefined ? "" : await readFile(join(planFolder, source), "utf8");
    await writeFile(join(output, "text"), text + beside);
  },
});

/** Joins two named inputs. */
const join2 = stageKind({
  kind: "join",
  revision: 1,
  options: z.strictObject({ between: z.string().default("+") }),
  inputs: { left: "required", right: "required" },
  ingredients: async () => ({}),
  run: async ({ between }, { inputs, output }) => {
    const [left, right] = await Promise.all(["left", "right"].map((name) => readFile(join(inputs[name]!, "text"), "utf8")));
    await writeFile(join(output, "text"), `${left}${between}${right}`);
  },
});

const fail = stageKind({
  kind: "fail",
  revision: 1,
  options: z.strictObject({}),
  inputs: { after: "optional" },
  ingredients: async () => ({}),
  run: async (_options, { output, env, job }) => {
    await writeFile(join(output, "half"), "x");
    await runTool("sh", ["-c", "echo one; echo two >&2; exit 7"], { env, signal: job.signal });
  },
});

/** Starts a program that does not end. */
const wait = stageKind({
  kind: "wait",
  revision: 1,
  options: z.strictObject({}),
  inputs: { after: "optional" },
  ingredients: async () => ({}),
  run: async (_options, { output, env, job }) => {
    await writeFile(join(output, "half"), "x");
    job.progress.say("waiting");
    await runTool("sleep", ["1000000"], { env, signal: job.signal });
  },
});

const PLAN = `name: letters
epoch: 1767225600
result: { stage: word, file: text }
stages:
  a: { kind: write, text: a, source: source }
  b: { kind: write, text: b }
  word: { kind: join, inputs: { left: a, right: b } }
variants:
  dashed: { about: a dash, options: { word: { between: "-" } } }
`;

let folder: string;
let plan: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-live-"));
  await mkdir(join(folder, "plan"));
  plan = join(folder, "plan/plan.yaml");
  await writeFile(plan, PLAN);
  await writeFile(join(folder, "plan/source"), "1");
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const build = (options: Partial<BuildOptions> = {}, job: Job = quietJob) =>
  buildPlan(plan, { store: join(folder, "store"), env: process.env, kinds: [write, join2, fail, wait], ...options }, job);
const reused = ({ stages }: Awaited<ReturnType<typeof build>>) => Object.fromEntries(stages.map(({ name, reused }) => [name, reused]));

describe("a build", () => {
  test("runs each stage once, with its inputs by name", async () => {
    const built = await build();
    expect(await readFile(built.output, "utf8")).toBe("a1+b");
    expect(built.stages.map(({ name, reused, because }) => [name, reused, because])).toEqual([
      ["a", false, "it was never built"],
      ["b", false, "it was never built"],
      ["word", false, "it was never built"],
    ]);
    expect(reused(await build())).toEqual({ a: true, b: true, word: true });
  });

  test("runs again what a changed source decides, and says why", async () => {
    await build();
    await writeFile(join(folder, "plan/source"), "2");
    const built = await build();
    expect(await readFile(built.output, "utf8")).toBe("a2+b");
    expect(built.stages.map(({ reused, because }) => [reused, because])).toEqual([
      [false, "changed: source (1 → 2)"],
      [true, "its output is kept"],
      [false, "changed: input left"],
    ]);
  });

  test("shares stages between variants, and with options that were set", async () => {
    const normal = await build();
    const dashed = await build({ variant: "dashed" });
    expect(await readFile(dashed.output, "utf8")).toBe("a1-b");
    expect(reused(dashed)).toEqual({ a: true, b: true, word: false });
    expect(await readFile((await build({ set: { word: { between: "/" } } })).output, "utf8")).toBe("a1/b");
    expect(reused(await build())).toEqual({ a: true, b: true, word: true });
    expect((await build()).output).toBe(normal.output);
  });

  test("makes an output again that was lost from the store", async () => {
    const { output } = await build();
    await rm(join(output, ".."), { recursive: true });
    const { stages } = await build();
    expect(stages.at(-1)).toMatchObject({ reused: false, because: "its output is no longer kept" });
  });

  test("gives the same hashes in another store and another place", async () => {
    const first = await build();
    const second = await build({ store: join(folder, "elsewhere") });
    expect(second.stages.map(({ hash }) => hash)).toEqual(first.stages.map(({ hash }) => hash));
  });

  test("that fails names the stage and the program's last lines, and leaves the store whole", async () => {
    await writeFile(plan, PLAN.replace("b: { kind: write, text: b }", "b: { kind: fail, inputs: { after: a } }"));
    const error = await build().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(HiperisoError);
    expect((error as HiperisoError).message).toMatch(/^cannot build stage b: .*cannot run sh: .*found 7: one\ntwo\. Its log: /s);
    expect(await readdir(join(folder, "store/work"))).toEqual([]);
    await writeFile(plan, PLAN);
    expect(reused(await build())).toEqual({ a: true, b: false, word: false });
  });

  test("that is aborted ends its program and leaves the store whole", async () => {
    await writeFile(plan, PLAN.replace("b: { kind: write, text: b }", "b: { kind: wait, inputs: { after: a } }"));
    const abort = new AbortController();
    const job: Job = { signal: abort.signal, progress: { ...silentProgress, say: () => abort.abort(new Error("Ctrl-C")) } };
    await expect(build({}, job)).rejects.toThrow("Ctrl-C");
    expect(await readdir(join(folder, "store/work"))).toEqual([]);
    expect(await readdir(join(folder, "store/outputs"))).toHaveLength(1);
    expect(spawnSync("pgrep", ["-P", `${process.pid}`, "-x", "sleep"], { encoding: "utf8" }).stdout ?? "").toBe("");
  });

  test("of a plan whose result is never made says so", async () => {
    await writeFile(plan, PLAN.replace("file: text", "file: texts"));
    await expect(build()).rejects.toThrow(/expected a file texts from word, found none/);
  });

  test("of a plan that is not there is a mistake of usage", async () => {
    await expect(buildPlan(join(folder, "none.yaml"), { store: folder, env: {} }, quietJob)).rejects.toMatchObject({ kind: "usage" });
  });
});
