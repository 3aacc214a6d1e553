/** What the plan has to know of the boot sector's second stage, which travels as source: its length, and where its code looks for the files. */
import { viewOf } from "../formats/bytes.ts";
import { assembleHex0 } from "../formats/hex0.ts";

const SECTOR_BYTES = 512;
/** `mov dword [0x01000000], imm32`: the sector from which on it reads is written into the code. */
const SECTOR_MARK = Uint8Array.of(0xc7, 0x05, 0x00, 0x00, 0x00, 0x01);

export interface SecondStage {
  /** First sector of the source file system: the boot sector, the source, and one NUL at least that ends it are before it. */
  readonly srcfsSector: number;
  /** The sectors at which its code may begin to read. The known one has two: the other is for a disk on which it stands assembled. */
  readonly reads: readonly number[];
}

/** Throws where the source is not hex0. Lines may end in any way; the image has newlines. */
export function measureSecondStage(source: string, where: string): SecondStage {
  const bytes = new TextEncoder().encode(source.replace(/\r\n?/g, "\n"));
  const code = assembleHex0(bytes, where);
  const found = Buffer.from(code.buffer, code.byteOffset, code.byteLength);
  const reads: number[] = [];
  for (let at = found.indexOf(SECTOR_MARK); at >= 0; at = found.indexOf(SECTOR_MARK, at + 1)) {
    const number = at + SECTOR_MARK.length;
    if (number + 4 <= code.length) reads.push(viewOf(code).getUint32(number, true));
  }
  return { srcfsSector: Math.floor((SECTOR_BYTES + bytes.length) / SECTOR_BYTES) + 1, reads };
}
