/** Settings of the contract that this version cannot honour yet. A flag that asks for one stops; a configured one is a warning. */
import type { SettingName, Settings } from "../contract/parameters.ts";

/** Of each such setting the one value that is built. */
export const ONLY_BUILT: ReadonlyMap<SettingName, Settings[SettingName]> = new Map<SettingName, Settings[SettingName]>([
  ["autoInstall", undefined],
  ["persistence", undefined],
  ["dud", undefined],
  ["injection", undefined],
  ["confReplace", undefined],
]);

/** What these settings ask for in vain: the value, by the setting's name. */
export function notBuiltYet(settings: Settings): ReadonlyMap<SettingName, string> {
  const asked = [...ONLY_BUILT].filter(([name, built]) => settings[name] !== built);
  return new Map(asked.map(([name]) => [name, settings[name] === true ? "on" : String(settings[name])]));
}
