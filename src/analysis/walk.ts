/**
 * Runs the automaton over a block of a console and notes where it stops: at line ends and at needles.
 *
 * Each step waits for a load from a table that is bigger than the processor's nearest cache. A line begins in the start state,
 * whatever stood before it, so three parts of a block that are cut at line ends are walked in turns: their loads overlap.
 */
import type { Automaton } from "./automaton.ts";

const LF = 0x0a;
const CURSOR_FORWARD = 0x43;

/** Inside an escape sequence (ECMA-48, 5.3 and 5.4). */
const ESCAPE = { none: 0, begun: 1, control: 2, string: 3, stringEnd: 4 } as const;

export class Walker {
  readonly #automaton: Automaton;
  /** Stops of the block that was walked last: `positions[i]` in the buffer, and the state that the byte there led to. */
  readonly positions: Int32Array;
  readonly states: Uint16Array;
  #state: number;
  #escape: number = ESCAPE.none;
  /** Behind the last stop of the part that was walked last. */
  #noted = 0;

  /** For blocks of up to `bytesMax`. */
  constructor(automaton: Automaton, bytesMax: number) {
    this.#automaton = automaton;
    this.#state = automaton.start;
    this.positions = new Int32Array(bytesMax);
    this.states = new Uint16Array(bytesMax);
  }

  /** Walks on from the end of the last block. Calls `onStops` for each run of stops, in order: `positions[first]` to before `positions[end]`. */
  walk(buffer: Uint8Array, from: number, to: number, onStops: (first: number, end: number) => void): void {
    const third = Math.floor((to - from) / 3);
    const second = this.#escape === ESCAPE.none ? lineAfter(buffer, from + third, from + 2 * third) : -1;
    const last = second === -1 ? -1 : lineAfter(buffer, Math.max(second, from + 2 * third), to);
    if (last === -1) {
      this.#state = this.#part(buffer, from, to, 0, this.#state);
      onStops(0, this.#noted);
    } else {
      this.#three(buffer, [from, second, last, to], onStops);
    }
  }

  #three(
    buffer: Uint8Array,
    [from, second, last, to]: readonly [number, number, number, number],
    onStops: (first: number, end: number) => void,
  ): void {
    const { next, classes, shift, firstSpecial, newline, escapeState, start } = this.#automaton;
    const { positions, states } = this;
    const [noteB, noteC] = [second - from, last - from];
    let [a, b, c] = [from, second, last];
    let [stateA, stateB, stateC] = [this.#state, start, start];
    let [atA, atB, atC] = [0, noteB, noteC];
    while (a < second && b < last && c < to) {
      const afterA = next[(stateA << shift) | classes[buffer[a]!]!]!;
      const afterB = next[(stateB << shift) | classes[buffer[b]!]!]!;
      const afterC = next[(stateC << shift) | classes[buffer[c]!]!]!;
      if (afterA >= firstSpecial) {
        if (afterA === escapeState) {
          a = this.#skip(buffer, a + 1, second, ESCAPE.begun) - 1;
          stateA = this.#behindSequence(buffer[a]!, stateA);
        } else {
          positions[atA] = a;
          states[atA] = afterA;
          atA += 1;
          stateA = afterA === newline ? start : afterA;
        }
      } else stateA = afterA;
      if (afterB >= firstSpecial) {
        if (afterB === escapeState) {
          b = this.#skip(buffer, b + 1, last, ESCAPE.begun) - 1;
          stateB = this.#behindSequence(buffer[b]!, stateB);
        } else {
          positions[atB] = b;
          states[atB] = afterB;
          atB += 1;
          stateB = afterB === newline ? start : afterB;
        }
      } else stateB = afterB;
      if (afterC >= firstSpecial) {
        if (afterC === escapeState) {
          c = this.#skip(buffer, c + 1, to, ESCAPE.begun) - 1;
          stateC = this.#behindSequence(buffer[c]!, stateC);
        } else {
          positions[atC] = c;
          states[atC] = afterC;
          atC += 1;
          stateC = afterC === newline ? start : afterC;
        }
      } else stateC = afterC;
      a += 1;
      b += 1;
      c += 1;
    }
    // Only the last part can end inside a sequence: the others end behind a LF.
    const lastEscape = this.#escape;
    this.#escape = ESCAPE.none;
    this.#part(buffer, a, second, atA, stateA);
    const endA = this.#noted;
    this.#part(buffer, b, last, atB, stateB);
    const endB = this.#noted;
    this.#escape = lastEscape;
    this.#state = this.#part(buffer, c, to, atC, stateC);
    const endC = this.#noted;
    onStops(0, endA);
    onStops(noteB, endB);
    onStops(noteC, endC);
  }

  /** One part, its stops noted from `note` on. Returns the state at its end. */
  #part(buffer: Uint8Array, from: number, to: number, note: number, before: number): number {
    const { next, classes, shift, firstSpecial, newline, escapeState, start } = this.#automaton;
    const { positions, states } = this;
    let state = before;
    let at = from;
    let noted = note;
    if (this.#escape !== ESCAPE.none) {
      at = this.#skip(buffer, from, to, this.#escape);
      if (at > from) state = this.#behindSequence(buffer[at - 1]!, state);
    }
    for (; at < to; at += 1) {
      const after = next[(state << shift) | classes[buffer[at]!]!]!;
      if (after < firstSpecial) state = after;
      else if (after === escapeState) {
        at = this.#skip(buffer, at + 1, to, ESCAPE.begun) - 1;
        state = this.#behindSequence(buffer[at]!, state);
      } else {
        positions[noted] = at;
        states[noted] = after;
        noted += 1;
        state = after === newline ? start : after;
      }
    }
    this.#noted = noted;
    return state;
  }

  /** A cursor that moves to the right leaves a blank, as `consoleTexts` has it. The sequence may still go on in the next block. */
  #behindSequence(final: number, state: number): number {
    const { next, classes, shift } = this.#automaton;
    return final === CURSOR_FORWARD && this.#escape === ESCAPE.none ? next[(state << shift) | classes[0x20]!]! : state;
  }

  /** Where the sequence that `at` stands in is over; `to` when its end is not here yet, which `#escape` then says. */
  #skip(buffer: Uint8Array, from: number, to: number, begun: number): number {
    let inside = begun;
    this.#escape = ESCAPE.none;
    for (let at = from; at < to; at += 1) {
      const byte = buffer[at]!;
      // A line's end is a line's end, in a broken sequence too.
      if (byte === LF) return at;
      switch (inside) {
        case ESCAPE.begun:
          if (byte === 0x5b) inside = ESCAPE.control;
          else if (byte === 0x5d || byte === 0x50 || byte === 0x58 || byte === 0x5e || byte === 0x5f) inside = ESCAPE.string;
          else if (byte < 0x20 || byte > 0x2f) return at + 1;
          break;
        case ESCAPE.control:
          if (byte < 0x20 || byte > 0x3f) return at + 1;
          break;
        case ESCAPE.string:
          if (byte === 0x07) return at + 1;
          if (byte === 0x1b) inside = ESCAPE.stringEnd;
          break;
        default:
          return at + 1;
      }
    }
    this.#escape = inside;
    return to;
  }
}

/** Where the first line begins that starts behind `from`; -1 when none does before `to`. */
function lineAfter(buffer: Uint8Array, from: number, to: number): number {
  const lf = buffer.indexOf(LF, from);
  return lf === -1 || lf + 1 >= to ? -1 : lf + 1;
}
