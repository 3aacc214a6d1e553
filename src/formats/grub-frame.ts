/** Where a statement of a GRUB script stands while it runs: what it changes, what a command is given, and the ways out that are no next line. */
import type { GrubTally } from "./grub-limits.ts";
import type { GrubBoot, GrubFile, GrubWorld } from "./grub-menu.ts";
import type { GrubScript } from "./grub-script.ts";
import type { GrubContext } from "./grub-variables.ts";

/** An entry as the script defines it, not yet run. */
export interface RawEntry {
  readonly title: string;
  readonly id: string | undefined;
  readonly submenu: boolean;
  readonly parameters: readonly string[];
  readonly body: GrubScript;
  /** The script's file that it stands in. */
  readonly source: GrubFile;
  /** An entry that a file describes instead of a body. */
  readonly boot?: GrubBoot;
}

export interface RawMenu {
  readonly entries: RawEntry[];
  readonly context: GrubContext;
}

/** What an entry boots, as far as its commands have said it. */
export interface Chosen {
  kernel: GrubFile | undefined;
  kernelThere: boolean;
  words: readonly string[];
  initrds: readonly GrubFile[];
  other: string | undefined;
}

export const nothingChosen = (): Chosen => ({ kernel: undefined, kernelThere: false, words: [], initrds: [], other: undefined });

/** Where a statement runs. */
export interface Frame {
  readonly context: GrubContext;
  readonly menu: RawMenu;
  parameters: readonly string[];
  readonly source: GrubFile;
  readonly depth: number;
  /** Filled by `linux` and its like. */
  readonly chosen: Chosen;
  status: number;
}

/** The frame of a file or function that is run from `frame`. */
export function deeper(frame: Frame, changes: Partial<Frame>, tally: GrubTally): Frame {
  if (frame.depth >= tally.limits.depth) tally.stop(`more than ${tally.limits.depth} files, functions and menus in each other`);
  return { ...frame, ...changes, depth: frame.depth + 1 };
}

/** The run that all frames belong to. */
export interface GrubRun {
  readonly world: GrubWorld;
  readonly tally: GrubTally;
  runScript(script: GrubScript, frame: Frame): Promise<void>;
  /** Leaves its status in the frame. */
  runFile(file: GrubFile, frame: Frame): Promise<void>;
}

export interface GrubCall {
  readonly name: string;
  /** Variables and patterns are put in. */
  readonly args: readonly string[];
  readonly block: GrubScript | undefined;
  readonly frame: Frame;
  readonly run: GrubRun;
}

/** Gives the status: 0 where it succeeded. */
export type GrubCommand = (call: GrubCall) => number | Promise<number>;

/** `configfile` shows another menu, and the one that was being made is gone. */
export class MenuReplaced extends Error {
  readonly menu: RawMenu;
  constructor(menu: RawMenu) {
    super();
    this.menu = menu;
  }
}

/** `boot`, `exit`, `halt`: nothing behind it runs. */
export class Finished extends Error {}

export class Jump extends Error {
  readonly kind: "break" | "continue" | "return";
  /** Loops that are left; the status of a return. */
  count: number;
  constructor(kind: Jump["kind"], count: number) {
    super();
    this.kind = kind;
    this.count = count;
  }
}
