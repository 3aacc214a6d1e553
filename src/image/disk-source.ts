/** The disk in an image of any format: its bytes as the guest will see them, where we can read them, and the files that they stand in. */
import type { Job } from "../contract/job.ts";
import { type BlockSource, cachedSource } from "./block-source.ts";
import { closeDiskFiles, type DiskFileRules, type DiskFiles, diskFilesOf, type OpenDiskFile, openDiskFiles } from "./disk-format.ts";
import { mappedSource } from "./mapped-source.ts";
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
    const { qcow2, mapped } = file;
    const obstacle =
      qcow2 === undefined ? (mapped !== undefined && "obstacle" in mapped ? mapped.obstacle : undefined) : qcow2Obstacle(qcow2);
    if (obstacle !== undefined) return { obstacle };
    if (qcow2 !== undefined) source = qcow2Source(cachedSource(file.source, signal), qcow2, source);
    else if (mapped !== undefined && "map" in mapped) source = mappedSource(cachedSource(file.source, signal), mapped.map);
    else source = file.source;
  }
  return source === undefined ? { obstacle: "there is no file" } : { source };
}
