/** What an inspection of an exFAT volume finds wrong, and what would mend it. */
import type { UpcaseTable } from "../../formats/exfat-upcase.ts";
import type { VolumeProblem } from "../volume.ts";
import type { AllocationBitmap } from "./allocation.ts";
import type { Medium } from "./medium.ts";

/** What a mending may use: the medium, its bitmap as it stands, and how names are compared. */
export interface Mending {
  readonly medium: Medium;
  readonly bitmap: AllocationBitmap;
  readonly table: UpcaseTable;
}

export interface Finding {
  readonly problem: VolumeProblem;
  /** Mendings of a lower stage come first, and the volume is walked again before the next: what they change decides what is left. */
  readonly stage: Stage;
  readonly mend?: (mending: Mending) => Promise<void>;
}

/**
 * `entry`: in its place. `copy`: takes free clusters, so the bitmap must be right. `leak`: clusters that nobody owns, when nothing is damaged that
 * could own them. `flag`: what says that all is well.
 */
export type Stage = "entry" | "copy" | "leak" | "flag";

/** What a check lists; a repair goes round again. */
export const FINDINGS_MAX = 1000;

/** All that was found so far, and what it means for clusters that nobody seems to own. */
export class Findings {
  readonly all: Finding[] = [];
  /** There was more than is listed. */
  cut = false;
  /** Entries or chains were damaged: clusters that nobody owns may be theirs. */
  lost = false;
  /** Something cannot be followed at all: what looks like nobody's may be its own. */
  blind = false;

  add(
    id: string,
    { offset, path, text, mending }: { offset: bigint; path?: string | undefined; text: string; mending?: string },
    mend?: Finding["mend"],
    stage: Stage = "entry",
  ): void {
    if (this.all.length >= FINDINGS_MAX) {
      this.cut = true;
      return;
    }
    const problem = { id, offset, path, text, mending: mend === undefined ? undefined : mending };
    this.all.push(mend === undefined ? { problem, stage } : { problem, stage, mend });
  }
}
