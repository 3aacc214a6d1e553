import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  missingFeatures,
  type ProcessorOffer,
  parseProcessorFeatures,
  processorWords,
} from "../../../src/machine/features/processor-features.ts";

const OFFER: ProcessorOffer = {
  known: new Set(["vmx", "svm", "sse4.2", "la57", "avx", "avx2", "avx512f", "tsc-deadline"]),
  given: { tcg: new Set(["svm", "sse4.2", "la57"]), kvm: undefined },
};
const parse = (text: string) => parseProcessorFeatures(text, OFFER);

describe("names", () => {
  test("are added, or taken away", () => {
    expect(parse("vmx,+svm, -la57")).toEqual([
      { name: "vmx", on: true },
      { name: "svm", on: true },
      { name: "la57", on: false },
    ]);
  });

  test("may be spelled as Linux does", () => {
    expect(parse("sse4_2,tsc_deadline,AVX2").map(({ name }) => name)).toEqual(["sse4.2", "tsc-deadline", "avx2"]);
  });

  test("count as they were said last", () => {
    expect(parse("vmx,svm,-vmx")).toEqual([
      { name: "svm", on: true },
      { name: "vmx", on: false },
    ]);
  });

  test.each(["", ",", "vmx,", "--vmx", "vmx=on", "enforce", "vmx svm", "model-id=x"])("%j is refused", (text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ kind: "usage", where: "--cpu-features" }));
  });

  test("one that is unknown is answered with those that begin alike", () => {
    expect(() => parse("avx512")).toThrow(expect.objectContaining({ hint: "It knows: avx, avx2, avx512f." }));
  });
});

test("QEMU's words hold known names alone, whatever is asked", () => {
  expect(processorWords(parse("vmx,-svm"))).toBe(",vmx=on,svm=off");
  fc.assert(
    fc.property(fc.string(), (text) => {
      let words = "";
      try {
        words = processorWords(parse(text));
      } catch {
        return;
      }
      expect(words).toMatch(/^(,[a-z0-9.-]+=(on|off))+$/);
    }),
  );
});

test("what the accelerator has not is told, unless nobody knows", () => {
  expect(missingFeatures(parse("vmx,svm,-avx"), OFFER.given.tcg)).toEqual(["vmx"]);
  expect(missingFeatures(parse("vmx"), OFFER.given.kvm)).toEqual([]);
});
