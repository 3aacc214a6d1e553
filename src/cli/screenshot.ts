/** `hiperiso screenshot`: a picture of a running guest's screen. */
import { copyFile, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, extname, join, resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { keepAskedPicture, pictureOf } from "../session/asked-picture.ts";
import type { LivingGuest } from "../session/living.ts";
import type { Cli } from "./cli.ts";
import { LOG_DIR_OPTION, livingGuestOf } from "./living-session.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("screenshot")
    .description(
      "Takes a picture of a running guest's screen and prints its path. Without a file it is kept in the session and shown in its report.",
    )
    .argument("[file]", "where it is written (.png, or .ppm where QEMU writes no PNG)")
    .option("--session <session>", "its id, the beginning of it, or its directory; the one that runs without it")
    .option(...LOG_DIR_OPTION)
    .addHelpText("after", () => examplesText([["hiperiso screenshot now.png", "of the one session that runs"]]))
    .action(async (file, { session, logDir }) => {
      const guest = await livingGuestOf(cli, session, logDir);
      const path = file === undefined ? join(guest.directory, await keepAskedPicture(guest)) : await saveAs(guest, resolve(file));
      cli.out(`${printable(path)}\n`);
    });
}

/** QEMU writes it to a private folder: what stands under the name that was asked for is the whole picture or what was there before. */
async function saveAs(guest: LivingGuest, path: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "hiperiso-"));
  const temporary = join(dirname(path), `.${process.pid}.screenshot.tmp`);
  try {
    const file = await pictureOf(guest, folder, "screen");
    if (extname(file) !== extname(path).toLowerCase()) {
      const found = `${extname(path) || "no ending"}: this QEMU gives a ${extname(file).slice(1)}`;
      throw new HiperisoError({
        what: "save a picture",
        where: path,
        expected: `a name that ends with ${extname(file)}`,
        found,
        kind: "usage",
      });
    }
    await copyFile(join(folder, file), temporary);
    await rename(temporary, path);
    return path;
  } finally {
    await rm(temporary, { force: true });
    await rm(folder, { recursive: true, force: true });
  }
}
