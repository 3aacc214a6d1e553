/** What catalyst's specs name on the computer, brought to stand beside our spec. */
import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { cp, mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { writeFileAtomic } from "../../host/atomic-file.ts";
import { fileReason } from "../../host/file-reason.ts";
import type { BesideFile } from "./media-graph.ts";

/** Where catalyst keeps what it built, unless its configuration says otherwise. */
export const CATALYST_BUILDS = "/var/tmp/catalyst/builds";

/** Endings in the order in which they are looked for. */
export const ARCHIVE_ENDINGS = ["", ".tar.xz", ".tar.zst", ".tar.gz", ".tar.bz2", ".tar", ".txz", ".tgz", ".tbz2"] as const;

/** The archive that a `source_subpath` means; undefined: it is in none of these folders. */
export async function findSeed(subpath: string, folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    for (const ending of ARCHIVE_ENDINGS) {
      const path = resolve(folder, `${subpath}${ending}`);
      if ((await stat(path).catch(() => undefined))?.isFile() === true) return path;
    }
  }
  return undefined;
}

/** `.tar.xz` of a path; that of catalyst's usual archives where it has none. */
export const archiveEnding = (path: string | undefined): string =>
  /\.(?:tar(?:\.[a-z0-9]+)?|t[a-z0-9]{2,3})$/.exec(path ?? "")?.[0] ?? ".tar.xz";

export interface BesidePlaces {
  /** Where relative paths of the specs begin. */
  readonly from: string;
  readonly seed: string | undefined;
}

export interface Missing {
  readonly from: string;
  readonly to: string;
  readonly because: string;
}

/**
 * Writes the spec and the folder beside it that it speaks of; both are new, or it throws (`usage`). What cannot be found is left out and told. Cut anywhere, there is
 * no spec under its name, and no folder that is half filled.
 */
export async function writeMediaSpec(
  path: string,
  text: string,
  files: readonly BesideFile[],
  places: BesidePlaces,
  { signal }: Job,
): Promise<readonly Missing[]> {
  const folder = dirname(path);
  const names = [...new Set(files.map(({ to }) => to.slice(0, to.indexOf("/"))))];
  for (const name of [basename(path), ...names]) {
    if (await exists(join(folder, name))) {
      throw new HiperisoError({
        what: "write the spec",
        where: join(folder, name),
        expected: "nothing there yet",
        found: "something",
        hint: "Remove it, or choose another name by --to.",
        kind: "usage",
      });
    }
  }
  await mkdir(folder, { recursive: true });
  const temporary = join(folder, `.${basename(path)}.${randomBytes(4).toString("hex")}.tmp`);
  const missing: Missing[] = [];
  try {
    // Folders first: what a spec names by itself counts more than what lies in a folder.
    for (const file of [...files.filter(({ kind }) => kind === "folder"), ...files.filter(({ kind }) => kind !== "folder")]) {
      signal.throwIfAborted();
      const because = await place(file, join(temporary, file.to), places);
      if (because !== undefined && file.kind !== "text") missing.push({ from: file.from, to: join(folder, file.to), because });
    }
    for (const name of names) if (await exists(join(temporary, name))) await rename(join(temporary, name), join(folder, name));
    await writeFileAtomic(path, text);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return missing;
}

/** Undefined: it is there now. */
async function place(file: BesideFile, to: string, { from, seed }: BesidePlaces): Promise<string | undefined> {
  try {
    await mkdir(file.kind === "folder" ? to : dirname(to), { recursive: true });
    if (file.kind === "text") {
      await writeFile(to, file.text);
      return undefined;
    }
    if (file.kind === "archive" && seed === undefined) return "it was not found; give the folder of catalyst's builds by --builds";
    const source = file.kind === "archive" ? seed! : isAbsolute(file.from) ? file.from : resolve(from, file.from);
    const facts: Stats = await stat(source);
    if (file.kind === "folder" ? !facts.isDirectory() : !facts.isFile()) return `expected a ${file.kind === "folder" ? "folder" : "file"}`;
    await cp(source, to, { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE });
    return undefined;
  } catch (error) {
    return fileReason(error);
  }
}

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined;
