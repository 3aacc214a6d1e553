import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { decodeElf } from "../../src/formats/elf.ts";
import { buildElf } from "./build-elf.ts";

const hasReferee = spawnSync("readelf", ["--version"]).status === 0;
const program = buildElf({ interpreter: "/lib64/ld-test.so.2", needed: ["libc.so.6", "libz.so.1"], runpath: "$ORIGIN/../lib:/opt/lib" });

describe("an ELF file", () => {
  test.each([
    [64, true],
    [64, false],
    [32, true],
    [32, false],
  ] as const)("of %i bits, little-endian: %s, says what it needs", (bits, littleEndian) => {
    const wish = { bits, littleEndian, interpreter: "/lib/ld.so.1", needed: ["liba.so"], runpath: "/x:$ORIGIN", soname: "me.so" };
    expect(decodeElf(buildElf(wish), "x")).toMatchObject({
      ...{ bits, littleEndian, machine: 62, interpreter: "/lib/ld.so.1" },
      dynamic: { needed: ["liba.so"], runpath: ["/x", "$ORIGIN"], rpath: [], soname: "me.so", noDefaultFolders: false },
    });
  });

  test("that is static needs nothing", () => {
    expect(decodeElf(buildElf({}), "x")).toMatchObject({ interpreter: null, dynamic: null });
  });

  test("keeps DT_RPATH and DT_RUNPATH apart, and knows when default folders do not count", () => {
    const { dynamic } = decodeElf(buildElf({ needed: [], rpath: "/r", flags1: 0x800n }), "x");
    expect(dynamic).toEqual({ needed: [], rpath: ["/r"], runpath: [], soname: null, noDefaultFolders: true });
  });

  test("that is cut anywhere or has any bit flipped is read or refused with a place", () => {
    const bear = (bytes: Uint8Array): void => {
      try {
        decodeElf(bytes, "e");
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
        expect((error as HiperisoError).where).toMatch(/^e@\d+$/);
      }
    };
    for (let length = 0; length < program.length; length += 1) bear(program.subarray(0, length));
    const flipped = program.slice();
    for (let bit = 0; bit < program.length * 8; bit += 1) {
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      bear(flipped);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        bear(Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, ...bytes]));
      }),
    );
  });

  test("names what is wrong", () => {
    expect(() => decodeElf(new Uint8Array(), "x")).toThrow(/x@0: expected an ELF file, found nothing/);
    expect(() => decodeElf(Uint8Array.from([0x7f, 0x45, 0x4c, 0x46, 3]), "x")).toThrow(/x@4: expected class 1 or 2, found 3/);
  });

  test.skipIf(!hasReferee)("of this computer is read as readelf reads it", () => {
    const { stdout } = spawnSync("readelf", ["-d", "-l", "-W", process.execPath], { encoding: "utf8" });
    const elf = decodeElf(readFileSync(process.execPath), "node");
    expect(elf.dynamic?.needed).toEqual([...stdout.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map((match) => match[1]));
    expect(elf.interpreter).toBe(/interpreter: (.*)\]/.exec(stdout)?.[1]);
    const sections = spawnSync("readelf", ["-S", "-W", process.execPath], { encoding: "utf8" }).stdout;
    expect(elf.sections.map(({ name }) => name).filter((name) => name !== "")).toEqual(
      [...sections.matchAll(/^ +\[ *\d+\] (\.?\S+) +[A-Z]/gm)].map((match) => match[1]).filter((name) => name !== "NULL"),
    );
  });
});
