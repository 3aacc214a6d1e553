/** `hiperiso inspect`: what an image is, without booting it. */

import { basename, resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { printable } from "../formats/escape-terminal.ts";
import { STANDARD_RULES } from "../image/disk-format.ts";
import { renderImageFacts, section } from "../image/image-text.ts";
import type { BootEntry } from "../image/menus/boot-entry.ts";
import { renderBootMenus } from "../image/menus/menu-text.ts";
import { openBootMenus } from "../image/menus/open-menus.ts";
import { openImageFacts } from "../image/probe.ts";
import { virtInstallCommand } from "../machine/virt-install.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("inspect")
    .description("Say what an image is, what is inside, and what can boot it: from its bytes, never from its name. Nothing is written.")
    .argument("<image>", "a file or a disk")
    .option("--json", "print the facts as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso inspect debian.iso", "a page to read"],
        ["hiperiso inspect --json debian.iso | jq .boots.uefi.usb", "can UEFI start it from a USB stick, and why"],
        ["hiperiso inspect /dev/sdb", "a stick as it is plugged in"],
      ]),
    )
    .action(async (path, { json }) => {
      const facts = await openImageFacts(path, cli.job.signal);
      const menus = await openBootMenus(path, facts, STANDARD_RULES, cli.job.signal);
      const virtInstall = virtInstallOf(path, menus.standard);
      if (json === true)
        cli.json({ ...facts, menus, virtInstall: virtInstall !== null && "command" in virtInstall ? virtInstall.command : null });
      else
        cli.out([renderImageFacts(facts), renderBootMenus(menus), virtInstallText(virtInstall)].filter((text) => text !== "").join("\n"));
    });
}

type VirtInstall = ReturnType<typeof virtInstallCommand> | null;

function virtInstallOf(path: string, entry: BootEntry | null): VirtInstall {
  if (entry === null || entry.kernel === null) return null;
  return virtInstallCommand(resolve(path), basename(path).replace(/\.[^.]*$/, ""), { ...entry, kernel: entry.kernel });
}

/** As it can be pasted; what no shell should be given is shown as it is and not escaped a second time. */
function virtInstallText(answer: VirtInstall): string {
  if (answer === null) return "";
  return section("By virt-install", ["command" in answer ? printable(answer.command) : `not: ${answer.whyNot}`]);
}
