import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { nameHash, upcaseChecksum } from "../../src/formats/exfat-checksums.ts";
import { decodeUpcaseTable, encodeUpcaseTable, recommendedUpcaseTable, upcase } from "../../src/formats/exfat-upcase.ts";

const table = recommendedUpcaseTable();
const same = (a: Uint16Array, b: Uint16Array): boolean => Buffer.from(a.buffer).equals(Buffer.from(b.buffer));
const hasMkfs = spawnSync("mkfs.exfat", ["-V"]).error === undefined;

describe("the up-case table", () => {
  test("that we write has the bytes and the sum that the specification prints (7.2.5.1)", () => {
    const bytes = encodeUpcaseTable(table);
    expect(bytes).toHaveLength(5836);
    expect(upcaseChecksum(bytes)).toBe(0xe619d30d);
  });

  test.skipIf(!hasMkfs)("is what mkfs.exfat writes", () => {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-upcase-"));
    const image = join(folder, "x.img");
    writeFileSync(image, "");
    truncateSync(image, 4 << 20);
    expect(spawnSync("mkfs.exfat", [image]).status).toBe(0);
    const bytes = readFileSync(image);
    rmSync(folder, { recursive: true });
    expect(bytes.includes(Buffer.from(encodeUpcaseTable(table)))).toBe(true);
  });

  test("is decoded from both forms, compressed and not", () => {
    const plain = new Uint8Array(table.buffer.slice(0));
    expect(same(decodeUpcaseTable(encodeUpcaseTable(table), "t"), table)).toBe(true);
    expect(same(decodeUpcaseTable(plain, "t"), table)).toBe(true); // its last word is 0xFFFF, and no run
  });

  test("of any mapping is read back as it was", () => {
    const mapping = fc.array(fc.tuple(fc.integer({ min: 128, max: 0xffff }), fc.integer({ min: 0, max: 0xffff })), { maxLength: 40 });
    fc.assert(
      fc.property(mapping, (pairs) => {
        const own = table.slice();
        for (const [unit, to] of pairs) if (to !== 0xffff) own[unit] = to; // 0xFFFF as a target cannot be written: it starts a run
        expect(same(decodeUpcaseTable(encodeUpcaseTable(own), "t"), own)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  test("agrees with Unicode wherever it maps to another and JavaScript has one capital, but for two slips of the specification", () => {
    const differing: string[] = [];
    for (let unit = 0; unit < 0x10000; unit += 1) {
      const upper = String.fromCharCode(unit).toUpperCase();
      if (upper.length === 1 && table[unit] !== unit && table[unit] !== upper.charCodeAt(0)) differing.push(unit.toString(16));
    }
    expect(differing).toEqual(["23a", "23e"]); // capitals that become their small letters
  });

  test("that maps ASCII otherwise, has half a word or too many characters is refused, with the place", () => {
    const bytes = encodeUpcaseTable(table);
    const wrong = bytes.slice();
    wrong[2 * 0x61] = 0x61;
    expect(() => decodeUpcaseTable(wrong, "t", 1000n)).toThrow(/t@1000: expected character 97 mapped to 65, found 97/);
    expect(() => decodeUpcaseTable(bytes.subarray(0, 5835), "t")).toThrow(/t@5834: expected words of two bytes/);
    const long = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0);
    expect(() => decodeUpcaseTable(long, "t")).toThrow(HiperisoError);
  });

  test("cut at any byte is read or refused", () => {
    const bytes = encodeUpcaseTable(table);
    for (let length = 0; length < bytes.length; length += 1) {
      try {
        decodeUpcaseTable(bytes.subarray(0, length), "t");
        expect(length % 2).toBe(0);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
      }
    }
  });

  test("leaves surrogates and characters without case as they are", () => {
    expect(upcase("aé\ud800ß", table)).toBe("AÉ\ud800ß");
    expect(upcase("\u{1f600}x\udfff", table)).toBe("\u{1f600}X\udfff");
    expect(nameHash(upcase("readme.txt", table))).toBe(nameHash("README.TXT"));
  });
});
