/** A folder of this computer as a tree that files are copied from and to. */
import { createReadStream, type Dirent } from "node:fs";
import { lstat, mkdir, opendir, stat, statfs, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { makeFileAtomic } from "../../host/atomic-stream.ts";
import type { NewFile } from "../volume.ts";
import type { Tree, TreeEntry } from "./tree.ts";

const READ_BYTES = 1 << 20;
const NAME_BYTES_MAX = 255;

/** What a person names is followed when it is a symbolic link; links below it are not. */
export const hostTree: Tree = {
  id: "",
  shown: (path) => path,
  join,
  stat: async (path) => {
    try {
      const found = await stat(path, { bigint: true });
      return entryOf(nameOf(path), found);
    } catch (cause) {
      if (isMissing(cause)) return undefined;
      throw failed("look at a file", path, cause);
    }
  },
  list: async function* (folder) {
    try {
      // Names as bytes: those that are no UTF-8 must not be taken for others.
      for await (const item of await opendir(folder, { encoding: "buffer" as BufferEncoding })) yield await entryIn(folder, item);
    } catch (cause) {
      throw cause instanceof HiperisoError ? cause : failed("list a folder", folder, cause);
    }
  },
  read: async function* (path) {
    try {
      yield* createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Uint8Array>;
    } catch (cause) {
      throw failed("read a file", path, cause);
    }
  },
  nameFault: (name) => {
    if (name === "" || name === "." || name === "..") return `the reserved name "${name}"`;
    // A hostile volume may hold such names: below the folder that was named nothing may get out of it.
    if (/[/\0]/.test(name)) return "a / or NUL in it";
    if (/\p{Surrogate}/u.test(name)) return "half of a character (an unpaired surrogate)";
    return Buffer.byteLength(name) > NAME_BYTES_MAX ? `more than ${NAME_BYTES_MAX} bytes` : undefined;
  },
  fileBytesMax: (1n << 63n) - 1n,
  folded: (name) => name,
  space: async (path) => {
    for (let folder = path; ; folder = dirname(folder)) {
      try {
        const { bavail, bsize } = await statfs(folder);
        return { freeBytes: BigInt(bavail) * BigInt(bsize), clusterBytes: bsize };
      } catch (cause) {
        if (!isMissing(cause) || dirname(folder) === folder) throw failed("ask for free space", folder, cause);
      }
    }
  },
  entryBytes: () => 0,
  makeFolder: async (path) => {
    await mkdir(path).catch((cause: unknown) => {
      throw failed("make a folder", path, cause);
    });
  },
  finishFolder: async (path, modifiedMs) => {
    await utimes(path, modifiedMs / 1000, modifiedMs / 1000).catch(() => {}); // FUSE and exFAT may refuse: the files are there all the same
  },
  write: writeHostFile,
};

const nameOf = (path: string): string => /([^/]*)\/*$/.exec(path)?.[1] ?? "";

type HostStats = Awaited<ReturnType<typeof statBig>>;
const statBig = (path: string | Buffer) => lstat(path, { bigint: true });

function entryOf(name: string | undefined, found: HostStats): TreeEntry {
  const common = { name, sizeBytes: found.size, modifiedMs: Number(found.mtimeNs / 1_000_000n) };
  if (found.isFile()) return { ...common, kind: "file" };
  if (found.isDirectory()) return { ...common, kind: "directory" };
  return { ...common, kind: "other", otherKind: found.isSymbolicLink() ? "a symbolic link" : "a device, a pipe or a socket" };
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

async function entryIn(folder: string, item: Dirent): Promise<TreeEntry> {
  const bytes = item.name as unknown as Buffer;
  let name: string | undefined;
  try {
    name = strictUtf8.decode(bytes);
  } catch {
    name = undefined;
  }
  const path = Buffer.concat([Buffer.from(`${folder}/`), bytes]);
  return entryOf(
    name,
    await statBig(path).catch((cause: unknown) => {
      throw failed("look at a file", path.toString(), cause);
    }),
  );
}

/** Under its name there is the whole file or what was there before. */
async function writeHostFile(
  path: string,
  content: AsyncIterable<Uint8Array>,
  { sizeBytes, modifiedMs }: NewFile,
  job: Job,
): Promise<void> {
  try {
    await makeFileAtomic(path, async (file) => {
      let written = 0n;
      for await (const piece of content) {
        job.signal.throwIfAborted();
        for (let done = 0; done < piece.length; ) done += (await file.write(piece, done)).bytesWritten;
        written += BigInt(piece.length);
      }
      if (written !== sizeBytes) throw new Error(`${written} bytes came, ${sizeBytes} were announced`);
      await file.utimes(modifiedMs / 1000, modifiedMs / 1000).catch(() => {}); // as above
    });
  } catch (cause) {
    job.signal.throwIfAborted();
    throw cause instanceof HiperisoError ? cause : failed("write a file", path, cause);
  }
}

const isMissing = (cause: unknown): boolean => ["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "");

function failed(what: string, where: string, cause: unknown): HiperisoError {
  const { code } = cause as NodeJS.ErrnoException;
  const kind = code === "EACCES" || code === "EPERM" || code === "ENOENT" || code === "EROFS" ? "usage" : "failure";
  return new HiperisoError({ what, where, found: reasonOf(cause), kind, cause });
}
