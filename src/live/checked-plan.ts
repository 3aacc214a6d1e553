/** A plan with what was chosen for this build, checked by the kinds of its stages before anything runs. */
import { z } from "zod";
import { HiperisoError } from "../contract/error.ts";
import { faultsOf, type Plan, type PlanFault, type PlannedStage, planError } from "./plan.ts";
import type { StageKind, StageWork } from "./stage.ts";
import { STAGE_KINDS } from "./stages/kinds.ts";

export interface Choices {
  /** Name of one of the plan's variants. */
  readonly variant?: string | undefined;
  /** By stage: options that replace those of the plan and the variant (`--set`). */
  readonly set?: Options;
  /** Kinds of stages; the program's own unless given. */
  readonly kinds?: readonly StageKind[];
}

type Options = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface CheckedStage extends PlannedStage {
  readonly revision: number;
  readonly isTest: boolean;
  readonly work: StageWork;
}

/** The stages, ready to run. Throws a usage error with the places of all that is wrong. */
export function checkPlan(plan: Plan, { variant, set = {}, kinds = STAGE_KINDS }: Choices): readonly CheckedStage[] {
  const chosen: Chosen = { plan, variant, fromVariant: optionsOf(plan, variant), set };
  const faults = [...nameFaults(chosen)];
  const checked: CheckedStage[] = [];
  for (const stage of plan.stages) {
    const runs = kinds.find(({ kind }) => kind === stage.kind);
    if (runs === undefined) {
      const says = `there is no kind "${stage.kind}"; kinds are ${kinds.map(({ kind }) => kind).join(", ")}`;
      faults.push({ at: plan.positionOf(["stages", stage.name, "kind"]), says });
      continue;
    }
    faults.push(...inputFaults(plan, stage, runs));
    const work = runs.check({ ...stage.options, ...chosen.fromVariant[stage.name], ...set[stage.name] });
    if (work instanceof z.ZodError) faults.push(...faultsOf(work, ["stages", stage.name], originOf(chosen)));
    else checked.push({ ...stage, revision: runs.revision, isTest: runs.isTest, work });
  }
  if (faults.length > 0) throw planError(plan.path, faults);
  return checked;
}

interface Chosen {
  readonly plan: Plan;
  readonly variant: string | undefined;
  readonly fromVariant: Options;
  readonly set: Options;
}

function optionsOf(plan: Plan, variant: string | undefined): Options {
  if (variant === undefined) return {};
  const found = Object.hasOwn(plan.variants, variant) ? plan.variants[variant] : undefined;
  if (found !== undefined) return found.options;
  throw new HiperisoError({
    what: "build a variant of a spec",
    where: plan.path,
    expected: `one of ${Object.keys(plan.variants).join(", ") || "none: the spec has no variants"}`,
    found: variant,
    kind: "usage",
  });
}

/** Where options were set that do not stand in the plan. */
const SET = "--set";

/** Stages that are spoken of and do not exist. */
function nameFaults({ plan, variant, fromVariant, set }: Chosen): readonly PlanFault[] {
  const says = (name: string): string => `there is no stage "${name}"; stages are ${plan.stages.map((stage) => stage.name).join(", ")}`;
  const isMissing = (name: string): boolean => plan.stages.every((stage) => stage.name !== name);
  const places: readonly (readonly [name: string, at: string])[] = [
    ...Object.keys(fromVariant).map((name) => [name, plan.positionOf(["variants", variant!, "options", name], "key")] as const),
    ...Object.keys(set).map((name) => [name, SET] as const),
    ...plan.stages.flatMap((stage) =>
      Object.entries(stage.inputs).map(([input, from]) => [from, plan.positionOf(["stages", stage.name, "inputs", input])] as const),
    ),
    [plan.result.stage, plan.positionOf(["result", "stage"])],
  ];
  return places.filter(([name]) => isMissing(name)).map(([name, at]) => ({ at, says: says(name) }));
}

/** Inputs that the kind does not take, or that it needs and did not get. */
function inputFaults(plan: Plan, stage: PlannedStage, { kind, inputs }: StageKind): readonly PlanFault[] {
  const at = (input: string): string => plan.positionOf(["stages", stage.name, "inputs", input], "key");
  const missing = Object.keys(inputs).filter((name) => inputs[name] === "required" && stage.inputs[name] === undefined);
  const unknown = Object.keys(stage.inputs).filter((name) => inputs[name] === undefined);
  return [
    ...missing.map((name) => ({ at: at(name), says: `a stage of kind ${kind} needs the input "${name}"` })),
    ...unknown.map((name) => ({ at: at(name), says: `a stage of kind ${kind} has no input "${name}"` })),
  ];
}

/** Positions of stages' options, each where the value that counts was written: by the caller, in the variant, or in the stage. */
function originOf({ plan, variant, fromVariant, set }: Chosen): Plan["positionOf"] {
  return (keys, of) => {
    const [, stage, option] = keys.map(String);
    if (stage === undefined || option === undefined) return plan.positionOf(keys, of);
    if (set[stage]?.[option] !== undefined) return `${SET} ${stage}.${option}`;
    const inVariant = fromVariant[stage]?.[option] !== undefined;
    return plan.positionOf(inVariant ? ["variants", variant!, "options", ...keys.slice(1)] : keys, of);
  };
}
