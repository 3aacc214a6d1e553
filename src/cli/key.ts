/** `hiperiso key`: presses keys of a running guest's keyboard, which its screen and firmware see. */
import { setTimeout as delay } from "node:timers/promises";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { keysOf, keysOfText, keyValues } from "../machine/keys.ts";
import { withMonitor } from "../session/living.ts";
import type { Cli } from "./cli.ts";
import { LOG_DIR_OPTION, livingGuestOf } from "./living-session.ts";
import { examplesText } from "./program.ts";

/** A key is held down so long, and so long is waited after it: a keyboard's own queue is short. */
const KEY_HOLD_MS = 40;

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("key")
    .description("Presses keys of a running guest's keyboard (US layout), one chord after the other.")
    .argument("[keys...]", "ctrl-alt-f2, ret, esc, a, …")
    .option("--text <text>", "type this text, behind the keys")
    .option("--session <session>", "its id, the beginning of it, or its directory; the one that runs without it")
    .option(...LOG_DIR_OPTION)
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso key ctrl-alt-f2", "the second virtual terminal"],
        ["hiperiso key down down ret", "the third entry of a boot menu"],
        ["hiperiso key --text root", "type a name on the screen"],
      ]),
    )
    .action(async (names, { text, session, logDir }) => {
      const chords = [...names.map(keysOf), ...keysOfText(text ?? "")]; // all understood before the first is pressed
      if (chords.length === 0) {
        throw new HiperisoError({ what: "press keys", expected: "at least one key, or --text", found: "none", kind: "usage" });
      }
      await withMonitor(await livingGuestOf(cli, session, logDir), async (qmp) => {
        for (const chord of chords) {
          await qmp.execute("send-key", { keys: keyValues(chord), "hold-time": KEY_HOLD_MS });
          await delay(2 * KEY_HOLD_MS, undefined, { signal: cli.job.signal });
        }
      });
    });
}
