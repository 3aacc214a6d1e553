/** The variables of GRUB's menus: what a script starts with, and what a menu in a menu takes over. */
import type { GrubStart } from "./grub-menu.ts";
import { parentOf } from "./menu-paths.ts";

interface Variable {
  readonly value: string;
  readonly exported: boolean;
}

/** The variables of one menu. */
export class GrubContext {
  readonly variables: Map<string, Variable>;
  constructor(variables: Iterable<readonly [string, Variable]> = []) {
    this.variables = new Map(variables);
  }

  get(name: string): string {
    return this.variables.get(name)?.value ?? "";
  }

  set(name: string, value: string, exported = this.variables.get(name)?.exported ?? false): void {
    this.variables.set(name, { value, exported });
  }

  copy(): GrubContext {
    return new GrubContext(this.variables);
  }

  /** What a menu of its own starts with. */
  opened(): GrubContext {
    return new GrubContext([...this.variables].filter(([, { exported }]) => exported));
  }
}

/** GRUB's features that scripts ask for before they use them. */
const FEATURES = [
  "feature_chainloader_bpb",
  "feature_ntldr",
  "feature_platform_search_hint",
  "feature_default_font_path",
  "feature_all_video_module",
  "feature_menuentry_id",
  "feature_menuentry_options",
  "feature_200_final",
  "feature_nativedisk_cmd",
  "feature_timeout_style",
];

export function firstContext({ script, platform, variables }: GrubStart): GrubContext {
  const folder = parentOf(script.path);
  const device = `(${script.disk.name})`;
  const own: Readonly<Record<string, string>> = {
    root: script.disk.name,
    prefix: `${device}${folder === "/" ? "" : folder}`,
    cmdpath: device,
    config_file: `${device}${script.path}`,
    config_directory: `${device}${folder === "/" ? "" : folder}`,
    grub_platform: platform,
    grub_cpu: platform === "efi" ? "x86_64" : "i386",
    ...Object.fromEntries(FEATURES.map((name) => [name, "y"])),
    ...variables,
  };
  const context = new GrubContext();
  for (const [name, value] of Object.entries(own)) context.set(name, value, true);
  return context;
}
