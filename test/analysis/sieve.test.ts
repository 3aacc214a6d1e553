import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { buildAutomaton, ownersIn } from "../../src/analysis/automaton.ts";
import { Sieve } from "../../src/analysis/sieve.ts";

const BROKEN = 9;

function sieved(needles: readonly string[], text: string, chunk = 1_000_000) {
  const automaton = buildAutomaton([...needles.map((needle, owner) => ({ text: needle, owner })), { text: "^[[", owner: BROKEN }]);
  const lines: { readonly number: number; readonly text: string; readonly owners: readonly number[]; readonly at: number }[] = [];
  const sieve = new Sieve(automaton, { brokenOwner: BROKEN }, ({ number, bytes, owners, startOffset }) => {
    lines.push({ number, text: bytes.toString(), owners: [...owners].sort(), at: startOffset });
  });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunk) sieve.push(bytes.subarray(at, at + chunk));
  sieve.end();
  return { lines, sieve };
}

describe("the automaton", () => {
  test("finds what indexOf finds, whatever the needles", () => {
    const letters = fc.stringMatching(/^[ab]{1,5}$/);
    fc.assert(
      fc.property(fc.array(letters, { minLength: 1, maxLength: 8 }), fc.stringMatching(/^[abc]{0,40}$/), (needles, text) => {
        const found = ownersIn(buildAutomaton(needles.map((needle, owner) => ({ text: needle, owner }))), text);
        expect([...found].sort()).toEqual(needles.flatMap((needle, owner) => (text.includes(needle) ? [owner] : [])));
      }),
    );
  });
  test("knows no case, and looks through bytes that show nothing", () => {
    const automaton = buildAutomaton([{ text: "Panic", owner: 1 }]);
    for (const text of ["kernel PANIC", "pa\0nic", "p\x07anic"]) expect(ownersIn(automaton, text)).toEqual([1]);
    expect(ownersIn(automaton, "pan\nic")).toEqual([]);
  });
});

describe("the sieve", () => {
  test("hands on the lines with a needle, with number and offset, and no other", () => {
    expect(sieved(["login:", "panic"], "one\n\nbox login:\nfour\npanic panic login:").lines).toEqual([
      { number: 3, text: "box login:", owners: [0], at: 5 },
      { number: 5, text: "panic panic login:", owners: [0, 1], at: 21 },
    ]);
  });
  test("sees words through escape sequences, written out ones too", () => {
    expect(
      sieved(["failed to"], "FAI\x1b[0;1mLED\x1b[0m to\nFAI^[[31mLED to\n\x1b]0;failed to\x07x\nfailed\x1b[Cto\n").lines.map(
        ({ number }) => number,
      ),
    ).toEqual([1, 2, 4]);
  });
  test("a sequence that never ends does not take the next line with it", () => {
    expect(sieved(["panic"], "\x1b]0;title\npanic\n\x1b[12\npanic\n").lines.map(({ number }) => number)).toEqual([2, 4]);
  });
  test("remembers lines before the one it hands on", () => {
    const automaton = buildAutomaton([{ text: "x", owner: 0 }]);
    const before: (readonly string[])[] = [];
    const sieve: Sieve = new Sieve(automaton, { brokenOwner: BROKEN }, () => before.push(sieve.linesBefore(2)));
    sieve.push(Buffer.from("x\na\nb\nc\nx\n"));
    expect(before).toEqual([[], ["b", "c"]]);
  });
  test("knows the number of the last line with something on it", () => {
    expect(sieved([], "one\ntwo\n\n \r\n").sieve.lastLineWithText()).toBe(2);
    expect(sieved([], "one\ntwo").sieve.lastLineWithText()).toBe(2);
    expect(sieved([], "").sieve.lastLineWithText()).toBe(0);
    expect(sieved([], "\n\n").sieve.lastLineWithText()).toBe(0);
  });
  test("chunks of any size give the same lines", () => {
    const part = fc.constantFrom("login:", "pan", "ic", "\n", " ", "\x1b[0m", "\x1b[", "^[[1m", "\r", "\0", "ö");
    fc.assert(
      fc.property(fc.array(part, { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (parts, chunk) => {
        const text = parts.join("");
        expect(sieved(["login:", "panic"], text, chunk).lines).toEqual(sieved(["login:", "panic"], text).lines);
      }),
    );
  });
});
