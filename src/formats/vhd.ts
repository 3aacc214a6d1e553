/**
 * The dynamic hard disk image of Virtual PC ("Virtual Hard Disk Image Format Specification", 2006). Big-endian. The file begins with a copy of
 * its footer; a header follows where that says.
 *
 *   footer    0 8 "conectix"   16 8 the header's offset   48 8 size of the disk   60 4 type: 3 dynamic
 *   header    0 8 "cxsparse"   16 8 the table's offset    28 4 its entries        32 4 bytes of a block
 *
 * A block is a bitmap of its sectors, padded to a sector, and its data.
 */
import { type BlockMap, badField, checkMap } from "./block-map.ts";
import { latin1, viewOf } from "./bytes.ts";

export const VHD_FOOTER_BYTES = 512;
export const VHD_HEADER_BYTES = 1024;
const NO_BLOCK = 0xffff_ffff;

export interface VhdFooter {
  readonly headerOffset: bigint;
  readonly sizeBytes: bigint;
}

/** Throws (kind `usage`) on a footer that is no dynamic disk's. */
export function decodeVhdFooter(footer: Uint8Array, where: string): VhdFooter {
  const bad = badField("VHD", where);
  if (footer.length < VHD_FOOTER_BYTES) throw bad(0, `at least ${VHD_FOOTER_BYTES} bytes`, `${footer.length}`);
  if (latin1(footer.subarray(0, 8)) !== "conectix") throw bad(0, '"conectix"', "something else");
  const view = viewOf(footer);
  if (view.getUint32(60) !== 3) throw bad(60, "a dynamic disk (3)", `${view.getUint32(60)}`);
  return { headerOffset: view.getBigUint64(16), sizeBytes: view.getBigUint64(48) };
}

/** `header` stands in the file where the footer says. */
export function decodeVhdHeader(header: Uint8Array, { sizeBytes, headerOffset }: VhdFooter, where: string): BlockMap {
  const bad = badField("VHD", `${where}@${headerOffset}`);
  if (header.length < VHD_HEADER_BYTES) throw bad(0, `at least ${VHD_HEADER_BYTES} bytes`, `${header.length}`);
  if (latin1(header.subarray(0, 8)) !== "cxsparse") throw bad(0, '"cxsparse"', "something else");
  const view = viewOf(header);
  const [table, entries, blockBytes] = [view.getBigUint64(16), BigInt(view.getUint32(28)), view.getUint32(32)];
  checkMap({ sizeBytes, blockBytes }, bad, 32);
  if (entries * BigInt(blockBytes) < sizeBytes) throw bad(28, `entries for ${sizeBytes} bytes`, `${entries}`);
  const bitmapBytes = BigInt(Math.ceil(blockBytes / 512 / 8 / 512) * 512);
  return {
    sizeBytes,
    blockBytes,
    entry: (block) => ({ offset: table + block * 4n, bytes: 4 }),
    place: (entry) => {
      const sector = entry.getUint32(0);
      return sector === NO_BLOCK ? undefined : BigInt(sector) * 512n + bitmapBytes;
    },
  };
}
