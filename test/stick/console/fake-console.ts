/** A console in memory: what is drawn on it is a small terminal's screen, and a slow one takes what it gets only when it is let. */

import type { Looks, ScreenSize } from "../../../src/formats/terminal-frame.ts";
import type { Console, ConsoleListener } from "../../../src/host/console.ts";
import { SmallTerminal } from "../../formats/small-terminal.ts";
import { keys } from "../picker/stick-facts.ts";

export class FakeConsole implements Console {
  readonly name = "fake";
  readonly looks: Looks;
  readonly isSlow: boolean;
  #size: ScreenSize;
  #terminal: SmallTerminal;
  #listener: ConsoleListener | undefined;
  #takes: (() => void)[] = [];
  /** How much was written to it. */
  sentBytes = 0;
  writes = 0;

  constructor(
    size: ScreenSize = { columns: 80, rows: 25 },
    { looks = { colours: 8, unicode: true }, isSlow = false }: { readonly looks?: Looks; readonly isSlow?: boolean } = {},
  ) {
    this.#size = size;
    this.#terminal = new SmallTerminal(size);
    this.looks = looks;
    this.isSlow = isSlow;
  }

  size(): ScreenSize {
    return this.#size;
  }

  resize(size: ScreenSize): void {
    this.#size = size;
    this.#terminal = new SmallTerminal(size);
    this.#listener?.resized();
  }

  async write(text: string): Promise<void> {
    this.sentBytes += text.length;
    this.writes += 1;
    if (this.isSlow) await new Promise<void>((resolve) => this.#takes.push(resolve));
    this.#terminal.write(text);
  }

  /** Lets through what waits. */
  async take(): Promise<void> {
    for (const taken of this.#takes.splice(0)) taken();
    await settled();
  }

  listen(listener: ConsoleListener | undefined): void {
    this.#listener = listener;
  }

  async press(text: string): Promise<void> {
    for (const key of keys(text)) this.#listener?.key(key);
    await settled();
  }

  text(): string {
    return this.#terminal.text().join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** All that was promised for now has been done. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
