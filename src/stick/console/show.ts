/**
 * One picture on several consoles at once: the computer's own screen and its serial line, say, each in its own size and as well as it can, with
 * the keys of all of them. What a slow line cannot take in time is left out: it is drawn as it stands when the line is free again.
 */

import { encodeChanges, encodeFrame, type Frame, frameOf, type Line, type Looks, type ScreenSize } from "../../formats/terminal-frame.ts";
import type { Key } from "../../formats/terminal-keys.ts";
import type { Console } from "../../host/console.ts";

export interface Face {
  /** As many lines as the screen has rows, or fewer. */
  render(size: ScreenSize, looks: Looks): readonly Line[];
  /** `size` is that of the console on which the key was pressed: a page is as long as its screen. */
  key(key: Key, size: ScreenSize): void;
}

export interface Shown extends AsyncDisposable {
  /** What is to be seen has changed. */
  redraw(): void;
}

/** Draws `face` at once, and until it is closed. The consoles stay open; what was drawn stays until somebody draws over it. */
export function show(consoles: readonly Console[], face: Face): Shown {
  const panes = consoles.map((console) => new Pane(console, face));
  return {
    redraw: () => {
      for (const pane of panes) pane.redraw();
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(panes.map((pane) => pane.close()));
    },
  };
}

class Pane {
  readonly #console: Console;
  readonly #face: Face;
  /** What stands on the screen; undefined where nobody knows. */
  #drawn: { readonly frame: Frame; readonly size: ScreenSize } | undefined;
  #drawing: Promise<void> | undefined;
  #isStale = true;
  #isClosed = false;

  constructor(console: Console, face: Face) {
    this.#console = console;
    this.#face = face;
    console.listen({
      key: (key) => {
        // Whatever else wrote to the screen: the kernel, a wall message.
        if (key.type === "named" && key.name === "ctrl-l") this.#drawAnew();
        else face.key(key, console.size());
      },
      resized: () => this.#drawAnew(),
    });
    this.redraw();
  }

  redraw(): void {
    this.#isStale = true;
    this.#drawing ??= this.#draw();
  }

  #drawAnew(): void {
    this.#drawn = undefined;
    this.redraw();
  }

  async #draw(): Promise<void> {
    await Promise.resolve(); // several changes of one moment are drawn together
    while (this.#isStale && !this.#isClosed) {
      this.#isStale = false;
      const size = this.#console.size();
      const frame = frameOf(this.#face.render(size, this.#console.looks), size, this.#console.looks);
      const text = this.#drawn === undefined ? encodeFrame(frame, size) : encodeChanges(this.#drawn.frame, frame, size);
      this.#drawn = { frame, size };
      if (text !== "") await this.#console.write(text);
    }
    this.#drawing = undefined;
  }

  async close(): Promise<void> {
    this.#console.listen(undefined);
    this.#isClosed = true;
  }
}
