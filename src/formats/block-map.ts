/** What the sparse disk formats have in common: a disk in blocks, and a table that says where in the file each block stands. */
import { HiperisoError } from "../contract/error.ts";

/** A table of entries of one size, one for each block of the disk. */
export interface BlockMap {
  /** Of the disk that the guest sees. */
  readonly sizeBytes: bigint;
  readonly blockBytes: number;
  /** Where in the file the entry of a block stands, and its length in bytes. */
  entry(block: bigint): { readonly offset: bigint; readonly bytes: 4 | 8 };
  /** Where in the file the block stands that has this entry; undefined for one that holds zeros only. */
  place(entry: DataView): bigint | undefined;
}

/** Larger than any disk, and small enough that sums of offsets stay exact in 64 bits. */
export const DISK_BYTES_MAX = 1n << 62n;
/** A block is read in pieces; its size only has to be a sane number. */
const BLOCK_BYTES_MAX = 256 * 1024 * 1024;

/** Throws `bad` on a map that no reader could follow. */
export function checkMap({ sizeBytes, blockBytes }: Pick<BlockMap, "sizeBytes" | "blockBytes">, bad: BadField, at: number): void {
  if (sizeBytes <= 0n || sizeBytes > DISK_BYTES_MAX) throw bad(at, "a disk of 1 to 2^62 bytes", `${sizeBytes}`);
  if (blockBytes < 512 || blockBytes > BLOCK_BYTES_MAX || blockBytes % 512 !== 0) {
    throw bad(at, `blocks of 512 to ${BLOCK_BYTES_MAX} bytes`, `${blockBytes}`);
  }
}

export type BadField = (offset: number, expected: string, found: string) => HiperisoError;

/** The file is at fault, so the person can mend it: kind `usage`. */
export const badField =
  (what: string, where: string): BadField =>
  (offset, expected, found) =>
    new HiperisoError({ what: `read the ${what} header`, where: `${where}@${offset}`, expected, found, kind: "usage" });
