/** `hiperiso attach`: a running guest's serial console as one's own terminal. */

import { setTimeout as delay } from "node:timers/promises";
import type { ReadStream } from "node:tty";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { ScreenFilter } from "../formats/escape-screen.ts";
import { printable, TerminalFilter } from "../formats/escape-terminal.ts";
import { followConsole, type LivingGuest, lastLinesOffset, openConsoleInput, wrote } from "../session/living.ts";
import type { Cli } from "./cli.ts";
import { LOG_DIR_OPTION, livingGuestOf, SESSION_ARGUMENT } from "./living-session.ts";
import { examplesText } from "./program.ts";

/** What of the past is shown first. */
const BACKLOG_BYTES = 4096;

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("attach")
    .description(
      "Connects this terminal to the serial console of a running guest: what is typed goes there, Ctrl-C too. Ctrl-] leaves; the guest runs on, and is recorded on.",
    )
    .argument(...SESSION_ARGUMENT)
    .option("--escape <key>", "the key that leaves: ctrl- and a letter or one of [ \\ ] ^ _", "ctrl-]")
    .option("--read-only", "look and do not touch")
    .option("--from-start", "show all that was said since the guest started")
    .option(...LOG_DIR_OPTION)
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso boot debian-live.iso --until never", "in one terminal,"],
        ["hiperiso attach", "in another"],
      ]),
    )
    .action(async (reference, { escape: escapeKey, readOnly, fromStart, logDir }) => {
      const leave = escapeByte(escapeKey);
      const guest = await livingGuestOf(cli, reference, logDir);
      const offset = fromStart === true ? 0 : await lastLinesOffset(guest, BACKLOG_BYTES);
      cli.err(`Attached to ${printable(guest.directory)}. ${readOnly === true ? "Ctrl-C leaves." : `${printable(escapeKey)} leaves.`}`);
      const why = await attach(cli, guest, { offset, leave, readOnly: readOnly === true, input: process.stdin });
      cli.err(why === "left" ? "Left; the guest runs on." : "The guest has ended.");
    });
}

/** Ctrl- and a key is that key's code without its upper three bits (ASCII's C0). */
function escapeByte(name: string): number {
  const key = /^(?:ctrl-|\^)([a-z[\\\]^_])$/i.exec(name)?.[1];
  if (key !== undefined) return key.toUpperCase().charCodeAt(0) & 0x1f;
  throw new HiperisoError({
    what: "understand the flags",
    where: "--escape",
    expected: "ctrl- and a letter or one of [ \\ ] ^ _",
    found: `"${printable(name)}"`,
    kind: "usage",
  });
}

interface Attachment {
  readonly offset: number;
  readonly leave: number;
  readonly readOnly: boolean;
  readonly input: NodeJS.ReadStream;
}

/** Until the guest ends or the person leaves. The terminal is as it was before, however this ends. */
async function attach(cli: Cli, guest: LivingGuest, { offset, leave, readOnly, input }: Attachment): Promise<"left" | "ended"> {
  const over = new AbortController();
  const left = () => over.abort();
  cli.job.signal.addEventListener("abort", left, { once: true });
  // A menu is drawn on a terminal; into a file or a pipe goes text.
  const filter = process.stdout.isTTY === true ? new ScreenFilter() : new TerminalFilter({ colours: cli.colourOut });
  using raw = readOnly ? undefined : rawTerminal(input);
  const typing = readOnly ? undefined : typeThrough(guest, input, leave, over).catch((error: unknown) => over.abort(error));
  try {
    for await (const bytes of followConsole(guest, offset, over.signal)) cli.out(filter.write(bytes));
    if (over.signal.reason instanceof HiperisoError) throw over.signal.reason;
    return over.signal.aborted ? "left" : "ended";
  } finally {
    over.abort();
    cli.job.signal.removeEventListener("abort", left);
    raw?.[Symbol.dispose](); // a stream that is closed cannot be told any more
    input.destroy(); // a read that still waits would keep the program alive
    await typing;
    cli.out(filter.end());
  }
}

/** Keys come one by one and unread by the terminal's driver, Ctrl-C as well. Does nothing where the input is no terminal. */
function rawTerminal(input: NodeJS.ReadStream): Disposable {
  if (!input.isTTY) return { [Symbol.dispose]: () => {} };
  const terminal = input as ReadStream;
  let isRaw = true;
  const restore = () => {
    if (isRaw) terminal.setRawMode(false);
    isRaw = false;
    process.removeListener("exit", restore);
  };
  terminal.setRawMode(true);
  process.once("exit", restore); // also where the program ends by a second signal
  return { [Symbol.dispose]: restore };
}

/** The end of a pipe leaves the console open to be read: `echo root | hiperiso attach`. A terminal's end is the person's leaving. */
async function typeThrough(guest: LivingGuest, input: NodeJS.ReadStream, leave: number, over: AbortController): Promise<void> {
  await using console_ = await openConsoleInput(guest);
  const { signal } = over;
  const isTerminal = input.isTTY === true;
  signal.addEventListener("abort", () => input.destroy(), { once: true });
  try {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      const at = isTerminal ? chunk.indexOf(leave) : -1;
      const typed = at < 0 ? chunk : chunk.subarray(0, at);
      for (let from = 0; from < typed.length; from += 512) {
        while (!(await wrote(console_, typed.subarray(from, from + 512)))) await delay(20, undefined, { signal });
      }
      if (at >= 0) return over.abort();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  if (isTerminal) over.abort();
}
