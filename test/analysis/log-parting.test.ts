import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LogSource } from "../../src/analysis/log-lines.ts";
import { compareLogs } from "../../src/analysis/log-parting.ts";

/** A log of these lines, handed on in chunks of `bytes`. */
const logOf = (lines: readonly string[], bytes = 4096): LogSource =>
  async function* () {
    const text = Buffer.from(lines.map((line) => `${line}\n`).join(""));
    for (let from = 0; from < text.length; from += bytes) yield text.subarray(from, from + bytes);
  };

const WORDS = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliet", "kilo", "lima"];
/** Lines that are all different, in words. */
const story = (length: number, from = 0): readonly string[] =>
  Array.from({ length }, (_, index) => {
    const at = from + index;
    return `${WORDS[at % 12]} ${WORDS[Math.floor(at / 12) % 12]} ${WORDS[Math.floor(at / 144) % 12]} ${WORDS[Math.floor(at / 1728) % 12]}`;
  });
const clocked = (lines: readonly string[], step: number): readonly string[] =>
  lines.map((line, index) => `[${(index * step).toFixed(6).padStart(12)}] ${line}\r`);

const compare = (a: readonly string[], b: readonly string[]) => compareLogs(logOf(a), logOf(b));

describe("the logs do not part", () => {
  test("where they are the same but for times, addresses and ids", async () => {
    const a = clocked([...story(40), "device 0000:00:1f.2 at 0xfeb00000, pid 77"], 0.01);
    const b = clocked([...story(40), "device 0000:03:00.0 at 0xc0001000, pid 4411"], 0.37);
    expect(await compare(a, b)).toEqual({ first: null, last: null, onlyA: 0, onlyB: 0, moved: 0, numbers: { count: 0, first: null } });
  });

  test("where one has a line more, near or at a place of its own", async () => {
    const lines = story(40);
    const difference = await compare(lines, [...lines.slice(0, 9), "something more", ...lines.slice(9)]);
    expect(difference).toMatchObject({ first: null, last: null, onlyA: 0, onlyB: 1, moved: 0 });
  });

  test("where lines stand in another order, close by or some hundred lines further", async () => {
    const lines = story(900);
    const swapped = [...lines.slice(0, 10), lines[11]!, lines[10]!, ...lines.slice(12)];
    expect(await compare(lines, swapped)).toMatchObject({ first: null, onlyA: 0, onlyB: 0, moved: 1 });
    const carried = [...lines.slice(0, 10), ...lines.slice(11, 700), lines[10]!, ...lines.slice(700)];
    expect(await compare(lines, carried)).toMatchObject({ first: null, onlyA: 0, onlyB: 0, moved: 1 });
  });

  test("where a number is another: that is told by itself", async () => {
    const [a, b] = [
      [...story(5), "Memory: 1024K available", ...story(9, 20)],
      [...story(5), "Memory: 2048K available", ...story(9, 20)],
    ];
    expect(await compare(a, b)).toMatchObject({
      first: null,
      numbers: {
        count: 1,
        first: { a: { line: 6, text: "Memory: 1024K available" }, b: { line: 6, text: "Memory: 2048K available" } },
      },
    });
  });

  test("where both are empty, or blank", async () => {
    expect((await compare([], [])).first).toBeNull();
    expect((await compare(["", "", "\r"], [""])).first).toBeNull();
  });
});

describe("the logs part", () => {
  test("where both say something else, with both numbers and three lines around", async () => {
    const lines = story(40);
    const a = clocked([...lines.slice(0, 20), "root is mounted", ...lines.slice(20)], 0.01);
    const b = clocked(["one line before", ...lines.slice(0, 20), "root is missing", ...story(5, 400)], 0.02);
    const { first, last } = await compare(a, b);
    expect(first).toMatchObject({ a: { line: 21, own: 21 }, b: { line: 22, own: 6 }, together: null });
    expect(last).toBeNull();
    expect(first!.a.text).toBe("[    0.200000] root is mounted");
    expect(first!.b.text).toBe("[    0.420000] root is missing");
    expect(first!.a.before.map(({ line }) => line)).toEqual([18, 19, 20]);
    expect(first!.a.after.map(({ line }) => line)).toEqual([22, 23, 24]);
    expect(first!.b.before.map(({ line }) => line)).toEqual([19, 20, 21]);
    expect(first!.b.after.map(({ text }) => text.slice(15))).toEqual(story(3, 400));
  });

  test("first here and for good there", async () => {
    const lines = story(300);
    const a = [...lines.slice(0, 20), "disk one is chosen", ...lines.slice(20, 200), "all is well", ...story(30, 500)];
    const b = [...lines.slice(0, 20), "disk two was chosen", ...lines.slice(20, 200), "all is lost", ...story(30, 900)];
    const { first, last } = await compare(a, b);
    expect(first).toMatchObject({ a: { line: 21, own: 1 }, b: { line: 21, own: 1 }, together: { a: 22, b: 22 } });
    expect(last).toMatchObject({ a: { line: 202, own: 31 }, b: { line: 202, own: 31 }, together: null });
  });

  test("where one ends and the other goes on, even by a line", async () => {
    const lines = story(30);
    const { first } = await compare(lines, [...lines, "and then it stopped"]);
    expect(first).toMatchObject({ a: { line: null, text: null, own: 0, after: [] }, b: { line: 31, own: 1 }, together: null });
    expect(first!.a.before).toEqual(lines.slice(27).map((text, index) => ({ line: 28 + index, text })));
  });

  test("where one is empty", async () => {
    expect((await compare([], ["a word"])).first).toMatchObject({ a: { line: null, before: [] }, b: { line: 1, own: 1 } });
  });

  test("where one has a long passage more", async () => {
    const lines = story(60);
    const { first } = await compare(lines, [...lines.slice(0, 30), ...story(40, 700), ...lines.slice(30)]);
    expect(first).toMatchObject({ a: { line: 31, own: 0 }, b: { line: 31, own: 40 }, together: { a: 31, b: 71 } });
  });

  test("at the third of three differences, where the first two are an order and an insertion", async () => {
    const lines = story(90);
    const b = [
      ...lines.slice(0, 5),
      lines[6]!,
      lines[5]!,
      ...lines.slice(7, 30),
      "one more",
      ...lines.slice(30, 60),
      "other words",
      ...lines.slice(61),
    ];
    expect((await compare(lines, b)).first).toMatchObject({ a: { line: 61 }, b: { line: 62 }, together: { a: 62, b: 63 } });
  });

  test("and run together again behind a passage of thousands of lines", async () => {
    const lines = story(200);
    const passage = story(9000, 300);
    expect((await compare(lines, [...lines.slice(0, 100), ...passage, ...lines.slice(100)])).first).toMatchObject({
      a: { line: 101, own: 0 },
      b: { line: 101, own: 9000 },
      together: { a: 101, b: 9101 },
    });
  });

  test("and one common line in the midst of what follows does not bring them together", async () => {
    const [a, b] = [story(20, 300), story(20, 700)];
    const { first } = await compare(
      [...story(9), ...a.slice(0, 8), "Call Trace:", ...a.slice(8)],
      [...story(9), ...b.slice(0, 4), "Call Trace:", ...b.slice(4)],
    );
    expect(first).toMatchObject({ a: { line: 10, own: 20 }, b: { line: 10, own: 20 }, together: null });
  });

  test("for good where nothing is found again within the window", async () => {
    const [a, b] = [story(20_000), story(20_000).map((line) => line.toUpperCase())];
    const { first, onlyA, onlyB } = await compare(["start", ...a], ["start", ...b]);
    expect(first).toMatchObject({ a: { line: 2 }, b: { line: 2 }, together: null });
    expect([onlyA, onlyB]).toEqual([20_000, 20_000]);
  });
});

test("escape sequences, printk's prefixes and long lines do not matter", async () => {
  const a = ["\x1b[0;32m  OK  \x1b[0m Started it", "[    1.000000] hello there", `x${" y".repeat(100_000)}`];
  const b = ["  OK   Started it", "<6>[    7.123456] hello there", `x${" y".repeat(90_000)}`];
  expect((await compare(a, b)).first).toBeNull();
});

const someLines = fc.array(fc.constantFrom(...WORDS, "", "\x1b[2J", "Memory: 12K"), { maxLength: 60 });

test("a log does not part from itself, however its chunks are cut", async () => {
  await fc.assert(
    fc.asyncProperty(someLines, fc.integer({ min: 1, max: 40 }), async (lines, bytes) => {
      const difference = await compareLogs(logOf(lines, bytes), logOf(lines));
      expect(difference).toEqual({ first: null, last: null, onlyA: 0, onlyB: 0, moved: 0, numbers: { count: 0, first: null } });
    }),
  );
});

test("lines are counted the same from both sides", async () => {
  await fc.assert(
    fc.asyncProperty(someLines, someLines, async (a, b) => {
      const [there, back] = [await compare(a, b), await compare(b, a)];
      const text = (lines: readonly string[]) => lines.filter((line) => /\w/.test(line.replace("\x1b[2J", ""))).length;
      // What is in both (aligned or moved) is as much on one side as on the other.
      expect(text(a) - there.onlyA).toBe(text(b) - there.onlyB);
      expect(text(a) - back.onlyB).toBe(text(b) - back.onlyA);
    }),
  );
});
