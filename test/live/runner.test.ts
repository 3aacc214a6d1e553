import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { HiperisoError } from "../../src/contract/error.ts";
import { type Job, quietJob, silentProgress } from "../../src/contract/job.ts";
import { type BuildOptions, buildPlan } from "../../src/live/runner.ts";
import { IngredientsChanged, type StageRun, stageKind, TestFailed } from "../../src/live/stage.ts";
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

/** Whatever the test that uses it wants it to do, by the stage's option `does`. */
const doings = new Map<string, (run: StageRun) => Promise<void>>();
const act = stageKind({
  kind: "act",
  revision: 1,
  options: z.strictObject({ does: z.string(), cores: z.int().default(1) }),
  inputs: { after: "optional", other: "optional" },
  ingredients: async ({ does }): Promise<Record<string, string>> => {
    await doings.get(`ingredients of ${does}`)?.({} as StageRun);
    return {};
  },
  needs: ({ cores }) => ({ cores, memoryMb: 1 }),
  run: async ({ does }, run) => {
    await doings.get(does)?.(run);
    await writeFile(join(run.output, "text"), does);
  },
});

/** As a stage that boots: what it finds bad is an answer. */
const examine = stageKind({
  kind: "examine",
  revision: 1,
  options: z.strictObject({ wants: z.string() }),
  inputs: { image: "required" },
  isTest: true,
  ingredients: async () => ({}),
  run: async ({ wants }, { inputs, output, log }) => {
    const found = await readFile(join(inputs["image"]!, "text"), "utf8");
    await writeFile(join(output, "results"), found);
    log.append(`wanted ${wants}\n`);
    if (found !== wants) throw new TestFailed({ what: "examine", expected: wants, found });
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
  doings.clear();
  await rm(folder, { recursive: true });
});

const build = (options: Partial<BuildOptions> = {}, job: Job = quietJob) =>
  buildPlan(plan, { store: join(folder, "store"), env: process.env, kinds: [write, join2, fail, wait, act, examine], ...options }, job);
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

const TWO = `name: two
epoch: 1767225600
result: { stage: last, file: text }
stages:
  one: { kind: act, does: one }
  two: { kind: act, does: two }
  last: { kind: act, does: last, inputs: { after: one, other: two } }
`;
const ROOM = { processors: 2, memoryMb: 1000, jobs: 100 };

/** Resolves when as many as that have come. */
function meeting(count: number): () => Promise<void> {
  let come = 0;
  let open: () => void;
  const all = new Promise<void>((resolve) => {
    open = resolve;
  });
  return async () => {
    come += 1;
    if (come === count) open();
    await all;
  };
}

describe("stages that do not wait for each other", () => {
  beforeEach(() => writeFile(plan, TWO));

  test("run at the same time", async () => {
    const meet = meeting(2); // neither would ever end alone
    for (const name of ["one", "two"]) doings.set(name, meet);
    expect((await build({ capacity: ROOM })).stages.map(({ name }) => name)).toEqual(["one", "two", "last"]);
  });

  test.each([
    ["the cores", { ...ROOM, processors: 1 }],
    ["the person", { ...ROOM, jobs: 1 }],
    ["the memory", { ...ROOM, memoryMb: 1 }],
  ])("run one after the other where %s allow no more", async (_what, capacity) => {
    let running = 0;
    for (const name of ["one", "two"]) {
      doings.set(name, async () => {
        running += 1;
        expect(running).toBe(1);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
      });
    }
    expect((await build({ capacity })).stages).toHaveLength(3);
  });

  test("end well when another fails beside them, and are kept; nothing behind is begun", async () => {
    const meet = meeting(2);
    doings.set("one", async () => {
      await meet();
      throw new HiperisoError({ what: "be one" });
    });
    let lateEnd = false;
    doings.set("two", async () => {
      await meet();
      await new Promise((resolve) => setImmediate(resolve));
      lateEnd = true;
    });
    doings.set("last", async () => {
      throw new Error("it was begun");
    });
    await expect(build({ capacity: ROOM })).rejects.toThrow(/^cannot build stage one: found cannot be one/);
    expect(lateEnd).toBe(true);
    doings.clear();
    expect(reused(await build({ capacity: ROOM }))).toEqual({ one: false, two: true, last: false });
  });

  test("are all ended by one Ctrl-C", async () => {
    const abort = new AbortController();
    const meet = meeting(2);
    const pids: string[] = [];
    for (const name of ["one", "two"]) {
      doings.set(name, async ({ job, env, scratch }) => {
        const tool = runTool("sh", ["-c", 'echo $$ >"$0/pid"; sleep 1000000 & wait', scratch], { env, signal: job.signal });
        while ((await readFile(join(scratch, "pid"), "utf8").catch(() => "")).trim() === "")
          await new Promise((resolve) => setImmediate(resolve));
        pids.push((await readFile(join(scratch, "pid"), "utf8")).trim());
        await meet();
        abort.abort(new Error("Ctrl-C"));
        await tool;
      });
    }
    await expect(build({ capacity: ROOM }, { signal: abort.signal, progress: silentProgress })).rejects.toThrow("Ctrl-C");
    expect(pids).toHaveLength(2);
    for (const pid of pids) expect(spawnSync("pgrep", ["-g", pid, "-r", "R,S,D,T"], { encoding: "utf8" }).stdout).toBe("");
    for (const name of ["work", "pins", "outputs", "failed"])
      expect([name, await readdir(join(folder, "store", name))]).toEqual([name, []]);
  });

  test("share their cores with what they run", async () => {
    const given: number[] = [];
    doings.set("one", async ({ cores }) => void given.push(cores));
    await writeFile(plan, TWO.replace("does: one }", "does: one, cores: 64 }"));
    await build({ capacity: { ...ROOM, processors: 3 } });
    expect(given).toEqual([3]);
  });

  test("with the same recipe are made once", async () => {
    let times = 0;
    doings.set("one", async () => {
      times += 1;
    });
    await writeFile(plan, TWO.replace("does: two", "does: one"));
    const { stages } = await build({ capacity: { ...ROOM, processors: 1 } });
    expect([times, stages[0]!.hash === stages[1]!.hash]).toEqual([1, true]);
  });
});

describe("before anything runs", () => {
  test("every stage is asked what it is made from: what is missing is known at once", async () => {
    await writeFile(plan, TWO);
    let ran = false;
    doings.set("one", async () => {
      ran = true;
    });
    doings.set("ingredients of last", async () => {
      throw new HiperisoError({ what: "find a package", where: "no-such", kind: "usage" });
    });
    const error = await build().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ what: "build stage last", kind: "usage" });
    expect(ran).toBe(false);
  });

  test("a dry run says what would be built and why, and builds nothing", async () => {
    await build();
    await writeFile(join(folder, "plan/source"), "2");
    const dry = await build({ dryRun: true });
    expect(dry.stages.map(({ name, reused, because }) => [name, reused, because])).toEqual([
      ["a", false, "changed: source (1 → 2)"],
      ["b", true, "its output is kept"],
      ["word", false, "changed: input left"],
    ]);
    expect((await build({ dryRun: true })).stages.map(({ reused }) => reused)).toEqual([false, true, false]);
  });
});

describe("a stage", () => {
  test("that failed leaves its log and its files, until it runs again", async () => {
    await writeFile(plan, TWO);
    doings.set("one", async ({ log, scratch, env, job }) => {
      await writeFile(join(scratch, "half"), "x");
      await runTool("sh", ["-c", "echo from the tool"], { env, signal: job.signal, log });
      throw new HiperisoError({ what: "be one", hint: "Be two." });
    });
    const error = (await build().catch((thrown: unknown) => thrown)) as HiperisoError;
    const failed = join(folder, "store/failed/two.one");
    expect(error.found).toMatch(/\nThe end of its log:\n\$ sh -c 'echo from the tool'\nfrom the tool\ncannot be one. Be two.$/);
    expect(error.hint).toBe(`Its log: ${failed}/log.txt. To look around in it: hiperiso live shell one`);
    expect(await readFile(join(failed, "log.txt"), "utf8")).toMatch(/^\$ sh -c .*from the tool\ncannot be one/s);
    expect(await readdir(join(failed, "scratch"))).toEqual(["half"]);
    doings.clear();
    await build();
    expect(await readdir(join(folder, "store/failed"))).toEqual([]);
  });

  test("that ended well leaves its log beside its output", async () => {
    await writeFile(plan, TWO);
    doings.set("one", async ({ log }) => log.append("all is well\n"));
    const { stages } = await build();
    expect(await readFile(stages[0]!.log, "utf8")).toBe("all is well\n");
    expect(stages[0]).toMatchObject({ kind: "act", output: join(folder, "store/outputs", stages[0]!.hash) });
    expect(stages[0]!.sizeBytes).toBeGreaterThan(0);
  });

  test("whose packages changed under its hands is asked again, once", async () => {
    await writeFile(plan, TWO);
    let times = 0;
    doings.set("one", async () => {
      times += 1;
      if (times === 1) throw new IngredientsChanged({ what: "download" });
    });
    expect((await build()).stages).toHaveLength(3);
    await rm(join(folder, "store"), { recursive: true });
    doings.set("one", async () => {
      times += 1;
      throw new IngredientsChanged({ what: "download" });
    });
    await expect(build()).rejects.toThrow(/^cannot build stage one: found cannot download/);
    expect(times).toBe(4);
    expect(await readdir(join(folder, "store/failed"))).toEqual(["two.one"]);
  });

  test("can be built alone, and its folder is what comes out", async () => {
    const { output, stages } = await build({ stages: ["a"] });
    expect(await readFile(join(output, "text"), "utf8")).toBe("a1");
    expect(stages.map(({ name }) => name)).toEqual(["a"]);
    await expect(build({ stages: ["none"] })).rejects.toThrow(/expected a stage of the spec \(a, b, word\), found none/);
  });
});

describe("a stage that tests", () => {
  const withTest = (wants: string) =>
    PLAN.replace("variants:", `  test: { kind: examine, inputs: { image: word }, wants: "${wants}" }\nvariants:`);

  test("runs with every build, and its verdict is kept with its output", async () => {
    await writeFile(plan, withTest("a1+b"));
    const { tests } = await build();
    expect(tests).toEqual([{ stage: "test", passed: true, says: "", output: expect.stringContaining(join(folder, "store/outputs")) }]);
    expect((await build()).tests).toEqual(tests);
    expect(reused(await build())).toMatchObject({ test: true });
  });

  test("that is not passed fails no build, keeps its results, and runs again", async () => {
    await writeFile(plan, withTest("else"));
    for (const _ of [1, 2]) {
      const { output, tests, stages } = await build();
      expect(await readFile(output, "utf8")).toBe("a1+b");
      expect(tests).toMatchObject([{ stage: "test", passed: false, says: "cannot examine: expected else, found a1+b" }]);
      expect(await readFile(join(tests[0]!.output, "results"), "utf8")).toBe("a1+b");
      expect(stages.at(-1)).toMatchObject({ name: "test", reused: false, log: join(folder, "store/failed/letters.test/log.txt") });
    }
  });

  test("is left out when asked", async () => {
    await writeFile(plan, withTest("else"));
    const { tests, stages } = await build({ tests: false });
    expect([tests, stages.map(({ name }) => name)]).toEqual([[], ["a", "b", "word"]]);
  });
});

describe("a spec that is wrong is refused before anything is made", () => {
  test.each([
    [
      "a circle",
      "a: { kind: act, does: a, inputs: { after: b } }\n  b: { kind: act, does: b, inputs: { after: a } }",
      /b → a → b|a → b → a/,
    ],
    ["an unknown kind", "a: { kind: acts, does: a }\n  b: { kind: act, does: b }", /plan\.yaml:5:14: there is no kind "acts"/],
    ["an unknown key", "a: { kind: act, does: a, dose: b }\n  b: { kind: act, does: b }", /plan\.yaml:5:28: unknown key "dose"/],
    ["a missing input", "a: { kind: join }\n  b: { kind: act, does: b }", /plan\.yaml:5:3: a stage of kind join needs the input "left"/],
    [
      "an input that is no stage",
      "a: { kind: act, does: a, inputs: { after: c } }\n  b: { kind: act, does: b }",
      /plan\.yaml:5:45: there is no stage "c"/,
    ],
    [
      "an input that the kind has not",
      "a: { kind: act, does: a, inputs: { before: b } }\n  b: { kind: act, does: b }",
      /plan\.yaml:5:38: a stage of kind act has no input "before"/,
    ],
    ["a stage that waits for itself", "a: { kind: act, does: a, inputs: { after: a } }\n  b: { kind: act, does: b }", /a → a/],
    [
      "two stages of one name",
      "a: { kind: act, does: a }\n  a: { kind: act, does: b }\n  b: { kind: act, does: b }",
      /plan\.yaml:6:3: Map keys must be unique/,
    ],
  ])("%s", async (_what, stages, message) => {
    await writeFile(
      plan,
      `name: bad\nepoch: 1767225600\nresult: { stage: word, file: text }\nstages:\n  ${stages}\n  word: { kind: join, inputs: { left: a, right: b } }\n`,
    );
    const error = await build().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: "usage", message: expect.stringMatching(message) });
    expect(await readdir(folder)).toEqual(["plan"]);
  });
});
