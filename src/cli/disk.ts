/** `hiperiso disk`: disks and images looked into, changed, checked and repaired without mounting. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "./cli.ts";
import { checkCommand, repairCommand } from "./disk-check.ts";
import { copyCommand, makeFolderCommand, removeCommand } from "./disk-copy.ts";
import { devicesCommand } from "./disk-devices.ts";
import { catCommand, listCommand } from "./disk-files.ts";
import { makeGptCommand, makeMbrCommand, makeVolumeCommand } from "./disk-make.ts";
import { showCommand } from "./disk-show.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("disk")
    .description(
      "Look into disks and images, copy files in and out, check and repair them, without mounting anything. A place is named\nIMAGE-OR-DEVICE[:PARTITION][/PATH].",
    )
    .addCommand(showCommand(cli))
    .addCommand(listCommand(cli))
    .addCommand(catCommand(cli))
    .addCommand(copyCommand(cli))
    .addCommand(makeFolderCommand(cli))
    .addCommand(removeCommand(cli))
    .addCommand(checkCommand(cli))
    .addCommand(repairCommand(cli))
    .addCommand(makeVolumeCommand(cli))
    .addCommand(makeGptCommand(cli))
    .addCommand(makeMbrCommand(cli))
    .addCommand(devicesCommand(cli))
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk show stick.img", "its partitions and what is in them"],
        ["hiperiso disk ls -l stick.img:1/ISOs", "files of a folder on its first partition"],
        ["hiperiso disk cat /dev/sdb:1/hiperiso/hiperiso.json", "a file, without mounting the stick"],
        ["hiperiso disk cp debian.iso stick.img:1/ISOs/", "a file into it"],
        ["hiperiso disk check stick.img", "is anything wrong with it"],
        ["hiperiso disk devices", "the disks of this computer, and which could be written"],
      ]),
    );
}
