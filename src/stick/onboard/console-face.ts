/** The program on the stick on the computer's own consoles: its screen and its serial line, the same on both. */
import { basename } from "node:path";
import { GREEN, harmless, type Line, RED, YELLOW } from "../../formats/terminal-frame.ts";
import type { Console } from "../../host/console.ts";
import { ask } from "../picker/ask.ts";
import { pick } from "../picker/pick.ts";
import { openRecordingScreen } from "../screen/recording-screen.ts";
import type { AfterChoice, BootOutcome, OnboardFace } from "./face.ts";

/** Owns the consoles. */
export function consoleFace(consoles: readonly Console[]): OnboardFace {
  const say = (line: string): void => {
    // Carriage returns: the line is in raw mode.
    for (const console of consoles) void console.write(`${harmless(line, console.looks)}\r\n`);
  };
  return {
    say,
    pick: (wish, signal) => pick(wish, consoles, signal),
    show: (wish) => openRecordingScreen(wish, consoles),
    after: (outcome, image, patienceS, signal) => ask(afterQuestion(outcome, image, patienceS), consoles, signal),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(consoles.map((console) => console[Symbol.asyncDispose]()));
    },
  };
}

const COLOURS = { success: GREEN, failure: RED, incomplete: YELLOW, no_serial: YELLOW } as const;

/** Shown when a boot is over. Pure. */
export function afterQuestion(outcome: BootOutcome, image: string, patienceS: number): Parameters<typeof ask<AfterChoice>>[0] {
  const { recorded } = outcome;
  const text: Line[] = [[]];
  if (recorded !== undefined) {
    const { session, report } = recorded;
    const cause = report?.findings.find((finding) => finding.cause);
    // Where the recorder itself could not go on, what the guest did or not is no verdict.
    const verdict =
      session.status === "failed"
        ? ({ text: "FAILED", colour: RED } as const)
        : { text: session.result.toUpperCase(), colour: COLOURS[session.result] };
    const stage = session.analysis.boot_stage_final;
    text.push(
      [
        { text: verdict.text, style: { bold: true, colour: verdict.colour } },
        { text: `  ${basename(image)}${stage === "unknown" ? "" : `, last stage ${stage}`}` },
      ],
      ...(cause === undefined ? [] : [[{ text: cause.explanation }], [{ text: `What to try: ${cause.hint}` }]]),
    );
  }
  if (outcome.type === "failed") text.push([{ text: outcome.message, style: { colour: RED } }]);
  text.push(
    [],
    [
      {
        text:
          recorded === undefined ? "There is no session of it on the stick." : `The session is on the stick: ${recorded.session.log_dir}`,
      },
    ],
  );
  return {
    title: "The boot is over",
    text,
    answers: [
      { value: "poweroff", title: "Turn the computer off", key: "o" },
      { value: "menu", title: "Back to the boot menu (restarts the computer)", key: "m" },
      { value: "another", title: "Another image", key: "a" },
      { value: "again", title: "The same image again", key: "g" },
    ],
    standard: 0,
    timeoutS: patienceS,
  };
}
