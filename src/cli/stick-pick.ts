/** `hiperiso stick pick`: the stick's own picker, on this computer. */
import { basename } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { EXIT } from "../contract/error.ts";
import { flagOf, PARAMETERS } from "../contract/parameters.ts";
import { printable } from "../formats/escape-terminal.ts";
import { openConsole } from "../host/console.ts";
import type { StickData } from "../stick/data.ts";
import type { PickerChoice } from "../stick/picker/facts.ts";
import { pick } from "../stick/picker/pick.ts";
import { lookIntoImage, readPickerFacts } from "../stick/picker/read-facts.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";
import { openDataForReading, stickAndWords, withMounted } from "./stick-target.ts";

const WAYS_OUT = [{ id: "left", title: "Leave" }] as const;

export function pickCommand(cli: Cli): CommandUnknownOpts {
  return withMounted(
    new Command("pick")
      .summary("the stick's picker, on this computer")
      .description(
        "Show the picker that the stick shows, with its images, their details and settings, and its sessions. Nothing is written to the stick. Prints what\nwas chosen, as `hiperiso boot` would be told. Exit status 1 when nothing was.",
      )
      .argument("[stick]", "its image or device"),
  )
    .option("--json", "print the choice as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick pick stick.img", "look around on a stick"],
        ["hiperiso stick pick --mounted /media/me/HIPERISO", "where the system has mounted it"],
      ]),
    )
    .action(async (place, { json, mounted }) => {
      const { stick } = stickAndWords(place === undefined ? [] : [place], { mounted });
      await using opened = await openDataForReading(cli, stick, { mounted });
      const { data } = opened;
      const choice = await pickOn(cli, data, basename(stick ?? mounted ?? ""));
      if (choice.type === "leave") {
        if (json === true) cli.json({ image: null, settings: {} });
        cli.exit(EXIT.goalMissed);
      } else if (json === true) cli.json({ image: choice.path, settings: choice.settings });
      else cli.out(`${[choice.path, ...settingWords(choice)].map((word) => printable(word)).join("\n")}\n`);
    });
}

async function pickOn(cli: Cli, data: StickData, title: string): Promise<PickerChoice> {
  const facts = await readPickerFacts(data, { title, said: {}, waysOut: WAYS_OUT }, cli.job);
  await using terminal = openConsole({ term: cli.env["TERM"], noColour: (cli.env["NO_COLOR"] ?? "") !== "" });
  return await pick({ facts, look: (path, signal) => lookIntoImage(data, path, signal) }, [terminal], cli.job.signal);
}

/** The flags of `hiperiso boot` that say what was changed for this once. */
export function settingWords({ settings }: Extract<PickerChoice, { type: "boot" }>): readonly string[] {
  return PARAMETERS.flatMap((parameter) => {
    const value = settings[parameter.setting];
    if (value === undefined || value === false) return [];
    return [value === true ? flagOf(parameter) : `${flagOf(parameter)}=${value}`];
  });
}
