/** Builds a plan: each stage once, in order, and only where its output is not kept already. */
import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { Environment } from "../host/xdg.ts";
import { canonicalJson, orderOf, type Recipe, recipeDifference, recipeHash } from "./graph.ts";
import { faultsOf, type Plan, type PlanFault, type PlannedStage, planError, readPlan } from "./plan.ts";
import type { StageKind, StageSurroundings, StageWork } from "./stage.ts";
import { STAGE_KINDS } from "./stages/kinds.ts";
import { Store } from "./store.ts";

export interface BuildOptions {
  /** Folder of the store; made when missing. */
  readonly store: string;
  readonly env: Environment;
  /** Name of one of the plan's variants. */
  readonly variant?: string | undefined;
  /** By stage: options that replace those of the plan and the variant. */
  readonly set?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Kinds of stages; the program's own unless given. */
  readonly kinds?: readonly StageKind[];
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
    const recipe = await recipeOf(stage, hashes, surroundings);
    const hash = recipeHash(recipe);
    hashes.set(stage.name, hash);
    const reused = await store.has(hash);
    const because = reused ? "its output is kept" : reasonToRun(await store.lastRecipe(plan.name, stage.name), recipe);
    if (!reused) await runStage(stage, recipe, { store, hashes, surroundings });
    await store.rememberLatest(plan.name, stage.name, hash);
    built.push({ name: stage.name, hash, reused, because });
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

export interface CheckedStage extends PlannedStage {
  readonly revision: number;
  readonly work: StageWork;
}

/** The stages with the variant's options, checked by their kinds. Throws with the lines of all that is wrong. */
export function checkPlan(
  plan: Plan,
  { variant, set = {}, kinds = STAGE_KINDS }: Pick<BuildOptions, "variant" | "set" | "kinds">,
): readonly CheckedStage[] {
  const faults: PlanFault[] = [];
  if (variant !== undefined && plan.variants[variant] === undefined) {
    throw new HiperisoError({
      what: "build a variant of a plan",
      where: plan.path,
      expected: `one of ${Object.keys(plan.variants).join(", ") || "none: the plan has no variants"}`,
      found: variant,
      kind: "usage",
    });
  }
  const changes = variant === undefined ? {} : plan.variants[variant]!.options;
  const names = new Set(plan.stages.map(({ name }) => name));
  for (const name of Object.keys(changes)) {
    if (!names.has(name))
      faults.push({ at: plan.positionOf(["variants", variant!, "options", name], "key"), says: `there is no stage "${name}"` });
  }
  if (!names.has(plan.result.stage))
    faults.push({ at: plan.positionOf(["result", "stage"]), says: `there is no stage "${plan.result.stage}"` });

  const checked = plan.stages.flatMap((stage): CheckedStage[] => {
    const runs = kinds.find(({ kind }) => kind === stage.kind);
    if (runs === undefined) {
      const says = `there is no kind "${stage.kind}"; kinds are ${kinds.map(({ kind }) => kind).join(", ")}`;
      faults.push({ at: plan.positionOf(["stages", stage.name, "kind"]), says });
      return [];
    }
    faults.push(...inputFaults(plan, stage, runs, names));
    const work = runs.check({ ...stage.options, ...changes[stage.name], ...set[stage.name] });
    if (!(work instanceof z.ZodError)) return [{ ...stage, revision: runs.revision, work }];
    faults.push(...faultsOf(work, ["stages", stage.name], plan.positionOf));
    return [];
  });
  if (faults.length > 0) throw planError(plan.path, faults);
  return checked;
}

function inputFaults(plan: Plan, stage: PlannedStage, { kind, inputs }: StageKind, names: ReadonlySet<string>): readonly PlanFault[] {
  const at = (input: string, of?: "key"): string => plan.positionOf(["stages", stage.name, "inputs", input], of);
  const missing = Object.entries(inputs).filter(([name, need]) => need === "required" && stage.inputs[name] === undefined);
  return [
    ...missing.map(([name]) => ({ at: at(name), says: `a stage of kind ${kind} needs the input "${name}"` })),
    ...Object.entries(stage.inputs).flatMap(([name, from]) => [
      ...(inputs[name] === undefined ? [{ at: at(name, "key"), says: `a stage of kind ${kind} has no input "${name}"` }] : []),
      ...(names.has(from) ? [] : [{ at: at(name), says: `there is no stage "${from}"` }]),
    ]),
  ];
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

interface Around {
  readonly store: Store;
  readonly hashes: ReadonlyMap<string, string>;
  readonly surroundings: StageSurroundings;
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
