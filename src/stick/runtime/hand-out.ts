/** A copy of a built runtime in a folder of the person's own: whole under its name, or what was there before. */
import { randomBytes } from "node:crypto";
import { cp, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { STICK_ESP } from "../../contract/stick.ts";
import { syncDirectory, syncTree } from "../../host/atomic-file.ts";

/** In the output of the stage, and what the copy is called behind the folder's own name. The ESP comes last: where it is, all is. */
const PARTS = [
  { from: "licences", suffix: ".licences" },
  { from: "packages.json", suffix: ".packages.json" },
  { from: "esp", suffix: "" },
] as const;

/**
 * Copies the output of the stage of kind stick-runtime: what the ESP holds to `folder`, packages and licences beside it (`folder.packages.json`,
 * `folder.licences/`). An empty folder and an earlier runtime there are replaced. Throws HiperisoError of kind `usage` where something else is.
 */
export async function handOutRuntime(output: string, folder: string, { signal }: Job): Promise<void> {
  const target = resolve(folder);
  await refuseOther(target);
  try {
    for (const { from, suffix } of PARTS) {
      signal.throwIfAborted();
      await replace(join(output, from), `${target}${suffix}`, signal);
    }
    await syncDirectory(dirname(target));
  } catch (error) {
    signal.throwIfAborted();
    throw new HiperisoError({
      what: "copy the runtime",
      where: folder,
      found: reasonOf(error),
      hint: `It is kept at ${output}.`,
      cause: error,
    });
  }
}

async function replace(from: string, target: string, signal: AbortSignal): Promise<void> {
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(4).toString("hex")}`);
  const [made, old] = [`${temporary}.part`, `${temporary}.old`];
  try {
    await mkdir(dirname(target), { recursive: true });
    await cp(from, made, { recursive: true, errorOnExist: true });
    if ((await stat(made)).isDirectory()) await syncTree(made);
    signal.throwIfAborted();
    const wasThere = await rename(target, old).then(() => true, ifMissing);
    await rename(made, target).catch(async (error: unknown) => {
      if (wasThere) await rename(old, target);
      throw error;
    });
  } finally {
    await Promise.all([made, old].map((path) => rm(path, { recursive: true, force: true })));
  }
}

const ifMissing = (error: NodeJS.ErrnoException): false => {
  if (error.code === "ENOENT") return false;
  throw error;
};

async function refuseOther(target: string): Promise<void> {
  const there = await stat(target).catch(() => undefined);
  if (there === undefined) return;
  const names = there.isDirectory() ? await readdir(target) : undefined;
  if (names?.length === 0) return;
  if (names !== undefined && (await stat(join(target, STICK_ESP.runtime)).catch(() => undefined))?.isFile() === true) return;
  throw new HiperisoError({
    what: "copy the runtime",
    where: target,
    expected: "a new folder, an empty one, or an earlier runtime",
    found: names === undefined ? "a file" : "a folder with other things in it",
    kind: "usage",
  });
}
