/** `hiperiso stick password`: a password as the menu keeps it, so that nobody reads it in `hiperiso.json`. */
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { hashPassword } from "../stick/menu/grub-password.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

const SALT_BYTES = 64;

export function passwordCommand(cli: Cli, input: NodeJS.ReadableStream & { readonly isTTY?: boolean } = process.stdin): CommandUnknownOpts {
  return new Command("password")
    .summary("hash a password for a stick's menu")
    .description(
      "Print a password as GRUB keeps it (PBKDF2), for menu_password and image_passwords of hiperiso.json. It is asked for, or read from the first line of standard input.",
    )
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick password", "asks for it, and shows nothing of what is typed"],
        ["hiperiso stick password < password.txt", "the first line of a file"],
      ]),
    )
    .action(async () => {
      const password = await firstLine(cli, input);
      if (!/^[ -~]{1,200}$/.test(password ?? "")) {
        throw new HiperisoError({
          what: "take the password",
          expected: "1 to 200 letters of ASCII: the menu's keyboard has no others",
          found: password === undefined || password === "" ? "nothing" : "others, or more",
          kind: "usage",
        });
      }
      cli.out(`${hashPassword(password!, randomBytes(SALT_BYTES))}\n`);
    });
}

/** Undefined where there is none. What is typed at a terminal is not shown. */
async function firstLine(cli: Cli, input: NodeJS.ReadableStream & { readonly isTTY?: boolean }): Promise<string | undefined> {
  const terminal = input.isTTY === true;
  if (terminal) cli.status("Password: ");
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal });
  const stop = () => lines.close();
  lines.once("SIGINT", stop);
  cli.job.signal.addEventListener("abort", stop);
  try {
    for await (const line of lines) return line;
    cli.job.signal.throwIfAborted();
    return undefined;
  } finally {
    cli.job.signal.removeEventListener("abort", stop);
    lines.close();
    if (terminal) cli.status("");
  }
}
