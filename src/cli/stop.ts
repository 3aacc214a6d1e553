/** `hiperiso stop`: ends a running guest in order, so that its session is closed as any other. */
import { setTimeout as delay } from "node:timers/promises";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { printable } from "../formats/escape-terminal.ts";
import { untilClosed, withMonitor } from "../session/living.ts";
import type { Cli } from "./cli.ts";
import { LOG_DIR_OPTION, livingGuestOf, SESSION_ARGUMENT } from "./living-session.ts";
import { examplesText } from "./program.ts";
import { secondsOf } from "./seconds.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("stop")
    .description("Presses a running guest's power button, switches it off if that does not help, and waits until its session is closed.")
    .argument(...SESSION_ARGUMENT)
    .option("--patience <seconds>", "how long the guest may take to shut down", secondsOf("--patience"), 30)
    .option("--now", "switch it off at once")
    .option(...LOG_DIR_OPTION)
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stop", "the one session that runs"],
        ["hiperiso stop demo.iso_2026 --now", "the one whose id begins so, at once"],
      ]),
    )
    .action(async (reference, { patience, now, logDir }) => {
      const guest = await livingGuestOf(cli, reference, logDir);
      const { signal } = cli.job;
      await withMonitor(guest, async (qmp) => {
        if (now !== true) {
          await qmp.execute("system_powerdown");
          const over = new AbortController();
          const patient = delay(patience * 1000, undefined, { signal: AbortSignal.any([signal, over.signal]) }).catch(() => {});
          await Promise.race([qmp.closed, patient]);
          over.abort();
          signal.throwIfAborted();
        }
        // Where it has ended, its monitor is closed and refuses.
        await qmp.execute("quit").catch(() => {});
      });
      await untilClosed(guest.directory, signal);
      cli.err(`Stopped ${printable(guest.directory)}.`);
    });
}
