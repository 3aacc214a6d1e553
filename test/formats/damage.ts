/** What every decoder of foreign bytes must bear. */
import { expect } from "vitest";
import type { Place, Problem } from "../../src/formats/problem.ts";

/** A place at `offset` that keeps what is reported. */
export function keeping(offset = 0n): Place & { readonly problems: Problem[] } {
  const problems: Problem[] = [];
  return { offset, report: (problem) => problems.push(problem), problems };
}

/** Decodes `bytes` cut at every byte, and with every bit flipped, one at a time. A throw fails the test that calls. */
export function survivesDamage(bytes: Uint8Array, decode: (damaged: Uint8Array, place: Place) => unknown): void {
  const once = (damaged: Uint8Array) => {
    const place = keeping(1000n);
    decode(damaged, place);
    for (const problem of place.problems) {
      expect(problem.offset).toBeGreaterThanOrEqual(1000n);
      expect(`${problem.structure}${problem.expected}${problem.found}`).not.toMatch(/undefined|NaN/);
    }
  };
  for (let length = 0; length < bytes.length; length += 1) once(bytes.subarray(0, length));
  const flipped = bytes.slice();
  for (let at = 0; at < bytes.length; at += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      flipped[at]! ^= 1 << bit;
      once(flipped);
      flipped[at]! ^= 1 << bit;
    }
  }
}
