/** `hiperiso inspect`: what an image is, without booting it. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { renderImageFacts } from "../image/image-text.ts";
import { openImageFacts } from "../image/probe.ts";
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
      if (json === true) cli.json(facts);
      else cli.out(renderImageFacts(facts));
    });
}
