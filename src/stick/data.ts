/** A stick's data partition, whichever way it is reached: the volume itself, without mounting, or the folder at which it is mounted. */
import { createReadStream } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { type Job, silentProgress } from "../contract/job.ts";
import { STICK_DATA } from "../contract/stick.ts";
import type { BlockStore } from "../disk/block-store.ts";
import { hostTree } from "../disk/copy/host-tree.ts";
import { type Tree, volumeTree } from "../disk/copy/tree.ts";
import type { NewFile, Volume } from "../disk/volume.ts";
import { nameFault } from "../formats/exfat-entries.ts";
import { syncDirectory } from "../host/atomic-file.ts";
import { readSource, readVolumeFile } from "./source-reader.ts";

/** A file whose bytes come in several goes, and which the partition remembers over a cut. */
export interface PartialFile {
  /** Bytes that are there, from its start. */
  readonly writtenBytes: bigint;
  read(): AsyncIterable<Uint8Array>;
  /** Adds exactly `lengthBytes`, on the medium when it returns. */
  append(content: AsyncIterable<Uint8Array>, lengthBytes: bigint, job: Job): Promise<void>;
}

/** Paths are the stick's own, from the partition's root: `/ISOs/a.iso`. */
export interface StickData extends AsyncDisposable {
  /** For messages. */
  readonly where: string;
  /** The volume; undefined where it is mounted, and its file system is the system's business. */
  readonly volume: Volume | undefined;
  readonly tree: Tree;
  /** A path as `tree` takes it. */
  at(path: string): string;
  /** All of a file. A piece is the caller's until it asks for the next one: for images, of which nobody keeps any. */
  read(path: string, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Opens a file that was begun, or begins it with room for `sizeBytes`. Undefined where such files cannot be. */
  partial(path: string, file: Omit<NewFile, "replace">): Promise<PartialFile | undefined>;
  /** Over a file that is there: that one is gone then. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string, options?: { readonly recursive?: boolean }): Promise<void>;
  /** All that was written is on the medium. */
  flush(): Promise<void>;
}

/** Between two of them a cut loses nothing. A multiple of every cluster size that a stick has. */
export const SEGMENT_BYTES = 64n << 20n;

/** Does not own the volume, nor the store that it is on. */
export function volumeData(volume: Volume, store: BlockStore): StickData {
  const { growing } = volume;
  const removeIfThere = async (path: string, options?: { readonly recursive?: boolean }) => {
    if ((await volume.stat(path)) !== undefined) await volume.remove(path, options);
  };
  return {
    where: volume.where,
    volume,
    tree: volumeTree(volume, volume.where),
    at: (path) => path,
    read: (path, signal) => readVolumeFile(volume, store, path, signal),
    partial: async (path, file) => {
      if (growing === undefined) return undefined;
      if (file.sizeBytes !== (await volume.stat(path))?.sizeBytes) {
        await removeIfThere(path);
        await growing.reserve(path, file);
      }
      const writtenBytes = await growing.writtenBytes(path);
      const whole = writtenBytes === file.sizeBytes || writtenBytes % BigInt((await volume.space()).clusterBytes) === 0n;
      if (!whole) {
        // Written by another program: begun anew.
        await volume.remove(path);
        await growing.reserve(path, file);
      }
      return {
        writtenBytes: whole ? writtenBytes : 0n,
        read: () => volume.read(path, { offset: 0n, lengthBytes: whole ? writtenBytes : 0n }),
        append: (content, lengthBytes, job) => growing.extend(path, content, lengthBytes, { ...job, progress: silentProgress }),
      };
    },
    rename: async (from, to) => {
      await removeIfThere(to);
      await volume.rename(from, to);
    },
    remove: (path, options) => volume.remove(path, options),
    flush: () => volume.flush(),
    [Symbol.asyncDispose]: async () => {},
  };
}

/**
 * The folder at which a data partition is mounted. Throws HiperisoError of kind `usage` where it is none: a slip must not fill somebody's home
 * with images, so the folder `hiperiso` has to be in it.
 */
export async function openMountedData(folder: string): Promise<StickData> {
  const marker = join(folder, STICK_DATA.folder);
  const found = await stat(marker).catch((cause: NodeJS.ErrnoException) => cause);
  if (found instanceof Error || !found.isDirectory()) {
    throw new HiperisoError({
      what: "use the mounted data partition",
      where: folder,
      expected: "a folder with `hiperiso` in it",
      found: found instanceof Error && found.code !== "ENOENT" ? found.message : "none",
      hint: `If the partition was formatted by hand: mkdir '${marker}'`,
      kind: "usage",
    });
  }
  return mountedData(folder);
}

function mountedData(folder: string): StickData {
  const at = (path: string) => join(folder, path);
  return {
    where: folder,
    volume: undefined,
    // Names that exFAT takes for one are one here, whatever this folder lies on; and what exFAT cannot hold is refused.
    tree: {
      ...hostTree,
      id: folder,
      folded: (name) => name.toUpperCase(),
      nameFault: (name) => hostTree.nameFault(name) ?? nameFault(name),
    },
    at,
    read: (path, signal) => readSource(at(path), 0n, signal),
    partial: async (path, { sizeBytes }) => await partialHostFile(at(path), sizeBytes),
    rename: async (from, to) => {
      await onHost("rename a file", at(to), rename(at(from), at(to)));
      await syncDirectory(join(at(to), ".."));
    },
    remove: async (path, options) => {
      await onHost("remove a file", at(path), rm(at(path), { recursive: options?.recursive === true }));
    },
    flush: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
}

async function partialHostFile(path: string, sizeBytes: bigint): Promise<PartialFile> {
  const there = await stat(path, { bigint: true }).catch(() => undefined);
  const usable = there?.isFile() === true && there.size <= sizeBytes;
  if (there !== undefined && !usable) await onHost("remove a file", path, rm(path, { recursive: true }));
  const writtenBytes = usable ? there.size : 0n;
  return {
    writtenBytes,
    read: () => createReadStream(path, { end: Number(writtenBytes) - 1, highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>,
    append: async (content, lengthBytes, { signal }) => {
      await onHost(
        "write a file",
        path,
        (async () => {
          await using file = await open(path, "a");
          let written = 0n;
          for await (const piece of content) {
            signal.throwIfAborted();
            for (let done = 0; done < piece.length; ) done += (await file.write(piece, done)).bytesWritten;
            written += BigInt(piece.length);
          }
          if (written !== lengthBytes) throw new Error(`${written} bytes came, ${lengthBytes} were announced`);
          await file.datasync();
        })(),
      );
    },
  };
}

async function onHost<T>(what: string, where: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (cause instanceof HiperisoError || (cause as Error).name === "AbortError") throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    throw new HiperisoError({ what, where, found: reasonOf(cause), ...(code === "ENOSPC" && { hint: "Make room on it first." }), cause });
  }
}

/** Makes a folder and those above it; those that are there stay. */
export async function makeDataFolders({ tree, at }: StickData, path: string, modifiedMs: number): Promise<void> {
  const parts = path.split("/").filter((part) => part !== "");
  for (let depth = 1; depth <= parts.length; depth += 1) {
    const folder = at(`/${parts.slice(0, depth).join("/")}`);
    if ((await tree.stat(folder))?.kind !== "directory") await tree.makeFolder(folder, modifiedMs); // says so where a file is in the way
  }
}

/** A small file of our own, whole or as it was. */
export async function writeDataFile(data: StickData, path: string, bytes: Uint8Array, modifiedMs: number, job: Job): Promise<void> {
  const there = await data.tree.stat(data.at(path));
  const file = { sizeBytes: BigInt(bytes.length), modifiedMs, replace: there !== undefined };
  await data.tree.write(data.at(path), once(bytes), file, { ...job, progress: silentProgress });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Undefined where there is none. Throws HiperisoError where it is longer than `bytesMax`. */
export async function readDataFile(data: StickData, path: string, bytesMax: number): Promise<Uint8Array | undefined> {
  const there = await data.tree.stat(data.at(path));
  if (there?.kind !== "file") return undefined;
  const where = data.tree.shown(data.at(path));
  if (there.sizeBytes > BigInt(bytesMax))
    throw new HiperisoError({
      what: "read a file of the stick",
      where,
      expected: `at most ${bytesMax} bytes`,
      found: `${there.sizeBytes}`,
    });
  const pieces: Uint8Array[] = [];
  for await (const piece of data.tree.read(data.at(path))) pieces.push(piece);
  return Buffer.concat(pieces);
}
