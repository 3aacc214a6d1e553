/** How much of a GRUB script is run: commands, text, files and depth are counted. */
import { type MenuLimits, MenuTally } from "./boot-menu.ts";

/** `depth`: of functions too. */
export interface GrubLimits extends MenuLimits {
  readonly commands: number;
  /** Letters of all words together, after variables were put in. */
  readonly letters: number;
}

/** A hundred times what large menus take; done in a second or two. */
export const GRUB_LIMITS: GrubLimits = {
  commands: 50_000,
  letters: 8 << 20,
  files: 256,
  entries: 500,
  depth: 16,
  fileBytes: 1 << 20,
  bytes: 4 << 20,
};

export class GrubTally extends MenuTally<GrubLimits> {
  #commands = 0;
  #letters = 0;

  /** Work that is worth `count` commands; `tooMany` says what it was. */
  countCommands(count: number, tooMany = `more than ${this.limits.commands} commands`): void {
    this.addCommands(count);
    if (this.#commands > this.limits.commands) this.stop(tooMany);
  }

  /** The limit is looked at with the next command. */
  addCommands(count: number): void {
    this.#commands += count;
  }

  countLetters(words: readonly string[]): void {
    this.#letters += words.reduce((sum, { length }) => sum + length + 1, 0);
    if (this.#letters > this.limits.letters) this.stop(`words of more than ${this.limits.letters} letters`);
  }

  override restart(): void {
    super.restart();
    this.#commands = 0;
    this.#letters = 0;
  }
}
