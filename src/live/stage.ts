/** What a kind of stage is. Each file in `stages/` is one. */
import type { z } from "zod";
import { HiperisoError } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { Environment } from "../host/xdg.ts";
import type { StageLog } from "./stage-log.ts";

/** What every stage of a build may rely on. */
export interface StageSurroundings {
  /** Folder of the plan: paths in its options are relative to it. */
  readonly planFolder: string;
  /** Seconds since 1970: the time of every file and every field that holds one. */
  readonly epochS: number;
  /** Where tools are looked for, and the caller's folders. */
  readonly env: Environment;
  /** A folder that outlives builds, for what is costly to fetch and checked when used. */
  readonly cacheFolder: string;
  readonly job: Job;
}

export interface StageRun extends StageSurroundings {
  /** Folder of each input's output, by the input's name. Read only. */
  readonly inputs: Readonly<Record<string, string>>;
  /** Of the stage's recipe, 64 hexadecimal digits: where an id must be unique to the output and the same each time it is made. */
  readonly hash: string;
  /** What `ingredients` said, and what is therefore in the stage's hash. */
  readonly ingredients: Readonly<Record<string, string>>;
  /** Empty; what the stage leaves there is its output. */
  readonly output: string;
  /** Empty; thrown away when the stage ends well, and kept with the log where it fails. */
  readonly scratch: string;
  /** Give it to `runTool` and its like. What fails is shown with its last lines. */
  readonly log: StageLog;
  /** How many of the computer's cores the stage may keep busy now; at least 1. Must not decide a byte of the output. */
  readonly cores: number;
}

/** What a stage takes of the computer while it runs. */
export interface StageNeeds {
  /** `all`: as many as are free when it starts, and it works with fewer. A number: that many, or all where the computer has fewer. */
  readonly cores: "all" | number;
  /** At its peak. */
  readonly memoryMb: number;
}

/** Of a stage that copies files and runs small tools. */
const SMALL_NEEDS: StageNeeds = { cores: 1, memoryMb: 256 };

/** Thrown by `run` when what `ingredients` said holds no longer. The runner asks again, once. */
export class IngredientsChanged extends HiperisoError {}

/** Thrown by a stage that tests: all went in order, and what was tested is not good. The message says what; the output holds the results. */
export class TestFailed extends HiperisoError {}

/** A kind as its file writes it. */
export interface StageDefinition<Options> {
  readonly kind: string;
  /** Raised whenever the same inputs and options would give other bytes than before. */
  readonly revision: number;
  readonly options: z.ZodType<Options>;
  /** Names of the inputs, and whether each must be there. */
  readonly inputs: Readonly<Record<string, "required" | "optional">>;
  /** Whatever else decides the output: digests of the plan's files, versions of tools and packages. Goes into the stage's hash. */
  ingredients(options: Options, surroundings: StageSurroundings): Promise<Readonly<Record<string, string>>>;
  /** The stage tests its inputs: it runs with every build that is not told to leave tests out, and may throw `TestFailed`. */
  readonly isTest?: boolean;
  /** One core and little memory unless given. */
  readonly needs?: StageNeeds | ((options: Options) => StageNeeds);
  run(options: Options, run: StageRun): Promise<void>;
}

/** A kind as the runner sees it: options of any shape, checked before use. */
export interface StageKind extends Pick<StageDefinition<unknown>, "kind" | "revision" | "inputs"> {
  /** What `check` checks by: the spec's JSON Schema is made from it. */
  readonly schema: z.ZodType;
  readonly isTest: boolean;
  /** The work with these options, or what is wrong with them. */
  check(options: unknown): StageWork | z.ZodError;
}

export interface StageWork {
  /** With defaults filled in. */
  readonly options: unknown;
  readonly needs: StageNeeds;
  ingredients(surroundings: StageSurroundings): Promise<Readonly<Record<string, string>>>;
  run(run: StageRun): Promise<void>;
}

export function stageKind<Options>(definition: StageDefinition<Options>): StageKind {
  const { kind, revision, inputs, needs = SMALL_NEEDS, isTest = false } = definition;
  return {
    kind,
    revision,
    inputs,
    schema: definition.options,
    isTest,
    check(raw) {
      const parsed = definition.options.safeParse(raw);
      if (!parsed.success) return parsed.error;
      return {
        options: parsed.data,
        needs: typeof needs === "function" ? needs(parsed.data) : needs,
        ingredients: (surroundings) => definition.ingredients(parsed.data, surroundings),
        run: (run) => definition.run(parsed.data, run),
      };
    },
  };
}
