/** Checking and repairing a FAT volume. What is looked for, and what mends it, is in `inspect.ts` and its parts. */
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import {
  ATTRIBUTE,
  DOT_NAME,
  ENTRY_BYTES,
  encodeDotEntries,
  encodeShortEntry,
  firstClusterOf,
  isDirectoryEntry,
} from "../../formats/fat-entries.ts";
import { SHORT_NAME_BYTES } from "../../formats/fat-names.ts";
import type { BlockStore } from "../block-store.ts";
import { ClusterSet } from "../cluster-set.ts";
import type { VolumeCheck } from "../volume.ts";
import { type Directory, openDirectory, openRoot } from "./directory.ts";
import type { Finding, Stage } from "./findings.ts";
import { FINDINGS_MAX, type Inspection, inspectFat } from "./inspect.ts";
import { lostClusters } from "./inspect-tables.ts";
import { END_OF_CHAIN, type FatMedium, followChain } from "./medium.ts";
import type { Mending } from "./mend.ts";
import { addSet, nameKey } from "./slots.ts";
import { FILE_BYTES_MAX } from "./volume.ts";

/** A round mends what can be mended without walking again; no damage that was seen needs more than a few. */
const ROUNDS_MAX = 100;
/** What one round mends: enough that not each thousand of a million faults takes a walk over all of them. */
const MENDED_MAX = 20_000;
/** What one round puts into the FOUND folder. */
const FOUND_MAX = 10_000;
const STAGES: readonly Stage[] = ["fat", "entry", "copy", "lost", "flag"];

/** Reads all of the volume's structures and no file's data; writes nothing. */
export async function checkFat(store: BlockStore, job: Job): Promise<VolumeCheck> {
  try {
    const { findings, cut, files, directories, mending } = await inspect(store, job, FINDINGS_MAX);
    const problems = findings.map(({ problem }) => problem);
    return { format: `fat${mending.medium.boot.bits}`, problems, cut, files, directories, fatal: undefined };
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return { format: "fat16", problems: [], cut: false, files: 0, directories: 0, fatal: error };
  }
}

async function inspect(store: BlockStore, job: Job, findingsMax: number): Promise<Inspection> {
  const step = job.progress.begin("check the FAT volume (entries)");
  const inspection = await inspectFat(store, job.signal, () => step.advance(1), findingsMax);
  step.end();
  return inspection;
}

/**
 * Mends what can be mended without losing a file's data, and checks again: what is left is what it gives. Two files on the same clusters become
 * two files with clusters of their own. Clusters that nobody owns are freed, for that is what a cut leaves; but where an entry was lost that may have
 * owned them they become files and folders in /FOUND.000. The dirty flags go when nothing else is left. A repair that is cut can be run again.
 */
export async function repairFat(store: BlockStore, job: Job): Promise<VolumeCheck> {
  let lost = false;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    let inspection: Inspection;
    try {
      inspection = await inspect(store, job, MENDED_MAX);
    } catch (error) {
      if (error instanceof HiperisoError) break; // the check below says it
      throw error;
    }
    const { findings } = inspection;
    lost ||= !inspection.complete;
    const mendable = findings.filter((finding) => finding.mend !== undefined);
    const stage = STAGES.find((candidate) => mendable.some((finding) => finding.stage === candidate));
    if (stage === undefined) break;
    // The flags say that all is well: they stay while something is left that cannot be mended.
    if (stage === "flag" && findings.some(({ problem, mend }) => mend === undefined && !HARMLESS.has(problem.id))) break;
    const chosen = mendable.filter((finding) => finding.stage === stage);
    if (!(await mendStage(store, chosen, inspection.mending, { lost, job }))) break;
  }
  return await checkFat(store, job);
}

/** What cannot be mended and says nothing of the files. */
const HARMLESS: ReadonlySet<string> = new Set(["media-failure", "few-clusters", "large-directory"]);

/** False where nothing could be mended: going round again would not end. */
async function mendStage(
  store: BlockStore,
  findings: readonly Finding[],
  mending: Mending,
  { lost, job }: { readonly lost: boolean; readonly job: Job },
): Promise<boolean> {
  let mended = 0;
  for (const { problem, stage, mend } of findings) {
    try {
      if (stage === "lost" && lost) await keepFound(mending, job.signal);
      else await mend?.(mending);
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

/**
 * Chains that nobody owns, as files: somebody may know them again. Folders first and alone, with all that is below them; a folder whose parent is lost too comes
 * back with that.
 */
async function keepFound(mending: Mending, signal: AbortSignal): Promise<void> {
  const { medium, used } = mending;
  const lost = new ClusterSet();
  const pointedTo = new ClusterSet();
  let lowest: number | undefined;
  for await (const { cluster, link } of lostClusters(medium, used, signal)) {
    lowest ??= cluster;
    lost.add({ first: cluster, count: 1 });
    if (medium.isCluster(link)) pointedTo.add({ first: link, count: 1 });
  }
  const heads: number[] = [];
  const folders: number[] = [];
  for await (const { cluster } of lostClusters(medium, used, signal)) {
    if (pointedTo.has(cluster)) continue;
    const parent = await parentOf(medium, cluster);
    if (parent === undefined) heads.push(cluster);
    else if (!lost.has(parent) || parent === cluster || (await parentOf(medium, parent)) === undefined) folders.push(cluster);
    if (heads.length + folders.length >= FOUND_MAX) break;
  }
  const kept = folders.length > 0 ? folders : heads.length > 0 ? heads : lowest === undefined ? [] : [lowest]; // the last: of a circle
  let folder = await foundFolder(mending);
  for (const [index, cluster] of kept.entries()) {
    const number = String(index).padStart(4, "0");
    folder = await keep(
      mending,
      folder,
      cluster,
      folders.length > 0 ? { name: `DIR${number}`, directory: true } : { name: `FILE${number}.CHK`, directory: false },
    );
  }
}

/** What the `..` of a folder's first cluster says; undefined where it is none. */
async function parentOf(medium: FatMedium, cluster: number): Promise<number | undefined> {
  const head = await medium.read(medium.offsetOf(cluster), 2 * ENTRY_BYTES);
  const [dot, dotDot] = [head.subarray(0, ENTRY_BYTES), head.subarray(ENTRY_BYTES)];
  const named = Buffer.from(DOT_NAME).equals(dot.subarray(0, SHORT_NAME_BYTES)) && dotDot[0] === 0x2e && dotDot[1] === 0x2e;
  const itself = firstClusterOf(dot, medium.boot.bits) === cluster;
  return named && itself && isDirectoryEntry(dot) && isDirectoryEntry(dotDot) ? firstClusterOf(dotDot, medium.boot.bits) : undefined;
}

/** A new folder in the root. */
async function foundFolder(mending: Mending): Promise<Directory> {
  const { medium, surveys } = mending;
  const root = await openRoot(medium);
  const { names } = await surveys.of(root);
  let number = 0;
  while (names?.has(nameKey(foundName(number))) === true) number += 1;
  const [run] = await mending.takeChain(1);
  const firstCluster = run!.first;
  mending.used.add(run!);
  const bytes = new Uint8Array(medium.clusterBytes);
  bytes.set(encodeDotEntries(firstCluster, 0, 0));
  await medium.write(medium.offsetOf(firstCluster), bytes);
  await medium.flush();
  const name = foundName(number);
  const entry = encodeShortEntry({ name: shortBytes(name), attributes: ATTRIBUTE.directory, firstCluster, sizeBytes: 0, timeMs: 0 });
  const place = await addSet(mending, root, name, entry);
  return await openDirectory(medium, `/${name}`, firstCluster, place);
}

/** An entry for a lost chain, which ends where it runs into another. */
async function keep(
  mending: Mending,
  folder: Directory,
  first: number,
  { name, directory }: { name: string; directory: boolean },
): Promise<Directory> {
  const { medium, used } = mending;
  const following = followChain(medium, first, medium.clusterCount, (cluster) => used.add({ first: cluster, count: 1 }) === undefined);
  let next = await following.next();
  while (next.done !== true) next = await following.next();
  const end = next.value;
  if (end.kind !== "whole" && end.last !== 0) await medium.setLinks([[end.last, END_OF_CHAIN]]);
  const bytes = BigInt(end.clusters) * BigInt(medium.clusterBytes);
  const sizeBytes = directory ? 0 : Number(bytes < FILE_BYTES_MAX ? bytes : FILE_BYTES_MAX);
  const attributes = directory ? ATTRIBUTE.directory : ATTRIBUTE.archive;
  const entry = encodeShortEntry({ name: shortBytes(name), attributes, firstCluster: first, sizeBytes, timeMs: 0 });
  return (await addSet(mending, folder, name, entry)).directory;
}

function shortBytes(name: string): Uint8Array {
  const [base, extension] = name.split(".");
  return new TextEncoder().encode(base!.padEnd(8) + (extension ?? "").padEnd(3));
}

const foundName = (number: number): string => `FOUND.${String(number).padStart(3, "0")}`;
