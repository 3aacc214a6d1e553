import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createGoal } from "../../src/analysis/goal.ts";
import { type ConsoleEvent, createConsoleWatch } from "../../src/analysis/watch.ts";
import { HEALTHY, KERNEL, log, PANIC_NO_ROOT } from "./composed-logs.ts";

function watched(text: string, sizes: readonly number[], goal = "login") {
  const watch = createConsoleWatch({ goal: createGoal(goal) });
  const bytes = Buffer.from(text);
  const events: ConsoleEvent[] = [];
  let at = 0;
  for (let index = 0; at < bytes.length; index += 1) {
    const size = sizes[index % sizes.length]!;
    events.push(...watch.push(bytes.subarray(at, at + size), index));
    at += size;
  }
  return { watch, events };
}

const withoutTimes = (events: readonly ConsoleEvent[]) => events.map((event) => ({ ...event, timeMs: 0, text: "" }));

describe("the live watch", () => {
  test("tells of a prompt without a newline as soon as it stands there", () => {
    const watch = createConsoleWatch();
    expect(watch.push(Buffer.from("\r\nbox log"), 10)).toEqual([]);
    expect(watch.push(Buffer.from("in: "), 20)).toEqual([
      { type: "stage", stage: "login", line: 2, timeMs: 20, text: "box login:" },
      { type: "goal", line: 2, timeMs: 20, text: "box login:" },
    ]);
    expect(watch.push(Buffer.from("root\r\n"), 30)).toEqual([]);
    expect([watch.stage, watch.goalReached, watch.lastLine]).toEqual(["login", true, "box login: root"]);
  });

  test("does not take a last login for a prompt, wherever the bytes are cut", () => {
    const { watch } = watched("Last login: Mon Jan  1 00:00:00 on ttyS0\n", [1]);
    expect(watch.stage).toBeUndefined();
  });

  test("says once that a panic ends the boot", () => {
    const { events } = watched(log(KERNEL, PANIC_NO_ROOT), [3]);
    const ending = events.flatMap((event) => (event.type === "finding" && event.ends ? [[event.rule, event.line]] : []));
    expect(ending).toEqual([
      ["kernel/no-root", 8],
      ["kernel/panic", 8],
    ]);
  });

  test("sees the same however the bytes arrive, splitting lines, letters and escape sequences anywhere", () => {
    const text = HEALTHY.replace("box login: ", "b\u00f6x\u{1f4be} login: ").replace("box login: ", "box login: ");
    const whole = withoutTimes(watched(`${text}\n${HEALTHY}`, [1_000_000]).events);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 20 }), (sizes) => {
        expect(withoutTimes(watched(`${text}\n${HEALTHY}`, sizes).events)).toEqual(whole);
      }),
    );
  });

  test("knows the last line for the display while it is still drawn", () => {
    const watch = createConsoleWatch();
    watch.push(Buffer.from("one\r\n\x1b[1mtwo\x1b[0m thr"), 0);
    expect(watch.lastLine).toBe("two thr");
    watch.push(Buffer.from("\r\n\r\n"), 1);
    expect(watch.lastLine).toBe("two thr");
  });

  test("ends for a text or a pattern as for a stage", () => {
    const goalLine = (goal: string) => watched(HEALTHY, [16], goal).events.flatMap((event) => (event.type === "goal" ? [event.line] : []));
    expect(goalLine("text:Reached target Local")).toEqual([18]);
    expect(goalLine("pattern:^pid|pid_max: \\w+")).toEqual([10]);
    expect(goalLine("pattern:\\d+\\.92")).toEqual([12]);
    expect(goalLine("kernel")).toEqual([8]);
    expect(goalLine("never")).toEqual([]);
  });
});
