import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { decodeElf } from "../../src/formats/elf.ts";
import { trimmedElf } from "../../src/formats/elf-trim.ts";
import { buildElf } from "./build-elf.ts";

const program = buildElf({ interpreter: "/lib64/ld-test.so.2", needed: ["libc.so.6"], soname: "me.so" });
/** As a linker leaves it: symbols behind what is loaded. */
const fat = Buffer.concat([program, Buffer.alloc(5000, 0x55)]);

describe("a trimmed program", () => {
  test("is what a loader reads, and nothing else", () => {
    const trimmed = trimmedElf(fat, "x");
    expect(trimmed.length).toBeLessThan(fat.length - 4999);
    const { sections: _, ...loaded } = decodeElf(program, "x");
    expect(decodeElf(trimmed, "x")).toEqual({ ...loaded, sections: [] });
  });

  test("is not made smaller by trimming it again", () => {
    const trimmed = trimmedElf(fat, "x");
    expect(trimmedElf(trimmed, "x")).toEqual(trimmed);
  });

  test("is never made of a program that is cut or damaged without saying where", () => {
    const bear = (bytes: Uint8Array): void => {
      try {
        expect(trimmedElf(bytes, "e").length).toBeLessThanOrEqual(bytes.length);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
        expect((error as HiperisoError).where).toMatch(/^e@\d+$/);
      }
    };
    for (let length = 0; length < program.length; length += 1) bear(program.subarray(0, length));
    fc.assert(
      fc.property(fc.nat({ max: program.length * 8 - 1 }), (bit) => {
        const flipped = program.slice();
        flipped[bit >> 3]! ^= 1 << (bit & 7);
        bear(flipped);
      }),
    );
  });

  test.each([
    [new Uint8Array([1, 2, 3]), /x@0: expected an ELF file/],
    [buildElf({ bits: 32 }), /x@4: expected 64 bits/],
    [buildElf({ littleEndian: false }), /x@4: expected 64 bits/],
    [program.subarray(0, 40), /x@0: expected a header/],
  ])("is not made of something else (%#)", (bytes, message) => {
    expect(() => trimmedElf(bytes, "x")).toThrow(message);
  });

  test("still runs", () => {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-trim-"));
    try {
      const path = join(folder, "true");
      writeFileSync(path, trimmedElf(readFileSync("/bin/sh"), "sh"), { mode: 0o755 });
      expect(spawnSync(path, ["-c", "echo $((6 * 7))"], { encoding: "utf8" })).toMatchObject({ status: 0, stdout: "42\n" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
