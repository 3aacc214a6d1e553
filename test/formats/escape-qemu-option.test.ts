import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { qemuOptionValue } from "../../src/formats/escape-qemu-option.ts";

/** How QEMU splits an option (util/qemu-option.c, get_opt_value): at "," unless another follows, which then is one comma. */
function qemuSplit(option: string): string[] {
  const values: string[] = [];
  let value = "";
  for (let at = 0; at < option.length; at += 1) {
    if (option[at] !== ",") value += option[at];
    else if (option[at + 1] === ",") {
      value += ",";
      at += 1;
    } else {
      values.push(value);
      value = "";
    }
  }
  return [...values, value];
}

describe("a value in a QEMU option", () => {
  test("doubles commas and nothing else", () => {
    expect(qemuOptionValue("/a,b,,c =:\"'$(x) ä.iso")).toBe("/a,,b,,,,c =:\"'$(x) ä.iso");
  });

  test("comes back whole from between other keys", () => {
    const value = fc.string({ unit: "grapheme" }).filter((text) => !/[\0-\x1f\x7f]/.test(text));
    fc.assert(
      fc.property(value, (text) => {
        expect(qemuSplit(`file=${qemuOptionValue(text)},format=raw`)).toEqual([`file=${text}`, "format=raw"]);
      }),
      { numRuns: 1000 },
    );
  });

  test.each(["\0", "\n", "\x1b", "\x7f", "\ud800"])("refuses %j", (bad) => {
    expect(() => qemuOptionValue(`a${bad}b`)).toThrow(/without control characters/);
  });
});
