/** The stages of a plan as a graph: their order, and the hash that names each output. Pure. */
import { createHash } from "node:crypto";
import { HiperisoError } from "../contract/error.ts";

export interface StageNode {
  readonly name: string;
  /** Stage that each named input comes from. */
  readonly inputs: Readonly<Record<string, string>>;
}

/**
 * The stages that `targets` need, each behind its inputs, else in the plan's order. Throws where an input is no stage and
 * where stages wait for each other, naming the circle.
 */
export function orderOf<Node extends StageNode>(nodes: readonly Node[], targets: readonly string[]): readonly Node[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const wanted = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    const circle = path.indexOf(name);
    if (circle >= 0) {
      throw new HiperisoError({
        what: "order the stages",
        where: name,
        expected: "stages that do not wait for each other",
        found: [...path.slice(circle), name].join(" → "),
        kind: "usage",
      });
    }
    if (wanted.has(name)) return;
    const node = byName.get(name);
    if (node === undefined) {
      throw new HiperisoError({
        what: "order the stages",
        where: path.at(-1) ?? name,
        expected: `a stage of the spec (${[...byName.keys()].join(", ")})`,
        found: name,
        kind: "usage",
      });
    }
    for (const input of Object.values(node.inputs)) visit(input, [...path, name]);
    wanted.add(name);
  };
  for (const target of targets) visit(target, []);
  return [...wanted].map((name) => byName.get(name)!);
}

/** Everything that makes a stage's output what it is. */
export interface Recipe {
  readonly kind: string;
  readonly revision: number;
  readonly epochS: number;
  readonly options: unknown;
  /** Hash of each input's recipe. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly ingredients: Readonly<Record<string, string>>;
}

/** SHA-256, 64 hexadecimal digits. The order of keys does not count; that of lists does. */
export function recipeHash(recipe: Recipe): string {
  return createHash("sha256").update(canonicalJson(recipe)).digest("hex");
}

/** JSON with sorted keys. A field that is undefined is left out. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    fields.sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** What in two recipes of one stage differs, in words: why it runs again. Short values are shown: "option timeout (1 → 5)". */
export function recipeDifference(before: Recipe, now: Recipe): readonly string[] {
  const differing = (a: object, b: object, name: (key: string) => string, showing = change): string[] =>
    [...new Set([...Object.keys(a), ...Object.keys(b)])]
      .sort()
      .filter((key) => canonicalJson(fieldOf(a, key) ?? null) !== canonicalJson(fieldOf(b, key) ?? null))
      .map((key) => `${name(key)}${showing(fieldOf(a, key), fieldOf(b, key))}`);
  return [
    ...(before.kind !== now.kind || before.revision !== now.revision ? ["how stages of this kind are made"] : []),
    ...(before.epochS !== now.epochS ? ["the epoch"] : []),
    ...differing(asObject(before.options), asObject(now.options), (key) => `option ${key}`),
    ...differing(
      before.inputs,
      now.inputs,
      (key) => `input ${key}`,
      () => "",
    ),
    ...differing(before.ingredients, now.ingredients, (key) => key),
  ];
}

const asObject = (value: unknown): object => (typeof value === "object" && value !== null ? value : {});
const fieldOf = (value: object, key: string): unknown => (value as Record<string, unknown>)[key];

/** A digest tells a person nothing, and neither does what fills a line. */
const VALUE_SHOWN_MAX = 40;

function change(before: unknown, now: unknown): string {
  const shown = (value: unknown): string | undefined => {
    if (value === undefined) return "none";
    const text = typeof value === "string" ? value : canonicalJson(value);
    return text.length > VALUE_SHOWN_MAX || /^[0-9a-f]{32,}$/.test(text) ? undefined : text;
  };
  const [from, to] = [shown(before), shown(now)];
  return from === undefined || to === undefined ? "" : ` (${from} → ${to})`;
}
