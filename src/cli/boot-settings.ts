/** What the settings of one boot are, and who said so: flags, `hiperiso.json`, this computer. Reads the configuration and nothing else. */
import { resolve } from "node:path";
import { readConfig } from "../config/config-file.ts";
import { emptyConfig } from "../config/hiperiso-json.ts";
import { firstMatch } from "../config/overrides.ts";
import { resolveSettings, type SettingValues } from "../config/settings.ts";
import { PARAMETERS, type Settings } from "../contract/parameters.ts";
import { type Environment, expandTilde } from "../host/xdg.ts";
import { notBuiltYet } from "../machine/not-built-yet.ts";
import { refuseUnbuiltFlags } from "./boot-flags.ts";
import { standardLogDirectory } from "./log-directory.ts";

export interface Settled {
  readonly settings: Settings;
  /** For the person: somebody asked for it. */
  readonly warnings: readonly string[];
  /** For the session alone: a default of the contract that nobody asked for is not built yet. */
  readonly notes: readonly string[];
}

/**
 * Flags, then what `--config` says of this image, then its defaults, then this computer's. Throws (`usage`) on a flag that asks
 * for what is not built yet; what a configuration asks for in vain is a warning.
 */
export async function settle(image: string, said: SettingValues, config: string | undefined, env: Environment): Promise<Settled> {
  const parsed = config === undefined ? { config: emptyConfig, findings: [] } : await readConfig(config);
  const path = resolve(image);
  const { settings: resolved, origin } = resolveSettings({
    flags: said,
    overrides: firstMatch(parsed.config.isoOverrides, path)?.values ?? {},
    control: parsed.config.control,
    defaults: { logDir: standardLogDirectory(env) },
  });
  const settings: Settings = { ...resolved, iso: path, logDir: resolve(expandTilde(resolved.logDir, env)) };
  refuseUnbuiltFlags(said, settings);
  const warnings = parsed.findings.map(
    ({ where, line, column, path: key, message }) => `${where}:${line}:${column}: ${key === "" ? "" : `${key}: `}${message}`,
  );
  const notes: string[] = [];
  for (const [setting, value] of notBuiltYet(settings)) {
    const parameter = PARAMETERS.find((row) => row.setting === setting);
    (origin[setting] === "default" ? notes : warnings).push(
      `${parameter?.kernel?.slice("hiperiso_".length) ?? setting}=${value} is not built yet in this version: the boot goes on without it.`,
    );
  }
  return { settings, warnings, notes };
}
