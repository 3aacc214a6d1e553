/**
 * A file system on a block store, whichever it is: what FAT and exFAT implement, and NTFS for reading. Paths start with `/`, their parts are
 * compared as the volume compares names. Names are UTF-16 as stored, so they may hold unpaired surrogates: whoever prints one escapes it.
 */
import type { HiperisoError } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { Extent } from "../image/volume-tree.ts";
import type { BlockStore } from "./block-store.ts";

export type VolumeFormat = "fat12" | "fat16" | "fat32" | "exfat" | "ntfs";

export interface VolumeEntry {
  /** As stored; empty for the root. */
  readonly name: string;
  readonly kind: "file" | "directory";
  /** Of a file's data; of a directory the bytes that its entries take. */
  readonly sizeBytes: bigint;
  /** Milliseconds since 1970, UTC; null where none is stored or it is none. FAT stores no zone: its times are taken for UTC. */
  readonly modifiedMs: number | null;
  readonly readOnly: boolean;
  readonly hidden: boolean;
  readonly system: boolean;
}

export interface ByteRange {
  readonly offset: bigint;
  readonly lengthBytes: bigint;
}

export interface NewFile {
  /** What `content` will give, exactly: room is looked for before the first byte is written. */
  readonly sizeBytes: bigint;
  readonly modifiedMs: number;
  /** False (default): a file of that name is an error. True: it is replaced, and stays whole until the new one is there. */
  readonly replace?: boolean;
}

export interface VolumeSpace {
  readonly totalBytes: bigint;
  readonly freeBytes: bigint;
  readonly clusterBytes: number;
}

/**
 * Throws HiperisoError with path and offset where bytes are wrong; of kind `usage` where the person asked for what cannot be (no such
 * file, a name that the format cannot hold, no room). After an error of a write the volume is as a power cut would have left it.
 */
export interface Volume extends AsyncDisposable {
  readonly format: VolumeFormat;
  /** Of the medium, for messages. */
  readonly where: string;
  readonly label: string;
  /** Why it cannot be written; undefined where it can. */
  readonly readOnlyBecause: string | undefined;
  list(path: string): AsyncIterable<VolumeEntry>;
  /** Undefined where nothing of that name is there. */
  stat(path: string): Promise<VolumeEntry | undefined>;
  read(path: string, range?: ByteRange): AsyncIterable<Uint8Array>;
  /** Where a file's data lies on the store, in order; holes (data never written) are left out. */
  extents(path: string): AsyncIterable<Extent>;
  space(): Promise<VolumeSpace>;
  write(path: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, file: NewFile, job: Job): Promise<void>;
  makeDirectory(path: string, modifiedMs: number): Promise<void>;
  /** Also into another folder. An existing target is an error. */
  rename(from: string, to: string): Promise<void>;
  /** A folder only when it is empty, unless `recursive`. */
  remove(path: string, options?: { readonly recursive?: boolean }): Promise<void>;
  setLabel(label: string): Promise<void>;
  /** For long copies that can be taken up again; undefined where the format has no such files. */
  readonly growing?: GrowingFiles;
  /** Marks the volume clean and brings all onto the medium. `[Symbol.asyncDispose]` does so too, unless a write failed. */
  flush(): Promise<void>;
}

/** Files whose room is taken at once and whose data comes later: the volume itself remembers how much came (exFAT 7.6.5). */
export interface GrowingFiles {
  /** Makes a file with room for all of it and no data yet. What is read of it are zeros. */
  reserve(path: string, file: Omit<NewFile, "replace">): Promise<void>;
  /** Bytes of the file, from its start, that came. */
  writtenBytes(path: string): Promise<bigint>;
  /**
   * Adds `lengthBytes` to them. When it returns they are on the medium and counted; of one that was cut off nothing is. What is there already ends
   * at the end of a cluster (`space()`), else it is an error of kind `usage`, as more than the file's size is.
   */
  extend(path: string, content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, lengthBytes: bigint, job: Job): Promise<void>;
}

export interface VolumeProblem {
  /** Stable, for programs: `duplicate-name`, `leaked-clusters`, … */
  readonly id: string;
  /** Byte on the store. */
  readonly offset: bigint;
  /** Of the file or folder that it is about. */
  readonly path: string | undefined;
  readonly text: string;
  /** What a repair does about it; undefined where it can do nothing. */
  readonly mending: string | undefined;
}

export interface VolumeCheck {
  readonly format: VolumeFormat;
  readonly problems: readonly VolumeProblem[];
  /** More problems than are listed. */
  readonly cut: boolean;
  readonly files: number;
  readonly directories: number;
  /** Set where the volume could not even be opened. */
  readonly fatal: HiperisoError | undefined;
}

/** Implemented by each format: `checkExfat`, `repairExfat`, `checkFat`, `repairFat`. Repairing checks again and says what is left. */
export type CheckVolume = (store: BlockStore, job: Job) => Promise<VolumeCheck>;
