import { describe, expect, test } from "vitest";
import { firmwarePairs, pairsByCode } from "../../../src/machine/firmware/pairs.ts";
import { DEBIAN_FILES, type Lying, stockOf } from "./stocks.ts";

const names = (files: Readonly<Record<string, Lying>>, of = firmwarePairs) =>
  of(stockOf(files)).map(({ code, variables }) => `${code.path} + ${variables.path}`);

describe("pairs that exist", () => {
  test("by what the volumes say, whatever the names are", () => {
    expect(names({ "/a": "plain4m", "/b": "empty4m", "/c": "text", "/d": "combined", "/e": "missing" })).toEqual(["/a + /b"]);
  });

  test("never of two sizes, nor of two formats", () => {
    expect(names({ "/code": "plain2m", "/vars": "empty4m" })).toEqual([]);
    expect(names({ "/code": { kind: "plain4m", format: "qcow2" }, "/vars": "empty4m" })).toEqual([]);
  });

  test("the known pair first, a file once however many names it has, 2 MiB builds last", () => {
    expect(names(DEBIAN_FILES)).toEqual([
      "/usr/share/OVMF/OVMF_CODE_4M.fd + /usr/share/OVMF/OVMF_VARS_4M.fd",
      "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd + /usr/share/OVMF/OVMF_VARS_4M.fd",
      "/usr/share/OVMF/OVMF_CODE.fd + /usr/share/OVMF/OVMF_VARS.fd",
      "/usr/share/OVMF/OVMF_CODE_4M.fd + /usr/share/OVMF/OVMF_VARS_4M.ms.fd",
      "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd + /usr/share/OVMF/OVMF_VARS_4M.ms.fd",
    ]);
  });

  test("halves from one folder before halves from two", () => {
    expect(names({ "/a/code": "plain4m", "/b/vars": "empty4m", "/a/vars": "empty4m" })).toEqual(["/a/code + /a/vars", "/a/code + /b/vars"]);
  });
});

describe("one store for each name of code", () => {
  test("the known one, the namesake, or one without keys", () => {
    const files: Record<string, Lying> = {
      ...DEBIAN_FILES,
      "/usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd": { kind: "secure4m", real: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd" },
      "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd": "enrolled4m",
      "/opt/mine.fd": "plain4m",
    };
    expect(names(files, pairsByCode)).toEqual([
      expect.stringMatching(/^\/opt\/mine\.fd \+ \/usr\/share\/OVMF\/OVMF_VARS_4M\.fd$/),
      "/usr/share/OVMF/OVMF_CODE.fd + /usr/share/OVMF/OVMF_VARS.fd",
      "/usr/share/OVMF/OVMF_CODE_4M.fd + /usr/share/OVMF/OVMF_VARS_4M.fd",
      "/usr/share/OVMF/OVMF_CODE_4M.ms.fd + /usr/share/OVMF/OVMF_VARS_4M.ms.fd",
      "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd + /usr/share/OVMF/OVMF_VARS_4M.fd",
      "/usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd + /usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd",
    ]);
  });

  test("code that has none is left out", () => {
    expect(names({ "/code": "plain4m", "/keys": "enrolled4m" }, pairsByCode)).toEqual([]);
  });
});
