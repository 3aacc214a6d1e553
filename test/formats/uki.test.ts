import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { decodePe } from "../../src/formats/pe.ts";
import { encodeUki, type UkiSection } from "../../src/formats/uki.ts";
import { lookForTool } from "../../src/host/tools.ts";

const hasReferee = (await lookForTool("objdump", process.env)) !== undefined;
const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const place = { offset: 0n, report: (problem: unknown) => expect(problem).toBeUndefined() };

/** A program of one section. `room`: how many more section headers its headers have room for. */
function buildStub(room: number): Uint8Array {
  const table = 64 + 24 + 240;
  const raw = Math.ceil((table + (1 + room) * 40) / 512) * 512;
  const stub = new Uint8Array(raw + 512);
  const view = new DataView(stub.buffer);
  stub.set(text("MZ"));
  view.setUint32(60, 64, true);
  stub.set(text("PE\0\0"), 64);
  view.setUint16(68, 0x8664, true);
  view.setUint16(70, 1, true);
  view.setUint16(84, 240, true);
  const optional = 88;
  view.setUint16(optional, 0x20b, true);
  view.setUint32(optional + 32, 4096, true);
  view.setUint32(optional + 36, 512, true);
  view.setUint32(optional + 56, 8192, true);
  view.setUint32(optional + 60, raw, true);
  view.setUint16(optional + 68, 10, true);
  view.setUint32(optional + 108, 16, true);
  stub.set(text(".text"), table);
  for (const [at, value] of [
    [8, 300],
    [12, 4096],
    [16, 512],
    [20, raw],
    [36, 0x60000020],
  ] as const)
    view.setUint32(table + at, value, true);
  stub.fill(0xc3, raw, raw + 300);
  return stub;
}

const SECTIONS: readonly UkiSection[] = [
  { name: ".osrel", content: text("ID=test\n") },
  { name: ".cmdline", content: text("console=ttyS0") },
  { name: ".linux", content: new Uint8Array(5000).fill(7) },
];

/** Bytes of each section, by name, as a reader of PE finds them. */
function sectionsOf(image: Uint8Array): Readonly<Record<string, Uint8Array>> {
  const pe = decodePe(image, BigInt(image.length), place);
  return Object.fromEntries(pe!.sections.map(({ name, offset, bytes }) => [name, image.slice(offset, offset + bytes)]));
}

describe("a unified kernel image", () => {
  test.each([
    ["with room in its headers", 8],
    ["whose headers are full", 3],
  ])("holds the stub %s and every section, unchanged", (_, room) => {
    const stub = buildStub(room);
    const image = encodeUki(stub, SECTIONS);
    const found = sectionsOf(image);
    expect(Object.keys(found)).toEqual([".text", ".osrel", ".cmdline", ".linux"]);
    expect(found[".text"]).toEqual(sectionsOf(stub)[".text"]);
    for (const { name, content } of SECTIONS) expect(found[name]).toEqual(content);
  });

  test("moves what follows the headers where the new ones need its place", () => {
    const sections = Array.from({ length: 20 }, (_, index) => ({
      name: `.s${String.fromCharCode(97 + index)}`,
      content: text(`${index}`),
    }));
    const image = encodeUki(buildStub(0), sections);
    const found = sectionsOf(image);
    expect(found[".text"]).toEqual(new Uint8Array(300).fill(0xc3));
    for (const { name, content } of sections) expect(found[name]).toEqual(content);
  });

  test("is the same each time, with any contents", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3000 }), fc.uint8Array({ minLength: 1, maxLength: 3000 }), (initrd, linux) => {
        const wish = [
          { name: ".initrd", content: initrd },
          { name: ".linux", content: linux },
        ];
        const image = encodeUki(buildStub(4), wish);
        expect(Buffer.compare(image, encodeUki(buildStub(4), wish))).toBe(0);
        expect(sectionsOf(image)).toMatchObject({ ".initrd": initrd, ".linux": linux });
      }),
      { numRuns: 50 },
    );
  });

  test.skipIf(!hasReferee)("is read by objdump as we mean it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "hiperiso-uki-"));
    try {
      await writeFile(join(folder, "linux.efi"), encodeUki(buildStub(8), SECTIONS));
      const { stdout, status } = spawnSync("objdump", ["-h", join(folder, "linux.efi")], { encoding: "utf8" });
      expect(status).toBe(0);
      const rows = [...stdout.matchAll(/^ +\d+ (\.\S+) +([0-9a-f]{8}) +([0-9a-f]{16})/gm)].map(([, name, bytes, address]) => [
        name,
        Number.parseInt(bytes!, 16),
        Number.parseInt(address!, 16),
      ]);
      expect(rows).toEqual([
        [".text", 300, 4096],
        [".osrel", 8, 8192],
        [".cmdline", 13, 12_288],
        [".linux", 5000, 16_384],
      ]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("is not made of a stub that has the section already, nor of what is no program", () => {
    const once = encodeUki(buildStub(8), SECTIONS);
    expect(() => encodeUki(once, SECTIONS)).toThrow(/expected a stub without \.osrel/);
    expect(() => encodeUki(text("#!/bin/sh\n"), SECTIONS)).toThrow(/stub@0: expected "MZ"/);
    expect(() => encodeUki(buildStub(8), [{ name: "linux", content: text("x") }])).toThrow(/expected a name of a section/);
  });

  test("is refused, never worse, where the stub is cut or has any bit of its headers flipped", () => {
    const stub = buildStub(4);
    const bear = (bytes: Uint8Array): void => {
      try {
        encodeUki(bytes, SECTIONS);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
      }
    };
    for (let length = 0; length < 600; length += 1) bear(stub.subarray(0, length));
    const flipped = stub.slice();
    for (let bit = 0; bit < 368 * 8; bit += 1) {
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      bear(flipped);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
    }
  });
});
