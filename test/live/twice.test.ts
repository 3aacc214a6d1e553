import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { quietJob } from "../../src/contract/job.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { stageKind, TestFailed } from "../../src/live/stage.ts";
import { buildTwice } from "../../src/live/twice.ts";

let folder: string;
let spec: string;
let times: number;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-twice-"));
  spec = join(folder, "spec.yaml");
  times = 0;
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** `counts`: another content each time it is made. */
const write = stageKind({
  kind: "write",
  revision: 1,
  options: z.strictObject({ counts: z.boolean().default(false) }),
  inputs: { from: "optional" },
  ingredients: async () => ({}),
  run: async ({ counts }, { inputs, output, cacheFolder }) => {
    const from = inputs["from"];
    if (counts) times += 1;
    const before = from === undefined ? "" : await readFile(join(from, "text"), "utf8");
    await mkdir(cacheFolder, { recursive: true });
    await writeFile(join(cacheFolder, "fetched"), "x");
    await writeFile(join(output, "text"), `${before}${counts ? times : "same"}`);
  },
});
const examine = stageKind({
  kind: "examine",
  revision: 1,
  options: z.strictObject({}),
  inputs: { image: "required" },
  isTest: true,
  ingredients: async () => ({}),
  run: async () => {
    throw new TestFailed({ what: "examine" });
  },
});

const SPEC = `name: twice
epoch: 1767225600
result: { stage: last, file: text }
stages:
  first: { kind: write }
  other: { kind: write }
  last: { kind: write, inputs: { from: first } }
  test: { kind: examine, inputs: { image: last } }
`;
const options = () => ({ store: join(folder, "store"), env: process.env, kinds: [write, examine] });

describe("two builds from nothing", () => {
  test("of the same bytes are one, which is then in the store; nothing is tested", async () => {
    await writeFile(spec, SPEC);
    const { built, differences } = await buildTwice(spec, options(), quietJob);
    expect(differences).toEqual([]);
    expect(built.stages.map(({ name, reused }) => [name, reused])).toEqual([
      ["first", false],
      ["last", false],
    ]);
    expect(await readFile(built.output, "utf8")).toBe("samesame");
    expect(await readdir(join(folder, "store/work"))).toEqual([]);
    expect((await buildPlan(spec, { ...options(), tests: false }, quietJob)).stages.map(({ reused }) => reused)).toEqual([true, true]);
    expect(await readdir(join(folder, "store/cache")), "what was fetched serves both").toEqual(["fetched"]);
  });

  test("that differ are told from the stage on in which it began, and neither is kept", async () => {
    await writeFile(spec, SPEC.replace("first: { kind: write }", "first: { kind: write, counts: true }"));
    const { differences } = await buildTwice(spec, options(), quietJob);
    const files = [{ path: "text", says: "from byte 0 on", inside: [] }];
    expect(differences).toEqual([
      { stage: "first", inputs: [], files },
      { stage: "last", inputs: ["first"], files },
    ]);
    expect(await readdir(join(folder, "store/outputs"))).toEqual([]);
    expect(await readdir(join(folder, "store/work"))).toEqual([]);
  });

  test("are made anew though the store has all of it", async () => {
    await writeFile(spec, SPEC.replace("first: { kind: write }", "first: { kind: write, counts: true }"));
    await buildPlan(spec, { ...options(), tests: false }, quietJob);
    await buildTwice(spec, options(), quietJob);
    expect(times).toBe(3);
  });
});
