import fc from "fast-check";
import { expect, test } from "vitest";
import { standardMatchers } from "../../src/analysis/matchers.ts";
import { Walker } from "../../src/analysis/walk.ts";

const { automaton } = standardMatchers();

/** `[offset, state]` of each stop. */
function stopsOf(bytes: Uint8Array, blockBytes: number): readonly (readonly [number, number])[] {
  const walker = new Walker(automaton, blockBytes);
  const stops: (readonly [number, number])[] = [];
  for (let from = 0; from < bytes.length; from += blockBytes) {
    walker.walk(bytes, from, Math.min(from + blockBytes, bytes.length), (first, end) => {
      for (let stop = first; stop < end; stop += 1) stops.push([walker.positions[stop]!, walker.states[stop]!]);
    });
  }
  return stops;
}

const piece = fc.constantFrom(
  "Kernel panic - not syncing: x",
  "\n",
  "\r\n",
  "\n\n\n",
  "login: ",
  "\x1b[31m",
  "\x1b[C",
  "\x1b]0;title\x07",
  "\x1b]0;open",
  "\x1b",
  "\0",
  "Kern",
  "el pan",
  "a line without anything in it",
);

test("stops at the same places in blocks of any size, walked in one part or in three", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 120 }), fc.integer({ min: 1, max: 400 }), (pieces, blockBytes) => {
      const bytes = Buffer.from(pieces.join(""));
      // A block of one byte is never cut in three.
      expect(stopsOf(bytes, blockBytes)).toEqual(stopsOf(bytes, 1));
    }),
  );
});

test("walks in three parts where lines allow it, and still gives the stops in order", () => {
  const stops = stopsOf(Buffer.from("Oops: 1\n".repeat(300)), 4096);
  expect(stops.filter(([, state]) => state === automaton.newline)).toHaveLength(300);
  expect(stops.map(([at]) => at)).toEqual([...stops.map(([at]) => at)].sort((one, other) => one - other));
});
