/** `hiperiso rerun`: the boot of a session once more, with changes. */
import { dirname } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { findSession } from "../session/catalogue.ts";
import { command as bootCommand } from "./boot.ts";
import { bootRequestSchema, splitChanges, wordsAgain } from "./boot-words.ts";
import type { Cli } from "./cli.ts";
import { logDirectoryOf } from "./log-directory.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  const rerun = new Command("rerun")
    .description(
      "Boots once more what a session booted, as it was asked for then, into a new session beside it.\nChanges are flags of `hiperiso boot`; one that is said takes the place of all its old values.",
    )
    .argument("<session>", "its id, the beginning of it, or its directory")
    .argument("[changes...]", "flags of `hiperiso boot`, and another image")
    .allowUnknownOption()
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso rerun demo.iso_2026", "the same once more"],
        ["hiperiso rerun demo.iso_2026 --firmware bios --ram 4096", "in an older computer with more memory"],
      ]),
    );
  // Flags here are boot's: which of them take a value stands in its table alone.
  return rerun.action(async () => {
    const boot = bootCommand(cli);
    const {
      operands: [reference, image, ...more],
      changes,
    } = splitChanges(rerun.args, boot);
    if (more.length > 0) {
      throw new HiperisoError({
        what: "boot a session again",
        expected: "a session and at most one image",
        found: more.join(" "),
        kind: "usage",
      });
    }
    const logDir = changes.find(({ flag }) => flag === "--log-dir")?.value ?? undefined;
    const entry = await findSession(logDirectoryOf(logDir, cli.env), reference);
    const request = bootRequestSchema.safeParse(entry.session["request"]).data;
    if (request === undefined) {
      throw new HiperisoError({
        what: "boot a session again",
        where: entry.directory,
        expected: "a session of `hiperiso boot`",
        found: "one that does not say what was asked for",
        kind: "usage",
      });
    }
    const lost = request.masked.find((flag) => changes.every((change) => change.flag !== flag));
    if (lost !== undefined) {
      throw new HiperisoError({
        what: "boot a session again",
        where: entry.directory,
        expected: `${lost} as it was`,
        found: "a value in which a name or a secret was masked",
        hint: `Say ${lost} anew.`,
        kind: "usage",
      });
    }
    const place = logDir === undefined ? [{ flag: "--log-dir", value: dirname(entry.directory) }] : [];
    boot.copyInheritedSettings(rerun);
    await boot.parseAsync(wordsAgain(request, image, [...changes, ...place], cli.env), { from: "user" });
  });
}
