/** What a menu is made from, and the plain one that lists the images: whoever makes a better one gives another `MakeMenu`. */
import { basename } from "node:path";
import type { Config } from "../config/hiperiso-json.ts";
import { STICK_ESP, STICK_ESP_LABEL } from "../contract/stick.ts";
import { grubWord } from "../formats/escape-grub.ts";
import type { EspFile } from "./esp-files.ts";

export interface MenuImage {
  /** From the data partition's root. */
  readonly path: string;
  readonly sizeBytes: bigint;
}

export interface MenuFacts {
  readonly images: readonly MenuImage[];
  readonly config: Config;
  /** The file's bytes, as they stand on the stick; undefined where there is none. */
  readonly configBytes: Uint8Array | undefined;
}

/** The files of the ESP that depend on images and configuration. */
export type MakeMenu = (facts: MenuFacts) => readonly EspFile[];

/** Each entry boots the recorder with one image. */
export const plainMenu: MakeMenu = ({ images, config }) => {
  const entries = images.flatMap(({ path }) => {
    if (!isGrubText(path)) return [];
    return [
      `menuentry ${grubWord(basename(path))} ${grubWord(path)} {`,
      `  linux ${STICK_ESP.kernel} "hiperiso_iso=$2"`,
      `  initrd ${STICK_ESP.initramfs}`,
      "}",
    ];
  });
  const head = [`set timeout=${config.menuTimeoutS}`, `search --no-floppy --set=root --label ${STICK_ESP_LABEL}`];
  const text = [
    ...head,
    ...(entries.length === 0 ? ["echo 'There are no images on this stick.'", "sleep --interruptible 60"] : entries),
    "",
  ].join("\n");
  return [{ path: STICK_ESP.menu, from: new TextEncoder().encode(text), generated: true }];
};

const isGrubText = (text: string): boolean => !/[\0-\x1f\x7f]|\p{Surrogate}/u.test(text);
