/** Brings a GUID partition table onto a disk, in an order that a cut of power at any write leaves readable. */
import type { BlockStore } from "../block-store.ts";
import { encodeGpt, type GptTable } from "./gpt-layout.ts";

/**
 * Writes backup, primary and protective MBR, in this order, each on the medium before the next is begun. What a cut leaves:
 *
 *   in the backup              the old primary is whole, and readers take it
 *   between the two            the old primary; programs that compare say that the backup differs
 *   in the primary             no whole primary: readers take the new backup in the last block
 *   behind the primary         the new table; where there was no GPT before, some programs still see the old MBR
 *
 * `bootCode`: the first 440 bytes of LBA 0; without it those that are there stay.
 */
export async function writeGpt(store: BlockStore, table: GptTable, bootCode?: Uint8Array): Promise<void> {
  const kept = bootCode ?? (await store.read(0n, 440));
  const { backup, primary, protectiveMbr } = encodeGpt(table, kept);
  for (const part of [backup, primary, [protectiveMbr]]) {
    for (const { offset, bytes } of part) await store.write(offset, bytes);
    await store.flush();
  }
}
