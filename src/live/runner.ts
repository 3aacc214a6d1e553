/** Builds a plan: each stage once, in order, and only where its output is not kept already. */
import { stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { Environment } from "../host/xdg.ts";
import { type CheckedStage, type Choices, checkPlan } from "./checked-plan.ts";
import { canonicalJson, orderOf, type Recipe, recipeDifference, recipeHash } from "./graph.ts";
import { readPlan } from "./plan.ts";
import { IngredientsChanged, type StageSurroundings } from "./stage.ts";
import { type OpenStageLog, openStageLog } from "./stage-log.ts";
import { LOG, Store } from "./store.ts";

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
    const { recipe, reused } = await provideStage(stage, { store, planName: plan.name, hashes, surroundings });
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
  readonly planName: string;
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
    if (!(error instanceof IngredientsChanged)) throw error;
    around.surroundings.job.progress.say(error.message);
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

async function runStage(stage: CheckedStage, recipe: Recipe, { store, planName, hashes, surroundings }: Around): Promise<void> {
  const { job } = surroundings;
  const step = job.progress.begin(`build ${stage.name}`);
  await using workplace = await store.workplace();
  using log = openStageLog(workplace.log);
  try {
    await stage.work.run({
      ...surroundings,
      inputs: Object.fromEntries(Object.entries(stage.inputs).map(([name, from]) => [name, store.pathOf(hashes.get(from)!)])),
      hash: recipeHash(recipe),
      ingredients: recipe.ingredients,
      output: workplace.output,
      scratch: workplace.scratch,
      log,
      cores: availableParallelism(),
    });
    job.signal.throwIfAborted();
    await store.keep(recipe, workplace);
    await store.forgetFailed(planName, stage.name);
  } catch (error) {
    job.signal.throwIfAborted();
    if (error instanceof IngredientsChanged) throw error;
    log.append(`${reasonOf(error)}\n`);
    const kept = await store.keepFailed(planName, stage.name, workplace, isDiskFull(error)).catch(() => undefined);
    throw stageError(stage.name, error, log, kept);
  } finally {
    step.end();
  }
}

const LINES_SHOWN = 12;

/** Names the stage, shows the end of its log where the error itself does not, and where to look further. */
function stageError(stage: string, error: unknown, log: OpenStageLog, kept: string | undefined): HiperisoError {
  const reason = reasonOf(error);
  const lines = log.lastLines(LINES_SHOWN);
  const isShown = lines.every((line) => reason.includes(line));
  const hints = [
    ...(error instanceof HiperisoError && error.hint !== undefined && !reason.includes(error.hint) ? [error.hint] : []),
    ...(isDiskFull(error) ? ["The file system is full: make room (hiperiso live gc), or choose another folder with --store."] : []),
    ...(kept === undefined ? [] : [`Its log: ${join(kept, LOG)}. To look around in it: hiperiso live shell ${stage}`]),
  ];
  return new HiperisoError({
    what: `build stage ${stage}`,
    found: isShown ? reason : `${reason}\nThe end of its log:\n${lines.join("\n")}`,
    ...(hints.length === 0 ? {} : { hint: hints.join(" ") }),
    cause: error,
  });
}

/** By the code of a system call, or by what a tool said of it. */
function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") return true;
  return /no space left on device|disk quota exceeded/i.test(error.message) || isDiskFull(error.cause);
}
