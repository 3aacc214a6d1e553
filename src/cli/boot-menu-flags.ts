/** The flags of `hiperiso boot` for the image's own menu: an entry of it started directly, and what its kernel is told besides. */
import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { SettingValues } from "../config/settings.ts";
import { HiperisoError } from "../contract/error.ts";
import type { MenuWish } from "../session/image-kernel.ts";

export interface MenuOptions {
  readonly kernelFromIso?: true | undefined;
  readonly entry?: string | undefined;
  readonly append?: string | undefined;
  readonly kernel?: string | undefined;
  readonly bootMode?: string | undefined;
}

/** `--append` is added with the flags of a kernel. */
export function addMenuFlags(command: CommandUnknownOpts): void {
  command.addOption(
    new Option(
      "--kernel-from-iso",
      "start the kernel of the image's own boot menu directly, with a serial console; the same as --boot-mode grub2",
    ),
  );
  command.addOption(new Option("--entry <name>", "with it: the entry, by number, id or title (default: what the menu starts by itself)"));
}

/** What the flags of this module say of a setting. Throws (kind `usage`) where they contradict others. */
export function menuSettings({ kernelFromIso, entry, bootMode, kernel }: MenuOptions): SettingValues {
  if (kernelFromIso === undefined && entry === undefined) return {};
  const flag = kernelFromIso === undefined ? "--entry" : "--kernel-from-iso";
  const against =
    kernel !== undefined ? "--kernel" : bootMode !== undefined && bootMode !== "grub2" ? `--boot-mode ${bootMode}` : undefined;
  if (against === undefined) return { bootMode: "grub2" };
  throw new HiperisoError({
    what: "understand the flags",
    where: flag,
    expected: `${flag} or ${against}`,
    found: "both",
    hint: `${flag} starts a kernel out of the image's own menu.`,
    kind: "usage",
  });
}

export const menuWishOf = ({ entry, append }: MenuOptions): MenuWish => ({ entry, append });
