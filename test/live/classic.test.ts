import { describe, expect, test } from "vitest";
import { checkPlan } from "../../src/live/checked-plan.ts";
import { EXAMPLES_FOLDER } from "../../src/live/examples.ts";
import { readPlan } from "../../src/live/plan.ts";

const plan = await readPlan(`${EXAMPLES_FOLDER}classic.yaml`);

/** Every stage that the named one is made from, by edges other than these. */
function madeFrom(name: string, without: readonly string[] = []): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (stage: string): void => {
    for (const [input, from] of Object.entries(plan.stages.find((one) => one.name === stage)?.inputs ?? {})) {
      if (without.includes(input) || found.has(from)) continue;
      found.add(from);
      visit(from);
    }
  };
  visit(name);
  return found;
}

describe("the classic stages as a graph", () => {
  test("its kinds of stages accept it", () => {
    expect(checkPlan(plan, {}).map(({ name }) => name)).toEqual([
      ...["seed", "stage1", "stage2", "stage3", "stage4", "embedded", "livecd-stage1", "image"],
      ...["livecd-stage2", "kernel", "payloads", "iso", "test"],
    ]);
  });

  test("each stage is made from those before it", () => {
    expect([...madeFrom("livecd-stage1")].sort()).toEqual(["embedded", "seed", "stage1", "stage2", "stage3", "stage4"]);
    expect([...madeFrom("livecd-stage2")].sort()).toEqual(["seed", "stage1", "stage2", "stage3"]);
  });

  test("no stage plays two roles: the system has nothing of the tree in which kernel and loaders are, but the kernel's modules", () => {
    expect([...madeFrom("livecd-stage1")]).not.toContain("livecd-stage2");
    expect([...madeFrom("payloads")]).not.toContain("livecd-stage1");
    expect([...madeFrom("image", ["kernel"])]).not.toContain("livecd-stage2");
    expect([...madeFrom("image")]).toContain("kernel");
  });
});
