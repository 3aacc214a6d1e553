/**
 * Folders and files that can be copied from and to: a volume, or a folder of this computer (`host-tree.ts`). Paths are the tree's own: from a volume's root,
 * or as the system takes them.
 */
import type { Job } from "../../contract/job.ts";
import { nameFault } from "../../formats/exfat-entries.ts";
import { longNameFault } from "../../formats/fat-names.ts";
import { FILE_BYTES_MAX } from "../fat/volume.ts";
import type { NewFile, Volume } from "../volume.ts";

export interface TreeEntry {
  /** As it is stored; undefined where it is not text (a host's name that is not UTF-8), and cannot be copied. */
  readonly name: string | undefined;
  /** `other`: a device, a pipe, a symbolic link; what it is stands in `otherKind`. */
  readonly kind: "file" | "directory" | "other";
  readonly otherKind?: string;
  readonly sizeBytes: bigint;
  readonly modifiedMs: number | null;
}

export interface Tree {
  /** The same for two trees when a path of one is that path of the other. */
  readonly id: string;
  /** For messages: with the tree's name in front. */
  shown(path: string): string;
  join(folder: string, name: string): string;
  /** Undefined where there is nothing. */
  stat(path: string): Promise<TreeEntry | undefined>;
  list(folder: string): AsyncIterable<TreeEntry>;
  read(path: string): AsyncIterable<Uint8Array>;
  /** Why it cannot have a file or folder of that name; undefined where it can. */
  nameFault(name: string): string | undefined;
  /** Bytes of the largest file it can have. */
  readonly fileBytesMax: bigint;
  /** Names that are the same to it give the same. */
  folded(name: string): string;
  /** Below `path`, which need not be there. */
  space(path: string): Promise<{ readonly freeBytes: bigint; readonly clusterBytes: number }>;
  /** What new names of this length take in their folder. */
  readonly entryBytes: (name: string) => number;
  makeFolder(path: string, modifiedMs: number): Promise<void>;
  /** After all that goes into it: adding files changes the time of a folder on some systems. */
  finishFolder(path: string, modifiedMs: number): Promise<void>;
  write(path: string, content: AsyncIterable<Uint8Array>, file: NewFile, job: Job): Promise<void>;
}

const EXFAT_FILE_BYTES_MAX = (1n << 63n) - 1n;

/** A volume as such a tree. Does not own it. `id`: the same for one that was opened twice. */
export function volumeTree(volume: Volume, id: string): Tree {
  const isFat = volume.format.startsWith("fat");
  return {
    id,
    shown: (path) => `${volume.where}:${path}`,
    join: (folder, name) => (folder === "/" ? `/${name}` : `${folder}/${name}`),
    stat: (path) => volume.stat(path),
    list: (folder) => volume.list(folder),
    read: (path) => volume.read(path),
    nameFault: isFat ? longNameFault : nameFault,
    fileBytesMax: isFat ? FILE_BYTES_MAX : EXFAT_FILE_BYTES_MAX,
    // Volumes have their own tables of capitals; what these lines take for different and the volume does not, its write refuses.
    folded: (name) => name.toUpperCase(),
    space: () => volume.space(),
    entryBytes: (name) => 32 * (2 + Math.ceil(name.length / 13)),
    makeFolder: (path, modifiedMs) => volume.makeDirectory(path, modifiedMs),
    finishFolder: async () => {},
    write: (path, content, file, job) => volume.write(path, content, file, job),
  };
}
