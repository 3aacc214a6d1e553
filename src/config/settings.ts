/** Which value of each setting holds for a boot, and who said it (CONTRACT section 1, precedence). */
import { PARAMETERS, type SettingName, type Settings, standardSettings } from "../contract/parameters.ts";

/** Settings as far as somebody named them. An absent field and `undefined` both mean "not said". */
export type SettingValues = { readonly [Name in SettingName]?: Settings[Name] | undefined };

export type SettingOrigin = "flag" | "override" | "control" | "default";

export interface SettingSources {
  /** What the person chose for this boot: flags of the command, or the boot menu's kernel parameters. */
  readonly flags: SettingValues;
  /** The first entry of `iso_overrides` that matches the image. */
  readonly overrides: SettingValues;
  /** `control` of `hiperiso.json`. */
  readonly control: SettingValues;
  /** Where this computer differs from the contract's defaults: the log directory of a workstation. */
  readonly defaults?: SettingValues;
}

export interface ResolvedSettings {
  readonly settings: Settings;
  readonly origin: Readonly<Record<SettingName, SettingOrigin>>;
}

/** Each setting from the highest source that names it: flags, overrides, control, defaults. */
export function resolveSettings(sources: SettingSources): ResolvedSettings {
  const ranked = [
    ["flag", sources.flags],
    ["override", sources.overrides],
    ["control", sources.control],
    ["default", { ...standardSettings, ...withoutUnsaid(sources.defaults ?? {}) }],
  ] as const;
  const settings: Record<string, unknown> = {};
  const origin: Record<string, SettingOrigin> = {};
  for (const { setting } of PARAMETERS) {
    const [from, values] = ranked.find(([, source]) => source[setting] !== undefined) ?? (["default", standardSettings] as const);
    settings[setting] = values[setting];
    origin[setting] = from;
  }
  // Every setting has a row in PARAMETERS, and every source's fields have the settings' types.
  return { settings: settings as unknown as Settings, origin: origin as Record<SettingName, SettingOrigin> };
}

function withoutUnsaid(values: SettingValues): SettingValues {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
