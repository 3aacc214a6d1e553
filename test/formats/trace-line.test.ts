import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SimpletraceDecoder, SimpletraceEncoder } from "../../src/formats/simpletrace.ts";
import { ArgumentPrinter } from "../../src/formats/trace-arguments.ts";
import { decodeTraceDeclarations, type TraceDeclaration } from "../../src/formats/trace-declarations.ts";
import { decodeTracePrefix, TraceLineReader, type TraceValue } from "../../src/formats/trace-line.ts";
import { CLASSES, declared, installedEvents } from "./trace-events.ts";

/** What QEMU prints for these values. */
function printed(declaration: TraceDeclaration, values: readonly TraceValue[]): string {
  const encoder = new SimpletraceEncoder();
  encoder.header();
  encoder.mapping(0, declaration.name);
  encoder.event(0, 0n, 0, values);
  const decoder = new SimpletraceDecoder({ events: new Map([[declaration.name, declaration]]), order: [] });
  let text = "";
  decoder.push(encoder.take(), (record) => {
    text = new ArgumentPrinter(declaration).print(record);
  });
  expect(decoder.damage).toBeUndefined();
  return text;
}

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"));
const same = (values: readonly TraceValue[]) =>
  values.map((value) => (typeof value === "bigint" ? value : Buffer.from(value).toString("latin1")));

/** Values that the types of an event's arguments hold, as a trace has them. */
const valuesOf = (declaration: TraceDeclaration, string: fc.Arbitrary<string>): fc.Arbitrary<readonly TraceValue[]> =>
  fc.tuple(
    ...declaration.arguments.map(({ kind, bits, signed }, index): fc.Arbitrary<TraceValue> => {
      const widths = declaration.pieces.some((piece) => "conversion" in piece && piece.widthArgument === index);
      if (widths) return fc.constant(16n);
      const asPointer = declaration.pieces.some(
        (piece) => "conversion" in piece && piece.argument === index && piece.conversion.letter === "p",
      );
      if (kind === "string") return (asPointer ? fc.constant("0x7ffe01") : string).map(bytes);
      const asCharacter = declaration.pieces.some(
        (piece) => "conversion" in piece && piece.argument === index && piece.conversion.letter === "c",
      );
      const any = asCharacter ? fc.bigInt(0n, 127n) : fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 64n - 1n));
      return any.map((raw) => (signed ? BigInt.asUintN(64, BigInt.asIntN(bits, raw)) : BigInt.asUintN(bits, raw)));
    }),
  );

/** Strings as guests have them, with what could be taken for the rest of a line; neither blanks at the ends of padded ones nor printed NULLs. */
const STRING = fc
  .oneof(fc.string({ maxLength: 12 }), fc.constantFrom("", "a: 1", "x', ret: 2", "ff", "0x12 (", "7", "one\ntwo", "ä", "%s"))
  .map((text) => Buffer.from(text.trim(), "utf8").toString("latin1"))
  .filter((text) => text !== "(null)");

describe("a line of QEMU's trace log", () => {
  test("has its time and thread in three forms", () => {
    expect(decodeTracePrefix("4711@1769860800.000042:runstate_set now")).toEqual({
      name: "runstate_set",
      threadId: 4711,
      timeUs: 1_769_860_800_000_042,
      length: 36,
    });
    const iso = { name: "runstate_set", threadId: undefined };
    expect(decodeTracePrefix("2026-01-31T12:00:00.123456Z runstate_set now")).toEqual({
      ...iso,
      timeUs: 1_769_860_800_123_456,
      length: 41,
    });
    expect(decodeTracePrefix("2026-01-31T12:00:00Z runstate_set now")).toEqual({ ...iso, timeUs: 1_769_860_800_000_000, length: 34 });
    expect(decodeTracePrefix("runstate_set now")).toEqual({ ...iso, timeUs: undefined, length: 13 });
    for (const none of ["", "name", "1@2:x ", "4711@1.5:x y", "2026-99-31T12:00:00Z x y", "++ x", "12 x"]) {
      expect(decodeTracePrefix(none), none).toBeUndefined();
    }
  });

  test.each([
    ['e(int a) "%x"', "ffffffff", [2n ** 64n - 1n]],
    ['e(int8_t a) "%x"', "ffffff80", [2n ** 64n - 128n]],
    ['e(uint8_t a) "%d"', "200", [200n]],
    ['e(uint32_t a) "%d"', "-1", [0xffff_ffffn]],
    ['e(int64_t a) "%" PRId64', "-9223372036854775808", [2n ** 63n]],
    ['e(uint64_t a) "%" PRIu64', "18446744073709551615", [2n ** 64n - 1n]],
    ['e(void *p, void *q) "%p %p"', "(nil) 0x7ffe00001000", [0n, 0x7ffe_0000_1000n]],
    ['e(const char *a, const char *b) "%s, %s"', "(null), ", ["", ""]],
    ['e(char c) "<%c>"', "<\n>", [10n]],
    ['e(char c) "<%c>"', "<\0>", [0n]],
    ['e(char c) "<%c>"', "<\xff>", [2n ** 64n - 1n]],
    ['e(const char *s) "%20s/"', "               hello/", ["hello"]],
    ['e(unsigned m) "%o"', "644", [420n]],
    ['e(bool b, int percent) "%d %u%%"', "1 50%", [1n, 50n]],
  ])("%s prints %j for its values alone", (line, text, values) => {
    const reader = new TraceLineReader(declared(line));
    const found = reader.read(text);
    expect(found?.ambiguous).toBe(false);
    expect(same(reader.values(found!))).toEqual(values);
  });

  test.each(CLASSES)("of %s gives back what was printed, or says that it is ambiguous", (line) => {
    const declaration = declared(line);
    const reader = new TraceLineReader(declaration);
    fc.assert(
      fc.property(valuesOf(declaration, STRING), (values) => {
        const found = reader.read(printed(declaration, values));
        expect(found).toBeDefined();
        if (!found!.ambiguous) expect(same(reader.values(found!))).toEqual(same(values));
      }),
    );
  });

  test.skipIf(installedEvents === undefined)(
    "of any event of the installed QEMU gives back what was printed, or says that it is ambiguous",
    () => {
      let ambiguous = 0;
      for (const declaration of decodeTraceDeclarations(installedEvents!).events.values()) {
        const reader = new TraceLineReader(declaration);
        for (const values of fc.sample(valuesOf(declaration, STRING), { numRuns: 2, seed: 6 })) {
          const found = reader.read(printed(declaration, values));
          expect(found, declaration.text).toBeDefined();
          if (found!.ambiguous) ambiguous++;
          else expect(same(reader.values(found!)), declaration.text).toEqual(same(values));
        }
      }
      expect(ambiguous).toBeLessThan(200);
    },
  );

  test("with another reading is known as one", () => {
    const two = new TraceLineReader(declared('e(const char *a, const char *b) "%s %s"'));
    expect(two.read("one two")?.ambiguous).toBe(false);
    expect(two.read("one two three")?.ambiguous).toBe(true);
    const touching = new TraceLineReader(declared('e(int a, int b) "%d%d"'));
    expect(touching.read("12")?.ambiguous).toBe(false);
    expect(touching.read("123")?.ambiguous).toBe(true);
    expect(new TraceLineReader(declared('e(int w, int v) "%0*d"')).read("007")?.ambiguous).toBe(true);
    // Bytes have two digits each: they part in one way.
    expect(new TraceLineReader(declared('e(uint8_t a, uint8_t b) "%02x%02x"')).read("12ab")?.ambiguous).toBe(false);
  });

  test("of another event is not read", () => {
    fc.assert(
      fc.property(fc.constantFrom(...CLASSES), fc.string({ unit: "binary-ascii" }), (line, text) => {
        const reader = new TraceLineReader(declared(line));
        const found = reader.read(text);
        if (found !== undefined && !found.ambiguous)
          expect(printed(reader.declaration, reader.values(found)).length).toBeGreaterThanOrEqual(0);
      }),
    );
    expect(new TraceLineReader(declared('e(int a) "a %d"')).read("a 1 ")).toBeUndefined();
    expect(new TraceLineReader(declared('e(uint8_t a) "%02x"')).read("123")).toBeUndefined();
  });
});

/** coreutils' printf knows the same conversions, of 64-bit integers. */
const PRINTF = "/usr/bin/printf";

describe.skipIf(!existsSync(PRINTF))("numbers are printed as C prints them", () => {
  test.each(["d", "u", "x", "X", "o"])("conversion %s with every flag and width", (letter) => {
    const flags = ["", "0", "-", "#", "0#"].filter((flag) => letter === "x" || letter === "X" || letter === "o" || !flag.includes("#"));
    const conversions = flags.flatMap((flag) =>
      ["", "1", "5", "12"].flatMap((width) => ["", ".0", ".3", ".8"].map((end) => `${flag}${width}${end}l${letter}`)),
    );
    const values = [1n, 7n, 255n, 4096n, 2n ** 32n - 1n, 2n ** 53n + 1n, 2n ** 63n - 1n];
    const negative = letter === "d" ? [-1n, -255n, -(2n ** 40n)] : [];
    const cases = conversions.flatMap((conversion) => [...values, ...negative].map((value) => ({ conversion, value })));
    const format = cases.map(({ conversion }) => `<%${conversion.replace("l", "")}>`).join("\n");
    const expected = execFileSync(PRINTF, [format, ...cases.map(({ value }) => String(value))], { encoding: "utf8" }).split("\n");
    const ours = cases.map(({ conversion, value }) =>
      printed(declared(`e(${letter === "d" ? "int64_t" : "uint64_t"} a) "<%${conversion}>"`), [BigInt.asUintN(64, value)]),
    );
    expect(ours).toEqual(expected);
  });
});
