/** What a plan is told of this computer, gathered before it is made. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { distfileSizes } from "./distfiles.ts";
import { guestFilePath, IMPORT_PACKAGE_FILES, importStepFile } from "./import-step.ts";
import { type BootstrapOptions, hasPayload } from "./options.ts";

export interface PlanFacts {
  /** Sizes of the plain files in the folder of distfiles, by name. */
  readonly distfiles: ReadonlyMap<string, number>;
  /** The mirrors as the guest reaches them; undefined where a `file://` mirror has no server yet. */
  readonly mirrorUrls?: readonly string[];
  /** Sizes of this program's files that the target gets, by their path below `guest/`. */
  readonly guestFiles: ReadonlyMap<string, number>;
  /** What the files of `--repo` come to; absent without one. */
  readonly repoBytes?: number;
}

/** `distfiles` need not exist: then no size is known. */
export async function readPlanFacts(distfiles: string, options: BootstrapOptions, job: Job): Promise<PlanFacts> {
  job.signal.throwIfAborted();
  const guestFiles = hasPayload(options) ? [...IMPORT_PACKAGE_FILES, importStepFile("kaem"), importStepFile("bash")] : [];
  const [sizes, own, repoBytes] = await Promise.all([
    distfileSizes(distfiles),
    Promise.all(guestFiles.map(async ({ guestFile }) => [guestFile, (await stat(guestFilePath(guestFile))).size] as const)),
    options.repo === undefined ? undefined : bytesBelow(options.repo, job),
  ]);
  const served = options.mirrors.every((mirror) => !mirror.startsWith("file://"));
  return {
    distfiles: sizes,
    guestFiles: new Map(own),
    ...(served ? { mirrorUrls: options.mirrors } : {}),
    ...(repoBytes === undefined ? {} : { repoBytes }),
  };
}

async function bytesBelow(folder: string, job: Job): Promise<number> {
  job.signal.throwIfAborted();
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    throw new HiperisoError({ what: "read the packages that were built before", where: folder, found: reasonOf(error), kind: "usage" });
  });
  const sizes = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? bytesBelow(path, job) : ((await stat(path).catch(() => undefined))?.size ?? 0);
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
