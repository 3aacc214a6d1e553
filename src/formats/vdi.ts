/**
 * VirtualBox's disk image (QEMU: block/vdi.c). Little-endian.
 *
 *   0x40  4  0xbeda107f            0x158  4  where the blocks begin
 *   0x44  4  version 1.1           0x170  8  size of the disk
 *   0x4c  4  1 dynamic, 2 static   0x178  4  bytes of a block
 *   0x154 4  the block map's offset 0x180 4  blocks
 */
import { type BlockMap, badField, checkMap } from "./block-map.ts";
import { viewOf } from "./bytes.ts";

export const VDI_HEAD_BYTES = 512;
const HEADER_END = 0x188;
/** Entries from here on: not there, or zeros. */
const NO_BLOCK = 0xffff_fffe;

/** Throws (kind `usage`) on a header that cannot be followed. */
export function decodeVdi(head: Uint8Array, where: string): BlockMap {
  const bad = badField("VDI", where);
  if (head.length < HEADER_END) throw bad(0, `at least ${HEADER_END} bytes`, `${head.length}`);
  const view = viewOf(head);
  if (view.getUint32(0x40, true) !== 0xbeda107f) throw bad(0x40, "0xbeda107f", "something else");
  if (view.getUint32(0x44, true) !== 0x10001) throw bad(0x44, "version 1.1", `0x${view.getUint32(0x44, true).toString(16)}`);
  const type = view.getUint32(0x4c, true);
  if (type !== 1 && type !== 2) throw bad(0x4c, "a dynamic or a static image", `type ${type}`);
  const map = { sizeBytes: view.getBigUint64(0x170, true), blockBytes: view.getUint32(0x178, true) };
  checkMap(map, bad, 0x170);
  const [table, data] = [BigInt(view.getUint32(0x154, true)), BigInt(view.getUint32(0x158, true))];
  return {
    ...map,
    entry: (block) => ({ offset: table + block * 4n, bytes: 4 }),
    place: (entry) => {
      const index = entry.getUint32(0, true);
      return index >= NO_BLOCK ? undefined : data + BigInt(index) * BigInt(map.blockBytes);
    },
  };
}
