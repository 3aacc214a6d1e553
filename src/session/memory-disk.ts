/**
 * `boot_mode memdisk`: a copy of the image in this computer's memory, for a medium that is slow or is to be unplugged. The copy has no name: it is a
 * file on a file system in memory whose name is taken away as soon as it is open, so that the kernel frees it with its last user, however that one ends.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, open, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { type Environment, runtimeFolder } from "../host/xdg.ts";
import { type BlockSource, openImage } from "../image/block-source.ts";
import type { Furnish } from "./furnish.ts";

/** `path`: absolute. The plan's image becomes the copy. */
export function imageInMemory(path: string, env: Environment): Furnish {
  return async (_scratch, job) => {
    await using source = await openImage(path);
    const copy = await openUnnamed(source.sizeBytes, env);
    try {
      await copyInto(copy, source, job);
    } catch (error) {
      await copy.close();
      throw error;
    }
    return {
      change: (plan) =>
        plan.image === null
          ? plan
          : {
              ...plan,
              image: {
                ...plan.image,
                // The descriptor of this process: the file has no other name any more.
                path: `/proc/${process.pid}/fd/${copy.fd}`,
                blockDevice: false,
                because: `${plan.image.because}; a copy in memory of ${path}`,
              },
            },
      [Symbol.asyncDispose]: () => copy.close(),
    };
  };
}

/** Magic numbers of statfs(2): linux/magic.h, TMPFS_MAGIC and RAMFS_MAGIC. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x0102_1994, 0x8584_58f6]);

async function openUnnamed(sizeBytes: bigint, env: Environment): Promise<FileHandle> {
  const tried: string[] = [];
  for (const folder of new Set(["/dev/shm", await runtimeFolder(env).catch(() => "/dev/shm"), env["TMPDIR"] ?? "/tmp", "/tmp"])) {
    try {
      const facts = await statfs(folder, { bigint: true });
      const free = facts.bavail * facts.bsize;
      if (!IN_MEMORY.has(Number(facts.type))) tried.push(`${folder} is not in memory`);
      else if (free < sizeBytes) tried.push(`${folder} has room for ${free} bytes`);
      else return await openIn(folder);
    } catch (error) {
      tried.push(`${folder}: ${reasonOf(error)}`);
    }
  }
  throw new HiperisoError({
    what: "copy the image into memory",
    expected: `a file system in memory with room for ${sizeBytes} bytes`,
    found: tried.join("; "),
    hint: "Enlarge /dev/shm (mount -o remount,size=… /dev/shm), or leave --boot-mode memdisk away.",
    kind: "usage",
  });
}

async function openIn(folder: string): Promise<FileHandle> {
  const name = join(folder, `hiperiso-${randomBytes(8).toString("hex")}`);
  const file = await open(name, "wx+", 0o600);
  try {
    await rm(name);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

const PIECE_BYTES = 1 << 20;

async function copyInto(copy: FileHandle, source: BlockSource, job: Job): Promise<void> {
  const step = job.progress.begin(`copy ${source.name} into memory`, source.sizeBytes);
  try {
    for (let offset = 0n; offset < source.sizeBytes; ) {
      job.signal.throwIfAborted();
      const piece = await source.read(offset, PIECE_BYTES);
      if (piece.length === 0) throw shrunk(source, offset);
      await copy.writeFile(piece);
      offset += BigInt(piece.length);
      step.advance(piece.length);
    }
  } finally {
    step.end();
  }
}

const shrunk = (source: BlockSource, offset: bigint): HiperisoError =>
  new HiperisoError({
    what: "copy the image into memory",
    where: source.name,
    expected: `${source.sizeBytes} bytes`,
    found: `${offset}, then its end: it shrank meanwhile`,
  });
