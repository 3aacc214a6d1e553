import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Allotment, ranksOf, startingStages, type WaitingStage } from "../../src/live/schedule.ts";
import type { StageNeeds } from "../../src/live/stage.ts";
import type { Capacity } from "../../src/suite/schedule.ts";

const stage = (name: string, cores: StageNeeds["cores"], rank = 0, memoryMb = 100): WaitingStage => ({
  name,
  needs: { cores, memoryMb },
  rank,
});
const room = (processors: number, memoryMb = 10_000, jobs = 100): Capacity => ({ processors, memoryMb, jobs });
const cores = (allotments: readonly Allotment[]) => Object.fromEntries(allotments.map(({ name, cores: given }) => [name, given]));
const sum = (allotments: readonly Allotment[], of: "coresHeld" | "memoryMb") =>
  allotments.reduce((total, allotment) => total + allotment[of], 0);

describe("stages that are ready", () => {
  test("start beside each other, the one that most wait for first", () => {
    expect(startingStages([stage("a", 1), stage("b", 1, 3), stage("c", 1, 1)], [], room(2)).map(({ name }) => name)).toEqual(["b", "c"]);
  });

  test("share the cores that are free, where they take all", () => {
    expect(cores(startingStages([stage("squashfs", "all")], [], room(8)))).toEqual({ squashfs: 8 });
    expect(cores(startingStages([stage("squashfs", "all"), stage("kernel", 1)], [], room(8)))).toEqual({ squashfs: 7, kernel: 1 });
    expect(cores(startingStages([stage("a", "all"), stage("b", "all"), stage("c", 2)], [], room(7)))).toEqual({ a: 3, b: 2, c: 2 });
    const running = [{ name: "x", cores: 6, coresHeld: 6, memoryMb: 1 }];
    expect(cores(startingStages([stage("a", "all")], running, room(8)))).toEqual({ a: 2 });
    expect(startingStages([stage("a", "all")], [{ ...running[0]!, coresHeld: 8 }], room(8)), "none is free").toEqual([]);
  });

  test("that only wait for the network start beside any", () => {
    const running = [{ name: "x", cores: 2, coresHeld: 2, memoryMb: 1 }];
    expect(cores(startingStages([stage("package", 0)], running, room(2)))).toEqual({ package: 1 });
  });

  test("wait for memory, and run alone where there is never enough", () => {
    const running = [{ name: "x", cores: 1, coresHeld: 1, memoryMb: 900 }];
    expect(startingStages([stage("a", 1, 0, 200)], running, room(4, 1000))).toEqual([]);
    expect(cores(startingStages([stage("a", 1, 0, 5000), stage("b", 1)], [], room(4, 1000)))).toEqual({ a: 1 });
  });

  test("are given what there is where they need more cores than the computer has", () => {
    expect(cores(startingStages([stage("a", 16)], [], room(2)))).toEqual({ a: 2 });
  });
});

test("the rank of a stage is the longest row of stages behind it", () => {
  const nodes = [
    { name: "seed", inputs: {} },
    { name: "kernel", inputs: {} },
    { name: "root", inputs: { base: "seed", kernel: "kernel" } },
    { name: "image", inputs: { root: "root" } },
    { name: "iso", inputs: { image: "image", kernel: "kernel" } },
  ];
  expect(Object.fromEntries(ranksOf(nodes))).toEqual({ seed: 3, kernel: 3, root: 2, image: 1, iso: 0 });
});

test("any graph is built to its end, in order, within cores and memory, and nothing waits for nothing", () => {
  const needs = fc.record({
    cores: fc.oneof(fc.constant("all" as const), fc.integer({ min: 0, max: 9 })),
    memoryMb: fc.integer({ min: 1, max: 5000 }),
  });
  /** Each stage may take any before it as inputs: no circles. */
  const graph = fc.array(fc.tuple(needs, fc.array(fc.nat(), { maxLength: 3 })), { maxLength: 15 }).map((rows) =>
    rows.map(([need, from], index) => ({
      name: `${index}`,
      needs: need,
      inputs: Object.fromEntries(index === 0 ? [] : from.map((pick, input) => [`${input}`, `${pick % index}`])),
    })),
  );
  const capacity = fc.record({
    processors: fc.integer({ min: 1, max: 8 }),
    memoryMb: fc.integer({ min: 0, max: 8000 }),
    jobs: fc.integer({ min: 1, max: 6 }),
  });
  fc.assert(
    fc.property(graph, capacity, fc.array(fc.nat(), { minLength: 15, maxLength: 15 }), (stages, of, ends) => {
      const ranks = ranksOf(stages);
      const done = new Set<string>();
      const running: Allotment[] = [];
      let left = [...stages];
      for (const end of ends) {
        const ready = left.filter(({ inputs }) => Object.values(inputs).every((input) => done.has(input)));
        const waiting = ready.map(({ name, needs: need }) => ({ name, needs: need, rank: ranks.get(name)! }));
        const started = startingStages(waiting, running, of);
        running.push(...started);
        left = left.filter(({ name }) => !started.some((allotment) => allotment.name === name));
        const still = waiting.filter(({ name }) => left.some((candidate) => candidate.name === name));

        expect(running.length).toBeLessThanOrEqual(of.jobs);
        for (const allotment of started) expect(allotment.cores).toBeGreaterThanOrEqual(1);
        if (running.length > 1) expect(sum(running, "memoryMb")).toBeLessThanOrEqual(of.memoryMb);
        expect(sum(running, "coresHeld")).toBeLessThanOrEqual(of.processors);
        expect(running.length === 0 && left.length > 0, "stages wait and none runs").toBe(false);
        expect(startingStages(still, running, of), "all that fits was started").toEqual([]);
        if (running.length > 0) done.add(running.splice(end % running.length, 1)[0]!.name);
      }
      expect(left).toEqual([]);
    }),
  );
});
