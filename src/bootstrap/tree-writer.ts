/** Writes the entries of a target tree into a folder: contents, modes and times as listed. */
import { constants } from "node:fs";
import { chmod, copyFile, mkdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { spaceHint } from "./payload/space-hint.ts";
import type { TargetEntry } from "./target-tree.ts";

/**
 * `root` is there and `entries` are sorted, folders before what is in them. A file or a link that stands in the place of an entry is removed
 * first: what is written never goes through a link. Where blocks can be shared with the source, they are. Throws with the file and the reason.
 */
export async function writeTree(root: string, entries: readonly TargetEntry[], job: Job): Promise<void> {
  const step = job.progress.begin(
    "copy files",
    entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0n),
  );
  try {
    for (const entry of entries) {
      job.signal.throwIfAborted();
      await writeEntry(root, entry);
      step.advance(Number(entry.sizeBytes));
    }
    // Writing into a folder changes its time, and may need a mode that it shall not keep. The innermost come first.
    for (const entry of entries.filter(({ kind }) => kind === "directory").reverse()) await settle(join(root, entry.path), entry);
  } finally {
    step.end();
  }
}

async function writeEntry(root: string, entry: TargetEntry): Promise<void> {
  const path = join(root, entry.path);
  try {
    if (entry.kind === "directory") {
      await mkdir(path, { mode: 0o755 }).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code !== "EEXIST" || !(await stat(path)).isDirectory()) throw error;
      });
      return;
    }
    await rm(path, { force: true });
    if ("bytes" in entry.from) await writeFile(path, entry.from.bytes, { flag: "wx" });
    else await copyFile(entry.from.file, path, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const { size } = await stat(path, { bigint: true });
    if (size !== entry.sizeBytes) {
      throw new HiperisoError({
        what: "copy a file into the target",
        where: "file" in entry.from ? entry.from.file : path,
        expected: `the ${entry.sizeBytes} bytes that it had at the start`,
        found: `${size}`,
        hint: "Wait until nothing writes to it any more, then start again.",
      });
    }
    await settle(path, entry);
  } catch (cause) {
    throw cause instanceof HiperisoError
      ? cause
      : new HiperisoError({ what: "write the target", where: path, found: reasonOf(cause), hint: spaceHint(cause), cause });
  }
}

async function settle(path: string, { mode, mtimeMs }: TargetEntry): Promise<void> {
  await chmod(path, mode);
  await utimes(path, mtimeMs / 1000, mtimeMs / 1000);
}
