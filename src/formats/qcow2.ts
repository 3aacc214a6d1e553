/**
 * The qcow2 disk image (QEMU: docs/interop/qcow2.txt): its header, the names in it, and an empty image. Big-endian throughout.
 *
 *    0  4  "QFI\xfb"                48  8  refcount table's offset
 *    4  4  version, 2 or 3          56  4  its clusters
 *    8  8  backing name's offset    60  4  snapshots
 *   16  4  its length, to 1,023     64  8  snapshot table's offset
 *   20  4  cluster bits, 9 to 21    72  8  incompatible features (from here on version 3)
 *   24  8  size of the disk         80  8  compatible features
 *   32  4  encryption               88  8  autoclear features
 *   36  4  entries of the L1 table  96  4  refcount order
 *   40  8  L1 table's offset       100  4  length of the header, 104  1  compression
 *
 * Behind the header stand extensions: type, length, data padded to 8 bytes; type 0 ends them.
 */
import { HiperisoError } from "../contract/error.ts";
import { viewOf } from "./bytes.ts";
import { printable } from "./escape-terminal.ts";

/** Header, extensions and the backing file's name stand in the first cluster, which is at least this long in images of today; 2 MiB at most. */
export const QCOW2_HEAD_BYTES = 65_536;
export const QCOW2_MAGIC = 0x514649fb;

/** QEMU's block/qcow2.h: a longer L1 table is refused. */
const L1_BYTES_MAX = 32 * 1024 * 1024;
const NAME_BYTES_MAX = 1023;
const HEADER_BYTES_V2 = 72;
const HEADER_BYTES_V3 = 104;

const EXTENSION = { backingFormat: 0xe2792aca, end: 0 } as const;
const INCOMPATIBLE = { corrupt: 2n, externalData: 4n, extendedL2: 16n } as const;
const INCOMPATIBLE_KNOWN = 0x1fn;

export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** Of the disk that the guest sees, in bytes. */
  readonly sizeBytes: bigint;
  readonly l1Entries: number;
  readonly l1Offset: bigint;
  /** As it stands in the file: a path, or whatever else somebody wrote there. */
  readonly backing: { readonly name: string; readonly format: string | undefined } | undefined;
  readonly encrypted: boolean;
  /** The disk's bytes stand in another file. */
  readonly externalData: boolean;
  /** Entries of L2 tables have 16 bytes and describe parts of clusters. */
  readonly extendedL2: boolean;
  readonly compression: "deflate" | "zstd";
  /** Marked as damaged by QEMU, which then only reads it. */
  readonly corrupt: boolean;
}

/**
 * `head`: the file's first bytes, QCOW2_HEAD_BYTES of them or all there are. Throws HiperisoError (kind `usage`: the file is at fault)
 * on a header that QEMU would not open either.
 */
export function decodeQcow2Header(head: Uint8Array, where: string): Qcow2Header {
  const bad = (offset: number, expected: string, found: string) =>
    new HiperisoError({ what: "read the qcow2 header", where: `${where}@${offset}`, expected, found, kind: "usage" });
  if (head.length < HEADER_BYTES_V2) throw bad(0, `at least ${HEADER_BYTES_V2} bytes`, `${head.length}`);
  const view = viewOf(head);
  if (view.getUint32(0) !== QCOW2_MAGIC) throw bad(0, '"QFI\\xfb"', "something else");
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) throw bad(4, "version 2 or 3", `${version}`);
  if (version === 3 && head.length < HEADER_BYTES_V3) throw bad(0, `at least ${HEADER_BYTES_V3} bytes`, `${head.length}`);
  const headerBytes = version === 3 ? view.getUint32(100) : HEADER_BYTES_V2;
  if (version === 3 && (headerBytes < HEADER_BYTES_V3 || headerBytes > head.length || headerBytes % 8 !== 0)) {
    throw bad(100, `a header of ${HEADER_BYTES_V3} to ${head.length} bytes, a multiple of 8`, `${headerBytes}`);
  }
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21) throw bad(20, "clusters of 2^9 to 2^21 bytes", `2^${clusterBits}`);
  const features = version === 3 ? view.getBigUint64(72) : 0n;
  if ((features & ~INCOMPATIBLE_KNOWN) !== 0n) throw bad(72, "features that are known", `0x${features.toString(16)}`);
  const extendedL2 = (features & INCOMPATIBLE.extendedL2) !== 0n;
  const sizeBytes = view.getBigUint64(24);
  const l1Entries = view.getUint32(36);
  const perL1Entry = BigInt((1 << clusterBits) / (extendedL2 ? 16 : 8)) << BigInt(clusterBits);
  if (l1Entries * 8 > L1_BYTES_MAX || sizeBytes >= 1n << 63n) {
    throw bad(24, `at most ${BigInt(L1_BYTES_MAX / 8) * perL1Entry} bytes of disk, which is as much as QEMU opens`, `${sizeBytes}`);
  }
  if ((sizeBytes + perL1Entry - 1n) / perL1Entry > BigInt(l1Entries)) {
    throw bad(36, `L1 entries for ${sizeBytes} bytes`, `${l1Entries}`);
  }
  const compression = headerBytes > 104 && (features & 8n) !== 0n ? head[104] : 0;
  if (compression !== 0 && compression !== 1) throw bad(104, "compression by deflate or zstd", `${compression}`);
  return {
    version,
    clusterBits,
    sizeBytes,
    l1Entries,
    l1Offset: view.getBigUint64(40),
    backing: decodeBacking(head, headerBytes, bad),
    encrypted: view.getUint32(32) !== 0,
    externalData: (features & INCOMPATIBLE.externalData) !== 0n,
    extendedL2,
    compression: compression === 1 ? "zstd" : "deflate",
    corrupt: (features & INCOMPATIBLE.corrupt) !== 0n,
  };
}

type Bad = (offset: number, expected: string, found: string) => HiperisoError;

function decodeBacking(head: Uint8Array, headerBytes: number, bad: Bad): Qcow2Header["backing"] {
  const view = viewOf(head);
  const [offset, length] = [view.getBigUint64(8), view.getUint32(16)];
  if (offset === 0n || length === 0) return undefined;
  if (length > NAME_BYTES_MAX) throw bad(16, `a name of at most ${NAME_BYTES_MAX} bytes`, `${length}`);
  if (offset + BigInt(length) > BigInt(head.length)) throw bad(8, "the backing file's name in the first cluster", `byte ${offset}`);
  const name = textOf(head.subarray(Number(offset), Number(offset) + length));
  if (name === undefined || name === "" || name.includes("\0")) throw bad(Number(offset), "the name of a backing file", `${length} bytes`);
  return { name, format: decodeBackingFormat(head, headerBytes, Number(offset)) };
}

/** The extensions reach to the backing file's name at most. Those that are cut end the list: QEMU finds the format by itself then. */
function decodeBackingFormat(head: Uint8Array, headerBytes: number, end: number): string | undefined {
  const view = viewOf(head);
  for (let at = headerBytes; at + 8 <= end; ) {
    const [type, length] = [view.getUint32(at), view.getUint32(at + 4)];
    if (type === EXTENSION.end || at + 8 + length > end) return undefined;
    if (type === EXTENSION.backingFormat) return textOf(head.subarray(at + 8, at + 8 + length));
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return undefined;
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined; // QEMU would take such a name; we could not say it again
  }
}

const CLUSTER_BITS = 16;
const CLUSTER = 1 << CLUSTER_BITS;
/** What one L1 entry of an image of ours leads to: 8,192 clusters. */
const PER_L1_ENTRY = BigInt(CLUSTER / 8) << BigInt(CLUSTER_BITS);
/** One refcount block of 16-bit counters counts all clusters of an empty image with such a table. */
export const QCOW2_BYTES_MAX = BigInt(L1_BYTES_MAX / 8 / 2) * PER_L1_ENTRY;

/** Bytes of a new file and where they stand; the rest of its `fileBytes` are zeros, and holes where the file system has them. */
export interface EmptyQcow2 {
  readonly fileBytes: number;
  readonly pieces: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

/**
 * A disk of `sizeBytes` without any data, above `backing` where one is named (both names as QEMU is to read them). `sizeBytes`: above 0,
 * a multiple of 512, at most QCOW2_BYTES_MAX. Throws (kind `usage`) otherwise.
 */
export function encodeEmptyQcow2(sizeBytes: bigint, backing?: { readonly name: string; readonly format: string }): EmptyQcow2 {
  if (sizeBytes <= 0n || sizeBytes % 512n !== 0n || sizeBytes > QCOW2_BYTES_MAX) {
    throw new HiperisoError({
      what: "make a disk",
      expected: `a size above 0, a multiple of 512 bytes, and at most ${QCOW2_BYTES_MAX} bytes`,
      found: `${sizeBytes}`,
      kind: "usage",
    });
  }
  const l1Entries = Number((sizeBytes + PER_L1_ENTRY - 1n) / PER_L1_ENTRY);
  const l1Clusters = Math.ceil((l1Entries * 8) / CLUSTER);
  const header = new Uint8Array(CLUSTER);
  const view = viewOf(header);
  const [refcountTable, refcountBlock, l1] = [CLUSTER, 2 * CLUSTER, 3 * CLUSTER];
  view.setUint32(0, QCOW2_MAGIC);
  view.setUint32(4, 3);
  view.setUint32(20, CLUSTER_BITS);
  view.setBigUint64(24, sizeBytes);
  view.setUint32(36, l1Entries);
  view.setBigUint64(40, BigInt(l1));
  view.setBigUint64(48, BigInt(refcountTable));
  view.setUint32(56, 1);
  view.setUint32(96, 4); // counters of 16 bits
  view.setUint32(100, HEADER_BYTES_V3);
  if (backing !== undefined) putBacking(header, backing);
  const table = new Uint8Array(8);
  viewOf(table).setBigUint64(0, BigInt(refcountBlock));
  const counters = new Uint8Array((3 + l1Clusters) * 2);
  for (let cluster = 0; cluster < 3 + l1Clusters; cluster += 1) viewOf(counters).setUint16(cluster * 2, 1);
  return {
    fileBytes: l1 + l1Clusters * CLUSTER,
    pieces: [
      { offset: 0, bytes: header },
      { offset: refcountTable, bytes: table },
      { offset: refcountBlock, bytes: counters },
    ],
  };
}

function putBacking(header: Uint8Array, { name, format }: { readonly name: string; readonly format: string }): void {
  const [nameBytes, formatBytes] = [new TextEncoder().encode(name), new TextEncoder().encode(format)];
  if (nameBytes.length > NAME_BYTES_MAX) {
    throw new HiperisoError({
      what: "make an overlay",
      expected: `the path of the disk below in at most ${NAME_BYTES_MAX} bytes`,
      found: `${nameBytes.length}: ${printable(name)}`,
      kind: "usage",
    });
  }
  const view = viewOf(header);
  view.setUint32(HEADER_BYTES_V3, EXTENSION.backingFormat);
  view.setUint32(HEADER_BYTES_V3 + 4, formatBytes.length);
  header.set(formatBytes, HEADER_BYTES_V3 + 8);
  const at = HEADER_BYTES_V3 + 8 + Math.ceil(formatBytes.length / 8) * 8 + 8; // and the end of the extensions
  header.set(nameBytes, at);
  view.setBigUint64(8, BigInt(at));
  view.setUint32(16, nameBytes.length);
}
