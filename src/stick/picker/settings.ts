/** The settings of one boot as the picker shows and changes them: value, who said it, and what a key makes of it. */
import { firstMatch } from "../../config/overrides.ts";
import { parseParameter } from "../../config/setting-value.ts";
import { type ResolvedSettings, resolveSettings, type SettingValues } from "../../config/settings.ts";
import { HiperisoError } from "../../contract/error.ts";
import { flagOf, PARAMETERS, type Parameter, type SettingName } from "../../contract/parameters.ts";
import type { PickerFacts } from "./facts.ts";

/** Where the log goes, and which image, is not for one boot to change. */
const FIXED: ReadonlySet<SettingName> = new Set(["iso", "logDir"]);
export const CHANGEABLE: readonly Parameter[] = PARAMETERS.filter(({ setting }) => !FIXED.has(setting));

/** All settings of a boot of this image, with what was changed for this once. */
export function settingsInForce({ config, said }: PickerFacts, path: string, changed: SettingValues): ResolvedSettings {
  return resolveSettings({
    flags: { ...said, ...changed },
    overrides: firstMatch(config.isoOverrides, path)?.values ?? {},
    control: config.control,
  });
}

/** `trace level`. */
export const titleOf = (parameter: Parameter): string => flagOf(parameter).slice(2).replaceAll("-", " ");

export function valueText(parameter: Parameter, value: unknown): string {
  if (value === undefined) return parameter.setting === "firmware" ? "as the image wants" : "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  const unit = parameter.value.type === "integer" ? parameter.value.unit : undefined;
  return unit === undefined ? String(value) : `${String(value)} ${unit}`;
}

export const ORIGIN_WORDS = { flag: "for this once", override: "iso_overrides", control: "control", default: "" } as const;

/** The value after one step to the right (1) or left (-1); undefined where the setting has no steps: its value is typed or chosen from a list. */
export function stepped({ value, setting }: Parameter, current: unknown, direction: 1 | -1): string | number | boolean | undefined {
  switch (value.type) {
    case "switch":
      return current !== true;
    case "choice": {
      const at = value.values.indexOf(String(current));
      return value.values[(at + direction + value.values.length + (at < 0 && direction < 0 ? 1 : 0)) % value.values.length];
    }
    case "integer": {
      const number = typeof current === "number" ? current : value.min;
      // Memory is doubled, since nobody presses a key a thousand times.
      const next = setting === "guestRam" ? (direction > 0 ? number * 2 : Math.floor(number / 2)) : number + direction;
      return Math.max(value.min, Math.min(value.max, next));
    }
    default:
      return undefined;
  }
}

/** What was typed as the setting's value, or why it is none. */
export function typedValue(
  parameter: Parameter,
  text: string,
): { readonly value: string | number | boolean } | { readonly problem: string } {
  try {
    return { value: parseParameter(parameter, text, titleOf(parameter)) };
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return { problem: `expected ${error.expected ?? "another value"}` };
  }
}
