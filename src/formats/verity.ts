/**
 * dm-verity: a tree of hashes beside an image that is only read. Who knows the root hash knows every block to be what it was
 * (Linux: Documentation/admin-guide/device-mapper/verity.rst; cryptsetup: docs/on-disk-format of veritysetup). Little-endian.
 *
 *    0   8  "verity", 2 NULs       64  4  bytes of a data block        80    2  bytes of the salt
 *    8   4  version, 1             68  4  bytes of a hash block        88  256  salt
 *   12   4  hash type, 1           72  8  data blocks                 344  168  0
 *   16  16  UUID                   32 32  name of the hash
 * The superblock has a hash block to itself. Behind it the levels, the root's first: each block holds the hashes of the blocks below it, in
 * order, and zeros. A hash is that of the salt and then the block. An image of one block has no levels: its hash is the root hash.
 */
import { createHash } from "node:crypto";
import { HiperisoError } from "../contract/error.ts";
import { latin1, viewOf } from "./bytes.ts";

export interface VeritySuperblock {
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** As the kernel names it: "sha256". */
  readonly algorithm: string;
  /** Bytes, powers of two, 512 to 65,536. */
  readonly dataBlockBytes: number;
  readonly hashBlockBytes: number;
  readonly dataBlocks: bigint;
  /** At most 256 bytes. */
  readonly salt: Uint8Array;
}

export interface VerityTree {
  /** 64 hexadecimal digits. */
  readonly rootHash: string;
  /** The whole hash file: superblock and levels. */
  readonly file: Uint8Array;
  readonly dataBlocks: number;
}

export const VERITY_BLOCK_BYTES = 4096;
const MAGIC = "verity\0\0";
const SUPERBLOCK_BYTES = 512;
const SALT_BYTES_MAX = 256;
const HASH_BYTES = 32;
const HASHES_A_BLOCK = VERITY_BLOCK_BYTES / HASH_BYTES;

/**
 * Hashes an image of whole blocks of 4,096 bytes with SHA-256; reads it once and keeps 1/128 of it in memory.
 * Throws where the image is empty or ends inside a block.
 */
export async function hashVerityTree(
  image: AsyncIterable<Uint8Array>,
  { salt, uuid }: Pick<VeritySuperblock, "salt" | "uuid">,
): Promise<VerityTree> {
  const hash = (block: Uint8Array): Uint8Array => createHash("sha256").update(salt).update(block).digest();
  const digests: Uint8Array[] = [];
  for await (const block of wholeBlocks(image)) digests.push(hash(block));
  const superblock = encodeVeritySuperblock({
    ...{ uuid, algorithm: "sha256", dataBlockBytes: VERITY_BLOCK_BYTES, hashBlockBytes: VERITY_BLOCK_BYTES },
    ...{ dataBlocks: BigInt(digests.length), salt },
  });
  const head = new Uint8Array(VERITY_BLOCK_BYTES);
  head.set(superblock);
  const levels: Uint8Array[][] = [];
  let below: readonly Uint8Array[] = digests;
  while (below.length > 1) {
    const blocks = hashBlocks(below);
    levels.unshift(blocks);
    below = blocks.map(hash);
  }
  return { rootHash: Buffer.from(below[0]!).toString("hex"), file: Buffer.concat([head, ...levels.flat()]), dataBlocks: digests.length };
}

function hashBlocks(digests: readonly Uint8Array[]): Uint8Array[] {
  return Array.from({ length: Math.ceil(digests.length / HASHES_A_BLOCK) }, (_, index) => {
    const block = new Uint8Array(VERITY_BLOCK_BYTES);
    digests.slice(index * HASHES_A_BLOCK, (index + 1) * HASHES_A_BLOCK).forEach((digest, at) => {
      block.set(digest, at * HASH_BYTES);
    });
    return block;
  });
}

async function* wholeBlocks(image: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array();
  let count = 0;
  for await (const piece of image) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let at = 0;
    for (; at + VERITY_BLOCK_BYTES <= bytes.length; at += VERITY_BLOCK_BYTES) {
      yield bytes.subarray(at, at + VERITY_BLOCK_BYTES);
      count += 1;
    }
    rest = bytes.slice(at);
  }
  if (rest.length === 0 && count > 0) return;
  const found = count === 0 && rest.length === 0 ? "nothing" : `${rest.length} bytes behind ${count} blocks`;
  throw new HiperisoError({ what: "hash an image for dm-verity", expected: `whole blocks of ${VERITY_BLOCK_BYTES} bytes`, found });
}

/** 512 bytes. */
export function encodeVeritySuperblock({
  uuid,
  algorithm,
  dataBlockBytes,
  hashBlockBytes,
  dataBlocks,
  salt,
}: VeritySuperblock): Uint8Array {
  if (uuid.length !== 16 || salt.length > SALT_BYTES_MAX || algorithm.length >= 32) {
    const expected = `a UUID of 16 bytes, a salt of at most ${SALT_BYTES_MAX}, a name of less than 32`;
    const found = `${uuid.length}, ${salt.length}, ${algorithm.length}`;
    throw new HiperisoError({ what: "write a superblock of dm-verity", expected, found });
  }
  const bytes = new Uint8Array(SUPERBLOCK_BYTES);
  const view = viewOf(bytes);
  bytes.set(Buffer.from(MAGIC, "latin1"));
  view.setUint32(8, 1, true);
  view.setUint32(12, 1, true);
  bytes.set(uuid, 16);
  bytes.set(Buffer.from(algorithm, "latin1"), 32);
  view.setUint32(64, dataBlockBytes, true);
  view.setUint32(68, hashBlockBytes, true);
  view.setBigUint64(72, dataBlocks, true);
  view.setUint16(80, salt.length, true);
  bytes.set(salt, 88);
  return bytes;
}

/** `block`: the first bytes of a hash file. Throws `where@offset` for what is not as it must be. */
export function decodeVeritySuperblock(block: Uint8Array, where: string): VeritySuperblock {
  const bad = (at: number, expected: string, found: string) =>
    new HiperisoError({ what: "read a superblock of dm-verity", where: `${where}@${at}`, expected, found });
  if (block.length < SUPERBLOCK_BYTES) throw bad(0, `${SUPERBLOCK_BYTES} bytes`, `${block.length}`);
  if (latin1(block.subarray(0, 8)) !== MAGIC) throw bad(0, '"verity"', Buffer.from(block.subarray(0, 8)).toString("hex"));
  const view = viewOf(block);
  for (const [at, name] of [
    [8, "version"],
    [12, "hash type"],
  ] as const) {
    if (view.getUint32(at, true) !== 1) throw bad(at, `${name} 1`, `${view.getUint32(at, true)}`);
  }
  const blockBytes = (at: number): number => {
    const value = view.getUint32(at, true);
    if (value < 512 || value > 65_536 || (value & (value - 1)) !== 0) throw bad(at, "a power of two from 512 to 65,536", `${value}`);
    return value;
  };
  const algorithm = /^([a-z0-9-]{1,31})\0/.exec(latin1(block.subarray(32, 64)))?.[1];
  if (algorithm === undefined) throw bad(32, "the name of a hash", JSON.stringify(latin1(block.subarray(32, 64))));
  const saltBytes = view.getUint16(80, true);
  if (saltBytes > SALT_BYTES_MAX) throw bad(80, `a salt of at most ${SALT_BYTES_MAX} bytes`, `${saltBytes}`);
  return {
    uuid: block.slice(16, 32),
    algorithm,
    dataBlockBytes: blockBytes(64),
    hashBlockBytes: blockBytes(68),
    dataBlocks: view.getBigUint64(72, true),
    salt: block.slice(88, 88 + saltBytes),
  };
}
