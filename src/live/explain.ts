/** Why a stage runs, or does not. */
import type { CheckedStage } from "./checked-plan.ts";
import { canonicalJson, type Recipe, recipeDifference } from "./graph.ts";
import type { StageSurroundings } from "./stage.ts";

/** `inputs`: the hash of each input's recipe. `ingredients`: what the stage said of itself. */
export function recipeOf(
  stage: CheckedStage,
  { inputs, ingredients, epochS }: Pick<Recipe, "inputs" | "ingredients"> & Pick<StageSurroundings, "epochS">,
): Recipe {
  return {
    kind: stage.kind,
    revision: stage.revision,
    epochS,
    options: JSON.parse(canonicalJson(stage.work.options)) as unknown,
    inputs,
    ingredients,
  };
}

export const KEPT = "its output is kept";

/** `last`: what it was made from the last time. */
export function reasonToRun(last: Recipe | undefined, now: Recipe): string {
  if (last === undefined) return "it was never built";
  const differences = recipeDifference(last, now);
  return differences.length === 0 ? "its output is no longer kept" : `changed: ${differences.join(", ")}`;
}
