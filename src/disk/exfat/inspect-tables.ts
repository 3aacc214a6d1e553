/** What belongs to an exFAT volume itself: the head of its FAT, the clusters of its bitmap and root, its up-case table. */
import { hex, viewOf } from "../../formats/bytes.ts";
import { encodeUpcaseEntry } from "../../formats/exfat-entries.ts";
import { encodeUpcaseTable, recommendedUpcaseTable } from "../../formats/exfat-upcase.ts";
import type { Inquiry } from "./inquiry.ts";
import { END_OF_CHAIN } from "./medium.ts";
import { endingChain, replaceUpcaseTable } from "./mend.ts";

export async function inspectTables(inquiry: Inquiry): Promise<void> {
  await inspectFatHead(inquiry);
  const { medium, facts, findings } = inquiry;
  const { root, bitmapRuns, bitmap } = facts;
  await inquiry.own(bitmapRuns, "the allocation bitmap", bitmap.offset);
  await inquiry.own(root.runs, "/", medium.offsetOf(root.firstCluster));
  const { end } = root;
  if (end.kind !== "whole") {
    const where = { offset: end.at, path: "/", text: end.text };
    findings.add("root-chain", { ...where, mending: "the root ends there" }, endingChain(root.runs.at(-1)!));
    findings.lost = true;
  }
  await inspectUpcase(inquiry);
}

async function inspectFatHead({ medium, findings }: Inquiry): Promise<void> {
  const head = await medium.read(medium.fatOffsetOf(0), 8);
  const fatHead = [viewOf(head).getUint32(0, true), viewOf(head).getUint32(4, true)] as const;
  if ((fatHead[0] | 0xff) >>> 0 === END_OF_CHAIN && fatHead[1] === END_OF_CHAIN) return;
  const text = `the FAT starts with ${hex(fatHead[0], 8)} and ${hex(fatHead[1], 8)}`;
  findings.add("fat-head", { offset: medium.fatOffsetOf(0), text, mending: "both are written anew" }, async (mending) => {
    await mending.medium.writeFatEntry(0, 0xffff_fff8);
    await mending.medium.writeFatEntry(1, END_OF_CHAIN);
  });
}

async function inspectUpcase(inquiry: Inquiry): Promise<void> {
  const { facts, findings } = inquiry;
  const { allocation, offset, table, fault, storedChecksum, actualChecksum } = facts.upcase;
  if (fault === undefined) await inquiry.own(await inquiry.runsOf(allocation), "the up-case table", offset);
  if (fault === undefined && storedChecksum === actualChecksum) return;
  const recommended = encodeUpcaseTable(recommendedUpcaseTable());
  const same = fault === undefined && Buffer.from(encodeUpcaseTable(table)).equals(recommended);
  if (same) {
    const text = `the up-case table's sum is ${hex(storedChecksum, 8)}, its bytes give ${hex(actualChecksum, 8)}`;
    findings.add("upcase-checksum", { offset, text, mending: "the sum is written anew" }, async ({ medium }) => {
      await medium.write(offset, encodeUpcaseEntry(allocation, actualChecksum));
    });
    return;
  }
  const text =
    fault === undefined
      ? `the up-case table does not have its sum ${hex(storedChecksum, 8)}`
      : `the up-case table: expected ${fault.expected}, found ${fault.found}`;
  findings.add(
    "upcase-table",
    { offset, text, mending: "the one that the specification recommends takes its place" },
    (mending) => replaceUpcaseTable(mending, recommended, offset),
    "copy",
  );
}
