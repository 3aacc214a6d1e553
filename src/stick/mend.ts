/** A data partition that a cut left open is mended before it is written again: what was given up gives its room back. */
import { type Job, silentProgress } from "../contract/job.ts";
import type { BlockStore } from "../disk/block-store.ts";
import { checkVolume, repairVolume } from "../disk/open-volume.ts";

/** Other damage is warned of and left: what a repair would do to it, a person decides. */
export async function mendAfterCut(store: BlockStore, job: Job): Promise<void> {
  const quiet: Job = { ...job, progress: silentProgress };
  const checked = await checkVolume(store, quiet);
  if (checked === undefined || checked.fatal !== undefined || checked.problems.length === 0) return;
  const isFromCut = checked.problems.some(({ id }) => id === "dirty") && checked.problems.every(({ mending }) => mending !== undefined);
  if (!isFromCut) {
    job.progress.warn(`${store.name} has problems: ${checked.problems[0]?.text ?? ""}. \`hiperiso disk check\` lists them.`);
    return;
  }
  const { problems } = await repairVolume(store, quiet);
  const left = problems.length === 0 ? "it is mended" : "some of it could not be mended: `hiperiso disk check` tells what";
  job.progress.say(`${store.name} was not closed properly; ${left}.`);
}
