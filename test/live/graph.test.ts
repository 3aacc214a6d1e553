import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canonicalJson, orderOf, type Recipe, recipeDifference, recipeHash } from "../../src/live/graph.ts";

const node = (name: string, ...from: string[]) => ({ name, inputs: Object.fromEntries(from.map((stage) => [`of-${stage}`, stage])) });
const names = (nodes: readonly { readonly name: string }[]) => nodes.map(({ name }) => name);

describe("the order of stages", () => {
  test("puts each behind its inputs, and leaves out what nobody needs", () => {
    const nodes = [node("iso", "image", "kernel"), node("image", "root"), node("root", "kernel"), node("kernel"), node("other")];
    expect(names(orderOf(nodes, ["iso"]))).toEqual(["kernel", "root", "image", "iso"]);
  });

  test("names a circle", () => {
    const nodes = [node("a", "b"), node("b", "c"), node("c", "b")];
    expect(() => orderOf(nodes, ["a"])).toThrow(/found b → c → b/);
    expect(() => orderOf([node("a", "a")], ["a"])).toThrow(/found a → a/);
  });

  test("names an input that is no stage", () => {
    expect(() => orderOf([node("a", "b")], ["a"])).toThrow(/a: expected a stage of the spec \(a\), found b/);
  });

  test("holds for any graph without circles", () => {
    const graph = fc.array(fc.array(fc.nat({ max: 20 }), { maxLength: 4 }), { minLength: 1, maxLength: 20 }).map((links) =>
      // Inputs come from lower numbers only, so there is no circle.
      links.map((from, index) => node(`${index}`, ...(index === 0 ? [] : from.map((to) => `${to % index}`)))),
    );
    fc.assert(
      fc.property(graph, (nodes) => {
        const order = names(orderOf([...nodes].reverse(), names(nodes)));
        expect(new Set(order).size).toBe(nodes.length);
        for (const { name, inputs } of nodes) {
          for (const input of Object.values(inputs)) expect(order.indexOf(input)).toBeLessThan(order.indexOf(name));
        }
      }),
    );
  });
});

describe("a recipe", () => {
  const recipe: Recipe = {
    kind: "squashfs",
    revision: 1,
    epochS: 7,
    options: { compression: "zstd", list: ["a", "b"] },
    inputs: { root: "aa" },
    ingredients: { mksquashfs: "4.5.1" },
  };

  test("has one hash however its keys are ordered", () => {
    const { options, ...rest } = recipe;
    expect(recipeHash({ options: { list: ["a", "b"], compression: "zstd" }, ...rest } as Recipe)).toBe(recipeHash(recipe));
    expect(recipeHash(recipe)).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each<[string, Partial<Recipe>]>([
    ["how stages of this kind are made", { kind: "iso" }],
    ["how stages of this kind are made", { revision: 2 }],
    ["the epoch", { epochS: 8 }],
    ["option compression (zstd → xz)", { options: { compression: "xz", list: ["a", "b"] } }],
    ['option list (["a","b"] → ["b","a"])', { options: { compression: "zstd", list: ["b", "a"] } }],
    ["option compression (zstd → none)", { options: { list: ["a", "b"] } }],
    ["option list", { options: { compression: "zstd", list: ["a".repeat(50)] } }],
    ["input root", { inputs: { root: "bb" } }],
    ["mksquashfs (4.5.1 → 4.6)", { ingredients: { mksquashfs: "4.6" } }],
    ["mksquashfs", { ingredients: { mksquashfs: "0123456789abcdef".repeat(4) } }],
  ])("has another hash, and says why, when %s changes", (says, change) => {
    const changed = { ...recipe, ...change };
    expect(recipeHash(changed)).not.toBe(recipeHash(recipe));
    expect(recipeDifference(recipe, changed)).toEqual([says]);
  });

  test("that did not change differs in nothing", () => {
    expect(recipeDifference(recipe, { ...recipe })).toEqual([]);
  });

  test("is written as JSON that JSON reads back", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});
