/** What is in a container: its entries, without their bytes. */
import { HiperisoError } from "../../contract/error.ts";
import { decodePayload, type PayloadEntry, type PayloadWidth } from "../../formats/lbpayld1.ts";
import type { PayloadInput } from "./input.ts";

export interface PayloadContents {
  readonly width: PayloadWidth;
  /** As they stand there: neither their order nor their names are judged. */
  readonly entries: readonly PayloadEntry[];
  /** Behind the last file. */
  readonly endOffset: bigint;
}

/** What is kept of an entry takes memory; a container of 2 GB could hold 200 million of them. */
export const PAYLOAD_ENTRIES_MAX = 1_000_000;

/** All entries of a container. Throws PayloadDamage where it is none or is cut short, HiperisoError for more than `PAYLOAD_ENTRIES_MAX`. */
export async function readPayloadContents({ feed, name }: Pick<PayloadInput, "feed" | "name">): Promise<PayloadContents> {
  const entries: PayloadEntry[] = [];
  const walk = decodePayload(feed, name);
  for (;;) {
    const next = await walk.next();
    if (next.done === true) return { width: next.value.width, entries, endOffset: feed.offset };
    checkEntryCount(entries.length + 1, name);
    entries.push(next.value);
  }
}

export function checkEntryCount(count: number, where: string): void {
  if (count <= PAYLOAD_ENTRIES_MAX) return;
  throw new HiperisoError({
    what: "read the payload container",
    where,
    expected: `at most ${PAYLOAD_ENTRIES_MAX} entries`,
    found: "more",
    hint: "`payload list` reads them all.",
  });
}
