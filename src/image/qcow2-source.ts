/** The disk in a qcow2 file, read through its two levels of tables (QEMU: docs/interop/qcow2.txt, "Cluster mapping"). */
import { promisify } from "node:util";
import { constants, inflateRaw } from "node:zlib";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { viewOf } from "../formats/bytes.ts";
import type { Qcow2Header } from "../formats/qcow2.ts";
import { type BlockSource, blockwiseSource } from "./block-source.ts";

const OFFSET_BITS = 0x00ff_ffff_ffff_fe00n;
const COMPRESSED = 1n << 62n;
const ZEROS = 1n;

/** Why the disk in such a file cannot be read by us (QEMU may well); undefined where it can. */
export function qcow2Obstacle({ encrypted, extendedL2, compression }: Qcow2Header): string | undefined {
  if (encrypted) return "the qcow2 is encrypted";
  if (extendedL2) return "the qcow2 has extended L2 entries, which only QEMU reads";
  return compression === "zstd" ? "the qcow2 is compressed with zstd, which only QEMU reads" : undefined;
}

/** `file` holds the qcow2; `below` is what unallocated clusters show, zeros where it ends or is undefined. Owns neither. */
export function qcow2Source(file: BlockSource, header: Qcow2Header, below: BlockSource | undefined): BlockSource {
  const { clusterBits, sizeBytes, l1Entries, l1Offset } = header;
  const clusterBytes = 1 << clusterBits;
  const l2Bits = clusterBits - 3;

  const bad = (offset: bigint, expected: string, found: string, cause?: unknown) =>
    new HiperisoError({
      what: "read the qcow2 image",
      where: `${file.name}@${offset}`,
      expected,
      found,
      ...(cause === undefined ? {} : { cause }),
    });

  async function entryAt(offset: bigint): Promise<bigint> {
    const bytes = await file.read(offset, 8);
    if (bytes.length < 8) throw bad(offset, "a table entry of 8 bytes", "the end of the file");
    return viewOf(bytes).getBigUint64(0);
  }

  /** Of the L2 table; 0 where there is none. */
  async function entryOf(cluster: bigint): Promise<bigint> {
    const index = cluster >> BigInt(l2Bits);
    if (index >= BigInt(l1Entries)) return 0n;
    const l2 = (await entryAt(l1Offset + index * 8n)) & OFFSET_BITS;
    return l2 === 0n ? 0n : await entryAt(l2 + (cluster & ((1n << BigInt(l2Bits)) - 1n)) * 8n);
  }

  /** The one cluster that was unpacked last: neighbours are read one after the other. */
  let unpacked: { readonly entry: bigint; readonly bytes: Uint8Array } | undefined;

  async function unpack(entry: bigint): Promise<Uint8Array> {
    if (unpacked?.entry === entry) return unpacked.bytes;
    const offsetBits = BigInt(62 - (clusterBits - 8));
    const offset = entry & ((1n << offsetBits) - 1n);
    const sectors = Number((entry & (COMPRESSED - 1n)) >> offsetBits) + 1;
    const packed = await file.read(offset, sectors * 512 - Number(offset % 512n));
    try {
      // Behind the stream stands the beginning of another's: what is left over is no error.
      const bytes = await promisify(inflateRaw)(packed, { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: clusterBytes });
      unpacked = { entry, bytes: new Uint8Array(bytes) };
      return unpacked.bytes;
    } catch (error) {
      throw bad(offset, `a cluster of ${clusterBytes} bytes, packed by deflate`, reasonOf(error), error);
    }
  }

  async function readFrom(cluster: bigint, within: number, length: number): Promise<Uint8Array | undefined> {
    const entry = await entryOf(cluster);
    if ((entry & COMPRESSED) !== 0n) return (await unpack(entry)).subarray(within, within + length);
    if (header.version === 3 && (entry & ZEROS) !== 0n) return undefined;
    const offset = entry & OFFSET_BITS;
    if (offset !== 0n) return await file.read(offset + BigInt(within), length);
    return await below?.read((cluster << BigInt(clusterBits)) + BigInt(within), length);
  }

  return blockwiseSource(file.name, sizeBytes, clusterBytes, readFrom); // a file that ends within a cluster shows zeros behind its end
}
