import { expect, test } from "vitest";
import { decodeLinuxKernel } from "../../src/formats/linux-kernel.ts";
import { buildBzImage, text } from "../image/build-image.ts";
import { survivesDamage } from "./damage.ts";

test("a bzImage: protocol, version, word size", () => {
  const image = buildBzImage("6.12.1 (me@here) #1 SMP");
  expect(decodeLinuxKernel(image)).toEqual({
    format: "bzImage",
    version: "6.12.1 (me@here) #1 SMP",
    bootProtocol: "2.15",
    machine: "x86-64",
    efiStub: false,
  });
  image[0x236] = 0;
  image.set(text("MZ"));
  expect(decodeLinuxKernel(image)).toMatchObject({ machine: "x86", efiStub: true });
});

test("a version that is none is left out", () => {
  const image = buildBzImage("6.1\x1b[31m");
  expect(decodeLinuxKernel(image)?.version).toBe("");
  new DataView(image.buffer).setUint16(0x20e, 0xffff, true);
  expect(decodeLinuxKernel(image)?.version).toBe("");
});

test("zboot, arm64, riscv", () => {
  const at = (offset: number, magic: string) => {
    const bytes = new Uint8Array(512);
    bytes.set(text("MZ"));
    bytes.set(text(magic), offset);
    return decodeLinuxKernel(bytes);
  };
  expect(at(4, "zimg")).toMatchObject({ format: "zboot", efiStub: true });
  expect(at(0x38, "ARM\x64")).toMatchObject({ format: "arm64", machine: "aarch64" });
  expect(at(0x38, "RSC\x05")).toMatchObject({ format: "riscv", machine: "riscv64" });
  expect(at(100, "none")).toBeUndefined();
});

test("survives damage", () => {
  survivesDamage(buildBzImage().subarray(0, 0x240), decodeLinuxKernel);
});
