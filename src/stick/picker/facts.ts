/** What the picker shows and what it answers: values, read elsewhere. Text in them is as it stood in files and names; the screen escapes it. */
import { basename } from "node:path";
import type { Config } from "../../config/hiperiso-json.ts";
import { firstMatch, matchesPath } from "../../config/overrides.ts";
import type { SettingValues } from "../../config/settings.ts";
import type { SettingName } from "../../contract/parameters.ts";
import type { ImageFacts } from "../../image/image-facts.ts";
import type { BootMenus } from "../../image/menus/boot-entry.ts";
import type { ListedImage } from "../list.ts";
import type { StickSession } from "../sessions.ts";

/** Settings of which a list may hold the values: files to choose from. */
export type ListedSetting = Extract<SettingName, "autoInstall" | "persistence" | "dud" | "injection" | "confReplace">;

/** Settings that go together under a name: one of several unattended installs, with or without a persistence file. */
export interface PickerEntry {
  readonly name: string;
  readonly settings: SettingValues;
}

export interface PickerImage extends Pick<ListedImage, "path" | "sizeBytes" | "modifiedMs" | "state" | "sha256"> {
  /** Its alias, or the file's name. */
  readonly title: string;
  readonly tip: string | undefined;
  /** Its password is asked for before it is booted. */
  readonly isLocked: boolean;
  /** Asked for before it is booted, where there are any: one of them, or none. */
  readonly entries: readonly PickerEntry[];
}

/** The verdict of one session, as far as the picker tells it. */
export interface PickerSession {
  readonly id: string;
  readonly state: StickSession["state"];
  readonly imagePath: string;
  readonly startUtc: string;
  readonly result: string | undefined;
  readonly stage: string | undefined;
  readonly domain: string | undefined;
  readonly durationMs: number | undefined;
}

/** A way out of the picker other than booting an image. */
export interface PickerWayOut {
  readonly id: string;
  readonly title: string;
}

export interface PickerFacts {
  /** Names the stick: its label, or the image file. */
  readonly title: string;
  /** In the order in which they are shown. */
  readonly images: readonly PickerImage[];
  /** Newest first. */
  readonly sessions: readonly PickerSession[];
  readonly freeBytes: bigint | undefined;
  /** Files on the data partition that a setting could name. */
  readonly files: Readonly<Partial<Record<ListedSetting, readonly string[]>>>;
  readonly config: Config;
  /** What the boot menu, or whoever calls, has said for this boot already. */
  readonly said: SettingValues;
  /** One line each: what the person should know of the stick (a broken configuration, a record that is damaged). */
  readonly notes: readonly string[];
  /** The first one is marked at first. Ctrl-C chooses the last. */
  readonly waysOut: readonly PickerWayOut[];
}

/** What was found inside an image, or why nothing was. */
export type ImageLook =
  | { readonly type: "read"; readonly facts: ImageFacts; readonly menus: BootMenus }
  | { readonly type: "unreadable"; readonly because: string };

export type PickerChoice =
  /** `settings`: only what the person, or the boot menu before, said for this boot; the recorder resolves the rest. */
  { readonly type: "boot"; readonly path: string; readonly settings: SettingValues } | { readonly type: "leave"; readonly way: string };

/** Images as the boot menu shows them: hidden ones left out, and those that lie too deep; what is gone at the end. */
export function pickerImages(images: readonly ListedImage[], config: Config): readonly PickerImage[] {
  const { menu, menuAlias, menuTip, choices } = config;
  return images
    .filter(
      ({ path, state }) =>
        firstMatch(menu.hiddenImages.map(patternOf), path) === undefined && (state !== "copied" || !isTooDeep(path, menu)),
    )
    .map(({ path, sizeBytes, modifiedMs, state, sha256 }) => ({
      path,
      sizeBytes,
      modifiedMs,
      state,
      sha256,
      title: firstMatch(menuAlias, path)?.alias ?? basename(path),
      tip: firstMatch(menuTip, path)?.tip,
      isLocked: firstMatch(menu.imagePasswords, path) !== undefined,
      entries: (firstMatch(choices, path)?.entries ?? []).map(({ name, values }) => ({ name, settings: values })),
    }))
    .sort((a, b) => Number(a.state === "missing") - Number(b.state === "missing"));
}

const patternOf = (pattern: string) => ({ pattern });

function isTooDeep(path: string, { imageFolders, imageDepth }: Config["menu"]): boolean {
  return imageFolders.every((folder) => {
    const inside = folder === "/" ? path : path.startsWith(`${folder}/`) ? path.slice(folder.length) : undefined;
    return inside === undefined || inside.split("/").length - 2 > imageDepth;
  });
}

/** The image that is marked at first, as the configuration has it. */
export const standardImage = ({ images, config }: Pick<PickerFacts, "images" | "config">): string | undefined =>
  config.menu.defaultImage === undefined ? undefined : images.find(({ path }) => matchesPath(config.menu.defaultImage ?? "", path))?.path;

/** Newest first. */
export function pickerSessions(sessions: readonly StickSession[]): readonly PickerSession[] {
  return sessions
    .map(({ id, state, line, session }): PickerSession => {
      const ended = session !== undefined && session.status !== "started" ? session : undefined;
      return {
        id,
        state,
        imagePath: session?.iso_path ?? line?.iso_path ?? "",
        startUtc: session?.start_time_utc ?? line?.start_time_utc ?? "",
        result: ended?.result ?? line?.result,
        stage: ended?.analysis.boot_stage_final ?? line?.boot_stage_final,
        domain: ended?.analysis.failure_domain ?? line?.failure_domain,
        durationMs: ended?.analysis.boot_duration_ms,
      };
    })
    .reverse();
}
