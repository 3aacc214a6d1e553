/** Builds a spec twice, each time from nothing, and says whether the same bytes came out. */
import { join, resolve } from "node:path";
import type { Job } from "../contract/job.ts";
import { type FileDifference, folderDifferences } from "./differences.ts";
import { readPlan } from "./plan.ts";
import { type BuildOptions, type Built, buildPlan } from "./runner.ts";
import { type SpecPlace, Store } from "./store.ts";

export interface StageDifference {
  readonly stage: string;
  /** Inputs whose outputs differ too: where there is one, the cause may be there and not in this stage. */
  readonly inputs: readonly string[];
  readonly files: readonly FileDifference[];
}

export interface BuiltTwice {
  /** The first of both, now in the store, unless they differ. */
  readonly built: Built;
  /** In the order of the graph, so that the first one is where it began. Empty: the same bytes. */
  readonly differences: readonly StageDifference[];
}

/**
 * Stages that test are left out: their results tell of times. What was fetched from the network may serve both builds. Takes the disk space of two builds
 * for as long as it runs.
 */
export async function buildTwice(planPath: string, options: BuildOptions, job: Job): Promise<BuiltTwice> {
  const store = await Store.open(options.store, options.env);
  await using place = await store.workplace();
  const cacheFolder = options.cacheFolder ?? join(store.root, "cache");
  const build = async (name: string): Promise<Built> => {
    job.progress.say(`the ${name} of two builds`);
    return await buildPlan(planPath, { ...options, store: join(place.scratch, name), cacheFolder, tests: false }, job);
  };
  const [first, second] = [await build("first"), await build("second")];

  const { stages } = await readPlan(planPath);
  const differences: StageDifference[] = [];
  for (const [index, { name, output }] of first.stages.entries()) {
    const files = await folderDifferences(output, second.stages[index]!.output, {
      scratch: place.output,
      env: options.env,
      signal: job.signal,
    });
    if (files.length === 0) continue;
    const inputs = Object.values(stages.find((stage) => stage.name === name)?.inputs ?? {});
    differences.push({ stage: name, inputs: inputs.filter((input) => differences.some(({ stage }) => stage === input)), files });
  }
  if (differences.length > 0) return { built: first, differences };
  const from = await Store.open(join(place.scratch, "first"), options.env);
  return { built: await adopted(first, { store, from, spec: { name: first.plan, path: resolve(planPath) } }), differences };
}

/** Moves the outputs of a build from its own store into ours. */
async function adopted(
  built: Built,
  { store, from, spec }: { readonly store: Store; readonly from: Store; readonly spec: SpecPlace },
): Promise<Built> {
  for (const { name, hash, output, log } of built.stages) {
    const recipe = await from.recipe(hash);
    if (recipe !== undefined) await store.keep(recipe, { output, log });
    await store.rememberLatest(spec, name, hash);
  }
  const moved = (path: string): string => path.replace(from.root, store.root);
  const stages = built.stages.map((stage) => ({ ...stage, output: moved(stage.output), log: moved(stage.log) }));
  return { ...built, output: moved(built.output), stages };
}
