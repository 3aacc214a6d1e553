/** What an archive says of one file, with everything that a root file system needs: owners, extended attributes, links, devices, holes. */
import type { ByteText } from "./byte-text.ts";

export interface TarCommon {
  /** Below the archive's root, without a slash at either end and without `.` and `..`; empty for the root itself. */
  readonly path: ByteText;
  /** Permission bits, at most 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Only what the header says; numbers are what counts. */
  readonly userName?: ByteText;
  readonly groupName?: ByteText;
  /** Whole seconds since 1970, rounded down; may be negative. */
  readonly mtimeS: number;
  /** By full name ("security.capability"). */
  readonly xattrs: ReadonlyMap<ByteText, Uint8Array>;
  /** Records of extended headers that we only carry on: access lists as text, file flags. */
  readonly records: ReadonlyMap<ByteText, Uint8Array>;
}

/** Bytes from the file's start; ascending, apart from each other, inside the file. */
export interface Extent {
  readonly offset: number;
  readonly bytes: number;
}

export type TarEntry = TarCommon &
  (
    | { readonly kind: "directory" | "fifo" }
    | {
        readonly kind: "file";
        /** As a reader of the file sees it, holes counted; at most 2^53 - 1. */
        readonly sizeBytes: number;
        /** Where the stored bytes belong; all else is a hole. Undefined: all bytes are stored. */
        readonly extents?: readonly Extent[];
      }
    | { readonly kind: "symlink"; readonly target: ByteText }
    | {
        readonly kind: "hard-link";
        /** A path like `path`: of an entry further up. */
        readonly target: ByteText;
      }
    | { readonly kind: "character-device" | "block-device"; readonly major: number; readonly minor: number }
  );

/** One file and its stored bytes: those of the extents, one after the other. */
export interface TarMember {
  readonly entry: TarEntry;
  readonly content: AsyncIterable<Uint8Array>;
}

/** How many bytes of it an archive holds. */
export function storedBytes(entry: TarEntry): number {
  if (entry.kind !== "file") return 0;
  return entry.extents === undefined ? entry.sizeBytes : entry.extents.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** The whole file, holes as zeros. */
export async function* wholeContent({ entry, content }: TarMember): AsyncGenerator<Uint8Array> {
  if (entry.kind !== "file" || entry.extents === undefined) {
    yield* content;
    return;
  }
  let at = 0;
  let [index, left] = [0, entry.extents[0]?.bytes ?? 0];
  for await (const piece of content) {
    for (let from = 0; from < piece.length; ) {
      while (left === 0) left = entry.extents[++index]!.bytes;
      const extent = entry.extents[index]!;
      const start = extent.offset + extent.bytes - left;
      yield* zeros(start - at);
      const part = piece.subarray(from, from + left);
      yield part;
      at = start + part.length;
      left -= part.length;
      from += part.length;
    }
  }
  yield* zeros(entry.sizeBytes - at);
}

const ZEROS = new Uint8Array(64 * 1024);

function* zeros(bytes: number): Generator<Uint8Array> {
  for (let left = bytes; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, Math.min(left, ZEROS.length));
}
