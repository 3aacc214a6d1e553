/** A FAT volume: its layout, and its directories as a `VolumeTree`. */

import { hex } from "../formats/bytes.ts";
import { decodeFatBootSector, decodeFatDirectory, decodeFatLink, type FatEntry, type FatLayout, fatLinkRange } from "../formats/fat.ts";
import type { ReportProblem } from "../formats/problem.ts";
import type { BlockSource } from "./block-source.ts";
import { type Extent, smaller, type TreeNode, type VolumeTree } from "./volume-tree.ts";

export interface FatVolume {
  readonly source: BlockSource;
  readonly layout: FatLayout;
  /** Of the root directory, which is what everybody shows; else the boot sector's. */
  readonly label: string;
}

export interface FatNode extends TreeNode {
  /** 0 for an empty file, and for the root of FAT12 and FAT16. */
  readonly firstCluster: number;
}

/** FAT allows no larger directory: 65,536 entries. */
const DIRECTORY_BYTES_MAX = 65_536 * 32;

/** Undefined where `source` does not start with a FAT boot sector, or (reported) with one whose sizes cannot be. */
export async function readFatVolume(source: BlockSource, report: ReportProblem): Promise<FatVolume | undefined> {
  const layout = decodeFatBootSector(await source.read(0n, 512), { offset: 0n, report });
  if (layout === undefined) return undefined;
  if (layout.volumeBytes > source.sizeBytes) {
    report({ offset: 32n, structure: "FAT boot sector", expected: `room for ${layout.volumeBytes} bytes`, found: `${source.sizeBytes}` });
  }
  const quiet = () => {}; // the walk reads the root again and reports
  const root = await readDirectory(source, layout, rootNode(layout), quiet);
  return { source, layout, label: decodeFatDirectory(root.bytes, layout).label ?? layout.label };
}

export function fatTree({ source, layout }: FatVolume, report: ReportProblem): VolumeTree<FatNode> {
  return {
    source,
    report,
    root: rootNode(layout),
    ignoresCase: true,
    async *entries(directory) {
      const { bytes, offsetOf } = await readDirectory(source, layout, directory, report);
      for (const entry of decodeFatDirectory(bytes, layout).entries) yield nodeOf(layout, entry, offsetOf(entry.at));
    },
    async *extents(file) {
      let left = file.sizeBytes;
      for await (const extent of clusterRuns(source, layout, file, left, report)) {
        const bytes = smaller(extent.bytes, left);
        yield { offset: extent.offset, bytes };
        left -= bytes;
        if (left === 0n) return;
      }
      if (left > 0n) {
        const expected = `clusters for ${file.sizeBytes} bytes`;
        report({ offset: file.recordOffset + 28n, structure: "FAT directory entry", expected, found: `${file.sizeBytes - left}` });
      }
    },
  };
}

const rootNode = (layout: FatLayout): FatNode => ({
  name: "",
  directory: true,
  symbolicLink: false,
  sizeBytes: BigInt(layout.rootBytes),
  dataOffset: layout.rootCluster === 0 ? layout.rootOffset : clusterOffset(layout, layout.rootCluster),
  recordOffset: 0n,
  firstCluster: layout.rootCluster,
});

const nodeOf = (layout: FatLayout, entry: FatEntry, recordOffset: bigint): FatNode => ({
  name: entry.name,
  directory: entry.directory,
  symbolicLink: false,
  sizeBytes: BigInt(entry.bytes),
  dataOffset: entry.firstCluster === 0 ? undefined : clusterOffset(layout, entry.firstCluster),
  recordOffset,
  firstCluster: entry.firstCluster,
});

const clusterOffset = (layout: FatLayout, cluster: number): bigint => layout.dataOffset + BigInt(cluster - 2) * BigInt(layout.clusterBytes);

/** A directory in memory, and where each of its bytes stands. */
async function readDirectory(
  source: BlockSource,
  layout: FatLayout,
  directory: FatNode,
  report: ReportProblem,
): Promise<{ bytes: Uint8Array; offsetOf: (at: number) => bigint }> {
  const runs: Extent[] = [];
  const pieces: Uint8Array[] = [];
  let total = 0;
  const fixedRoot: Extent[] = [{ offset: layout.rootOffset, bytes: BigInt(layout.rootBytes) }];
  const all = directory.firstCluster === 0 ? fixedRoot : clusterRuns(source, layout, directory, BigInt(DIRECTORY_BYTES_MAX), report);
  for await (const run of all) {
    const bytes = await source.read(run.offset, Number(run.bytes));
    runs.push(run);
    pieces.push(bytes);
    total += bytes.length;
    if (bytes.length < Number(run.bytes)) {
      const expected = `a directory inside the volume of ${source.sizeBytes} bytes`;
      report({ offset: directory.recordOffset, structure: "FAT directory entry", expected, found: `${run.bytes} bytes at ${run.offset}` });
      break;
    }
    // A first byte of zero ends the directory: no need to follow the chain.
    if (hasEnd(bytes) || total >= DIRECTORY_BYTES_MAX) break;
  }
  const offsetOf = (at: number): bigint => {
    let before = 0n;
    for (const run of runs) {
      if (BigInt(at) < before + run.bytes) return run.offset + BigInt(at) - before;
      before += run.bytes;
    }
    return 0n;
  };
  return { bytes: Buffer.concat(pieces), offsetOf };
}

function hasEnd(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 32) if (bytes[at] === 0) return true;
  return false;
}

/** One run is read in one piece by `readDirectory`. */
const RUN_BYTES_MAX = 262_144;

/**
 * The clusters of a chain as runs, at most until `limitBytes`. Stops, reporting, at a link that points nowhere and in a circle.
 */
async function* clusterRuns(
  source: BlockSource,
  layout: FatLayout,
  node: FatNode,
  limitBytes: bigint,
  report: ReportProblem,
): AsyncGenerator<Extent, void> {
  if (node.firstCluster === 0) return;
  if (node.firstCluster < 2 || node.firstCluster >= layout.clusterCount + 2) {
    const expected = `a first cluster of 2 to ${layout.clusterCount + 1}`;
    report({ offset: node.recordOffset + 26n, structure: "FAT directory entry", expected, found: `${node.firstCluster}` });
    return;
  }
  let cluster = node.firstCluster;
  let run = { first: cluster, count: 1 };
  const extentOf = ({ first, count }: typeof run): Extent => ({
    offset: clusterOffset(layout, first),
    bytes: BigInt(count) * BigInt(layout.clusterBytes),
  });
  let clusters = 1;
  let milestone = cluster;
  while (BigInt(clusters) * BigInt(layout.clusterBytes) < limitBytes) {
    const range = fatLinkRange(layout, cluster);
    const linkOffset = layout.fatOffset + BigInt(range.at);
    const bytes = await source.read(linkOffset, range.bytes);
    const bad = (expected: string, found: string) =>
      report({ offset: linkOffset, structure: `FAT entry of cluster ${cluster}`, expected, found });
    if (range.at + range.bytes > layout.fatBytes || bytes.length < range.bytes) {
      bad("an entry inside the FAT", "its end");
      break;
    }
    const link = decodeFatLink(layout, cluster, bytes);
    if (link === "end") break;
    if ("bad" in link) {
      bad("another cluster or the end of the chain", hex(link.bad, layout.fatBits / 4));
      break;
    }
    cluster = link.next;
    // Brent's way to see a circle: a chain that comes back to a place it was at when its length was a power of two.
    if (cluster === milestone) {
      bad("a chain that ends", "a circle");
      break;
    }
    clusters += 1;
    if (Number.isInteger(Math.log2(clusters))) milestone = cluster;
    const joins = cluster === run.first + run.count && (run.count + 1) * layout.clusterBytes <= RUN_BYTES_MAX;
    if (joins) run.count += 1;
    else {
      yield extentOf(run);
      run = { first: cluster, count: 1 };
    }
  }
  yield extentOf(run);
}
