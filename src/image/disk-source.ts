/** The disk in an image of any format: its bytes as the guest will see them, where we can read them, and the files that they stand in. */
import type { Job } from "../contract/job.ts";
import { type BlockSource, cachedSource } from "./block-source.ts";
import { closeDiskFiles, type DiskFileRules, type DiskFiles, diskFilesOf, type OpenDiskFile, openDiskFiles } from "./disk-format.ts";
import { qcow2Obstacle, qcow2Source } from "./qcow2-source.ts";

export interface OpenDisk extends AsyncDisposable {
  readonly files: DiskFiles;
  /** Of the first of the files. */
  readonly fileBytes: bigint;
  /** What the guest sees, or one clause on why only QEMU can tell. */
  readonly content: { readonly source: BlockSource } | { readonly obstacle: string };
}

/** Throws as `openDiskFiles` does. */
export async function openDisk(path: string, rules: DiskFileRules, signal: Job["signal"]): Promise<OpenDisk> {
  const files = await openDiskFiles(path, rules);
  const fileBytes = files[0]?.source.sizeBytes ?? 0n;
  return { files: diskFilesOf(files), fileBytes, content: contentOf(files, signal), [Symbol.asyncDispose]: () => closeDiskFiles(files) };
}

/** From the bottom of the chain up. */
function contentOf(files: readonly OpenDiskFile[], signal: AbortSignal): OpenDisk["content"] {
  let source: BlockSource | undefined;
  for (const file of [...files].reverse()) {
    const { format, qcow2 } = file;
    if (format === "raw") source = file.source;
    else if (qcow2 === undefined) return { obstacle: `only QEMU reads the format ${format}` };
    else {
      const obstacle = qcow2Obstacle(qcow2);
      if (obstacle !== undefined) return { obstacle };
      source = qcow2Source(cachedSource(file.source, signal), qcow2, source);
    }
  }
  return source === undefined ? { obstacle: "there is no file" } : { source };
}
