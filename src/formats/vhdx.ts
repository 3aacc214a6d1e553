/**
 * Hyper-V's disk image ([MS-VHDX]). Little-endian. The head of the file holds two headers (64 and 128 KiB), of which the one with the higher
 * sequence number counts, and a table of regions (192 KiB): the block table (BAT) and the metadata.
 *
 *   header     0 4 "head"   8 8 sequence   48 16 log's GUID, zero where nothing is left to be replayed
 *   regions    0 4 "regi"   8 4 count      16 each 32: GUID, 8 offset, 4 length, 4 required
 *   metadata   0 8 "metadata"  10 2 count  32 each 32: GUID, 4 offset in the region, 4 length, 4 flags, 4 reserved
 */
import { type BadField, type BlockMap, badField, checkMap } from "./block-map.ts";
import { latin1, viewOf } from "./bytes.ts";

/** All but the metadata, and these where the region table says. */
export const VHDX_HEAD_BYTES = 256 * 1024;
export const VHDX_METADATA_BYTES = 64 * 1024 + 4096;

const HEADERS = [64 * 1024, 128 * 1024] as const;
const REGIONS = 192 * 1024;
const REGIONS_MAX = 2047;
const ITEMS_MAX = 2047;

/** GUIDs as they stand in the file. */
const GUID = {
  bat: "6677c22d23f600429d64115e9bfd4a08",
  metadata: "06a27c8b90479a4bb8fe575f050f886e",
  fileParameters: "3767a1ca36fa434db3b633f0aa44e76b",
  diskSize: "2442a52f1bcd7648b2115dbed83bf4b8",
  sectorSize: "1dbf41816fa90947ba47f233a8faab5f",
} as const;

const PRESENT = 6;

export interface VhdxHead {
  readonly batOffset: bigint;
  readonly metadataOffset: bigint;
  /** A log is to be replayed before the tables are as they should be. */
  readonly dirty: boolean;
}

/** `head`: VHDX_HEAD_BYTES from the file's start. Throws (kind `usage`) on what cannot be followed. */
export function decodeVhdxHead(head: Uint8Array, where: string): VhdxHead {
  const bad = badField("VHDX", where);
  if (head.length < VHDX_HEAD_BYTES) throw bad(0, `at least ${VHDX_HEAD_BYTES} bytes`, `${head.length}`);
  const view = viewOf(head);
  if (latin1(head.subarray(0, 8)) !== "vhdxfile") throw bad(0, '"vhdxfile"', "something else");
  const headers = HEADERS.filter((at) => latin1(head.subarray(at, at + 4)) === "head");
  const [current] = headers.sort((one, other) => (view.getBigUint64(one + 8, true) < view.getBigUint64(other + 8, true) ? 1 : -1));
  if (current === undefined) throw bad(HEADERS[0], 'a header that begins with "head"', "none");
  if (latin1(head.subarray(REGIONS, REGIONS + 4)) !== "regi") throw bad(REGIONS, '"regi"', "something else");
  const count = view.getUint32(REGIONS + 8, true);
  if (count > REGIONS_MAX) throw bad(REGIONS + 8, `at most ${REGIONS_MAX} regions`, `${count}`);
  const region = (guid: string, name: string): bigint => {
    for (let at = REGIONS + 16; at < REGIONS + 16 + count * 32 && at + 32 <= head.length; at += 32) {
      if (hexOf(head, at) === guid) return view.getBigUint64(at + 16, true);
    }
    throw bad(REGIONS, `a region with the ${name}`, "none");
  };
  return {
    batOffset: region(GUID.bat, "block table"),
    metadataOffset: region(GUID.metadata, "metadata"),
    dirty: hexOf(head, current + 48) !== "0".repeat(32),
  };
}

/** `metadata`: VHDX_METADATA_BYTES from where the head says, or all there are. */
export function decodeVhdxMetadata(metadata: Uint8Array, { batOffset, metadataOffset }: VhdxHead, where: string): BlockMap {
  const bad = badField("VHDX", `${where}@${metadataOffset}`);
  if (metadata.length < 64 || latin1(metadata.subarray(0, 8)) !== "metadata") throw bad(0, '"metadata"', "something else");
  const item = itemsOf(metadata, bad);
  const parameters = item(GUID.fileParameters, 8, "file parameters");
  const blockBytes = parameters.getUint32(0, true);
  if ((parameters.getUint32(4, true) & 2) !== 0) throw bad(0, "a disk of its own", "one that leans on another file");
  const sizeBytes = item(GUID.diskSize, 8, "disk size").getBigUint64(0, true);
  const sectorBytes = item(GUID.sectorSize, 4, "sector size").getUint32(0, true);
  if (sectorBytes !== 512 && sectorBytes !== 4096) throw bad(0, "sectors of 512 or 4096 bytes", `${sectorBytes}`);
  checkMap({ sizeBytes, blockBytes }, bad, 0);
  // Behind each so many blocks the table has an entry for their bitmap.
  const chunk = ((1n << 23n) * BigInt(sectorBytes)) / BigInt(blockBytes);
  if (chunk === 0n) throw bad(0, "blocks smaller than a chunk", `${blockBytes}`);
  return {
    sizeBytes,
    blockBytes,
    entry: (block) => ({ offset: batOffset + (block + block / chunk) * 8n, bytes: 8 }),
    place: (entry) => {
      const value = entry.getBigUint64(0, true);
      return Number(value & 7n) === PRESENT ? (value >> 20n) << 20n : undefined;
    },
  };
}

function itemsOf(metadata: Uint8Array, bad: BadField): (guid: string, bytes: number, name: string) => DataView {
  const view = viewOf(metadata);
  const count = view.getUint16(10, true);
  if (count > ITEMS_MAX) throw bad(10, `at most ${ITEMS_MAX} items`, `${count}`);
  return (guid, bytes, name) => {
    for (let at = 32; at < 32 + count * 32 && at + 32 <= metadata.length; at += 32) {
      if (hexOf(metadata, at) !== guid) continue;
      const offset = view.getUint32(at + 16, true);
      if (offset + bytes > metadata.length) throw bad(at + 16, `the ${name} inside the metadata`, `byte ${offset}`);
      return viewOf(metadata.subarray(offset, offset + bytes));
    }
    throw bad(32, `an item with the ${name}`, "none");
  };
}

const hexOf = (bytes: Uint8Array, at: number): string => Buffer.from(bytes.subarray(at, at + 16)).toString("hex");
