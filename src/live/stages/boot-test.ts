/** Boots an image in the recorder, as a test file says, and fails where a boot does not do what it should. */
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { readScreenshots } from "../../analysis/screenshots.ts";
import { HiperisoError } from "../../contract/error.ts";
import { type SuiteResult, testSchema } from "../../contract/suite.ts";
import { junitXml } from "../../suite/junit.ts";
import { decodeSuite, type Suite } from "../../suite/matrix.ts";
import { resultsTable, suiteResult, suiteSummary } from "../../suite/results.ts";
import { resultsHtml } from "../../suite/results-html.ts";
import type { Boots } from "../boots.ts";
import { canonicalJson } from "../graph.ts";
import { bootable, type ServedImage } from "../medium/bootable.ts";
import { type StageKind, type StageRun, stageKind, TestFailed } from "../stage.ts";
import { toolVersion } from "../tool.ts";

/** What is booted comes from the stage's input. */
const FROM_INPUT = ["image", "kernel", "initrd"];
const ownFields = (shape: Readonly<Record<string, z.ZodType>>): Record<string, z.ZodType> =>
  Object.fromEntries(Object.entries(shape).filter(([key]) => !FROM_INPUT.includes(key)));

const Options = z.strictObject({
  ...ownFields(testSchema.shape),
  tests: z
    .array(z.strictObject(ownFields(testSchema.shape)))
    .min(1)
    .max(1_000)
    .optional()
    .describe("What stands beside it holds for each of them."),
  retries: z.int().min(0).max(100).default(0).describe("How often a boot that did not pass is tried again."),
});
type Options = z.infer<typeof Options>;

/** `image` of the results is this, so that they do not tell where a store is. */
export interface BootTestResult extends SuiteResult {
  /** By job id: pictures below `screenshots/`. */
  readonly screenshots: Readonly<Record<string, readonly string[]>>;
}

/**
 * Output: `results.json`, `results.xml` (JUnit), `results.html`, `screenshots/`. The sessions stay in the person's folder of sessions.
 * `boots` undefined: nobody can boot here, and the stage says so when it is run.
 */
export const bootTestStage = (boots: Boots | undefined): StageKind =>
  stageKind({
    kind: "boot-test",
    revision: 1,
    options: Options,
    inputs: { image: "required" },
    isTest: true,
    // The boots share the computer by rules of their own.
    needs: { cores: "all", memoryMb: 1024 },

    async ingredients(options, { planFolder, env, job }) {
      // Any file that is there stands for the image, which is not made yet: what counts are the scripts.
      const { jobs } = await readJobs(options, planFolder, { words: { kernel: planFolder }, served: undefined });
      return {
        QEMU: await toolVersion("qemu-system-x86_64", ["--version"], { env, signal: job.signal }),
        scripts: createHash("sha256")
          .update(canonicalJson(jobs.map(({ script }) => script?.steps.map(({ where: _, ...step }) => step))))
          .digest("hex"),
      };
    },

    async run(options, run) {
      if (boots === undefined) {
        throw new HiperisoError({
          what: "boot an image",
          where: "a boot-test stage",
          expected: "a program that boots",
          found: "none",
          hint: "Build with `hiperiso live build`.",
        });
      }
      await using image = await bootable(run.inputs["image"]!);
      const suite = await readJobs(options, run.planFolder, image);
      const { result, shown } = await bootAll(suite, options, run, boots);
      const table = resultsTable(shown);
      run.log.append(table);
      await writeResults(run.output, shown, result);
      if (result.passed < result.jobs.length) throw failure(result, table, boots);
    },
  });

type Image = Pick<ServedImage, "words" | "served">;

/** The options are a test file's content but for the image. */
async function readJobs(options: Options, planFolder: string, { words }: Image): Promise<Suite> {
  const { retries: _, ...content } = options;
  const text = JSON.stringify({ ...content, ...words }, null, 2);
  // What it names stands beside the spec.
  const path = join(planFolder, "boot-test");
  try {
    return await decodeSuite(text, path, { expandHome: (name) => name });
  } catch (error) {
    if (!(error instanceof HiperisoError) || error.found === undefined) throw error;
    const { what, where = "", found, kind } = error;
    // The place of a single fault stands in `where`.
    const faults = /:\d+:\d+$/.test(where) ? `${where}: ${found}` : found;
    throw new HiperisoError({ what, where: "its options", found: namedPlaces(faults, text, path), kind, cause: error });
  }
}

/** `path:LINE:COLUMN` of a text that no person wrote says nothing: the option's name there says more. */
function namedPlaces(faults: string, text: string, path: string): string {
  const lines = text.split("\n");
  return faults
    .split("\n")
    .map((fault) => {
      if (!fault.startsWith(`${path}:`)) return fault;
      const [, line, says] = /^(\d+):\d+: (.*)$/s.exec(fault.slice(path.length + 1)) ?? [];
      const keys = lines.slice(0, Number(line)).map((one) => /^ *"([a-z_]+)": /.exec(one)?.[1]);
      const key = keys.findLast((one) => one !== undefined);
      return says === undefined ? fault : key === undefined ? says : `${key}: ${says}`;
    })
    .join("\n");
}

async function bootAll({ name, jobs }: Suite, { retries }: Options, { job, log }: StageRun, boots: Boots) {
  const startedUtc = boots.clock.utc();
  const startedMs = boots.clock.monotonicMs();
  for (const { id } of jobs) log.append(`to boot: ${id}\n`);
  const results = await boots.run(jobs, { retries, signal: job.signal });
  job.signal.throwIfAborted();
  const result = suiteResult({ name, startedUtc, durationMs: boots.clock.monotonicMs() - startedMs }, results);
  return { result, shown: { ...result, jobs: result.jobs.map((one) => ({ ...one, image: null })) } };
}

async function writeResults(output: string, shown: SuiteResult, result: SuiteResult): Promise<void> {
  const screenshots: Record<string, string[]> = {};
  for (const [index, job] of result.jobs.entries()) {
    const session = job.runs.at(-1)?.session;
    for (const { name, png } of typeof session === "string" ? await readScreenshots(session).catch(() => []) : []) {
      if (png === undefined) continue;
      const path = `screenshots/${index + 1}-${name}`;
      await mkdir(dirname(join(output, path)), { recursive: true });
      await writeFile(join(output, path), png.content);
      screenshots[job.id] = [...(screenshots[job.id] ?? []), path];
    }
  }
  const told: BootTestResult = { ...shown, screenshots };
  await writeFile(join(output, "results.json"), `${JSON.stringify(told, null, 2)}\n`);
  await writeFile(join(output, "results.xml"), junitXml(shown));
  await writeFile(join(output, "results.html"), resultsHtml(shown, output));
}

function failure(result: SuiteResult, table: string, { logDirectory }: Boots): TestFailed {
  return new TestFailed({
    what: "boot the image",
    where: result.name,
    expected: `${result.jobs.length === 1 ? "a boot" : `${result.jobs.length} boots`} that do what they should`,
    found: `${suiteSummary(result)}\n${table.trimEnd()}`,
    hint: `The sessions are in ${logDirectory}: hiperiso report SESSION.`,
  });
}
