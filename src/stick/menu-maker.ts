/** What a menu is made from, and the files that it is made of. */
import { createHash } from "node:crypto";
import { CONFIG_FILE_BYTES_MAX, decodeConfig } from "../config/config-file.ts";
import { emptyConfig, type ParsedConfig } from "../config/hiperiso-json.ts";
import { STICK_DATA, STICK_ESP, type StickMenuFacts } from "../contract/stick.ts";
import type { EspFile } from "./esp-files.ts";
import { type MenuPlace, menuFunctions, ownPlace } from "./menu/menu-functions.ts";
import { menuScript } from "./menu/menu-script.ts";
import { type MenuImage, planStickMenu } from "./menu/stick-menu.ts";

export interface DatedImage extends MenuImage {
  readonly modifiedMs: number | null;
}

export interface MenuFacts {
  readonly diskGuid: string;
  readonly images: readonly DatedImage[];
  /** The file's bytes, as they stand on the stick; undefined where there is none. */
  readonly configBytes: Uint8Array | undefined;
  /** The last configuration that could be read, as it stands on the ESP. */
  readonly goodConfig: Uint8Array | undefined;
  /** Files of the theme by their names, the one that the configuration names first. */
  readonly theme: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

/** The files of the ESP that depend on images and configuration. */
export type MakeMenu = (facts: MenuFacts) => readonly EspFile[];

export interface MenuConfigInForce extends ParsedConfig {
  readonly bytes: Uint8Array | undefined;
  /** What stands on the stick is broken as a whole: `config` is of the last good one. */
  readonly keepsLastGood: boolean;
}

/** Which configuration the menu is made by. */
export function menuConfig(bytes: Uint8Array | undefined, good: Uint8Array | undefined): MenuConfigInForce {
  if (bytes === undefined) return { config: emptyConfig, findings: [], bytes, keepsLastGood: false };
  const there = decodeConfig(bytes, STICK_DATA.config);
  if (good === undefined || !there.findings.some(({ path, severity }) => path === "" && severity === "error"))
    return { ...there, bytes, keepsLastGood: false };
  return { config: decodeConfig(good, STICK_ESP.goodConfig).config, findings: there.findings, bytes: good, keepsLastGood: true };
}

/** The menu of a stick of ours. */
export const stickMenu: MakeMenu = (facts) => menuFiles(facts, ownPlace(facts.diskGuid));

/** The same for a stick whose runtime stands somewhere else. */
export function menuFiles(facts: MenuFacts, place: MenuPlace): readonly EspFile[] {
  const { images, configBytes, goodConfig, theme, diskGuid } = facts;
  const { config, findings, bytes, keepsLastGood } = menuConfig(configBytes, goodConfig);
  const menu = planStickMenu({ images, config, findings, keepsLastGood, diskGuid });
  const [themeFile] = theme;
  const themePath = themeFile === undefined ? undefined : `${place.folder}${STICK_ESP.menuTheme}/${themeFile.name}`;
  const described: StickMenuFacts = {
    version: 1,
    // The kernel's line has it in lower case, partition tables in upper.
    disk_guid: diskGuid.toUpperCase(),
    config_sha256: configBytes === undefined ? null : createHash("sha256").update(configBytes).digest("hex"),
    keeps_last_good: keepsLastGood,
    images: images.map(({ path, sizeBytes, modifiedMs, look }) => ({
      path,
      size_bytes: Number(sizeBytes),
      modified_ms: keptTime(modifiedMs),
      refusal: look?.refusal ?? null,
      direct: look === undefined ? null : look.direct.can ? mutable(look.direct) : look.direct,
    })),
  };
  const good = bytes !== undefined && bytes.length <= CONFIG_FILE_BYTES_MAX ? bytes : text("{}\n");
  return [
    { path: STICK_ESP.menuPart, from: text(menuScript(menu, place, themePath)) },
    { path: STICK_ESP.menu, from: text(menuFunctions(place)) },
    { path: STICK_ESP.debianMenu, from: text(DEBIAN_MENU) },
    { path: STICK_ESP.goodConfig, from: good },
    { path: STICK_ESP.menuFacts, from: text(`${JSON.stringify(described, null, 1)}\n`) },
    ...theme.map(({ name, bytes: from }) => ({ path: `${STICK_ESP.menuTheme}/${name}`, from })),
  ].map((file) => ({ ...file, generated: true }));
}

/** As every file system of a stick can keep it: exFAT counts in 10 ms, FAT in two seconds; a file that waits to be copied has finer ones. */
export const keptTime = (modifiedMs: number | null): number | null => (modifiedMs === null ? null : modifiedMs - (modifiedMs % 2000));

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const mutable = <Direct extends { readonly initrds: readonly string[]; readonly words: readonly string[] }>(direct: Direct) => ({
  ...direct,
  initrds: [...direct.initrds],
  words: [...direct.words],
});

/** `root` is the partition that it came from. */
const DEBIAN_MENU = `set prefix="($root)/EFI/debian"\nconfigfile "($root)${STICK_ESP.menu}"\n`;
