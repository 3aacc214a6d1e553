import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { byteText } from "../../src/formats/byte-text.ts";
import { decodeVentoyJson, placeOf, type VentoyValue } from "../../src/formats/ventoy-json.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function read(text: string | Uint8Array): VentoyValue {
  const document = decodeVentoyJson(typeof text === "string" ? utf8(text) : text);
  if (!document.ok) throw new Error(`${document.slip.at}: ${document.slip.message}`);
  return document.value;
}

/** As JSON has it; the later of two equal keys holds. */
function plain(value: VentoyValue): unknown {
  switch (value.type) {
    case "null":
      return null;
    case "number":
      return Number(value.value);
    case "string":
      return Buffer.from(value.value, "latin1").toString("utf8");
    case "boolean":
      return value.value;
    case "array":
      return value.items.map(plain);
    case "object":
      return Object.fromEntries(value.members.map((member) => [Buffer.from(member.name, "latin1").toString("utf8"), plain(member.value)]));
  }
}

describe("JSON as Ventoy reads it", () => {
  const word = fc
    .string({ unit: "grapheme", maxLength: 8 })
    .filter((text) => !/["\\\0-\x1f]|\p{Surrogate}/u.test(text) && text !== "__proto__");
  const { tree } = fc.letrec((tie) => ({
    leaf: fc.oneof(word, fc.nat(), fc.boolean(), fc.constant(null)),
    tree: fc.oneof(
      { depthSize: "small" },
      tie("leaf"),
      fc.array(tie("tree"), { maxLength: 4 }),
      fc.dictionary(word, tie("tree"), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));

  test("what both languages have is the same in both, however it is laid out", () => {
    fc.assert(
      fc.property(tree, fc.constantFrom(0, 1, "\t", 4), fc.constantFrom("", "\ufeff", " \r\n"), (value, indent, head) => {
        expect(plain(read(head + JSON.stringify(value, undefined, indent)))).toEqual(value);
      }),
    );
  });

  test.each([
    ["a backslash is a letter", String.raw`["a\\", "\n", "\u00e9"]`, [String.raw`a\\`, String.raw`\n`, String.raw`\u00e9`]],
    ["line ends stand in strings", '["a\nb"]', ["a\nb"]],
    ["nothing behind the first value is looked at", '{"a": 1} , // }', { a: 1 }],
    ["a NUL ends the file", '{"a": 1}\0{{{', { a: 1 }],
    ["bytes from 128 on are blanks outside of strings", '{\u00a0“”"a"\u3000:\u00a01}', { a: 1 }],
    ["zeros in front are nothing", "[007]", [7]],
    ["64 bits are the most", "[18446744073709551615]", [2 ** 64]],
  ])("%s", (_, text, expected) => {
    expect(plain(read(text))).toEqual(expected);
  });

  test.each([
    ["a comma at the end of an object", '{"a": 1,}', 8, /no trailing comma/],
    ["a comma at the end of an array", "[1,]", 3, /no trailing comma/],
    ["a comment", '{"a": 1} '.replace("{", "{ // x\n"), 2, /no comment/],
    ["a comment in place of a value", "[/* x */1]", 1, /no comments/],
    ["a negative number", '{"autosel": -1}', 12, /no negative numbers/],
    ["a fraction", "[1.5]", 2, /expected ","/],
    ["an escaped quotation mark", String.raw`["a\"b"]`, 5, /expected ","/],
    ["65 bits", "[18446744073709551616]", 1, /64 bits/],
    ["a key without quotes", "{a: 1}", 1, /key in double quotes/],
    ["a text that never ends", '{"a": "b}', 6, /never ends/],
    ["UTF-16", Buffer.from("\ufeff{}", "utf16le"), 0, /UTF-16/],
    ["nothing", "", 0, /missing/],
    ["65 levels", "[".repeat(100), 65, /nested deeper/],
  ])("%s refuses the file", (_, text, at, message) => {
    const document = decodeVentoyJson(typeof text === "string" ? utf8(text) : text);
    expect(document).toMatchObject({ ok: false, slip: { at, message: expect.stringMatching(message) } });
  });

  test("keys that come twice are both there, in order, with their places", () => {
    const value = read('{"a": 1, "b": 2, "a": "x"}');
    expect(value.type === "object" && value.members.map(({ name, at }) => [name, at])).toEqual([
      [byteText("a"), 1],
      [byteText("b"), 9],
      [byteText("a"), 17],
    ]);
  });

  test("bytes that are not UTF-8 stay what they are", () => {
    expect(read(Uint8Array.of(0x5b, 0x22, 0xff, 0xc3, 0x22, 0x5d))).toMatchObject({ items: [{ value: "\xff\xc3" }] });
  });

  test("cut anywhere it is refused, and no bytes at all make it throw or take long", () => {
    const whole = utf8(
      '{"control": [{"VTOY_MENU_TIMEOUT": "10"}], "persistence": [{"image": "/a.iso", "backend": ["/x.dat"], "autosel": 1}]}',
    );
    for (let length = 0; length < whole.length; length += 1) expect(decodeVentoyJson(whole.subarray(0, length)).ok).toBe(false);
    const token = fc.constantFrom(...'{}[]:,"0n -', "null", "true", '"a"', '"a":', "\0", "\x80").map((text) => Buffer.from(text, "latin1"));
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 64 }),
          fc.array(token, { maxLength: 40 }).map((parts) => new Uint8Array(Buffer.concat(parts))),
        ),
        (bytes) => {
          const document = decodeVentoyJson(bytes);
          expect(document.ok ? document.end : document.slip.at).toBeLessThanOrEqual(bytes.length);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("places are lines and columns as editors count them", () => {
    const bytes = utf8('{\n  "ä😀": x}');
    const document = decodeVentoyJson(bytes);
    expect(document.ok ? undefined : placeOf(bytes, document.slip.at)).toEqual({ line: 2, column: 10 });
  });
});
