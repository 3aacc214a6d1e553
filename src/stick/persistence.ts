/** A file with a file system in it, on which a live system keeps its changes. */
import { chmod, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { execa } from "execa";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { Ids } from "../disk/ids.ts";
import { makeFileAtomic } from "../host/atomic-stream.ts";
import { findTool } from "../host/tools.ts";
import type { Environment } from "../host/xdg.ts";

export interface PersistenceWish {
  readonly path: string;
  readonly sizeBytes: bigint;
  /** What the live system looks for: `persistence` (Debian), `casper-rw` or `writable` (Ubuntu), … */
  readonly label: string;
  readonly ids: Ids;
  readonly timeMs: number;
}

const BLOCK_BYTES = 4096n;
const LABEL_BYTES_MAX = 16;
/** Room for a journal, and for something to be kept. */
const SIZE_MIN = 8n << 20n;
/** Debian's live-boot keeps nothing before this file says what (persistence.conf(5)). */
const LIVE_BOOT_LABEL = "persistence";
const LIVE_BOOT_CONF = "/ union\n";

/** Sparse ext4, under its name when it is whole; the same bytes for the same ids and time. Throws HiperisoError. */
export async function makePersistence({ path, sizeBytes, label, ids, timeMs }: PersistenceWish, env: Environment, job: Job): Promise<void> {
  const bad = (expected: string, found: string) =>
    new HiperisoError({ what: "make a persistence image", where: path, expected, found, kind: "usage" });
  const blocks = sizeBytes / BLOCK_BYTES;
  if (sizeBytes < SIZE_MIN || sizeBytes > BigInt(Number.MAX_SAFE_INTEGER)) throw bad(`${SIZE_MIN} bytes or more`, `${sizeBytes}`);
  if (label === "" || Buffer.byteLength(label) > LABEL_BYTES_MAX || /[\0-\x1f\x7f/]/.test(label))
    throw bad(`a label of 1 to ${LABEL_BYTES_MAX} bytes`, JSON.stringify(label));
  const mke2fs = await findTool("mke2fs", env);
  const debugfs = label === LIVE_BOOT_LABEL ? await findTool("debugfs", env) : undefined;
  const epoch = `${Math.floor(timeMs / 1000)}`;
  const run = async (tool: string, words: readonly string[]) => {
    const options = {
      extendEnv: false,
      env: { LC_ALL: "C", E2FSPROGS_FAKE_TIME: epoch, SOURCE_DATE_EPOCH: epoch, MKE2FS_CONFIG: "/dev/null" },
      cancelSignal: job.signal,
      all: true,
      cwd: dirname(path),
    } as const;
    try {
      return (await execa(tool, [...words], options)).all;
    } catch (cause) {
      job.signal.throwIfAborted();
      const found = (cause as { all?: string }).all?.trim() || reasonOf(cause);
      throw new HiperisoError({ what: `make a persistence image (${basename(tool)})`, where: path, found, cause });
    }
  };
  const uuid = ids.guid().toLowerCase();
  try {
    await makeFileAtomic(path, async (file, temporary) => {
      await file.truncate(Number(blocks * BLOCK_BYTES));
      const extended = `hash_seed=${uuid},root_owner=0:0,nodiscard,lazy_itable_init=1,lazy_journal_init=1`;
      await run(mke2fs, [
        "-q",
        "-F",
        "-t",
        "ext4",
        "-b",
        `${BLOCK_BYTES}`,
        "-L",
        label,
        "-U",
        uuid,
        "-E",
        extended,
        temporary,
        `${blocks}`,
      ]);
      if (debugfs === undefined) return;
      const conf = `${ids.serial().toString(16)}.conf`;
      await writeFile(join(dirname(temporary), conf), LIVE_BOOT_CONF, { flag: "wx" });
      try {
        await chmod(join(dirname(temporary), conf), 0o644);
        // Its requests are split at blanks and quotes, so it is run beside the file, whose name has none. It tells of no failure by its status.
        const said = await run(debugfs, ["-w", "-R", `write ${conf} persistence.conf`, resolve(temporary)]);
        if (!/^Allocated inode: \d+$/m.test(said))
          throw new HiperisoError({
            what: "make a persistence image",
            where: path,
            expected: "persistence.conf in it",
            found: said.trim(),
          });
      } finally {
        await rm(join(dirname(temporary), conf), { force: true });
      }
    });
  } catch (cause) {
    if (cause instanceof HiperisoError || !(cause instanceof Error && "code" in cause)) throw cause;
    throw new HiperisoError({ what: "make a persistence image", where: path, found: reasonOf(cause), kind: "usage", cause });
  }
}
