/** Builds a plan: each stage once, in order, and only where its output is not kept already. */
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { Environment } from "../host/xdg.ts";
import { type CheckedStage, type Choices, checkPlan } from "./checked-plan.ts";
import { canonicalJson, orderOf, type Recipe, recipeDifference, recipeHash } from "./graph.ts";
import { readPlan } from "./plan.ts";
import { IngredientsChanged, type StageSurroundings } from "./stage.ts";
import { Store } from "./store.ts";

export interface BuildOptions extends Choices {
  /** Folder of the store; made when missing. */
  readonly store: string;
  readonly env: Environment;
}

export interface BuiltStage {
  readonly name: string;
  readonly hash: string;
  /** It was kept from an earlier build. */
  readonly reused: boolean;
  /** Why it ran, or why it did not. */
  readonly because: string;
}

export interface Built {
  /** Path of the plan's result, inside the store. */
  readonly output: string;
  /** In the order in which they were built. */
  readonly stages: readonly BuiltStage[];
}

/** Throws a usage error for a faulty plan before anything is run, and the stage's error, naming the stage, where one fails. */
export async function buildPlan(planPath: string, options: BuildOptions, job: Job): Promise<Built> {
  const plan = await readPlan(planPath);
  const stages = checkPlan(plan, options);
  const store = await Store.open(options.store);
  const surroundings: StageSurroundings = {
    planFolder: dirname(planPath),
    epochS: plan.epochS,
    env: options.env,
    cacheFolder: join(options.store, "cache"),
    job,
  };

  const hashes = new Map<string, string>();
  const built: BuiltStage[] = [];
  for (const stage of orderOf(stages, [plan.result.stage])) {
    job.signal.throwIfAborted();
    const last = await store.lastRecipe(plan.name, stage.name);
    const { recipe, reused } = await provideStage(stage, { store, hashes, surroundings });
    const hash = recipeHash(recipe);
    hashes.set(stage.name, hash);
    await store.rememberLatest(plan.name, stage.name, hash);
    built.push({ name: stage.name, hash, reused, because: reused ? "its output is kept" : reasonToRun(last, recipe) });
  }

  const output = join(store.pathOf(hashes.get(plan.result.stage)!), plan.result.file);
  if (!(await stat(output).catch(() => undefined))?.isFile()) {
    throw new HiperisoError({
      what: "build a plan",
      where: plan.path,
      expected: `a file ${plan.result.file} from ${plan.result.stage}`,
      found: "none",
    });
  }
  return { output, stages: built };
}

interface Around {
  readonly store: Store;
  readonly hashes: ReadonlyMap<string, string>;
  readonly surroundings: StageSurroundings;
}

/** The stage's output is in the store when this returns. */
async function provideStage(stage: CheckedStage, around: Around): Promise<{ readonly recipe: Recipe; readonly reused: boolean }> {
  const provide = async () => {
    const recipe = await recipeOf(stage, around.hashes, around.surroundings);
    const reused = await around.store.has(recipeHash(recipe));
    if (!reused) await runStage(stage, recipe, around);
    return { recipe, reused };
  };
  try {
    return await provide();
  } catch (error) {
    if (!(error instanceof HiperisoError && error.cause instanceof IngredientsChanged)) throw error;
    around.surroundings.job.progress.say(error.cause.message);
    return await provide();
  }
}

async function recipeOf(stage: CheckedStage, hashes: ReadonlyMap<string, string>, surroundings: StageSurroundings): Promise<Recipe> {
  return {
    kind: stage.kind,
    revision: stage.revision,
    epochS: surroundings.epochS,
    options: JSON.parse(canonicalJson(stage.work.options)) as unknown,
    inputs: Object.fromEntries(Object.entries(stage.inputs).map(([name, from]) => [name, hashes.get(from)!])),
    ingredients: await stage.work.ingredients(surroundings),
  };
}

function reasonToRun(last: Recipe | undefined, now: Recipe): string {
  if (last === undefined) return "it was never built";
  const differences = recipeDifference(last, now);
  return differences.length === 0 ? "its output is no longer kept" : `changed: ${differences.join(", ")}`;
}

async function runStage(stage: CheckedStage, recipe: Recipe, { store, hashes, surroundings }: Around): Promise<void> {
  const { job } = surroundings;
  const step = job.progress.begin(`build ${stage.name}`);
  await using workplace = await store.workplace();
  try {
    await stage.work.run({
      ...surroundings,
      inputs: Object.fromEntries(Object.entries(stage.inputs).map(([name, from]) => [name, store.pathOf(hashes.get(from)!)])),
      hash: recipeHash(recipe),
      ingredients: recipe.ingredients,
      output: workplace.output,
      scratch: workplace.scratch,
    });
    job.signal.throwIfAborted();
    await store.keep(recipe, workplace);
  } catch (error) {
    job.signal.throwIfAborted();
    const hint = error instanceof HiperisoError ? error.hint : undefined;
    throw new HiperisoError({
      what: `build stage ${stage.name}`,
      found: reasonOf(error),
      ...(hint === undefined ? {} : { hint }),
      cause: error,
    });
  } finally {
    step.end();
  }
}
