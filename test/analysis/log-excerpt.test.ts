import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { indexLines, lineCount, planExcerpt, readLines } from "../../src/analysis/log-excerpt.ts";

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hiperiso-excerpt-"));
  path = join(directory, "serial.log");
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const linesOf = async (content: string | Uint8Array, first: number, last: number) => {
  await writeFile(path, content);
  return await readLines(path, await indexLines(path, []), [{ first, last }]);
};

describe("the index of a log", () => {
  test("counts lines at LF, the unfinished last one too, and knows the line before an offset", async () => {
    await writeFile(path, "ab\ncd\r\n\nlast");
    const { lines, bytes, lineBefore } = await indexLines(path, [0, 1, 3, 4, 7, 8, 10, 99]);
    expect({ lines, bytes }).toEqual({ lines: 4, bytes: 12 });
    expect([...lineBefore.values()]).toEqual([0, 1, 1, 2, 2, 3, 4, 4]);
  });

  test("of a missing file is that of an empty one", async () => {
    expect(await indexLines(join(directory, "none"), [0, 5])).toMatchObject({ lines: 0, bytes: 0 });
  });
});

describe("lines of a log", () => {
  test("are found by number, on both sides of every checkpoint", async () => {
    const content = Array.from({ length: 5000 }, (_, index) => `line ${index + 1}\n`).join("");
    await writeFile(path, content);
    const index = await indexLines(path, []);
    const ranges = [1, 1023, 1024, 1025, 2048, 2049, 5000].map((line) => ({ first: line, last: line }));
    const lines = await readLines(path, index, ranges);
    expect(lines.map(({ number, texts }) => [number, ...texts])).toEqual(ranges.map(({ first }) => [first, `line ${first}`]));
  });

  test("are the same whether read alone or with others", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: "binary", maxLength: 20 }), { maxLength: 40 }),
        fc.nat(40),
        fc.nat(10),
        async (parts, first, length) => {
          const all = await linesOf(parts.join("\n"), 1, 1000);
          const some = await linesOf(parts.join("\n"), first + 1, first + 1 + length);
          expect(some).toEqual(all.slice(first, first + 1 + length));
        },
      ),
      { numRuns: 50 },
    );
  });

  test("come without escape sequences, and with control characters written out", async () => {
    const [line] = await linesOf("\x1b[31mred\x1b[0m \0\x07 \x1b]0;title\x07\x7f\r\n", 1, 1);
    expect(line).toEqual({ number: 1, texts: ["red \\x00\\x07 \\x7f"], bytesLeftOut: 0 });
  });

  test("that are very long come cut, between characters, and say by how much", async () => {
    const [line, next] = await linesOf(`${"ä".repeat(600_000)}!\nnext`, 1, 2);
    expect(line!.texts[0]).toMatch(/^ä+$/);
    expect(line!.bytesLeftOut).toBe(1_200_001 - 2048);
    expect(next!.texts).toEqual(["next"]);
  });

  test("are not read past a limit of all together, but for their beginnings", async () => {
    const lines = await linesOf(`${"x".repeat(2000)}\n`.repeat(5000), 1, 5000);
    expect(lines).toHaveLength(5000);
    const shown = lines.reduce((sum, { texts }) => sum + texts.join("").length, 0);
    expect(shown).toBeLessThan(8_000_000);
    expect(lines.at(-1)).toMatchObject({ number: 5000, bytesLeftOut: 2000 - 160 });
  });
});

describe("what is shown of a log", () => {
  const interest = fc.record({ line: fc.integer({ min: -5, max: 120_000 }), before: fc.nat(200), after: fc.nat(2000) });

  test("is all of it up to the limit", () => {
    expect(planExcerpt(0, [], 100)).toEqual([]);
    expect(planExcerpt(100, [{ line: 5, before: 1, after: 1 }], 100)).toEqual([{ first: 1, last: 100 }]);
  });

  test("beyond that is its beginning, its end and what lies around each place, the first places first", () => {
    const interests = [
      { line: 5000, before: 10, after: 20 },
      { line: 5024, before: 1, after: 1 },
      { line: 9000, before: 1, after: 900 },
    ];
    expect(planExcerpt(10_000, interests, 1000)).toEqual([
      { first: 1, last: 50 },
      { first: 4990, last: 5025 },
      { first: 9901, last: 10_000 },
    ]);
  });

  test("never exceeds the limit, leaves the log, or names a line twice", () => {
    fc.assert(
      fc.property(
        fc.nat(100_000),
        fc.array(interest, { maxLength: 60 }),
        fc.integer({ min: 100, max: 20_000 }),
        (total, interests, max) => {
          const ranges = planExcerpt(total, interests, max);
          expect(lineCount(ranges)).toBeLessThanOrEqual(max);
          let before = 0;
          for (const { first, last } of ranges) {
            expect(first).toBeGreaterThan(before);
            expect(last).toBeGreaterThanOrEqual(first);
            before = last;
          }
          expect(before).toBeLessThanOrEqual(total);
          if (total > 0) expect([ranges[0]!.first, before]).toEqual([1, total]);
        },
      ),
    );
  });
});
