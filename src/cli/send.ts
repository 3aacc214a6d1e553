/** `hiperiso send`: types a line into the serial console of a running guest. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { typeInto } from "../session/living.ts";
import type { Cli } from "./cli.ts";
import { LOG_DIR_OPTION, livingGuestOf } from "./living-session.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("send")
    .description("Types text and Enter into the serial console of a running guest.")
    .argument("<text>", "what is typed, as it is")
    .option("--session <session>", "its id, the beginning of it, or its directory; the one that runs without it")
    .option("--no-enter", "without Enter behind it")
    .option(...LOG_DIR_OPTION)
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso send root", "log in, where one session runs"],
        ["hiperiso send --no-enter $'\\x03'", "Ctrl-C"],
      ]),
    )
    .action(async (text, { session, enter, logDir }) => {
      const guest = await livingGuestOf(cli, session, logDir);
      await typeInto(guest, new TextEncoder().encode(enter ? `${text}\r` : text), cli.job.signal);
    });
}
