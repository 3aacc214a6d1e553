import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { assembleHex0, assembleHex0Stream } from "../../src/formats/hex0.ts";

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const assembled = (source: string): string => Buffer.from(assembleHex0(text(source), "a.hex0")).toString("hex");

async function streamed(source: Uint8Array, cuts: readonly number[]): Promise<string> {
  const chunks = [0, ...cuts].map((start, index) => source.subarray(start, cuts[index] ?? source.length));
  const parts: Uint8Array[] = [];
  const feed = async function* () {
    yield* chunks;
  };
  for await (const part of assembleHex0Stream(feed(), "a.hex0")) parts.push(part.slice());
  return Buffer.concat(parts).toString("hex");
}

/** Sources with what they stand for. */
const anySource = fc
  .array(
    fc.oneof(
      fc
        .tuple(fc.integer({ min: 0, max: 255 }), fc.boolean())
        .map(([byte, upper]) => [byte.toString(16).padStart(2, "0"), upper] as const)
        .map(([hex, upper]) => ({ source: upper ? hex.toUpperCase() : hex, bytes: hex })),
      fc.constantFrom(" ", "\t", "\n", "\r\n", "  ").map((source) => ({ source, bytes: "" })),
      fc
        .tuple(fc.constantFrom("#", ";"), fc.string())
        .map(([mark, words]) => ({ source: `${mark}${words.replaceAll("\n", "")}\n`, bytes: "" })),
    ),
  )
  .map((parts) => ({ source: parts.map(({ source }) => source).join(""), bytes: parts.map(({ bytes }) => bytes).join("") }));

describe("hex0", () => {
  test.each([
    ["", ""],
    ["00 fF\nA1b2\r\n\t03", "00ffa1b203"],
    ["# all of it", ""],
    ["01 # one ; # G\n;02\n03", "0103"],
    ["01 ; é – not ASCII\n02", "0102"],
    ["7F45;end", "7f45"],
  ])("%j is %s", (source, hex) => {
    expect(assembled(source)).toBe(hex);
  });

  test("of any form gives its bytes, whole or in chunks", async () => {
    await fc.assert(
      fc.asyncProperty(anySource, fc.array(fc.nat(200)), async ({ source, bytes }, cuts) => {
        const raw = text(source);
        expect(assembled(source)).toBe(bytes);
        const inside = cuts.map((cut) => Math.min(cut, raw.length)).sort((one, other) => one - other);
        expect(await streamed(raw, inside)).toBe(bytes);
      }),
    );
  });

  test.each([
    ["0", "a.hex0:1:1", "the end"],
    ["00 1\n11", "a.hex0:1:4", "the end of the line"],
    ["00\n# x\n  0 1", "a.hex0:3:3", "byte 0x20"],
    ["00\n1# x", "a.hex0:2:1", '"#"'],
    ["00 xy", "a.hex0:1:4", '"x"'],
    ["00\n\n 0G", "a.hex0:3:2", '"G"'],
    ["00\u0000", "a.hex0:1:3", "byte 0x00"],
    ["# é\né", "a.hex0:2:1", "byte 0xc3"],
  ])("%j is refused at %s", async (source, where, found) => {
    const raw = text(source);
    expect(() => assembleHex0(raw, "a.hex0")).toThrow(expect.objectContaining({ where, found }));
    for (let cut = 0; cut <= raw.length; cut += 1) await expect(streamed(raw, [cut])).rejects.toMatchObject({ where, found });
  });

  test("any bytes are assembled or refused with a place", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          expect(assembleHex0(bytes, "a").length).toBeLessThanOrEqual(bytes.length / 2);
        } catch (error) {
          expect(error).toBeInstanceOf(HiperisoError);
          expect((error as HiperisoError).where).toMatch(/^a:[1-9]\d*:[1-9]\d*$/);
        }
      }),
    );
  });
});
