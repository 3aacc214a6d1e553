/**
 * What is wrong with an exFAT volume, and what would mend each: one walk over all of it. Check prints the first, repair does the second. It finds what
 * `fsck.exfat` 1.2 passes over too: clusters that nobody owns, two names that are one, a wrong percentage, a backup boot region that is
 * rubbish, entries behind a folder's end.
 *
 * Memory: a bit for each cluster in use, a number for each name of the folders that are open, a piece of each of these folders.
 */
import type { Run } from "../content-writer.ts";
import type { Finding, Mending } from "./findings.ts";
import { Inquiry } from "./inquiry.ts";
import { Allocations } from "./inspect-allocation.ts";
import { compareBitmap } from "./inspect-bitmap.ts";
import { inspectFlags } from "./inspect-boot.ts";
import { inspectCrossings } from "./inspect-crossings.ts";
import { inspectOther, inspectSet } from "./inspect-entries.ts";
import { OpenNames } from "./inspect-names.ts";
import { inspectTables } from "./inspect-tables.ts";
import type { Medium } from "./medium.ts";
import { readRootFacts } from "./open.ts";
import { walkVolume } from "./walk.ts";

export interface Inspection {
  readonly findings: readonly Finding[];
  readonly cut: boolean;
  readonly files: number;
  readonly directories: number;
  readonly mending: Mending;
  /** Clusters that are taken and that nobody owns, and that are not marked as bad: the first runs of them. */
  readonly leaked: readonly Run[];
  /** Entries or chains were damaged: what is in leaked clusters may have been theirs. */
  readonly lost: boolean;
}

/** All but the boot regions. Throws HiperisoError where the volume cannot even be opened. */
export async function inspectVolume(medium: Medium, signal: AbortSignal, onFile: () => void): Promise<Inspection> {
  const facts = await readRootFacts(medium, { lenient: true });
  const inquiry = new Inquiry(medium, facts);
  const names = new OpenNames(inquiry);
  const allocations = new Allocations(inquiry);
  let files = 0;
  let directories = 1;

  await inspectTables(inquiry);
  for await (const walked of walkVolume(medium, facts.root, inquiry.table, signal)) {
    if (walked.kind === "left") await names.close(walked.directory);
    else if (walked.kind === "other") await inspectOther(inquiry, walked);
    else {
      const seen = inspectSet(inquiry, walked);
      if (seen !== undefined) {
        if (seen.isDirectory) directories += 1;
        else files += 1;
        names.add(seen.directory, seen.set.name);
        await allocations.see(seen);
      }
    }
    onFile();
  }
  await allocations.seeDoubtful();
  await inspectCrossings(inquiry, allocations.crossings, signal);
  const leaked = await compareBitmap(inquiry, signal);
  await inspectFlags(inquiry);

  const { bitmap, table, findings } = inquiry;
  const { all, cut, lost } = findings;
  return { findings: all, cut, files, directories, leaked, lost, mending: { medium, bitmap, table } };
}
