/** The allocation bitmap against the clusters that somebody owns, when all of these are known. */
import { hex, viewOf } from "../../formats/bytes.ts";
import { FIRST_CLUSTER } from "../../formats/exfat-boot.ts";
import { CLUSTER_SET_PAGE_BYTES } from "../cluster-set.ts";
import type { Run } from "../content-writer.ts";
import type { Finding } from "./findings.ts";
import type { Inquiry } from "./inquiry.ts";
import { BAD_CLUSTER, type Medium } from "./medium.ts";

const LEAKED_RUNS_MAX = 65_536;

/** Gives the first runs of clusters that are taken and that nobody owns, and that are not marked as bad. */
export async function compareBitmap(inquiry: Inquiry, signal: AbortSignal): Promise<readonly Run[]> {
  const { medium, facts, bitmap, used, findings } = inquiry;
  const { clusterCount } = medium;
  const bytes = Math.ceil(clusterCount / 8);
  const leaked: Run[] = [];
  let clusters = 0;
  let open: { first: number; count: number } | undefined;
  const close = () => {
    if (open !== undefined && leaked.length < LEAKED_RUNS_MAX) leaked.push(open);
    open = undefined;
  };
  for (let at = 0; at < bytes; at += CLUSTER_SET_PAGE_BYTES) {
    signal.throwIfAborted();
    const length = Math.min(CLUSTER_SET_PAGE_BYTES, bytes - at);
    const taken = await bitmap.bytes(at, length);
    const owned = used.bytes(at, length);
    for (let byte = 0; byte < length; byte += 1) {
      let bits = taken[byte]! & ~owned[byte]!;
      if (at + byte === bytes - 1 && clusterCount % 8 !== 0) bits &= inspectTail(inquiry, taken[byte]!);
      if (bits === 0) {
        close();
        continue;
      }
      for (let bit = 0; bit < 8; bit += 1) {
        const cluster = (at + byte) * 8 + bit + FIRST_CLUSTER;
        if ((bits & (1 << bit)) === 0 || (await isBad(medium, cluster))) close();
        else {
          clusters += 1;
          open ??= { first: cluster, count: 0 };
          open.count += 1;
        }
      }
    }
  }
  close();
  const [first] = leaked;
  if (first === undefined) return leaked;
  const bit = first.first - FIRST_CLUSTER;
  const offset = medium.offsetOf(facts.bitmapRuns[0]!.first) + BigInt(Math.floor(bit / 8));
  const text = `${clusters} clusters are taken that nobody owns, from cluster ${first.first} on`;
  const mend: Finding["mend"] = findings.blind ? undefined : (mending) => mending.bitmap.mark(leaked, false);
  findings.add("leaked-clusters", { offset, text, mending: "they are freed, or put into files where entries were lost" }, mend, "leak");
  return leaked;
}

async function isBad(medium: Medium, cluster: number): Promise<boolean> {
  return viewOf(await medium.read(medium.fatOffsetOf(cluster), 4)).getUint32(0, true) === BAD_CLUSTER;
}

/** Bits of the last byte that stand for no cluster are reserved, and 0. Gives a mask of those that stand for one. */
function inspectTail({ medium, facts, findings }: Inquiry, taken: number): number {
  const { clusterCount } = medium;
  const mask = (1 << (clusterCount % 8)) - 1;
  if ((taken & ~mask) === 0) return mask;
  const lastByte = Math.ceil(clusterCount / 8) - 1;
  let left = lastByte;
  let offset = 0n;
  for (const { first, count } of facts.bitmapRuns) {
    const held = count * medium.clusterBytes;
    if (left < held) offset = medium.offsetOf(first) + BigInt(left);
    if (left < held) break;
    left -= held;
  }
  const text = `the bitmap's last byte is ${hex(taken)}: bits that stand for no cluster are set`;
  findings.add("bitmap-tail", { offset, text, mending: "they are cleared" }, async (mending) => {
    const [now] = await mending.medium.read(offset, 1);
    await mending.medium.write(offset, Uint8Array.of(now! & mask));
  });
  return mask;
}
