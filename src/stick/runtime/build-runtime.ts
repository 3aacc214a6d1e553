/** What a stick boots, built by the spec that comes with this program, or kept from an earlier build. */
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { type Environment, xdgFolders } from "../../host/xdg.ts";
import { type BuildOptions, type Built, buildPlan } from "../../live/runner.ts";
import { type RuntimeFacts, RuntimeFactsSchema } from "../../live/stages/stick-runtime.ts";
import { readRuntimeFolder, type StickRuntime } from "../esp-files.ts";

/** Three folders up from both `src/stick/runtime` and `dist/stick/runtime`. */
export const RUNTIME_SPEC = fileURLToPath(new URL("../../../live/runtime.yaml", import.meta.url));

export interface RuntimeOptions extends Pick<BuildOptions, "set" | "dryRun"> {
  readonly env: Environment;
  /** Folder of the store; the one of live images unless given. */
  readonly store?: string;
  readonly spec?: string;
}

export interface BuiltRuntime {
  /** Output of the last stage; in the store, and not to be changed. */
  readonly output: string;
  /** Below it, laid out as the ESP. */
  readonly folder: string;
  readonly facts: RuntimeFacts;
  readonly built: Built;
}

export const runtimeStore = (env: Environment): string => join(xdgFolders(env).cache, "hiperiso", "live");

/** Builds what is not kept. Takes minutes and a network the first time. */
export async function buildRuntime(
  { env, store = runtimeStore(env), spec = RUNTIME_SPEC, set = {} }: RuntimeOptions,
  job: Job,
): Promise<BuiltRuntime> {
  const built = await buildPlan(spec, { store, env, set }, job);
  const output = dirname(built.output);
  return { output, folder: join(output, "esp"), facts: await readFacts(built.output), built };
}

/** Whether nothing would have to be built. Throws where that cannot be told, as without package lists. */
export async function isRuntimeKept(
  { env, store = runtimeStore(env), spec = RUNTIME_SPEC, set = {} }: RuntimeOptions,
  job: Job,
): Promise<boolean> {
  const { stages } = await buildPlan(spec, { store, env, set, dryRun: true }, job);
  return stages.every(({ reused }) => reused);
}

async function readFacts(path: string): Promise<RuntimeFacts> {
  try {
    return RuntimeFactsSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    throw new HiperisoError({ what: "read what a runtime is made of", where: path, found: reasonOf(error), cause: error });
  }
}

export const stickRuntime = async ({ folder }: Pick<BuiltRuntime, "folder">): Promise<StickRuntime> => await readRuntimeFolder(folder);
