import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bootParameterWords, settingsFromCommandLine } from "../../src/config/boot-parameters.ts";
import { parseParameter } from "../../src/config/setting-value.ts";
import type { SettingValues } from "../../src/config/settings.ts";
import { flagOf, PARAMETERS, type Parameter } from "../../src/contract/parameters.ts";
import { encodeKernelCommandLine } from "../../src/formats/kernel-command-line.ts";

const plain = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((text) => !/[\0-\x1f\x7f]/.test(text));

function valuesFor({ value }: Parameter) {
  switch (value.type) {
    case "integer":
      return fc.integer({ min: value.min, max: value.max });
    case "choice":
      return fc.constantFrom(...value.values);
    case "switch":
      return fc.boolean();
    default:
      return fc.oneof(plain, fc.constantFrom("/ISOs/a b, 'c' \"d\" $(x) \\ ä.iso", "org=/a b;new=/c;;org=/d;new=/e"));
  }
}

const onKernelLine = PARAMETERS.filter(({ kernel }) => kernel !== undefined);
const someSettings = fc.record(Object.fromEntries(onKernelLine.map((row) => [row.setting, valuesFor(row)])), {
  requiredKeys: [],
}) as fc.Arbitrary<SettingValues>;

describe("settings on the kernel command line", () => {
  test("come back as they were written", () => {
    fc.assert(
      fc.property(someSettings, (values) => {
        const line = `BOOT_IMAGE=/vmlinuz quiet ${encodeKernelCommandLine(bootParameterWords(values))}\n`;
        expect(settingsFromCommandLine(line)).toEqual({ values: { ...values }, problems: [] });
      }),
      { numRuns: 500 },
    );
  });

  test("that cannot be used are named and left out, and stop nothing", () => {
    const { values, problems } = settingsFromCommandLine(
      "hiperiso_guest_ram=lots hiperiso_guest_cpus=3 hiperiso_what=1 hiperiso_tpm hiperiso_vga=std hiperiso_vga=none",
    );
    expect(values).toEqual({ guestCpus: 3, vga: "none" });
    expect(problems.map(({ message }) => message)).toEqual([
      'cannot use hiperiso_guest_ram: expected a whole number from 16 to 1048576 (MB), found "lots"',
      "cannot use hiperiso_what: expected a parameter of hiperiso, found an unknown one",
      "cannot use hiperiso_tpm: expected 1 or 0, found nothing",
    ]);
  });
});

describe("a parameter's text", () => {
  const row = (setting: Parameter["setting"]): Parameter => PARAMETERS.find((parameter) => parameter.setting === setting)!;

  test.each([
    ["guestRam", "4096", 4096],
    ["guestCpus", "1", 1],
    ["vga", "virtio", "virtio"],
    ["fallback", "1", true],
    ["fallback", "0", false],
    ["iso", "/a b,ä.iso", "/a b,ä.iso"],
    ["firmware", "bios", "bios"],
  ] as const)("%s takes %s", (setting, text, value) => {
    expect(parseParameter(row(setting), text)).toBe(value);
  });

  test.each([
    ["guestRam", "15"],
    ["guestRam", "1048577"],
    ["guestRam", "4G"],
    ["guestRam", "-1"],
    ["guestRam", "1e3"],
    ["guestRam", "99999999999999999999"],
    ["guestRam", ""],
    ["guestCpus", "0"],
    ["vga", "VIRTIO"],
    ["fallback", "yes"],
    ["iso", ""],
    ["iso", "/a\nb"],
    ["iso", "/a\x1b[31mb"],
    ["iso", "/a\ud800"],
  ] as const)("%s refuses %j, by the name of its flag", (setting, text) => {
    expect(() => parseParameter(row(setting), text)).toThrow(new RegExp(`^cannot use ${flagOf(row(setting))}: expected .*, found `));
  });
});
