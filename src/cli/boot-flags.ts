/** The flags of `hiperiso boot` that are settings: one for each row of PARAMETERS, checked by the same rules as on the kernel command line. */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { Option } from "@commander-js/extra-typings";
import { parseParameter } from "../config/setting-value.ts";
import type { SettingValues } from "../config/settings.ts";
import { HiperisoError } from "../contract/error.ts";
import { flagOf, PARAMETERS, type Parameter, type Settings } from "../contract/parameters.ts";
import { notBuiltYet, ONLY_BUILT } from "../machine/not-built-yet.ts";

/** The image is the command's argument, not a flag. */
const FLAGS = PARAMETERS.filter(({ setting }) => setting !== "iso");

export function addSettingFlags(command: CommandUnknownOpts): void {
  for (const parameter of FLAGS) {
    if (parameter.alias !== undefined) command.addOption(flagOption(parameter.alias, parameter).hideHelp());
    const full = flagOption(flagOf(parameter).slice(2), parameter);
    full.description = describe(parameter);
    command.addOption(full);
  }
}

function flagOption(name: string, { value, help }: Parameter): Option {
  if (value.type === "switch") return new Option(`--${name}`, help);
  const argument = value.type === "choice" ? value.values.join("|") : value.type === "integer" ? "n" : value.type;
  return new Option(`--${name} <${argument}>`, help);
}

function describe({ setting, help, standard, alias }: Parameter): string {
  const otherwise = standard === undefined || standard === false || setting === "logDir" ? "" : ` (default ${standard})`;
  const built = ONLY_BUILT.get(setting);
  const unbuilt = !ONLY_BUILT.has(setting) ? "" : typeof built === "string" ? `; not built yet but for ${built}` : "; not built yet";
  return `${help}${otherwise}${alias === undefined ? "" : `; short: --${alias}`}${unbuilt}`;
}

/** What the person said on this line. Throws (`usage`) on a bad value and on the two names of one flag with different values. */
export function settingsOf(options: Readonly<Record<string, unknown>>): SettingValues {
  const values: Record<string, unknown> = {};
  for (const parameter of FLAGS) {
    const flag = flagOf(parameter);
    const said = [flag.slice(2), ...(parameter.alias === undefined ? [] : [parameter.alias])]
      .map((name) => options[camelCase(name)])
      .filter((value) => value !== undefined);
    const parsed = said.map((value) => (value === true ? true : parseParameter(parameter, String(value), flag)));
    if (new Set(parsed).size > 1) {
      throw new HiperisoError({
        what: "understand the flags",
        where: flag,
        expected: "one value",
        found: parsed.join(" and "),
        hint: `--${parameter.alias} is the short form of ${flag}: give one of them.`,
        kind: "usage",
      });
    }
    if (parsed.length > 0) values[parameter.setting] = parsed[0];
  }
  return values as SettingValues;
}

/** A flag that asks for what this version cannot do stops; `hiperiso.json` and defaults only warn. */
export function refuseUnbuiltFlags(said: SettingValues, settings: Settings): void {
  for (const [setting, value] of notBuiltYet(settings)) {
    if (said[setting] === undefined) continue;
    const parameter = PARAMETERS.find((row) => row.setting === setting)!;
    throw new HiperisoError({
      what: `boot with ${flagOf(parameter)} ${value === "on" ? "" : value}`.trim(),
      found: "this is not built yet in this version",
      hint: `Leave ${flagOf(parameter)} away.`,
      kind: "usage",
    });
  }
}

const camelCase = (name: string): string => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
