/** The picker on real consoles: shows it, hands it the keys, looks into the image that is marked, until the person has chosen. */
import { reasonOf } from "../../contract/error.ts";
import type { Looks, ScreenSize } from "../../formats/terminal-frame.ts";
import type { Key } from "../../formats/terminal-keys.ts";
import type { Console } from "../../host/console.ts";
import { show } from "../console/show.ts";
import { type ImageLook, type PickerChoice, type PickerFacts, standardImage } from "./facts.ts";
import { passwordFits } from "./password.ts";
import { pageRows, reachOf, render } from "./render.ts";
import { openPicker, step, wantedLook } from "./state.ts";

export interface PickWish {
  readonly facts: PickerFacts;
  /** Path of the image that is marked at first. */
  readonly marked?: string | undefined;
  /** Looks into an image. What it throws is shown in its place. */
  readonly look: (path: string, signal: AbortSignal) => Promise<ImageLook>;
}

/**
 * Until the person has chosen. The consoles stay open, the picker's last picture on them. Throws the signal's reason when aborted, and nothing else:
 * what cannot be read of an image is shown.
 */
export async function pick({ facts, marked, look }: PickWish, consoles: readonly Console[], signal: AbortSignal): Promise<PickerChoice> {
  signal.throwIfAborted();
  const over = new AbortController();
  let state = openPicker(facts, marked ?? standardImage(facts));
  let looking: string | undefined;
  let chosen: (choice: PickerChoice) => void = () => {};
  let gaveUp: (reason: unknown) => void = () => {};
  const choice = new Promise<PickerChoice>((resolve, reject) => {
    chosen = resolve;
    gaveUp = reject;
  });
  const aborted = () => gaveUp(signal.reason);
  signal.addEventListener("abort", aborted, { once: true });

  const key = (pressed: Key, size: ScreenSize): void => {
    const looks: Looks = { colours: 0, unicode: true };
    const event = { type: "key", key: pressed, page: pageRows(state, size), reach: reachOf(state, size, looks) } as const;
    const { state: next, choice: made, password } = step(state, event);
    state = next;
    if (made !== undefined) chosen(made);
    if (password !== undefined) void tryPassword(password.path, password.text);
    shown.redraw();
    lookIntoMarked();
  };
  const tryPassword = async (path: string, text: string): Promise<void> => {
    const fits = await passwordFits(facts.config.menu, path, text);
    const { state: next, choice: made } = step(state, { type: "password", path, fits });
    state = next;
    if (made !== undefined) chosen(made);
    shown.redraw();
  };
  /** One at a time: a stick reads two images at once more slowly than one after the other. */
  const lookIntoMarked = (): void => {
    const path = wantedLook(state);
    if (path === undefined || looking !== undefined) return;
    looking = path;
    void look(path, over.signal)
      .catch((error: unknown): ImageLook => ({ type: "unreadable", because: reasonOf(error) }))
      .then((found) => {
        looking = undefined;
        if (over.signal.aborted) return;
        state = step(state, { type: "look", path, look: found }).state;
        shown.redraw();
        lookIntoMarked();
      });
  };

  await using shown = show(consoles, { render: (size, looks) => render(state, size, looks), key });
  lookIntoMarked();
  try {
    return await choice;
  } finally {
    over.abort();
    signal.removeEventListener("abort", aborted);
  }
}
