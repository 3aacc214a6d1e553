import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";

export function command(): CommandUnknownOpts {
  return new Command("trace")
    .description("Decodes a QEMU trace. Not built yet.")
    .argument("<trace.bin>", "the trace")
    .option("--format <format>", "json, csv or text")
    .action((path) => {
      throw new HiperisoError({
        what: "decode a trace",
        where: path,
        found: "a command that is not built yet",
        hint: "QEMU's own scripts/simpletrace.py reads trace.bin meanwhile.",
        kind: "usage",
      });
    });
}
