/** The JSON Schema of a spec, for editors: made from the same definitions that specs are checked by. */
import { z } from "zod";
import { PlanSchema } from "./plan.ts";
import type { StageKind } from "./stage.ts";

type Schema = { readonly [key: string]: unknown };

/** Text of `live-spec.schema.json`. A stage's keys are those of its kind. */
export function specSchemaText(kinds: readonly StageKind[]): string {
  const { $schema, ...spec } = z.toJSONSchema(PlanSchema, { io: "input" }) as Schema;
  const properties = asSchema(spec["properties"]);
  const stages = asSchema(properties["stages"]);
  const stage: Schema = {
    type: "object",
    required: ["kind"],
    properties: { kind: { enum: kinds.map(({ kind }) => kind), description: "What the stage does." } },
    // One of them, told apart by its kind: editors then complain in the words of that one.
    anyOf: kinds.map(stageSchema),
  };
  const withStages = { ...spec, properties: { ...properties, stages: { ...stages, additionalProperties: stage } } };
  return `${JSON.stringify({ $schema, title: "a spec of a live image: hiperiso live build", ...withStages }, null, 2)}\n`;
}

function stageSchema({ kind, inputs, schema }: StageKind): Schema {
  const names = Object.keys(inputs);
  const required = names.filter((name) => inputs[name] === "required");
  const stageOf = { type: "string", description: "Name of the stage whose output it is." };
  const own: Schema = {
    kind: { const: kind },
    inputs: {
      type: "object",
      properties: Object.fromEntries(names.map((name) => [name, stageOf])),
      ...(required.length > 0 ? { required } : {}),
      additionalProperties: false,
    },
  };
  const needed = ["kind", ...(required.length > 0 ? ["inputs"] : [])];
  const { $schema: _, ...options } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Schema;
  return withOwn(options, own, needed);
}

/** Options that come in several shapes take the stage's own keys in each of them. */
function withOwn(options: Schema, own: Schema, needed: readonly string[]): Schema {
  for (const word of ["anyOf", "oneOf"]) {
    const shapes = options[word];
    if (Array.isArray(shapes)) return { ...options, [word]: shapes.map((shape) => withOwn(asSchema(shape), own, needed)) };
  }
  const required = [...needed, ...(Array.isArray(options["required"]) ? (options["required"] as readonly string[]) : [])];
  return { ...options, properties: { ...own, ...asSchema(options["properties"]) }, required };
}

const asSchema = (value: unknown): Schema => (typeof value === "object" && value !== null ? (value as Schema) : {});
