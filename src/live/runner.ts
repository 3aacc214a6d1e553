/** Builds a spec: each stage once, behind its inputs, beside others where there is room, and only where its output is not kept already. */
import { stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { systemClock } from "../host/clock.ts";
import { hostFacts } from "../host/host-facts.ts";
import type { Environment } from "../host/xdg.ts";
import { type Capacity, planCapacity } from "../suite/schedule.ts";
import { type CheckedStage, type Choices, checkPlan } from "./checked-plan.ts";
import { KEPT, reasonToRun, recipeOf } from "./explain.ts";
import { orderOf, type Recipe, recipeHash } from "./graph.ts";
import { type Plan, readPlan } from "./plan.ts";
import { type Allotment, ranksOf, startingStages } from "./schedule.ts";
import { IngredientsChanged, type StageSurroundings, TestFailed } from "./stage.ts";
import { type OpenStageLog, openStageLog } from "./stage-log.ts";
import { LOG, type Pins, type SpecPlace, Store, sizeOf } from "./store.ts";

export interface BuildOptions extends Choices {
  /** Folder of the store; made when missing. */
  readonly store: string;
  readonly env: Environment;
  /** What stages fetch is kept there, also from other stores; `cache` in the store unless given. */
  readonly cacheFolder?: string;
  /** Stages to build in place of the result and the tests. */
  readonly stages?: readonly string[];
  /** False: stages that test are left out. */
  readonly tests?: boolean;
  /** At most so many stages at once; as many as fit unless given. */
  readonly jobs?: number | undefined;
  /** What the stages may take; all that is free of the computer unless given. */
  readonly capacity?: Capacity;
  /** True: nothing is run; `stages` say what would be. */
  readonly dryRun?: boolean;
}

export interface BuiltStage {
  readonly name: string;
  readonly kind: string;
  readonly hash: string;
  /** It was kept from an earlier build. */
  readonly reused: boolean;
  /** Why it ran, or why it did not. */
  readonly because: string;
  /** Its output's folder. Of a test that was not passed: that of the failed workplace. */
  readonly output: string;
  /** What it ran and what that said, when it was built. Need not be there. */
  readonly log: string;
  /** 0 where it was kept. */
  readonly elapsedMs: number;
  /** Of the output, on disk. 0 where nothing was built. */
  readonly sizeBytes: number;
}

export interface TestVerdict {
  /** Name of the stage that tested. */
  readonly stage: string;
  readonly passed: boolean;
  /** What was wrong; empty where nothing was. */
  readonly says: string;
  /** The folder that holds its results. */
  readonly output: string;
}

export interface Built {
  /** Name of the spec. */
  readonly plan: string;
  /** Path of the spec's result, inside the store; of the first of `stages` where these were asked for: its folder. */
  readonly output: string;
  /** In the order of the graph: each behind its inputs. */
  readonly stages: readonly BuiltStage[];
  /** Of each stage that tests. */
  readonly tests: readonly TestVerdict[];
}

/**
 * Throws a usage error for a faulty spec before anything is run, and the stage's error, naming the stage, where one fails; what ran beside it is ended
 * well first. A test that is not passed is an answer and not an error.
 */
export async function buildPlan(planPath: string, options: BuildOptions, job: Job): Promise<Built> {
  const plan = await readPlan(planPath);
  const checked = checkPlan(plan, options);
  const stages = orderOf(checked, options.stages ?? [plan.result.stage, ...testStages(checked, options)]);
  const store = await Store.open(resolve(options.store), options.env);
  await using pins = await store.pins(systemClock.nowMs(), job.signal);
  const build = new Build({
    plan,
    stages,
    store,
    pins,
    capacity: options.capacity ?? (await freeCapacity(options.jobs)),
    dryRun: options.dryRun ?? false,
    surroundings: {
      planFolder: dirname(resolve(planPath)),
      epochS: plan.epochS,
      env: options.env,
      cacheFolder: options.cacheFolder ?? join(store.root, "cache"),
      job,
    },
  });
  await build.run();

  const [first] = options.stages ?? [];
  const output = first === undefined ? join(build.outputOf(plan.result.stage), plan.result.file) : build.outputOf(first);
  if (first === undefined && options.dryRun !== true && !(await stat(output).catch(() => undefined))?.isFile()) {
    throw new HiperisoError({
      what: "build a spec",
      where: plan.path,
      expected: `a file ${plan.result.file} from ${plan.result.stage}`,
      found: "none",
    });
  }
  return { plan: plan.name, output, stages: build.built(), tests: build.tests() };
}

const testStages = (stages: readonly CheckedStage[], { tests = true }: BuildOptions): readonly string[] =>
  tests ? stages.filter(({ isTest }) => isTest).map(({ name }) => name) : [];

async function freeCapacity(jobs: number | undefined): Promise<Capacity> {
  const { available_ram_mb, cpu_logical_cores } = await hostFacts();
  return planCapacity({ availableRamMb: available_ram_mb, cores: cpu_logical_cores }, jobs);
}

interface BuildParts {
  readonly plan: Plan;
  /** Each behind its inputs. */
  readonly stages: readonly CheckedStage[];
  readonly store: Store;
  readonly pins: Pins;
  readonly capacity: Capacity;
  readonly dryRun: boolean;
  readonly surroundings: StageSurroundings;
}

/** One build, from the first stage to the last. */
class Build {
  readonly #parts: BuildParts;
  readonly #built = new Map<string, BuiltStage>();
  readonly #tests = new Map<string, TestVerdict>();
  readonly #ingredients = new Map<string, Readonly<Record<string, string>>>();
  /** Being made now, by hash: a stage with the recipe of another one waits for that. */
  readonly #making = new Map<string, string>();

  constructor(parts: BuildParts) {
    this.#parts = parts;
  }

  built(): readonly BuiltStage[] {
    return this.#parts.stages.flatMap(({ name }) => this.#built.get(name) ?? []);
  }

  tests(): readonly TestVerdict[] {
    return this.#parts.stages.flatMap(({ name }) => this.#tests.get(name) ?? []);
  }

  outputOf(stage: string): string {
    return this.#built.get(stage)?.output ?? "";
  }

  async run(): Promise<void> {
    await this.#askIngredients();
    const { stages, capacity, surroundings } = this.#parts;
    const ranks = ranksOf(stages);
    const running = new Map<string, { readonly allotment: Allotment; readonly end: Promise<void> }>();
    const left = new Set(stages);
    const faults: unknown[] = [];
    while (left.size > 0 || running.size > 0) {
      const ready = faults.length > 0 || surroundings.job.signal.aborted ? [] : await this.#readyAmong(left, running);
      const waiting = ready.map(({ stage }) => ({ name: stage.name, needs: stage.work.needs, rank: ranks.get(stage.name) ?? 0 }));
      const allotted = [...running.values()].map(({ allotment }) => allotment);
      for (const allotment of startingStages(waiting, allotted, capacity)) {
        const next = ready.find(({ stage }) => stage.name === allotment.name)!;
        left.delete(next.stage);
        this.#making.set(recipeHash(next.recipe), next.stage.name);
        const end = this.#make(next, allotment.cores)
          .catch((error: unknown) => this.#failed(next.stage, error, { faults, isAlone: running.size === 1 }))
          .finally(() => {
            running.delete(next.stage.name);
            this.#making.delete(recipeHash(next.recipe));
          });
        running.set(next.stage.name, { allotment, end });
      }
      if (running.size === 0) break;
      await Promise.race([...running.values()].map(({ end }) => end));
    }
    surroundings.job.signal.throwIfAborted();
    if (faults.length > 0) throw faults[0];
  }

  /** The first fault is the build's. What runs beside it may end: it is kept, and the next build starts there. */
  #failed(stage: CheckedStage, error: unknown, { faults, isAlone }: { readonly faults: unknown[]; readonly isAlone: boolean }): void {
    const { job } = this.#parts.surroundings;
    faults.push(error);
    if (job.signal.aborted) return;
    if (faults.length > 1) job.progress.warn(reasonOf(error));
    else if (!isAlone) job.progress.warn(`stage ${stage.name} failed; what runs beside it is ended before the build stops`);
  }

  /** Asked of all stages before any of them runs: what is missing is then known at once. Of one kind one after the other: they may share a cache. */
  async #askIngredients(): Promise<void> {
    const { stages, surroundings } = this.#parts;
    const kinds = new Set(stages.map(({ kind }) => kind));
    const asked = [...kinds].map(async (kind) => {
      for (const stage of stages.filter((candidate) => candidate.kind === kind)) {
        try {
          surroundings.job.signal.throwIfAborted();
          this.#ingredients.set(stage.name, await stage.work.ingredients(surroundings));
        } catch (error) {
          surroundings.job.signal.throwIfAborted();
          throw stageError(stage.name, error);
        }
      }
    });
    const [fault] = (await Promise.allSettled(asked)).filter((answer) => answer.status === "rejected");
    if (fault !== undefined) throw fault.reason;
  }

  /** Stages whose inputs are all there; those that are kept are done with, and so the stages behind them may be ready too. */
  async #readyAmong(left: Set<CheckedStage>, running: ReadonlyMap<string, unknown>): Promise<readonly ReadyStage[]> {
    const ready: ReadyStage[] = [];
    for (const stage of left) {
      const inputs = Object.values(stage.inputs);
      if (inputs.some((input) => this.#tests.get(input)?.passed === false)) {
        left.delete(stage);
        continue;
      }
      if (!inputs.every((input) => this.#built.has(input) && !running.has(input))) continue;
      const recipe = this.#recipe(stage);
      if (this.#making.has(recipeHash(recipe))) continue;
      const next = { stage, recipe, because: await this.#reason(stage, recipe) };
      if (next.because === KEPT || this.#parts.dryRun) {
        left.delete(stage);
        await this.#done(next, { reused: next.because === KEPT, elapsedMs: 0 });
      } else ready.push(next);
    }
    return ready;
  }

  #recipe(stage: CheckedStage): Recipe {
    return recipeOf(stage, {
      inputs: Object.fromEntries(Object.entries(stage.inputs).map(([name, from]) => [name, this.#built.get(from)!.hash])),
      ingredients: this.#ingredients.get(stage.name)!,
      epochS: this.#parts.surroundings.epochS,
    });
  }

  async #reason({ name }: CheckedStage, recipe: Recipe): Promise<string> {
    const { plan, pins, store } = this.#parts;
    return (await pins.holds(recipeHash(recipe))) ? KEPT : reasonToRun(await store.lastRecipe(placeOf(plan), name), recipe);
  }

  /** The stage's output is in the store when this returns. */
  async #make(next: ReadyStage, cores: number): Promise<void> {
    const startedMs = systemClock.monotonicMs();
    const elapsedMs = (): number => Math.round(systemClock.monotonicMs() - startedMs);
    const { stage } = next;
    try {
      await this.#runStage(next, cores, true);
      await this.#done(next, { reused: false, elapsedMs: elapsedMs() });
    } catch (error) {
      if (error instanceof NotPassed) return await this.#done(next, { reused: false, elapsedMs: elapsedMs(), notPassed: error });
      // A stage's failure as people see it is another error, of which this may be the cause.
      if (!(error instanceof IngredientsChanged)) throw error;
      const { surroundings } = this.#parts;
      surroundings.job.progress.say(error.message);
      this.#ingredients.set(stage.name, await stage.work.ingredients(surroundings));
      const recipe = this.#recipe(stage);
      const again = { stage, recipe, because: await this.#reason(stage, recipe) };
      if (again.because !== KEPT) await this.#runStage(again, cores, false);
      await this.#done(again, { reused: again.because === KEPT, elapsedMs: elapsedMs() });
    }
  }

  async #done({ stage, recipe, because }: ReadyStage, { reused, elapsedMs, notPassed }: Ending): Promise<void> {
    const { plan, store, dryRun } = this.#parts;
    const hash = recipeHash(recipe);
    if (notPassed === undefined && !dryRun) await store.rememberLatest(placeOf(plan), stage.name, hash);
    const folder = notPassed?.folder;
    const output = folder === undefined ? store.pathOf(hash) : join(folder, "output");
    const log = folder === undefined ? store.logOf(hash) : join(folder, LOG);
    const sizeBytes = await sizeOf(output);
    this.#built.set(stage.name, { name: stage.name, kind: stage.kind, hash, reused, because, output, log, elapsedMs, sizeBytes });
    if (stage.isTest && (reused || !dryRun))
      this.#tests.set(stage.name, { stage: stage.name, passed: notPassed === undefined, says: notPassed?.message ?? "", output });
  }

  /** `mayAskAgain`: changed ingredients are the caller's to ask for anew. */
  async #runStage({ stage, recipe }: ReadyStage, cores: number, mayAskAgain: boolean): Promise<void> {
    const { plan, store, surroundings } = this.#parts;
    const { job } = surroundings;
    await using workplace = await store.workplace();
    using log = openStageLog(workplace.log);
    const step = job.progress.begin(`build ${stage.name}`);
    try {
      await stage.work.run({
        ...surroundings,
        inputs: Object.fromEntries(Object.entries(stage.inputs).map(([name, from]) => [name, this.outputOf(from)])),
        hash: recipeHash(recipe),
        ingredients: recipe.ingredients,
        output: workplace.output,
        scratch: workplace.scratch,
        log,
        cores,
      });
      job.signal.throwIfAborted();
      await store.keep(recipe, workplace);
      await store.forgetFailed(plan.name, stage.name);
    } catch (error) {
      job.signal.throwIfAborted();
      const isFull = saysDiskFull(error) || (await isFullFor(store));
      if (error instanceof IngredientsChanged && mayAskAgain && !isFull) throw error;
      log.append(`${reasonOf(error)}\n`);
      const kept = await store.keepFailed(plan.name, stage.name, workplace, isFull).catch(() => undefined);
      if (error instanceof TestFailed && kept !== undefined) throw new NotPassed(error.message, kept);
      throw stageError(stage.name, error, { log, kept, isFull });
    } finally {
      step.end();
    }
  }
}

const placeOf = ({ name, path }: Plan): SpecPlace => ({ name, path: resolve(path) });

interface ReadyStage {
  readonly stage: CheckedStage;
  readonly recipe: Recipe;
  readonly because: string;
}

interface Ending {
  readonly reused: boolean;
  readonly elapsedMs: number;
  readonly notPassed?: NotPassed;
}

/** A test came to its end and was not passed; its results are in `folder`. */
class NotPassed extends Error {
  readonly folder: string;

  constructor(message: string, folder: string) {
    super(message);
    this.folder = folder;
  }
}

const LINES_SHOWN = 12;

/** Names the stage, shows the end of its log where the error itself does not, and where to look further. */
function stageError(
  stage: string,
  error: unknown,
  {
    log,
    kept,
    isFull = saysDiskFull(error),
  }: { readonly log?: OpenStageLog; readonly kept?: string | undefined; readonly isFull?: boolean } = {},
): HiperisoError {
  const reason = reasonOf(error);
  const lines = log?.lastLines(LINES_SHOWN) ?? [];
  const isShown = lines.every((line) => reason.includes(line));
  const hints = [
    ...(error instanceof HiperisoError && error.hint !== undefined && !reason.includes(error.hint) ? [error.hint] : []),
    ...(isFull ? ["The file system is full: make room (hiperiso live gc), or choose another folder with --store."] : []),
    ...(kept === undefined ? [] : [`Its log: ${join(kept, LOG)}. To look around in it: hiperiso live shell ${stage}`]),
  ];
  return new HiperisoError({
    what: `build stage ${stage}`,
    found: isShown ? reason : `${reason}\nThe end of its log:\n${lines.join("\n")}`,
    ...(error instanceof HiperisoError ? { kind: error.kind } : {}),
    ...(hints.length === 0 ? {} : { hint: hints.join(" ") }),
    cause: error,
  });
}

/** By the code of a system call, or by what a tool said of it. */
function saysDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") return true;
  return /no space left on device|disk quota exceeded/i.test(error.message) || saysDiskFull(error.cause);
}

/** Where so little is free, that is why a stage failed, whatever its tool says: tar says "Wrote only 512 of 10240 bytes". */
const FREE_BYTES_MIN = 1024 * 1024;

async function isFullFor({ root }: Store): Promise<boolean> {
  const facts = await statfs(root).catch(() => undefined);
  return facts !== undefined && facts.bavail * facts.bsize < FREE_BYTES_MIN;
}
