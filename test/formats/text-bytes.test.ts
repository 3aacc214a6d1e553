import fc from "fast-check";
import { expect, test } from "vitest";
import { TextBytes } from "../../src/formats/text-bytes.ts";

const BLANK = 0x20;
const ZERO = 0x30;

test("numbers are written as the language itself writes them, padded or not", () => {
  const out = new TextBytes();
  const width = fc.nat(24);
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat(0xffff_ffff), fc.nat(0xffff_ffff), width, fc.nat(1000), (whole, high, low, wide, small) => {
      out.decimal(whole, wide, ZERO);
      out.byte(BLANK);
      out.decimal(small, 0, ZERO);
      out.byte(BLANK);
      out.hex(high, low, wide, BLANK);
      out.byte(BLANK);
      out.hex(0, low, 0, ZERO);
      const both = ((BigInt(high) << 32n) | BigInt(low)).toString(16);
      expect(out.takeUtf8()).toBe(`${String(whole).padStart(wide, "0")} ${small} ${both.padStart(wide)} ${low.toString(16)}`);
    }),
  );
  for (const value of [0, 9, 10, 99, 100, 999, 1000, 0xffff_ffff, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    out.decimal(value, 0, ZERO);
    expect(out.takeLatin1()).toBe(String(value));
  }
});

test("text grows without an end and comes back as it was put in", () => {
  const out = new TextBytes();
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme" })), (texts) => {
      for (const text of texts) out.utf8(text);
      expect(out.takeUtf8()).toBe(texts.join(""));
      expect(out.length).toBe(0);
    }),
  );
  for (let index = 0; index < 50_000; index++) out.latin1("ä9\n");
  out.fill(BLANK, -1);
  expect(out.length).toBe(150_000);
  expect(out.takeLatin1()).toBe("ä9\n".repeat(50_000));
});
