/**
 * VMware's disk image ("Virtual Disk Format 5.0"): a sparse file with two levels of tables, or a text that names the files with the disk's
 * parts. Little-endian.
 *
 *    0 4 "KDMV"              28 8 descriptor's sector     56 8 grain directory's sector
 *   12 8 sectors of disk     36 8 its sectors             77 2 compression
 *   20 8 sectors of a grain  44 4 entries of a grain table
 */
import { type BadField, type BlockMap, badField, checkMap } from "./block-map.ts";
import { latin1, viewOf } from "./bytes.ts";

/** QEMU reads as much of a descriptor (block/vmdk.c, DESC_SIZE). */
export const VMDK_DESCRIPTOR_BYTES = 20 * 512;
export const VMDK_HEADER_BYTES = 512;
/** Of a text that stands alone; QEMU's own limit. */
export const VMDK_TEXT_BYTES_MAX = 20 * 1024;

const MARKERS = 1 << 17;
const AT_END = 0xffff_ffff_ffff_ffffn;

export interface VmdkSparse {
  readonly type: "sparse";
  /** Bytes of the grain directory; null where it stands at the end of a stream, which only QEMU reads. */
  readonly directoryOffset: bigint | null;
  readonly sizeBytes: bigint;
  readonly grainBytes: number;
  readonly tableEntries: number;
  readonly descriptorOffset: bigint;
}

export interface VmdkText {
  readonly type: "text";
  /** Names of the files with the parts, as they stand there. */
  readonly files: readonly string[];
}

/** `head` is the file's first VMDK_TEXT_BYTES_MAX bytes, or all there are. Throws (kind `usage`) on what QEMU should not be given. */
export function decodeVmdk(head: Uint8Array, where: string): VmdkSparse | VmdkText {
  const bad = badField("VMDK", where);
  if (latin1(head.subarray(0, 4)) === "COWD") throw bad(0, "a VMDK of hosted products", "one of an old ESX server");
  if (latin1(head.subarray(0, 4)) !== "KDMV") return decodeText(latin1(head), bad);
  if (head.length < VMDK_HEADER_BYTES) throw bad(0, `at least ${VMDK_HEADER_BYTES} bytes`, `${head.length}`);
  const view = viewOf(head);
  const sectors = view.getBigUint64(12, true);
  // QEMU takes such a header for an envelope of a text that may name any file.
  if (sectors === 0n) throw bad(12, "a disk", "0 sectors");
  const grain = view.getBigUint64(20, true);
  const directory = view.getBigUint64(56, true);
  const sparse = {
    type: "sparse" as const,
    sizeBytes: sectors * 512n,
    grainBytes: grain > 0xff_ffffn ? 0 : Number(grain) * 512,
    tableEntries: view.getUint32(44, true),
    directoryOffset: (view.getUint32(8, true) & MARKERS) !== 0 || directory === AT_END ? null : directory * 512n,
    descriptorOffset: view.getBigUint64(28, true) * 512n,
  };
  checkMap({ sizeBytes: sparse.sizeBytes, blockBytes: sparse.grainBytes }, bad, 20);
  if (sparse.tableEntries < 1 || sparse.tableEntries > 0x10000) throw bad(44, "1 to 65536 entries in a table", `${sparse.tableEntries}`);
  return sparse;
}

/** Throws where the descriptor names a disk below: QEMU would open whatever stands there. */
export function checkVmdkDescriptor(descriptor: Uint8Array, where: string): void {
  if (!latin1(descriptor).includes("parentFileNameHint")) return;
  throw badField("VMDK", where)(0, "a disk of its own", "one that leans on another file");
}

function decodeText(text: string, bad: BadField): VmdkText {
  if (text.length >= VMDK_TEXT_BYTES_MAX) throw bad(0, `a text shorter than ${VMDK_TEXT_BYTES_MAX} bytes`, "a longer one");
  const files: string[] = [];
  for (const line of text.split("\n")) {
    if (!/^\s*(?:RW|RDONLY|NOACCESS)\b/.test(line)) continue;
    const extent = /^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+([A-Z]+)(?:\s+"([^"]*)")?/.exec(line);
    if (extent === null) throw bad(text.indexOf(line), "a part of the disk: access, sectors, type, file", "something else");
    if (extent[1] === "ZERO") continue;
    if (extent[2] === undefined || extent[2] === "") throw bad(text.indexOf(line), "the name of a file", "none");
    files.push(extent[2]);
  }
  if (files.length === 0) throw bad(0, "parts of a disk", "none");
  return { type: "text", files };
}

/** The map of a sparse file whose grain tables were found: `tables` are their sectors, one for each entry of the directory. */
export function vmdkMap({ sizeBytes, grainBytes, tableEntries }: VmdkSparse, tables: readonly number[]): BlockMap {
  return {
    sizeBytes,
    blockBytes: grainBytes,
    entry: (grain) => {
      const table = tables[Number(grain / BigInt(tableEntries))] ?? 0;
      return { offset: table === 0 ? -1n : BigInt(table) * 512n + (grain % BigInt(tableEntries)) * 4n, bytes: 4 };
    },
    // 0 is not there, 1 is zeros.
    place: (entry) => (entry.getUint32(0, true) < 2 ? undefined : BigInt(entry.getUint32(0, true)) * 512n),
  };
}
