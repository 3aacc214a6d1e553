/** The settings of one boot on the stick: the boot menu and the picker, `iso_overrides`, `control`, the contract's defaults (CONTRACT section 1). Pure. */
import type { Config } from "../../config/hiperiso-json.ts";
import { firstMatch } from "../../config/overrides.ts";
import { resolveSettings, type SettingValues } from "../../config/settings.ts";
import { PARAMETERS, type Settings } from "../../contract/parameters.ts";
import { notBuiltYet } from "../../machine/not-built-yet.ts";
import { onHost, type StickPlaces } from "./places.ts";

export interface StickSettings {
  /** Paths are this computer's. */
  readonly settings: Settings;
  /** For the person and the session: somebody asked for it. */
  readonly warnings: readonly string[];
  /** For the session alone. */
  readonly notes: readonly string[];
}

export interface StickSettingsQuestion {
  /** From the data partition's root. */
  readonly image: string;
  /** By the boot menu or the picker, for this boot. */
  readonly said: SettingValues;
  readonly config: Config;
  readonly places: StickPlaces;
  /** MB; 0 where the kernel does not tell. */
  readonly totalRamMb: number;
}

/** What the stick's own system, QEMU beside the guest's memory, and files in memory need at least. */
const RAM_KEPT_MB = 640;
/** A guest with less is not what was asked for: then the boot is refused, as on a workstation. */
const RAM_MIN_MB = 256;

/** What this computer cannot do is left out with a warning, where the boot makes sense without it: nobody can mend a configuration at a boot. */
export function stickSettings({ image, said, config, places, totalRamMb }: StickSettingsQuestion): StickSettings {
  const { settings: resolved, origin } = resolveSettings({
    flags: said,
    overrides: firstMatch(config.isoOverrides, image)?.values ?? {},
    control: config.control,
  });
  const warnings: string[] = [];
  const notes: string[] = [];
  for (const [setting, value] of notBuiltYet(resolved)) {
    const name = PARAMETERS.find((row) => row.setting === setting)?.kernel?.slice("hiperiso_".length) ?? setting;
    (origin[setting] === "default" ? notes : warnings).push(
      `${name}=${value} is not built yet in this version: the boot goes on without it.`,
    );
  }
  let { display, guestRam } = resolved;
  if (display === "gtk") {
    warnings.push(
      "display=gtk: a window has no room on the stick's boot partition. The guest's screen is shown here as a coarse picture of text; display=vnc shows it to a VNC client.",
    );
    display = "none";
  }
  const ramMax = totalRamMb - RAM_KEPT_MB;
  if (totalRamMb > 0 && guestRam > ramMax && ramMax >= RAM_MIN_MB) {
    warnings.push(
      `guest_ram=${guestRam}: this computer has ${totalRamMb} MB and the stick's own system needs ${RAM_KEPT_MB}; the guest gets ${ramMax} MB.`,
    );
    guestRam = ramMax;
  }
  const place = (path: string | undefined): string | undefined => (path === undefined ? undefined : onHost(places, path));
  const settings: Settings = {
    ...resolved,
    iso: onHost(places, image),
    logDir: onHost(places, resolved.logDir),
    autoInstall: place(resolved.autoInstall),
    persistence: place(resolved.persistence),
    dud: place(resolved.dud),
    injection: place(resolved.injection),
    display,
    guestRam,
  };
  return { settings, warnings, notes };
}
