/** Taking away what makes programs see an old table or file system on a disk that gets a new one. */
import { hasGptSignature } from "../../formats/gpt.ts";
import type { BlockStore } from "../block-store.ts";
import { staleRanges } from "../device/write-extents.ts";

export interface ByteExtent {
  readonly offset: bigint;
  readonly bytes: bigint;
}

const PIECE_BYTES = 65_536;

/** The headers of a GPT in LBA 1 and in the last block, for blocks of either size. The entries stay, which nobody finds without a header. */
export async function eraseGptHeaders(store: BlockStore): Promise<void> {
  for (const blockBytes of [512n, 4096n]) {
    for (const offset of [blockBytes, (store.sizeBytes / blockBytes - 1n) * blockBytes]) {
      if (offset < blockBytes) continue;
      const bytes = await store.read(offset, Number(blockBytes));
      if (hasGptSignature(bytes)) await store.write(offset, new Uint8Array(bytes.length));
    }
  }
  await store.flush();
}

/**
 * The first and the last MiB as zeros, but not what lies in `kept`: tables, boot sectors, superblocks, marks of RAIDs. Zeros are not written over
 * zeros, so that a fresh image stays sparse.
 */
export async function eraseEnds(store: BlockStore, kept: readonly ByteExtent[] = []): Promise<void> {
  for (const { offset, bytes } of staleRanges(store.sizeBytes, [])) {
    for (let at = offset; at < offset + bytes; ) {
      const inside = kept.find((extent) => extent.offset <= at && at < extent.offset + extent.bytes);
      const next = kept.reduce((lowest, extent) => (extent.offset > at && extent.offset < lowest ? extent.offset : lowest), offset + bytes);
      if (inside !== undefined) at = inside.offset + inside.bytes;
      else {
        const length = Number(next - at < BigInt(PIECE_BYTES) ? next - at : BigInt(PIECE_BYTES));
        const there = await store.read(at, length);
        if (there.some((byte) => byte !== 0)) await store.write(at, new Uint8Array(length));
        at += BigInt(length);
      }
    }
  }
  await store.flush();
}
