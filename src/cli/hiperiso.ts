#!/usr/bin/env node
import { COMMANDS } from "./commands.ts";
import { main } from "./program.ts";

await main({
  name: "hiperiso",
  description: "Boots any image in QEMU, records the boot as a session, and explains what happened.",
  commands: COMMANDS,
  examples: [
    ["hiperiso boot debian.iso", "boot an image until its login prompt and say what happened"],
    ["hiperiso boot stick.img --as usb --firmware bios", "the same image as an old computer would see it"],
    ["hiperiso inspect debian.iso", "what is inside, without booting it"],
    ["hiperiso report", "the last boot's report again"],
  ],
});
