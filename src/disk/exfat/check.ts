/** Checking and repairing an exFAT volume. What is looked for, and what mends it, is in `inspect.ts` and the parts that it names. */
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { type Allocation, encodeFileSet } from "../../formats/exfat-entries.ts";
import type { BlockStore } from "../block-store.ts";
import type { Run } from "../content-writer.ts";
import type { VolumeCheck } from "../volume.ts";
import { type Directory, openDirectory, openRoot } from "./directory.ts";
import type { Finding, Mending, Stage } from "./findings.ts";
import { type Inspection, inspectVolume } from "./inspect.ts";
import { inspectBoot } from "./inspect-boot.ts";
import { addSet, type Changing, Surveys } from "./slots.ts";

/** A round mends what can be mended without walking again; no damage that was seen needs more than a few. */
const ROUNDS_MAX = 100;
/** Files of one FOUND folder. */
const FOUND_MAX = 10_000;
const STAGES: readonly Stage[] = ["entry", "copy", "leak", "flag"];

/** Reads all of the volume's structures and no file's data; writes nothing. */
export async function checkExfat(store: BlockStore, job: Job): Promise<VolumeCheck> {
  try {
    const { findings, inspection } = await inspect(store, job);
    return {
      format: "exfat",
      problems: findings.map(({ problem }) => problem),
      cut: inspection.cut,
      files: inspection.files,
      directories: inspection.directories,
      fatal: undefined,
    };
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return { format: "exfat", problems: [], cut: false, files: 0, directories: 0, fatal: error };
  }
}

async function inspect(store: BlockStore, job: Job): Promise<{ readonly findings: readonly Finding[]; readonly inspection: Inspection }> {
  const step = job.progress.begin("check the exFAT volume (entries)");
  const { medium, findings: boot } = await inspectBoot(store);
  const inspection = await inspectVolume(medium, job.signal, () => step.advance(1));
  step.end();
  return { findings: [...boot, ...inspection.findings], inspection };
}

/**
 * Mends what can be mended without losing a file's data, and checks again: what is left is what it gives. Two files on the same clusters become
 * two files with clusters of their own. Clusters that nobody owns are freed, for that is what a cut leaves; but where an entry was lost that may have
 * owned them they become files in /FOUND.000. The dirty flag goes when nothing else is left. A repair that is cut can be run again.
 */
export async function repairExfat(store: BlockStore, job: Job): Promise<VolumeCheck> {
  let lost = false;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    let inspected: Awaited<ReturnType<typeof inspect>>;
    try {
      inspected = await inspect(store, job);
    } catch (error) {
      if (error instanceof HiperisoError) break; // the check below says it
      throw error;
    }
    const { findings, inspection } = inspected;
    if (inspection.mending.medium.boot.fatCount !== 1) break; // TexFAT: how its two FATs take turns is not published
    lost ||= inspection.lost;
    const mendable = findings.filter((finding) => finding.mend !== undefined);
    const stage = STAGES.find((candidate) => mendable.some((finding) => finding.stage === candidate));
    if (stage === undefined) break;
    // The flag says that all is well: it stays while something is left that cannot be mended.
    if (stage === "flag" && findings.some(({ problem, mend }) => mend === undefined && problem.id !== "media-failure")) break;
    const mended = await mendStage(
      store,
      mendable.filter((finding) => finding.stage === stage),
      inspection,
      { lost, job },
    );
    if (!mended) break;
  }
  return await checkExfat(store, job);
}

/** False where nothing could be mended: going round again would not end. */
async function mendStage(
  store: BlockStore,
  findings: readonly Finding[],
  inspection: Inspection,
  { lost, job }: { readonly lost: boolean; readonly job: Job },
): Promise<boolean> {
  let mended = 0;
  for (const { problem, stage, mend } of findings) {
    try {
      if (stage === "leak" && lost) await keepFound(inspection);
      else await mend?.(inspection.mending);
      mended += 1;
      job.progress.say(`${store.name}@${problem.offset}: ${problem.path ?? ""} ${problem.text}: ${problem.mending}`);
    } catch (error) {
      if (!(error instanceof HiperisoError) || error.kind !== "usage") throw error;
      job.progress.warn(error.message); // no room for a copy
    }
  }
  await store.flush();
  return mended > 0;
}

/** Clusters that nobody owns, as files, a row of clusters each: somebody may know them again. */
async function keepFound({ leaked, mending }: Inspection): Promise<void> {
  const { medium, bitmap, table } = mending;
  const changing: Changing = {
    medium,
    bitmap,
    surveys: new Surveys(medium, table),
    allocate: (count, after) => bitmap.findFree(count, after),
  };
  const root = await openRoot(medium);
  const { names } = await changing.surveys.of(root);
  let number = 0;
  while (names?.has(foundName(number)) === true) number += 1;
  const name = foundName(number);
  const runs = await bitmap.findFree(1);
  const [run] = runs;
  if (run === undefined) return;
  await medium.zero(run.first, 1);
  await bitmap.mark(runs, true);
  const allocation: Allocation = { firstCluster: run.first, dataBytes: BigInt(medium.clusterBytes), noFatChain: true };
  const place = await addSet(changing, root, name, encodeFileSet({ name, directory: true, timeMs: 0, allocation }, table));
  let folder: Directory = await openDirectory(medium, `/${name}`, allocation, place);
  for (const [index, found] of leaked.slice(0, FOUND_MAX).entries()) folder = await keepRun(changing, folder, found, index, table);
}

async function keepRun(changing: Changing, folder: Directory, run: Run, index: number, table: Mending["table"]): Promise<Directory> {
  const name = `FILE${String(index).padStart(4, "0")}.CHK`;
  const dataBytes = BigInt(run.count) * BigInt(changing.medium.clusterBytes);
  const allocation: Allocation = { firstCluster: run.first, dataBytes, noFatChain: true };
  const { directory } = await addSet(changing, folder, name, encodeFileSet({ name, directory: false, timeMs: 0, allocation }, table));
  return directory;
}

const foundName = (number: number): string => `FOUND.${String(number).padStart(3, "0")}`;
