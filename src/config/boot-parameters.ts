/** Settings on the kernel command line: written by the boot menu or a direct boot, read by the recorder on the stick. */
import { HiperisoError } from "../contract/error.ts";
import { PARAMETERS } from "../contract/parameters.ts";
import { STICK_PARAMETERS } from "../contract/stick.ts";
import { decodeKernelCommandLine, type KernelWord } from "../formats/kernel-command-line.ts";
import { parseParameter, type SettingValue } from "./setting-value.ts";
import type { SettingValues } from "./settings.ts";

/** The words that say `values`, in the order of the contract. A switch turned off is written as 0: it may override a configuration. */
export function bootParameterWords(values: SettingValues): KernelWord[] {
  return PARAMETERS.flatMap(({ setting, kernel, value: kind }) => {
    const value = values[setting];
    if (kernel === undefined || value === undefined) return [];
    if (kind.type === "switch") return [{ name: kernel, value: value === true ? "1" : "0" }];
    return [{ name: kernel, value: String(value) }];
  });
}

/**
 * The settings that a line (`/proc/cmdline`) names. Where a name comes twice the last one holds, as in the kernel.
 * What cannot be used is left out and named in `problems`: on the stick a slip in the menu must not stop a boot.
 */
export function settingsFromCommandLine(line: string): { readonly values: SettingValues; readonly problems: readonly HiperisoError[] } {
  const values: Partial<Record<keyof SettingValues, SettingValue>> = {};
  const problems: HiperisoError[] = [];
  for (const { name, value } of decodeKernelCommandLine(line)) {
    if (!name.startsWith("hiperiso_") || STICKS_OWN.has(name)) continue;
    const parameter = PARAMETERS.find((row) => row.kernel === name);
    try {
      if (parameter === undefined) throw unknownParameter(name);
      values[parameter.setting] = parseParameter(parameter, value ?? "", name);
    } catch (thrown) {
      if (!(thrown instanceof HiperisoError)) throw thrown;
      problems.push(thrown);
    }
  }
  return { values: values as SettingValues, problems };
}

/** No settings of a boot: the first process on the stick reads them. */
const STICKS_OWN: ReadonlySet<string> = new Set(Object.values(STICK_PARAMETERS));

const unknownParameter = (name: string): HiperisoError =>
  new HiperisoError({ what: `use ${name}`, expected: "a parameter of hiperiso", found: "an unknown one", kind: "usage" });
