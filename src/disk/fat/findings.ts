/** What an inspection of a FAT volume found, in the order in which it was found, and what its parts work with. */
import type { VolumeProblem } from "../volume.ts";
import type { Mending } from "./mend.ts";

export interface Finding {
  readonly problem: VolumeProblem;
  /** Mendings of a lower stage come first, and the volume is walked again before the next: what they change decides what is left. */
  readonly stage: Stage;
  readonly mend?: (mending: Mending) => Promise<void>;
}

/**
 * `fat`: which FAT is right. `entry`: in its place. `copy`: takes free clusters or names, so both must be known. `lost`: clusters that nobody owns, when nothing is
 * damaged that could own them. `flag`: what says that all is well.
 */
export type Stage = "fat" | "entry" | "copy" | "lost" | "flag";

/** What every part of one inspection has: it reads by the first four, and writes into the last alone. */
export interface Inspecting extends Pick<Mending, "medium" | "codePage" | "used" | "free"> {
  readonly findings: Findings;
}

/** Findings of one walk, as many as may be kept, and what else is to be known of them all. */
export class Findings {
  readonly list: Finding[] = [];
  /** How many are kept. */
  readonly max: number;
  #cut = false;
  #complete = true;
  #brokenChains = 0;

  constructor(max: number) {
    this.max = max;
  }

  /** True where more was there than was kept. */
  get cut(): boolean {
    return this.#cut;
  }

  /** False where something could not be followed: its clusters look like nobody's. */
  get complete(): boolean {
    return this.#complete;
  }

  /** By which one of two FATs is the better. */
  get brokenChains(): number {
    return this.#brokenChains;
  }

  /** `mending` says what `mend` does; without that there is nothing to say. */
  add(
    id: string,
    { offset, path, text, mending }: { offset: bigint; path?: string | undefined; text: string; mending?: string },
    mend?: Finding["mend"],
    stage: Stage = "entry",
  ): void {
    if (this.list.length >= this.max) {
      this.#cut = true;
      return;
    }
    const problem = { id, offset, path, text, mending: mend === undefined ? undefined : mending };
    this.list.push(mend === undefined ? { problem, stage } : { problem, stage, mend });
  }

  noteCut(): void {
    this.#cut = true;
  }

  noteNotFollowed(): void {
    this.#complete = false;
  }

  noteBrokenChain(): void {
    this.#brokenChains += 1;
    this.#complete = false;
  }
}
