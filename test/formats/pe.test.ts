import { expect, test } from "vitest";
import { decodePe } from "../../src/formats/pe.ts";
import { buildEfiProgram, text } from "../image/build-image.ts";
import { keeping, survivesDamage } from "./damage.ts";

test("machine, subsystem, sections, certificates", () => {
  const place = keeping();
  expect(decodePe(buildEfiProgram(0x8664, true), 1024n, place)).toEqual({
    machine: "x86-64",
    subsystem: 10,
    certificates: { offset: 768, bytes: 256 },
    sections: [{ name: ".text", offset: 0, bytes: 0 }],
  });
  expect(decodePe(buildEfiProgram(0xaa64), 1024n, place)).toMatchObject({ machine: "aarch64", certificates: null });
  expect(decodePe(buildEfiProgram(0x1234), 1024n, place)).toMatchObject({ machine: "0x1234" });
  expect(place.problems).toEqual([]);
});

test("a certificate table outside the file signs nothing", () => {
  const place = keeping(5000n);
  expect(decodePe(buildEfiProgram(0x8664, true), 1000n, place)?.certificates).toBeNull();
  expect(place.problems).toMatchObject([{ offset: 5000n + 88n + 112n + 32n, structure: "PE header", found: "256 bytes at 768" }]);
});

test("what is no PE image", () => {
  expect(decodePe(text("MZ"), 2n, keeping())).toBeUndefined();
  expect(decodePe(new Uint8Array(4096), 4096n, keeping())).toBeUndefined();
  const far = buildEfiProgram();
  far.set([0xff, 0xff, 0xff, 0xff], 60);
  expect(decodePe(far, 1024n, keeping())).toBeUndefined();
});

test("survives damage", () => {
  survivesDamage(buildEfiProgram(0x8664, true).subarray(0, 400), (bytes, place) => decodePe(bytes, 1024n, place));
});
