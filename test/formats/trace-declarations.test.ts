import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeTraceDeclaration,
  decodeTraceDeclarations,
  encodeTraceDeclarations,
  indexTraceDeclarations,
} from "../../src/formats/trace-declarations.ts";
import { CLASSES, declared, installedEvents } from "./trace-events.ts";

describe("declarations of trace events", () => {
  test.skipIf(installedEvents === undefined)("all of the installed QEMU's are understood, and written back they are the same", () => {
    const { events, order, bad } = decodeTraceDeclarations(installedEvents!);
    expect(bad).toEqual([]);
    expect(events.size).toBeGreaterThan(4000);
    expect(order.length).toBe([...events.values()].filter(({ disabled }) => !disabled).length);
    const again = decodeTraceDeclarations(encodeTraceDeclarations(events.values()));
    expect(again.bad).toEqual([]);
    expect([...again.events]).toEqual([...events]);
    expect([...indexTraceDeclarations(installedEvents!).keys()]).toEqual([...events.keys()]);
  });

  test("types are what they are on 64 bits", () => {
    const shapes = declared(
      'e(int a, unsigned b, unsigned int c, const uint8_t d, char e, unsigned char f, long g, unsigned long long h, ssize_t i, bool j) "%d%u%u%u%c%c%ld%llu%zd%d"',
    ).arguments.map(({ bits, signed }) => `${signed ? "i" : "u"}${bits}`);
    expect(shapes).toEqual(["i32", "u32", "u32", "u8", "i8", "u8", "i64", "u64", "i64", "u8"]);
    expect(declared('e(char *a, const char* b, char **c, void* d, uint64_t *e) "%s%s%p%p%p"').arguments.map(({ kind }) => kind)).toEqual([
      "string",
      "string",
      "string",
      "pointer",
      "pointer",
    ]);
  });

  test("a processor's event says so in its arguments, so that any version of QEMU's reader takes it", () => {
    expect(declared('vcpu reset(void) ""').text).toBe('reset(void *__cpu) "cpu=%p " ""');
    expect(declared('vcpu call(uint64_t n) "n=%" PRIu64').text).toBe('call(void *__cpu, uint64_t n) "cpu=%p " "n=%" PRIu64');
  });

  test("what is none is told by its line, and the others still count", () => {
    const text = [
      "# comment",
      "",
      'good(int a) "%d"',
      'too_few(int a, int b) "%d"',
      'no_string(int a) "%s"',
      'odd(int a) "%q"',
      'strange tcg_event(int a) "%d"',
      'open(int a) "%d',
      "just words",
      'good(int a, int b) "%d %d"',
      `many(${Array.from({ length: 11 }, (_, index) => `int a${index}`).join(", ")}) "${"%d".repeat(11)}"`,
      'disable off(void) ""',
    ].join("\n");
    const { events, order, bad } = decodeTraceDeclarations(text);
    expect([...events.keys()]).toEqual(["good", "off"]);
    expect(events.get("good")?.arguments).toHaveLength(1);
    expect(order).toEqual(["good", "good"]);
    expect(bad.map(({ line }) => line)).toEqual([4, 5, 6, 7, 8, 9, 11]);
    for (const { found } of bad) expect(found).not.toMatch(/undefined|NaN/);
  });

  test("any text, and any damage to a declaration, gives declarations or reasons", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const { bad } = decodeTraceDeclarations(text);
        expect(bad.length).toBeLessThanOrEqual(text.split("\n").length);
      }),
    );
    for (const line of CLASSES) {
      for (let cut = 0; cut <= line.length; cut++) {
        const read = decodeTraceDeclaration(line.slice(0, cut));
        if (typeof read === "string") expect(read).toMatch(/^(?!.*(?:undefined|NaN)).{5}/);
        else expect(decodeTraceDeclaration(read.text), line.slice(0, cut)).toEqual(read);
      }
    }
    expect(decodeTraceDeclaration(`e(${"int a, ".repeat(100_000)}) ""`)).toMatch(/characters/);
  });
});
