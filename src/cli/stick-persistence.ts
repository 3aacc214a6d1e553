/** `hiperiso stick persistence`: a file on which a live system keeps its changes. */
import { lstat } from "node:fs/promises";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import type { StickPersistenceMade } from "../contract/stick-answers.ts";
import { decodeSize } from "../disk/partitions/partition-words.ts";
import { printable } from "../formats/escape-terminal.ts";
import { diskNumber } from "../image/image-facts.ts";
import { makePersistence } from "../stick/persistence.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";
import { idsOf, timeOf } from "./stick-target.ts";
import { byteSize } from "./terminal.ts";

export function persistenceCommand(cli: Cli): CommandUnknownOpts {
  return new Command("persistence")
    .summary("make a file on which a live system keeps its changes")
    .description("Make a file with an ext4 file system in it, on which a live system keeps its changes. The file is sparse.")
    .argument("<file>", "a file that is not there yet")
    .requiredOption("--size <size>", "64M, 4G")
    .option("--label <label>", "what the live system looks for: persistence (Debian), casper-rw or writable (Ubuntu), …", "persistence")
    .option("--ids-from <seed>", "its UUID from this text: with SOURCE_DATE_EPOCH the same bytes each time")
    .option("-f, --force", "replace a file that is there")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick persistence debian.dat --size 4G", "for Debian and what is made from it"],
        ["hiperiso stick add stick.img debian.dat --to /persistence", "onto a stick; hiperiso.json says for which image"],
      ]),
    )
    .action(async (path, { size, label, idsFrom, force, json }) => {
      const there = await lstat(path).catch(() => undefined);
      if (there !== undefined && !(force === true && there.isFile())) {
        const found = there.isFile() ? "one" : "something that is no file";
        const hint = there.isFile() ? { hint: "--force replaces it: what was kept on it is lost." } : {};
        throw new HiperisoError({
          what: "make a persistence image",
          where: path,
          expected: "no file of that name",
          found,
          kind: "usage",
          ...hint,
        });
      }
      const sizeBytes = decodeSize(size, "--size");
      await makePersistence({ path, sizeBytes, label, ids: idsOf(idsFrom), timeMs: timeOf(cli.env).ms }, cli.env, cli.job);
      if (json === true) return cli.json({ path, label, sizeBytes: diskNumber(sizeBytes) } satisfies StickPersistenceMade);
      cli.out(`${printable(path)}: ext4 "${printable(label)}", ${byteSize(Number(sizeBytes))}\n`);
    });
}
