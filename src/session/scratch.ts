/**
 * The private directory of a session's recorder: sockets, FIFOs and the guest's overlay need a file system that the log
 * directory may not be on. It is removed by its recorder, or after its death by the next start; and since a log directory
 * may come from another computer, what `owner.json` names there is removed only where the directory itself says the same.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Owner } from "../contract/session.ts";

/** Inside: whose it is. */
const MARK_FILE = "owner";

type Recorder = Pick<Owner, "pid" | "pid_start_ticks" | "boot_id">;

const markOf = ({ pid, pid_start_ticks, boot_id }: Recorder): string => `${pid} ${pid_start_ticks} ${boot_id}\n`;

/** Throws where `root` takes no directory. */
export async function makeScratch(root: string, recorder: Recorder): Promise<string> {
  try {
    const scratch = await mkdtemp(join(root, "hiperiso-"));
    await writeFile(join(scratch, MARK_FILE), markOf(recorder));
    return scratch;
  } catch (error) {
    throw new HiperisoError({
      what: "make a directory for private files",
      where: root,
      expected: "a folder that can be written",
      found: reasonOf(error),
      hint: "Set TMPDIR to a folder with room.",
      cause: error,
    });
  }
}

/** Does nothing to a directory that is not this owner's. */
export async function removeScratch(owner: Owner): Promise<void> {
  const mark = await readFile(join(owner.scratch_dir, MARK_FILE), "utf8").catch(() => undefined);
  if (mark === markOf(owner)) await rm(owner.scratch_dir, { recursive: true, force: true });
}
