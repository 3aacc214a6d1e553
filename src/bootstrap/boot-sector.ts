/** What the plan has to know of the boot sector's second stage: at which sector it looks for the source file system. */
import { assembleHex0 } from "../formats/hex0.ts";

/** `mov dword [0x01000000], SECTOR`: the sector is written into the code itself. */
const SECTOR_PATTERN = Uint8Array.of(0xc7, 0x05, 0x00, 0x00, 0x00, 0x01);
const SECTOR_BYTES = 512;

/**
 * The sector where stage 2 begins to read; undefined where its code has no such instruction. Throws where the source is not hex0.
 */
export function srcfsSectorOf(stage2: string, where: string): number | undefined {
  const code = assembleHex0(new TextEncoder().encode(stage2), where);
  const at = Buffer.from(code.buffer, code.byteOffset, code.byteLength).indexOf(SECTOR_PATTERN);
  if (at === -1 || at + SECTOR_PATTERN.length + 4 > code.length) return undefined;
  return new DataView(code.buffer, code.byteOffset).getUint32(at + SECTOR_PATTERN.length, true);
}

/** The first whole sector behind the boot sector, stage 2 and the one NUL at least that ends it. */
export const srcfsSectorBehind = (stage2Bytes: number): number => Math.ceil((SECTOR_BYTES + stage2Bytes) / SECTOR_BYTES);
