import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Needs } from "../../src/suite/job.ts";
import { planCapacity, startable } from "../../src/suite/schedule.ts";

const job = (memoryMb: number, processors = 1): Needs => ({ memoryMb, processors });
const sum = (jobs: readonly Needs[], of: keyof Needs) => jobs.reduce((total, needs) => total + needs[of], 0);

describe("what runs beside each other", () => {
  test("is what fits into memory and processors, in order", () => {
    const capacity = { memoryMb: 2048, processors: 4, jobs: 100 };
    expect(startable([job(1024), job(1024), job(1024)], [], capacity)).toEqual([0, 1]);
    expect(startable([job(100, 3), job(100, 2), job(100, 1)], [], capacity), "a smaller one goes before").toEqual([0, 2]);
    expect(startable([job(1024)], [job(1025)], capacity)).toEqual([]);
  });

  test("is one alone that needs more than there is", () => {
    const capacity = { memoryMb: 100, processors: 1, jobs: 100 };
    expect(startable([job(4096, 8), job(50)], [], capacity)).toEqual([0]);
    expect(startable([job(4096, 8)], [job(50)], capacity)).toEqual([]);
  });

  test("is no more than the person allows", () => {
    expect(startable([job(1), job(1), job(1)], [job(1)], { memoryMb: 100, processors: 100, jobs: 3 })).toEqual([0, 1]);
  });

  test("never takes more than there is, leaves nothing waiting for nothing, and comes to an end", () => {
    const needs = fc.record({ memoryMb: fc.integer({ min: 1, max: 5000 }), processors: fc.integer({ min: 1, max: 9 }) });
    const capacity = fc.record({
      memoryMb: fc.integer({ min: 0, max: 8000 }),
      processors: fc.integer({ min: 1, max: 8 }),
      jobs: fc.integer({ min: 1, max: 6 }),
    });
    fc.assert(
      fc.property(
        fc.array(needs, { maxLength: 20 }),
        capacity,
        fc.array(fc.nat(), { minLength: 20, maxLength: 20 }),
        (jobs, room, ends) => {
          let waiting = [...jobs];
          const running: Needs[] = [];
          for (const end of ends) {
            const now = startable(waiting, running, room);
            running.push(...now.map((index) => waiting[index]!));
            waiting = waiting.filter((_, index) => !now.includes(index));
            expect(running.length).toBeLessThanOrEqual(room.jobs);
            if (running.length > 1) {
              expect(sum(running, "memoryMb")).toBeLessThanOrEqual(room.memoryMb);
              expect(sum(running, "processors")).toBeLessThanOrEqual(room.processors);
            }
            expect(running.length === 0 && waiting.length > 0).toBe(false);
            expect(startable(waiting, running, room), "all that fits was started").toEqual([]);
            if (running.length > 0) running.splice(end % running.length, 1);
          }
          expect(waiting).toEqual([]);
        },
      ),
    );
  });
});

test("some memory is left to the computer; one processor is always there", () => {
  expect(planCapacity({ availableRamMb: 4096, cores: 8 }, undefined)).toMatchObject({ memoryMb: 3584, processors: 8 });
  expect(planCapacity({ availableRamMb: 100, cores: 0 }, 2)).toEqual({ memoryMb: 0, processors: 1, jobs: 2 });
});
