/** What the settings of one boot are, and who said so: flags, `hiperiso.json`, this computer. Reads the configuration and nothing else. */
import { isAbsolute, resolve } from "node:path";
import { readConfig } from "../config/config-file.ts";
import { emptyConfig } from "../config/hiperiso-json.ts";
import { firstMatch } from "../config/overrides.ts";
import { resolveSettings, type SettingValues } from "../config/settings.ts";
import { PARAMETERS, type Settings } from "../contract/parameters.ts";
import { printable } from "../formats/escape-terminal.ts";
import { type Environment, expandTilde, tildify } from "../host/xdg.ts";
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

/** `env.txt`: the settings in force and facts of the host, never the process environment. Control characters become escapes: a line is a value. */
export function environmentLines(
  settings: Settings,
  host: Readonly<Record<string, unknown>>,
  env: Environment,
): ReadonlyMap<string, string> {
  const lines = new Map<string, string>();
  for (const { setting, kernel, value } of PARAMETERS) {
    const said = settings[setting];
    const text =
      said === undefined
        ? ""
        : value.type === "switch"
          ? said
            ? "1"
            : "0"
          : value.type === "path"
            ? tildify(String(said), env)
            : String(said);
    lines.set(kernel ?? `hiperiso_${setting}`, printable(text));
  }
  for (const [name, value] of Object.entries(host)) lines.set(`host_${name}`, printable(String(value)));
  return lines;
}

/** Where private files go. Not /tmp: the overlay that takes a guest's writes may be larger than the memory that is behind /tmp on many computers. */
export const scratchRoot = (env: Environment): string =>
  env["TMPDIR"] !== undefined && isAbsolute(env["TMPDIR"]) ? env["TMPDIR"] : "/var/tmp";
