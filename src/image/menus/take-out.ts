/** Copies the kernel and the initial RAM file systems of a menu's entry out of an image. Nothing is mounted. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { makeFileAtomic } from "../../host/atomic-stream.ts";
import type { BlockSource } from "../block-source.ts";
import type { ImageFacts } from "../image-facts.ts";
import type { ImagePart } from "./boot-entry.ts";
import type { BootableEntry } from "./choose-entry.ts";
import { type MenuVolume, openMenuVolumes } from "./menu-volumes.ts";

/** Paths of the copies. */
export interface TakenFiles {
  readonly kernel: string;
  /** In the order in which the kernel unpacks them. */
  readonly initrds: readonly string[];
}

/**
 * Makes `folder` and fills it: `kernel`, `initrd-1`, … `facts` and `entry`: as they were read from `medium`. Throws HiperisoError where the image
 * ends before a file does, or cannot be read; the system's error where the folder cannot be written.
 */
export async function takeOutFiles(
  medium: BlockSource,
  facts: ImageFacts,
  entry: Pick<BootableEntry, "kernel" | "initrds">,
  folder: string,
  job: Job,
): Promise<TakenFiles> {
  const volumes = await openMenuVolumes(medium, facts, job.signal);
  const parts = [entry.kernel, ...entry.initrds];
  const total = parts.reduce((sum, { sizeBytes }) => sum + BigInt(sizeBytes), 0n);
  const step = job.progress.begin(`take the kernel out of ${medium.name}`, total);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    const kernel = join(folder, "kernel");
    await takeOut(medium, volumes, entry.kernel, kernel, job, step.advance);
    const initrds: string[] = [];
    for (const [index, part] of entry.initrds.entries()) {
      const path = join(folder, `initrd-${index + 1}`);
      await takeOut(medium, volumes, part, path, job, step.advance);
      initrds.push(path);
    }
    return { kernel, initrds };
  } finally {
    step.end();
  }
}

async function takeOut(
  medium: BlockSource,
  volumes: readonly MenuVolume[],
  part: ImagePart,
  path: string,
  job: Job,
  advance: (bytes: number) => void,
): Promise<void> {
  const volume = volumes.find((one) => one.volume === part.volume);
  const node = await volume?.find(part.path);
  const size = BigInt(part.sizeBytes);
  let left = size;
  await makeFileAtomic(path, async (file) => {
    if (volume === undefined || node === undefined) return;
    for await (const piece of volume.read(node, BigInt(part.startBytes))) {
      job.signal.throwIfAborted();
      const wanted = BigInt(piece.length) < left ? piece : piece.subarray(0, Number(left));
      await file.writeFile(wanted);
      left -= BigInt(wanted.length);
      advance(wanted.length);
      if (left === 0n) return;
    }
  });
  if (left === 0n) return;
  throw new HiperisoError({
    what: `take ${part.path} out of the image`,
    where: medium.name,
    expected: `${size} bytes`,
    found: `${size - left}, then the end of the image or of what of the file can be followed`,
    hint: "The image is cut or damaged: `hiperiso inspect` says more.",
  });
}
