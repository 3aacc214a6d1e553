/** Big files that come in pieces: the whole under the final name, or nothing new there. */
import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/**
 * Lets `make` fill a new file beside `path`, brings it onto the disk and gives it its name, replacing what is there. Whatever is thrown, by `make`
 * too, goes through; the new file is gone then. `make` gets its handle, and its name for those who open it themselves.
 */
export async function makeFileAtomic(path: string, make: (file: FileHandle, temporary: string) => Promise<void>): Promise<void> {
  // The name of the file is left out where it would make this one too long.
  const name = basename(path);
  const temporary = join(dirname(path), `.${name.length > 100 ? "" : `${name}.`}${randomBytes(6).toString("hex")}.part`);
  let made = false;
  try {
    const file = await open(temporary, "wx+", 0o644);
    made = true;
    try {
      await make(file, temporary);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    if (made) await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}
