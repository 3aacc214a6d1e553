import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { resolveSettings, type SettingValues } from "../../src/config/settings.ts";
import { PARAMETERS, standardSettings } from "../../src/contract/parameters.ts";

const nothing = { flags: {}, overrides: {}, control: {} };

describe("settings", () => {
  test("of which nobody said anything are the contract's defaults", () => {
    const { settings, origin } = resolveSettings(nothing);
    expect(settings).toEqual(standardSettings);
    expect(new Set(Object.values(origin))).toEqual(new Set(["default"]));
    expect(Object.keys(origin).sort()).toEqual(PARAMETERS.map(({ setting }) => setting).sort());
  });

  test("come from the flag, else the override, else control, else this computer's default", () => {
    const said = (value: number): SettingValues => ({ guestRam: value });
    const all = { flags: said(1), overrides: said(2), control: said(3), defaults: said(4) };
    const ram = (sources: Partial<typeof all>) => {
      const { settings, origin } = resolveSettings({ ...nothing, ...sources });
      return [settings.guestRam, origin.guestRam];
    };
    expect(ram(all)).toEqual([1, "flag"]);
    expect(ram({ ...all, flags: {} })).toEqual([2, "override"]);
    expect(ram({ control: said(3), defaults: said(4) })).toEqual([3, "control"]);
    expect(ram({ defaults: said(4) })).toEqual([4, "default"]);
    expect(ram({})).toEqual([2048, "default"]);
  });

  test("switched off by a higher source stay off", () => {
    const { settings, origin } = resolveSettings({ ...nothing, flags: { netDump: false }, control: { netDump: true } });
    expect([settings.netDump, origin.netDump]).toEqual([false, "flag"]);
  });

  test("are each decided alone, and undefined is not an opinion", () => {
    const values = fc.record(
      { guestRam: fc.option(fc.nat(), { nil: undefined }), vga: fc.constantFrom("none", "std", undefined) },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(values, values, values, (flags, overrides, control) => {
        const { settings, origin } = resolveSettings({ flags, overrides, control });
        for (const name of ["guestRam", "vga"] as const) {
          const first = [flags[name], overrides[name], control[name]].findIndex((value) => value !== undefined);
          expect(settings[name]).toBe([flags[name], overrides[name], control[name], standardSettings[name]].at(first));
          expect(origin[name]).toBe(["flag", "override", "control", "default"].at(first));
        }
      }),
    );
  });
});
