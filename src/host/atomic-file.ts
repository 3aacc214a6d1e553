import { randomBytes } from "node:crypto";
import { open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";

/**
 * Replaces `path` whole: temporary name in the same folder, write, sync, rename, sync the folder. A reader sees
 * the old bytes or the new ones, after a power cut too. Throws with the reason when the disk is full or read-only;
 * the old file is then untouched and the temporary one gone.
 */
export async function writeFileAtomic(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx", 0o644);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw new HiperisoError({ what: "write a file", where: path, found: reasonOf(error), hint: writeHint(error), cause: error });
  }
  await syncDirectory(dirname(path));
}

/** Makes a rename or a new name durable. Not every file system can (exFAT, FUSE): then the next best is nothing. */
export async function syncDirectory(path: string): Promise<void> {
  try {
    const directory = await open(path, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch {
    // EINVAL or EPERM: this file system syncs no directories.
  }
}

/** What a person can do about an error of a write. */
export function writeHint(error: unknown): string {
  switch ((error as NodeJS.ErrnoException)?.code) {
    case "ENOSPC":
    case "EDQUOT":
      return "The file system is full: make room, or choose another folder with --log-dir.";
    case "EROFS":
      return "The file system is read-only: choose another folder with --log-dir.";
    case "EACCES":
    case "EPERM":
      return "You may not write there: change its permissions, or choose another folder with --log-dir.";
    default:
      return "Choose another folder with --log-dir, or mend this one.";
  }
}

/** Brings a folder with all that is in it onto the disk. What is no file and no folder has nothing to bring. */
export async function syncTree(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await syncTree(path);
    else if (entry.isFile()) {
      const file = await open(path, "r");
      try {
        await file.sync();
      } finally {
        await file.close();
      }
    }
  }
  await syncDirectory(folder);
}
