import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  columnsOf,
  encodeChanges,
  encodeFrame,
  fitted,
  frameOf,
  type Line,
  type Looks,
  type Style,
  wrapped,
} from "../../src/formats/terminal-frame.ts";
import { SmallTerminal } from "./small-terminal.ts";

const PLAIN: Looks = { colours: 8, unicode: true };
const size = { columns: 20, rows: 5 };

const style: fc.Arbitrary<Style> = fc.record(
  { bold: fc.boolean(), reverse: fc.boolean(), colour: fc.integer({ min: 0, max: 255 }), behind: fc.integer({ min: 0, max: 255 }) },
  { requiredKeys: [] },
);
/** Short texts of few letters: so that rows are alike in parts. */
const text = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: fc.constantFrom("a", "b", " "), maxLength: 25 }) },
  fc.string({ unit: fc.constantFrom("a", "日", "ä", "e\u0301", "»", "\x1b", "\n", "\u202e", "\u{1f427}"), maxLength: 25 }),
  fc.string({ unit: "binary", maxLength: 12 }),
);
const line: fc.Arbitrary<Line> = fc.array(fc.record({ text, style }, { requiredKeys: ["text"] }), { maxLength: 3 });
const lines = fc.array(line, { maxLength: 7 });
/** Two screens whose rows begin alike: most changes are small. */
const pair: fc.Arbitrary<readonly [Line[], Line[]]> = fc
  .array(fc.tuple(line, line, line), { maxLength: 7 })
  .map((rows) => [rows.map(([head, tail]) => [...head, ...tail]), rows.map(([head, , other]) => [...head, ...other])] as const);
const looks: fc.Arbitrary<Looks> = fc.record({ colours: fc.constantFrom(0 as const, 8 as const, 256 as const), unicode: fc.boolean() });
/** Terminals do not agree on what is wide. */
const widths = fc.constantFrom<(character: string) => 0 | 1 | 2>(
  () => 1,
  (character) => (character > "~" && !"─│»↑↓←→░▒▓█▀▄".includes(character) ? 2 : 1),
  (character) => (/\p{M}/u.test(character) ? 0 : 1),
);

describe("a terminal's screen", () => {
  test("is the same whether it is drawn whole or changed into, on terminals that measure otherwise too", () => {
    fc.assert(
      fc.property(pair, looks, widths, ([before, after], looked, width) => {
        const [one, other] = [frameOf(before, size, looked), frameOf(after, size, looked)];
        const changed = new SmallTerminal(size, width).write(encodeFrame(one, size)).write(encodeChanges(one, other, size));
        expect(changed.all()).toBe(new SmallTerminal(size, width).write(encodeFrame(other, size)).all());
      }),
      { numRuns: 500 },
    );
  });

  test("nothing that does not differ is sent", () => {
    fc.assert(
      fc.property(lines, looks, (same, looked) => {
        const frame = frameOf(same, size, looked);
        expect(encodeChanges(frame, frame, size)).toBe("");
      }),
    );
    const one = frameOf([[{ text: "abcdef" }], [{ text: "same" }]], size, PLAIN);
    const other = frameOf([[{ text: "abXdef" }], [{ text: "same" }]], size, PLAIN);
    expect(encodeChanges(one, other, size)).toBe("\x1b[1;3HX");
    expect(encodeChanges(one, frameOf([[{ text: "abc" }], [{ text: "same" }]], size, PLAIN), size)).toBe("\x1b[1;4H\x1b[K");
  });

  test("what a text holds is shown and never obeyed", () => {
    const hostile = "a\x1b[2Jb\x07\u009b31m\r\n\u202ec\td";
    const terminal = new SmallTerminal({ columns: 80, rows: 2 }).write(
      encodeFrame(frameOf([[{ text: hostile }]], { columns: 80, rows: 2 }, PLAIN), size),
    );
    expect(terminal.text()[0]).toBe("a\\x1b[2Jb\\x07\\x9b31m\\x0d\\x0a\\u202ec\\x09d");
  });

  test("ASCII terminals get ASCII, terminals without colours none", () => {
    fc.assert(
      fc.property(lines, (drawn) => {
        const looked: Looks = { colours: 0, unicode: false };
        const sent = encodeFrame(frameOf(drawn, size, looked), size);
        expect(sent).toMatch(/^[\x1b\x20-\x7e]*$/);
        expect(sent).not.toMatch(/\x1b\[[0-9;]*[34]\d[;m]/);
      }),
    );
    expect(encodeFrame(frameOf([[{ text: "ä", style: { colour: 1, bold: true } }]], size, { colours: 0, unicode: false }), size)).toContain(
      "\\u{e4}",
    );
  });

  test("colours beyond eight are for terminals that have them", () => {
    const drawn = (colours: 8 | 256) =>
      encodeFrame(frameOf([[{ text: "x", style: { colour: 200, behind: 4 } }]], size, { colours, unicode: true }), size);
    expect(drawn(8)).toContain("\x1b[0;44mx");
    expect(drawn(256)).toContain("\x1b[0;38;5;200;44mx");
  });

  test("a text fits, with both of its ends, into any number of columns", () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 0, max: 30 }), fc.boolean(), (given, columns, unicode) => {
        const short = fitted(given, columns, { unicode });
        expect(columnsOf(short, { unicode })).toBeLessThanOrEqual(columns);
        if (columnsOf(given, { unicode }) <= columns) expect(columnsOf(short, { unicode })).toBe(columnsOf(given, { unicode }));
      }),
    );
    expect(fitted("debian-live-12.7.0-amd64.iso", 15, PLAIN)).toBe("debian-~d64.iso");
  });

  test("a wrapped text keeps its words, none of them beyond the edge", () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 2, max: 30 }), (given, columns) => {
        const parts = wrapped(given, columns, PLAIN);
        for (const part of parts) expect(columnsOf(part, PLAIN)).toBeLessThanOrEqual(columns);
      }),
    );
    expect(wrapped("one two  three", 7, PLAIN)).toEqual(["one two", "three"]);
    expect(wrapped("abcdefghij", 4, PLAIN)).toEqual(["abcd", "efgh", "ij"]);
  });
});
