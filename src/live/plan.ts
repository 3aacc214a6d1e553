/** A plan, which people know as a spec: the stages of an image, their inputs and options, as YAML. What is wrong in it is told by line and column. */
import { readFile } from "node:fs/promises";
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { StageNode } from "./graph.ts";

const NAME = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "expected lower-case letters, digits and -, at most 63");

export const StageSchema = z
  .looseObject({
    kind: NAME.describe("What the stage does."),
    inputs: z.record(NAME, NAME).default({}).describe("Name of an input: the stage whose output it is."),
  })
  .describe("All other keys are the kind's own options.");

/** What is checked before any kind of stage is asked. */
export const PlanSchema = z.strictObject({
  name: NAME.describe("Names the result."),
  epoch: z.int().min(315_532_800).max(4_294_967_295).describe("Seconds since 1970 (from 1980 on): the time of every file."),
  result: z.strictObject({ stage: NAME, file: z.string().min(1) }).describe("The file that the plan is for."),
  stages: z.record(NAME, StageSchema).describe("By name."),
  variants: z
    .record(
      NAME,
      z.strictObject({
        about: z.string().describe("What is different, for a person."),
        options: z.record(NAME, z.record(z.string(), z.unknown())).describe("By stage: options that replace the stage's own."),
      }),
    )
    .default({})
    .describe("Other forms of the same result."),
});

export interface PlannedStage extends StageNode {
  readonly kind: string;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface Plan {
  readonly path: string;
  readonly name: string;
  readonly epochS: number;
  readonly result: { readonly stage: string; readonly file: string };
  readonly stages: readonly PlannedStage[];
  readonly variants: Readonly<
    Record<string, { readonly about: string; readonly options: Readonly<Record<string, Readonly<Record<string, unknown>>>> }>
  >;
  /**
   * `path:line:column`, from 1, of a value or of its key. Where there is none: of the deepest key on the way that exists.
   */
  readonly positionOf: (path: readonly PropertyKey[], of?: "key" | "value") => string;
}

export async function readPlan(path: string): Promise<Plan> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new HiperisoError({ what: "read a spec", where: path, found: reasonOf(error), kind: "usage", cause: error });
  }
  return decodePlan(text, path);
}

/** Throws a usage error that names every fault with its line and column. */
export function decodePlan(text: string, path: string): Plan {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  if (document.errors.length > 0)
    throw planError(
      path,
      document.errors.map((error) => ({ at: at(error.pos[0]), says: error.message })),
    );
  const positionOf: Plan["positionOf"] = (keys, of = "value") => at(offsetOf(document, keys, of));
  // A plan is small: YAML's default of 100 aliases is far more than one needs.
  const parsed = PlanSchema.safeParse(document.toJS({ maxAliasCount: 100 }));
  if (!parsed.success) throw planError(path, faultsOf(parsed.error, [], positionOf));
  const { name, epoch, result, stages, variants } = parsed.data;
  return {
    path,
    name,
    epochS: epoch,
    result,
    stages: Object.entries(stages).map(([stage, { kind, inputs, ...options }]) => ({ name: stage, kind, inputs, options })),
    variants,
    positionOf,
  };
}

export interface PlanFault {
  /** `path:line:column`. */
  readonly at: string;
  readonly says: string;
}

export function planError(path: string, faults: readonly PlanFault[]): HiperisoError {
  return new HiperisoError({
    what: "read a spec",
    where: faults[0]?.at ?? path,
    found: faults.map(({ at, says }) => `${at}: ${says}`).join("\n"),
    kind: "usage",
  });
}

/** `prefix`: where in the plan the checked value stands. */
export function faultsOf(error: z.ZodError, prefix: readonly PropertyKey[], positionOf: Plan["positionOf"]): readonly PlanFault[] {
  return error.issues.flatMap((issue) => {
    const path = [...prefix, ...issue.path];
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({ at: positionOf([...path, key], "key"), says: `unknown key "${key}"` }));
    }
    return [
      { at: positionOf(path, issue.code === "invalid_key" ? "key" : "value"), says: `${path.map(String).join(".")}: ${issue.message}` },
    ];
  });
}

function offsetOf(document: Document.Parsed, keys: readonly PropertyKey[], of: "key" | "value"): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const key of keys) {
    const pair = isMap(node)
      ? node.items.find((candidate) => isScalar(candidate.key) && String(candidate.key.value) === String(key))
      : undefined;
    if (isScalar(pair?.key)) offset = pair.key.range?.[0] ?? offset;
    node = pair?.value ?? (isSeq(node) ? node.items[Number(key)] : undefined);
    if (node === undefined) return offset;
  }
  return of === "value" && isNode(node) ? (node.range?.[0] ?? offset) : offset;
}
