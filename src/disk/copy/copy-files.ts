/** Does what a copy's plan says. */
import { type Job, silentProgress } from "../../contract/job.ts";
import type { CopyPlan, PlannedFile } from "./plan-copy.ts";
import type { Tree } from "./tree.ts";

/**
 * Folders first, then files in their order; times are kept. Stops at the first error, or when it is aborted: files before it are whole, of the one
 * that was being written nothing is there, and one that was to be replaced is still the old one.
 */
export async function copyFiles({ folders, files, totalBytes }: CopyPlan, target: Tree, job: Job): Promise<void> {
  const step = job.progress.begin(`copy ${files.length === 1 ? "1 file" : `${files.length} files`}`, totalBytes);
  const quiet: Job = { signal: job.signal, progress: { ...silentProgress, warn: (line) => job.progress.warn(line) } };
  try {
    for (const { to, modifiedMs } of folders) {
      job.signal.throwIfAborted();
      await target.makeFolder(to, modifiedMs);
    }
    for (const file of files) {
      job.signal.throwIfAborted();
      const { to, sizeBytes, modifiedMs, replacedBytes } = file;
      const content = counted(file, (bytes) => step.advance(bytes));
      await target.write(to, content, { sizeBytes, modifiedMs, replace: replacedBytes !== undefined }, quiet);
    }
    for (const { to, modifiedMs } of [...folders].reverse()) await target.finishFolder(to, modifiedMs);
  } finally {
    step.end();
  }
}

async function* counted({ tree, from }: PlannedFile, advance: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const piece of tree.read(from)) {
    yield piece;
    advance(piece.length);
  }
}
