/** The demo image: a small live Linux out of this distribution's kernel and busybox, by the plan `live/demo.yaml`. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Job } from "../contract/job.ts";
import { type Environment, xdgFolders } from "../host/xdg.ts";
import { buildPlan } from "./runner.ts";

/** Two folders up from both `src/live` and `dist/live`. */
export const DEMO_PLAN = fileURLToPath(new URL("../../live/demo.yaml", import.meta.url));

export const DEMO_VARIANTS = ["normal", "broken-init", "wrong-root", "hang", "silent", "no-acpi-shutdown"] as const;
export type DemoVariant = (typeof DEMO_VARIANTS)[number];

export interface DemoOptions {
  readonly env: Environment;
  readonly variant?: DemoVariant;
  /** Put behind the kernel's arguments. */
  readonly extraArguments?: readonly string[];
  /** Folder of the store; `defaultStore` unless given. */
  readonly store?: string;
}

export function defaultStore(env: Environment): string {
  return join(xdgFolders(env).cache, "hiperiso", "live");
}

/** Path of the image, built now or kept from before. */
export async function buildDemo(
  { env, variant = "normal", extraArguments = [], store = defaultStore(env) }: DemoOptions,
  job: Job,
): Promise<string> {
  const set = extraArguments.length === 0 ? {} : { iso: { extra_arguments: extraArguments } };
  return (await buildPlan(DEMO_PLAN, { store, env, set, variant: variant === "normal" ? undefined : variant }, job)).output;
}
