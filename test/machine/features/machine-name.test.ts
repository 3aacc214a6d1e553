import { describe, expect, test } from "vitest";
import { chooseMachine } from "../../../src/machine/features/machine-name.ts";
import { OFFER } from "../requests.ts";

describe("machines", () => {
  test.each([
    ["q35", "q35"],
    ["pc", "pc"],
    ["pc-q35-6.0", "q35"],
    ["pc-i440fx-7.2", "pc"],
  ])("%s is a %s", (name, type) => {
    expect(chooseMachine(name, OFFER.machines)).toEqual({ name, type });
  });

  test.each(["microvm", "none", "isapc", "pc-q35-99.0", "pc-i440fx-", "q35,smm=on", "Q35", "", "xenfv"])(
    "%j is refused, with what there is",
    (name) => {
      expect(() => chooseMachine(name, OFFER.machines)).toThrow(
        expect.objectContaining({ kind: "usage", expected: expect.stringContaining("pc-q35-6.0"), hint: expect.stringMatching(/\w/) }),
      );
    },
  );

  test("the plain names do without QEMU's answer", () => {
    expect(chooseMachine("q35", [])).toEqual({ name: "q35", type: "q35" });
    expect(() => chooseMachine("pc-q35-6.0", [])).toThrow(expect.objectContaining({ kind: "usage" }));
  });
});
