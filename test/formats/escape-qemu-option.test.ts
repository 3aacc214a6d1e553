import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

  test.skipIf(spawnSync("qemu-img", ["--version"]).status !== 0)("names a file to QEMU's own parser", () => {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-option-"));
    const part = fc.constantFrom(",", ",,", "=", ":", " ", '"', "'", "\\", "$(id)", "%", "json:{}", "nbd:", "ä", "光", "a", "file=", "-");
    const name = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(name, (text) => {
        const path = join(folder, text);
        writeFileSync(path, new Uint8Array(512));
        const option = `driver=raw,file.driver=file,file.filename=${qemuOptionValue(path)}`;
        const { stdout, stderr } = spawnSync("qemu-img", ["info", "--output=json", "--image-opts", option]);
        expect(stderr.toString()).toBe("");
        expect(JSON.parse(stdout.toString())["virtual-size"]).toBe(512);
        rmSync(path);
        // The name is read, not another file that happens to be there.
        expect(spawnSync("qemu-img", ["info", "--image-opts", option]).status).not.toBe(0);
      }),
      { numRuns: 30 },
    );
    rmSync(folder, { recursive: true });
  });

  test.each(["\0", "\n", "\x1b", "\x7f", "\ud800"])("refuses %j", (bad) => {
    expect(() => qemuOptionValue(`a${bad}b`)).toThrow(/without control characters/);
  });
});
