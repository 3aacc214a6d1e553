/**
 * The screen of the computer while a boot is recorded: fed with the session's events, asks QEMU for pictures only while one is to be seen, and
 * tells when the person wants the boot to end.
 */
import { dirname } from "node:path";
import { setInterval, setTimeout } from "node:timers";
import { reasonOf } from "../../contract/error.ts";
import type { ScreenSize } from "../../formats/terminal-frame.ts";
import type { Key } from "../../formats/terminal-keys.ts";
import type { Console } from "../../host/console.ts";
import { keepAskedPicture } from "../../session/asked-picture.ts";
import { ConsoleTap } from "../../session/console-tap.ts";
import { findLivingGuest, withMonitor } from "../../session/living.ts";
import type { SessionEvent } from "../../session/recording.ts";
import { readScreen, readTextWindow } from "../../session/screen.ts";
import { show } from "../console/show.ts";
import { guestRows, renderRecording } from "./render.ts";
import { type GuestPicture, noteEvent, noteKey, noteLines, openRecording, type RecordingState, showsPicture } from "./state.ts";

export interface RecordingScreenWish {
  /** What is booted: the image's title. */
  readonly title: string;
  /** What the person should know, one line each. */
  readonly notes?: readonly string[];
}

export interface RecordingScreen extends AsyncDisposable {
  /** For `RecordingPlace.onEvent`. */
  readonly onEvent: (event: SessionEvent) => void;
  /** Aborted when the person has asked for the boot's end. To be joined with the recording's own signal. */
  readonly stopped: AbortSignal;
}

/** More often nobody can look, and each costs the guest some of its processor's time. */
const REDRAW_MS = 200;
const PICTURE_MS = 2_000;

/** Shows the recording until it is closed. The consoles stay open. */
export function openRecordingScreen({ title, notes = [] }: RecordingScreenWish, consoles: readonly Console[]): RecordingScreen {
  let state: RecordingState = openRecording(title, notes);
  let directory: string | undefined;
  let redrawing: NodeJS.Timeout | undefined;
  let working: Promise<void> = Promise.resolve();
  let isClosed = false;
  /** Lines that came since the last look: a guest writes more of them than a screen can show. */
  let came: string[] = [];
  let unfinished = "";
  const stop = new AbortController();
  const tap = new ConsoleTap();
  const takeLines = (): void => {
    state = noteLines(state, came, unfinished);
    came = [];
  };

  const key = (pressed: Key, size: ScreenSize): void => {
    takeLines();
    const { state: next, wish } = noteKey(state, pressed, Math.max(1, guestRows(state, size)));
    state = next;
    if (wish === "stop") stop.abort(new DOMException("stopped by the person at the computer", "AbortError"));
    else if (wish === "screenshot") queue(keepPicture);
    if (showsPicture(state)) queue(renewPicture);
    shown.redraw();
  };
  const shown = show(consoles, { render: (size, looks) => renderRecording(state, size, looks), key });
  const redrawSoon = (): void => {
    if (isClosed) return;
    redrawing ??= setTimeout(() => {
      redrawing = undefined;
      takeLines();
      shown.redraw();
    }, REDRAW_MS);
  };
  const change = (next: RecordingState): void => {
    state = next;
    redrawSoon();
  };
  /** One after the other: QEMU's monitor serves one at a time. */
  const queue = (work: () => Promise<void>): void => {
    working = working.then(async () => {
      if (!isClosed) await work();
    });
  };
  const keepPicture = async (): Promise<void> => {
    try {
      if (directory === undefined) throw new Error("the guest has not started yet");
      change({ ...state, message: `kept in the session: ${await keepAskedPicture(await findLivingGuest(directory))}` });
    } catch (error) {
      change({ ...state, message: `no picture was taken: ${reasonOf(error)}` });
    }
  };
  const renewPicture = async (): Promise<void> => {
    if (directory === undefined || state.ended !== undefined || !showsPicture(state)) return;
    const picture = await lookAtScreen(directory);
    if (picture !== undefined) change({ ...state, picture });
  };

  tap.onLine = ({ text, ended }) => {
    if (ended) came.push(text);
    unfinished = ended ? "" : text;
    redrawSoon();
  };
  const looking = setInterval(() => queue(renewPicture), PICTURE_MS);
  return {
    stopped: stop.signal,
    onEvent: (event) => {
      if (event.type === "session") directory = event.directory;
      if (event.type === "restart") takeLines(); // what came before it is gone with it
      if (event.type === "serial") {
        tap.push(event.bytes);
        tap.markAllRead();
      } else change(noteEvent(state, event));
    },
    [Symbol.asyncDispose]: async () => {
      isClosed = true;
      clearInterval(looking);
      clearTimeout(redrawing);
      await working;
      await shown[Symbol.asyncDispose]();
    },
  };
}

/** Undefined where there is nothing to see yet, or any more. */
async function lookAtScreen(directory: string): Promise<GuestPicture | undefined> {
  try {
    const guest = await findLivingGuest(directory);
    const scratch = dirname(guest.consoleInput);
    return await withMonitor(guest, async (qmp): Promise<GuestPicture | undefined> => {
      const pixels = await readScreen(qmp, scratch);
      if (pixels === undefined) return undefined;
      const rows = await readTextWindow(qmp, scratch, pixels);
      return rows.some((row) => row !== "") ? { type: "text", rows } : { type: "pixels", pixels };
    });
  } catch {
    return undefined; // it starts, or ends, just now
  }
}
