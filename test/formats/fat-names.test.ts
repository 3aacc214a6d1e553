import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { shortNameChecksum } from "../../src/formats/fat.ts";
import {
  ATTRIBUTE,
  belongsTo,
  decodeShortEntry,
  ENTRY_BYTES,
  encodeLongEntries,
  encodeShortEntry,
  isLongEntry,
  isWholeLongName,
  longEntriesOf,
  longNameOf,
} from "../../src/formats/fat-entries.ts";
import {
  decodeFatLabel,
  decodeOem,
  encodeFatLabel,
  encodeOem,
  fatLabelFault,
  isShortName,
  longNameFault,
  mendedFatLabel,
  mendedLongName,
  shortNameFault,
  shortNameFor,
  shortNameText,
} from "../../src/formats/fat-names.ts";

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
const textOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes);
const never = () => false;

describe("an 8.3 name", () => {
  test.each([
    ["README.TXT", "README  TXT"],
    ["readme.txt", "README  TXT"],
    ["A.B", "A       B  "],
    ["a file with a long name.text", "AFILEW~1TEX"],
    ["two.dots.gz", "TWODOT~1GZ "],
    [".bashrc", "BASHRC~1   "],
    ["...a.b", "A~1     B  "],
    ["a+b=c.[x]", "A_B_C~1 _X_"],
    ["Straße", "STRA_E~1   "],
    ["日本語", "___~1      "],
    ["😀.x", "_~1     X  "],
    ["name.", "NAME~1     "],
    ["x y", "XY~1       "],
  ])("of %s is %s", (name, short) => {
    expect(textOf(shortNameFor(name, never))).toBe(short);
  });

  test("that is taken is numbered to ~4, then made of a sum of the name, always another", () => {
    const taken = new Set<string>();
    const isTaken = (short: string) => taken.has(short);
    const made: string[] = [];
    for (let index = 0; index < 2000; index += 1) {
      const text = shortNameText(shortNameFor(`some long name ${index % 7}.txt`, isTaken), 0, 437);
      expect(isShortName(text)).toBe(true);
      expect(taken.has(text)).toBe(false);
      taken.add(text);
      made.push(text);
    }
    expect(made.slice(0, 4)).toEqual(["SOMELO~1.TXT", "SOMELO~2.TXT", "SOMELO~3.TXT", "SOMELO~4.TXT"]);
    expect(made[4]).toMatch(/^SO[0-9A-F]{4}~1\.TXT$/);
  });

  test("is one that all systems take, whatever the name", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1, maxLength: 40 }), (name) => {
        const short = shortNameFor(name, never);
        expect(short.length).toBe(11);
        expect(shortNameFault(short)).toBeUndefined();
        expect(isShortName(shortNameText(short, 0, 437))).toBe(true);
      }),
    );
  });

  test("is read with its code page, Windows NT's small letters, and 0x05 for 0xE5", () => {
    expect(shortNameText(bytesOf("README  TXT"), 0, 437)).toBe("README.TXT");
    expect(shortNameText(bytesOf("README  TXT"), 8, 437)).toBe("readme.TXT");
    expect(shortNameText(bytesOf("README  TXT"), 16, 437)).toBe("README.txt");
    expect(shortNameText(bytesOf("README  TXT"), 24, 437)).toBe("readme.txt");
    expect(shortNameText(bytesOf("\x9dSTEN     "), 0, 850)).toBe("ØSTEN");
    expect(shortNameText(bytesOf("\x9dSTEN     "), 0, 437)).toBe("¥STEN");
    expect(shortNameText(bytesOf("\x05AB        "), 0, 850)).toBe("ÕAB");
  });

  test("that no system may write is found out, at its byte", () => {
    for (const [name, at] of [
      [" README TXT", 0],
      ["READ*ME TXT", 4],
      ["README  tXT", 8],
      ["READ\x05ME TXT", 4],
      ["READ.ME TXT", 4],
    ] as const)
      expect(shortNameFault(bytesOf(name))).toBe(at);
    expect(shortNameFault(bytesOf("\x05EAD\xffME~TXT"))).toBeUndefined();
  });
});

describe("code pages", () => {
  test.each([437, 850] as const)("%i: each byte is a character of its own, and back", (codePage) => {
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const text = decodeOem(all, codePage);
    expect(new Set(text).size).toBe(256);
    expect(encodeOem(text, codePage)).toEqual(all);
    expect(encodeOem("日", codePage)).toBeUndefined();
  });
});

describe("a long name", () => {
  const names = fc.string({ unit: "binary", minLength: 1, maxLength: 255 }).map((name) => name.slice(0, 255).replaceAll("\0", "_"));
  const units = fc.array(fc.integer({ min: 1, max: 0xffff }), { minLength: 1, maxLength: 255 }).map((list) => String.fromCharCode(...list));

  test("of any units, unpaired surrogates too, is read as it was written", () => {
    fc.assert(
      fc.property(fc.oneof(names, units), (name) => {
        const short = shortNameFor(name, never);
        const entries = encodeLongEntries(name, short);
        expect(entries.length).toBe(longEntriesOf(name) * ENTRY_BYTES);
        expect(isWholeLongName(entries)).toBe(true);
        expect(belongsTo(entries, short)).toBe(true);
        expect(longNameOf(entries)).toBe(name);
        for (let at = 0; at < entries.length; at += ENTRY_BYTES) expect(isLongEntry(entries.subarray(at))).toBe(true);
      }),
    );
  });

  test("without one of its entries, or with two changed places, is none", () => {
    const entries = encodeLongEntries("a name that takes three of them....", bytesOf("ANAMET~1   "));
    expect(entries.length).toBe(3 * ENTRY_BYTES);
    expect(isWholeLongName(entries.subarray(ENTRY_BYTES))).toBe(false);
    expect(isWholeLongName(entries.subarray(0, 2 * ENTRY_BYTES))).toBe(false);
    const swapped = entries.slice();
    swapped.set(entries.subarray(0, ENTRY_BYTES), ENTRY_BYTES);
    expect(isWholeLongName(swapped)).toBe(false);
    expect(belongsTo(entries, bytesOf("ANAMET~2   "))).toBe(false);
  });

  test("has the sum of Microsoft's paper", () => {
    // s = (s rotated right by one) + byte, for each of the 11.
    expect(shortNameChecksum(bytesOf("README  TXT"))).toBe(0x73);
  });

  test.each([
    ["", /empty/],
    ["a".repeat(256), /256/],
    ["a/b", /U\+002F/],
    ["a\u0001", /U\+0001/],
    ["a.", /end/],
    ["a ", /end/],
    ["..", /end/],
  ])("%j is refused, and mended to one that is not", (name, reason) => {
    expect(longNameFault(name)).toMatch(reason);
    expect(longNameFault(mendedLongName(name))).toBeUndefined();
  });
});

describe("an entry", () => {
  test("is read as it was written, its time to two seconds", () => {
    const first = fc.nat(0x0fff_ffff);
    fc.assert(
      fc.property(
        first,
        fc.nat(0xffff_ffff),
        fc.integer({ min: Date.UTC(1980, 0, 1), max: Date.UTC(2107, 11, 31) }),
        (firstCluster, sizeBytes, timeMs) => {
          const entry = encodeShortEntry({ name: bytesOf("A       B  "), attributes: ATTRIBUTE.archive, firstCluster, sizeBytes, timeMs });
          expect(decodeShortEntry(entry, 32)).toMatchObject({
            firstCluster,
            sizeBytes,
            createdMs: timeMs - (timeMs % 10),
            modifiedMs: timeMs - (timeMs % 2000),
          });
          expect(decodeShortEntry(entry, 16).firstCluster).toBe(firstCluster & 0xffff);
        },
      ),
    );
  });
});

describe("a label", () => {
  test("is kept in capitals, and NO NAME is none", () => {
    expect(textOf(encodeFatLabel("vtoyefi", 437))).toBe("VTOYEFI    ");
    expect(decodeFatLabel(bytesOf("VTOYEFI    "), 437)).toBe("VTOYEFI");
    expect(decodeFatLabel(bytesOf("NO NAME    "), 437)).toBe("");
    expect(decodeFatLabel(encodeFatLabel("Ñandú", 850), 850)).toBe("ÑANDú");
  });

  test.each([
    ["twelve chars", "12 characters, more than 11"],
    ["A*B", 'the character "*"'],
    ["A.B", 'the character "."'],
    [" A", "a blank at its start"],
    ["日", "a character that code page 437 does not have"],
  ])("%j is refused: %s", (label, fault) => {
    expect(fatLabelFault(label, 437)).toBe(fault);
  });

  test("with forbidden bytes is mended", () => {
    expect(textOf(mendedFatLabel(bytesOf("a*b\x01C \xff    ")))).toBe("A_B_C \xff    ");
  });
});
