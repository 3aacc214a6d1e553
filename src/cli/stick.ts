/** `hiperiso stick`: a USB stick that carries images, boots one recorded, and brings the evidence home. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";
import { adoptCommand } from "./stick-adopt.ts";
import { configCommand, updateCommand, verifyCommand } from "./stick-check.ts";
import { createCommand } from "./stick-create.ts";
import { addCommand, listCommand, removeCommand } from "./stick-images.ts";
import { passwordCommand } from "./stick-password.ts";
import { persistenceCommand } from "./stick-persistence.ts";
import { pickCommand } from "./stick-pick.ts";
import { pullCommand } from "./stick-pull.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("stick")
    .description("Make and keep a stick that carries images, boots one recorded, and brings the evidence home.")
    .addCommand(createCommand(cli))
    .addCommand(addCommand(cli))
    .addCommand(removeCommand(cli))
    .addCommand(listCommand(cli))
    .addCommand(verifyCommand(cli))
    .addCommand(updateCommand(cli))
    .addCommand(configCommand(cli))
    .addCommand(pullCommand(cli))
    .addCommand(pickCommand(cli))
    .addCommand(persistenceCommand(cli))
    .addCommand(passwordCommand(cli))
    .addCommand(adoptCommand(cli))
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick create stick.img --iso debian.iso", "a stick as an image file"],
        ["hiperiso stick add stick.img ubuntu.iso", "one more image on it"],
        ["hiperiso stick verify stick.img", "is all of it as it was written"],
        ["hiperiso stick pull stick.img", "bring home what it recorded"],
      ]),
    );
}
