import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { checkPlan } from "../../src/live/checked-plan.ts";
import { DEMO_PLAN, DEMO_VARIANTS } from "../../src/live/demo.ts";
import { orderOf } from "../../src/live/graph.ts";
import { decodePlan } from "../../src/live/plan.ts";

const PLAN = `name: small
epoch: 1767225600
result: { stage: image, file: root.squashfs }
stages:
  package:
    kind: package
    first_of: [busybox-static]
  root:
    kind: rootfs
    inputs: { busybox: package }
    files: root
    busybox:
      bin: [sh]
  image:
    kind: squashfs
    inputs: { root: root }
variants:
  packed:
    about: smaller
    options: { image: { compression: xz } }
`;

/** What is wrong in the plan, as `line:column: text`. */
function faults(text: string, variant?: string, set: Record<string, Record<string, unknown>> = {}): string[] {
  try {
    checkPlan(decodePlan(text, "plan.yaml"), { variant, set });
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(HiperisoError);
    expect((error as HiperisoError).kind).toBe("usage");
    return ((error as HiperisoError).found ?? "").split("\n").map((line) => line.replace("plan.yaml:", ""));
  }
}

describe("a plan", () => {
  test("is read", () => {
    const plan = decodePlan(PLAN, "plan.yaml");
    expect(plan).toMatchObject({ name: "small", epochS: 1_767_225_600, result: { stage: "image", file: "root.squashfs" } });
    expect(plan.stages[1]).toEqual({
      name: "root",
      kind: "rootfs",
      inputs: { busybox: "package" },
      options: { files: "root", busybox: { bin: ["sh"] } },
    });
    expect(faults(PLAN)).toEqual([]);
  });

  test("takes a variant's options instead of the stage's", () => {
    const options = (variant?: string) => checkPlan(decodePlan(PLAN, "p"), { variant }).find(({ name }) => name === "image")?.work.options;
    expect(options()).not.toHaveProperty("compression");
    expect(options("packed")).toMatchObject({ compression: "xz" });
    expect(() => checkPlan(decodePlan(PLAN, "p"), { variant: "other" })).toThrow(/expected one of packed, found other/);
  });

  test.each<[string, string, string, RegExp]>([
    ["broken YAML", "epoch: 1767225600", "epoch: [", /^3:\d+: /],
    ["a key twice", "epoch: 1767225600", "name: again\nepoch: 1", /^2:1: Map keys must be unique/],
    ["an unknown key of the plan", "result:", "resutl: 1\nresult:", /^3:1: unknown key "resutl"$/],
    ["an epoch of the wrong kind", "1767225600", "soon", /^2:8: epoch: /],
    ["a stage's name", "  package:\n", "  Package:\n", /^5:3: stages\.Package: /],
    ["an unknown kind", "kind: squashfs", "kind: sqashfs", /^15:11: there is no kind "sqashfs"; kinds are seed, package, unpack, kernel, /],
    ["an unknown option", "    files: root\n", "    files: root\n    fiels: root\n", /^12:5: unknown key "fiels"$/],
    ["an option of the wrong kind", "files: root", "files: 7", /^11:12: stages\.root\.files: /],
    ["an item of a list", "[sh]", "[sh, 7]", /^13:17: stages\.root\.busybox\.bin\.1: /],
    ["an option that is missing", "    first_of: [busybox-static]\n", "", /^5:3: stages\.package\.first_of: /],
    ["an input that is no stage", "root: root", "root: rot", /^16:21: there is no stage "rot"; stages are package, root, image$/],
    ["an input that the kind has not", "root: root", "root: root, rot: root", /^16:27: a stage of kind squashfs has no input "rot"$/],
    ["an input that is missing", "    inputs: { root: root }\n", "", /^14:3: a stage of kind squashfs needs the input "root"$/],
    ["a result from no stage", "stage: image", "stage: imag", /^3:18: there is no stage "imag"; stages are /],
  ])("names line and column of %s", (_, from, to, message) => {
    expect(PLAN).toContain(from);
    const found = faults(PLAN.replace(from, to));
    expect(found[0]).toMatch(message);
    expect(found).toHaveLength(1);
  });

  test("names every fault at once", () => {
    expect(
      faults(PLAN.replace("kind: squashfs", "kind: x").replace("files: root", "files: 1").replace("root: root }", "root: y }")),
    ).toHaveLength(3);
  });

  test("names an option where it was written: in the stage, in the variant, on the command line", () => {
    expect(faults(PLAN.replace("compression: xz", "compression: lz5"), "packed")[0]).toMatch(/^20:38: stages\.image\.compression: /);
    expect(faults(PLAN, "packed", { image: { compression: 7 } })[0]).toMatch(/^--set image\.compression: stages\.image\.compression: /);
    expect(faults(PLAN, undefined, { image: { speed: 7 } })).toEqual(['--set image.speed: unknown key "speed"']);
    expect(faults(PLAN, undefined, { imag: {} })).toEqual(['--set: there is no stage "imag"; stages are package, root, image']);
  });

  test("names a stage that only a variant speaks of", () => {
    expect(faults(PLAN.replace("options: { image:", "options: { imag:"), "packed")).toEqual([
      '20:16: there is no stage "imag"; stages are package, root, image',
    ]);
  });
});

describe("the demo's plan", () => {
  test.each(DEMO_VARIANTS)("%s is whole", async (variant) => {
    const plan = decodePlan(await readFile(DEMO_PLAN, "utf8"), DEMO_PLAN);
    const stages = checkPlan(plan, { variant: variant === "normal" ? undefined : variant });
    expect(orderOf(stages, [plan.result.stage])).toHaveLength(plan.stages.length);
    expect(Object.keys(plan.variants).sort()).toEqual(DEMO_VARIANTS.filter((name) => name !== "normal").sort());
  });
});
