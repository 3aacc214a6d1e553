import { describe, expect, test } from "vitest";
import type { Key } from "../../../src/formats/terminal-keys.ts";
import { show } from "../../../src/stick/console/show.ts";
import { FakeConsole, settled } from "./fake-console.ts";

function counter() {
  const seen: Key[] = [];
  const face = {
    count: 0,
    render: () => [[{ text: `count ${face.count}` }], [{ text: "the same".repeat(20) }]],
    key: (key: Key) => void seen.push(key),
  };
  return { face, seen };
}

describe("one picture on several consoles", () => {
  test("is drawn on all, in each one's size, and keys come from all", async () => {
    const { face, seen } = counter();
    const [wide, narrow] = [new FakeConsole(), new FakeConsole({ columns: 10, rows: 1 })];
    await using shown = show([wide, narrow], face);
    await settled();
    expect(wide.text().split("\n").slice(0, 2)).toEqual(["count 0", "the same".repeat(10)]);
    expect(narrow.text()).toBe("count 0");
    face.count = 1;
    shown.redraw();
    await settled();
    expect([wide.text().split("\n")[0], narrow.text()]).toEqual(["count 1", "count 1"]);
    await wide.press("a");
    await narrow.press("<up>");
    expect(seen).toEqual([
      { type: "text", text: "a" },
      { type: "named", name: "up" },
    ]);
  });

  test("a small change is a few bytes", async () => {
    const { face } = counter();
    const console = new FakeConsole();
    await using shown = show([console], face);
    await settled();
    const before = console.sentBytes;
    face.count = 1;
    shown.redraw();
    await settled();
    expect(console.sentBytes - before).toBeLessThan(10);
  });

  test("a line that takes nothing gets the newest state when it is free, and not all that were between", async () => {
    const { face } = counter();
    const [slow, fast] = [new FakeConsole(undefined, { isSlow: true }), new FakeConsole()];
    await using shown = show([slow, fast], face);
    await settled();
    for (face.count = 1; face.count < 50; face.count += 1) {
      shown.redraw();
      await settled();
    }
    expect(slow.writes).toBe(1);
    expect(fast.text()).toContain("count 49");
    await slow.take();
    await slow.take();
    expect(slow.writes).toBe(2);
    expect(slow.text()).toContain("count 50");
  });

  test("another size, or Ctrl-L, draws all anew", async () => {
    const { face, seen } = counter();
    const console = new FakeConsole();
    await using _ = show([console], face);
    await settled();
    console.resize({ columns: 30, rows: 3 });
    await settled();
    expect(console.text().split("\n")).toEqual(["count 0", "the samethe samethe samethe sa", ""]);
    const before = console.sentBytes;
    await console.press("<ctrl-l>");
    expect(console.sentBytes - before).toBeGreaterThan(30);
    expect(seen).toEqual([]);
  });

  test("closed, it draws nothing more and takes no keys", async () => {
    const { face, seen } = counter();
    const console = new FakeConsole();
    const shown = show([console], face);
    await settled();
    await shown[Symbol.asyncDispose]();
    face.count = 9;
    shown.redraw();
    await console.press("x");
    expect(console.text()).toContain("count 0");
    expect(seen).toEqual([]);
  });
});
