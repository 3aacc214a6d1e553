/** An ISO 9660 volume: its descriptors, and its directories as a `VolumeTree` with the best names it has. */

import { latin1 } from "../formats/bytes.ts";
import { decodeBootRecord } from "../formats/el-torito.ts";
import {
  DESCRIPTOR_TYPE,
  type DirectoryRecord,
  decodeDescriptorHeader,
  decodeDirectoryRecord,
  decodeVolumeDescriptor,
  FIRST_DESCRIPTOR_SECTOR,
  ISO_SECTOR_BYTES,
  jolietName,
  plainName,
  type VolumeDescriptor,
} from "../formats/iso9660.ts";
import type { ReportProblem } from "../formats/problem.ts";
import {
  type Continuation,
  decodeRockRidge,
  decodeSystemUse,
  type RockRidge,
  type SystemUseEntry,
  suspSkip,
} from "../formats/rock-ridge.ts";
import type { BlockSource } from "./block-source.ts";
import type { Extent, TreeNode, VolumeTree } from "./volume-tree.ts";

export interface IsoVolume {
  readonly source: BlockSource;
  readonly primary: VolumeDescriptor;
  readonly joliet: VolumeDescriptor | undefined;
  /** Bytes to skip in each system use area; undefined without Rock Ridge. */
  readonly rockRidgeSkip: number | undefined;
  readonly udf: string | null;
  /** LBA of the El Torito catalogue, in 2,048-byte sectors, and the offset of the field that says so. */
  readonly bootCatalog: { readonly lba: number; readonly offset: bigint } | undefined;
}

export interface IsoNode extends TreeNode {
  /** In order; a file of more than 4 GiB has several. */
  readonly pieces: readonly Extent[];
  /** zisofs: the data is compressed, and `readTreeFile` gives it as it stands. */
  readonly compressed: boolean;
  readonly interleaved: boolean;
}

/** Real media have three or four. */
const DESCRIPTORS_MAX = 64;
/** Ten times what the largest real directories take. */
const DIRECTORY_BYTES_MAX = 4 << 20;
/** System use areas that continue each other: one is usual. */
const CONTINUATIONS_MAX = 16;

/** Undefined where there is no ISO 9660 here, or (reported) none that can be used. */
export async function readIsoVolume(source: BlockSource, report: ReportProblem): Promise<IsoVolume | undefined> {
  let primary: VolumeDescriptor | undefined;
  let joliet: VolumeDescriptor | undefined;
  let bootCatalog: IsoVolume["bootCatalog"];
  let terminated = false;
  let sectorNumber = FIRST_DESCRIPTOR_SECTOR;
  for (; sectorNumber < FIRST_DESCRIPTOR_SECTOR + DESCRIPTORS_MAX && !terminated; sectorNumber += 1) {
    const offset = BigInt(sectorNumber * ISO_SECTOR_BYTES);
    const sector = await source.read(offset, ISO_SECTOR_BYTES);
    const header = decodeDescriptorHeader(sector);
    if (header === undefined) {
      if (primary !== undefined) {
        const found = sector.length < ISO_SECTOR_BYTES ? "the end of the image" : "something else";
        report({ offset, structure: "volume descriptor set", expected: "a descriptor or the terminator", found });
      }
      break;
    }
    if (header.type === DESCRIPTOR_TYPE.terminator) terminated = true;
    else if (header.type === DESCRIPTOR_TYPE.primary) primary ??= decodeVolumeDescriptor(sector, { offset, report });
    else if (header.type === DESCRIPTOR_TYPE.supplementary) {
      const volume = decodeVolumeDescriptor(sector, { offset, report });
      if (volume !== undefined && volume.jolietLevel !== null) joliet ??= volume;
    } else if (header.type === DESCRIPTOR_TYPE.bootRecord && bootCatalog === undefined) {
      const lba = decodeBootRecord(sector);
      if (lba !== undefined) bootCatalog = { lba, offset: offset + 71n };
    }
  }
  if (primary === undefined) return undefined;
  if (primary.volumeBytes > source.sizeBytes) {
    const offset = BigInt(FIRST_DESCRIPTOR_SECTOR * ISO_SECTOR_BYTES) + 80n;
    report({
      offset,
      structure: "primary volume descriptor",
      expected: `an image of at least ${primary.volumeBytes} bytes`,
      found: `${source.sizeBytes}: it is cut short`,
    });
  }
  return {
    source,
    primary,
    joliet,
    rockRidgeSkip: await readSuspSkip(source, primary),
    udf: await readUdfVersion(source, sectorNumber),
    bootCatalog,
  };
}

/** UDF's volume recognition sequence stands right behind the descriptors of ISO 9660 (ECMA-167 2/8.3.1), in sectors of the same shape. */
async function readUdfVersion(source: BlockSource, firstSector: number): Promise<string | null> {
  for (let number = firstSector; number < firstSector + 16; number += 1) {
    const id = latin1((await source.read(BigInt(number * ISO_SECTOR_BYTES), 6)).subarray(1));
    if (id === "NSR02" || id === "NSR03") return id;
    if (id !== "BEA01" && id !== "BOOT2") return null;
  }
  return null;
}

async function readSuspSkip(source: BlockSource, primary: VolumeDescriptor): Promise<number | undefined> {
  const offset = BigInt(primary.root.block) * BigInt(primary.blockBytes);
  // Damage is reported when the directory is read as one.
  const dot = decodeDirectoryRecord(await source.read(offset, 256), { offset, report: () => {} });
  return dot === undefined ? undefined : suspSkip(dot.systemUse);
}

export type IsoNames = "rock-ridge" | "joliet" | "plain";

/** Rock Ridge names where they are, else Joliet's, else those of ISO 9660. */
export const bestNames = (volume: IsoVolume): IsoNames =>
  volume.rockRidgeSkip !== undefined ? "rock-ridge" : volume.joliet !== undefined ? "joliet" : "plain";

export function isoTree(volume: IsoVolume, report: ReportProblem, names: IsoNames = bestNames(volume)): VolumeTree<IsoNode> {
  const descriptor = names === "joliet" && volume.joliet !== undefined ? volume.joliet : volume.primary;
  const { source } = volume;
  const blockBytes = BigInt(descriptor.blockBytes);
  const skip = names === "rock-ridge" ? (volume.rockRidgeSkip ?? 0) : undefined;

  /** All entries of a record's system use area and of the areas it goes on in. Waits only where it goes on. */
  function systemUseOf(record: DirectoryRecord): SystemUseEntry[] | Promise<SystemUseEntry[]> {
    const areaOffset = record.offset + BigInt(record.recordBytes - record.systemUse.length);
    const { entries, next } = decodeSystemUse(record.systemUse.subarray(skip), { offset: areaOffset + BigInt(skip ?? 0), report });
    return next === undefined ? entries : withContinuations(entries, next, areaOffset);
  }

  async function withContinuations(entries: SystemUseEntry[], first: Continuation, areaOffset: bigint): Promise<SystemUseEntry[]> {
    const all = [...entries];
    let next: Continuation | undefined = first;
    for (let count = 0; next !== undefined; count += 1) {
      const offset: bigint = BigInt(next.block) * blockBytes + BigInt(next.offset);
      const area: Uint8Array | undefined = await readContinuation(next, offset, areaOffset, count);
      if (area === undefined) break;
      const more = decodeSystemUse(area, { offset, report });
      all.push(...more.entries);
      next = more.next;
    }
    return all;
  }

  async function readContinuation(next: Continuation, offset: bigint, areaOffset: bigint, count: number): Promise<Uint8Array | undefined> {
    const bad = (expected: string, found: string): undefined => {
      report({ offset: areaOffset, structure: "system use continuation", expected, found });
    };
    if (count >= CONTINUATIONS_MAX) return bad(`at most ${CONTINUATIONS_MAX} areas`, "more, perhaps a circle");
    if (next.offset + next.bytes > ISO_SECTOR_BYTES) return bad("an area within one sector", `${next.bytes} bytes at ${next.offset}`);
    const area = await source.read(offset, next.bytes);
    return area.length < next.bytes ? bad(`an area inside the image of ${source.sizeBytes} bytes`, `byte ${offset}`) : area;
  }

  async function nodeOf(records: readonly DirectoryRecord[]): Promise<IsoNode | undefined> {
    const first = records[0]!;
    let rockRidge: RockRidge | undefined;
    if (skip !== undefined) {
      const entries = systemUseOf(first);
      rockRidge = decodeRockRidge(entries instanceof Promise ? await entries : entries);
      if (rockRidge.relocated) return undefined;
    }
    const name = rockRidge?.name ?? (names === "joliet" ? jolietName(first.rawName) : plainName(first.rawName));
    const childBlock = rockRidge?.childBlock;
    const extents = records.map(({ block, dataBytes }) => ({ offset: BigInt(block) * blockBytes, bytes: BigInt(dataBytes) }));
    const pieces = childBlock === undefined ? extents : [await movedDirectory(childBlock, first)];
    return {
      name,
      directory: childBlock !== undefined || first.directory,
      symbolicLink: rockRidge?.symbolicLink ?? false,
      linkTarget: rockRidge?.linkTarget,
      sizeBytes: pieces.reduce((sum, { bytes }) => sum + bytes, 0n),
      dataOffset: pieces[0]!.bytes === 0n ? undefined : pieces[0]!.offset,
      recordOffset: first.offset,
      pieces,
      compressed: rockRidge?.compressed ?? false,
      interleaved: first.interleaved,
    };
  }

  /** How long a moved directory is stands in its own "." record only. */
  async function movedDirectory(block: number, link: DirectoryRecord): Promise<Extent> {
    const offset = BigInt(block) * blockBytes;
    const dot = decodeDirectoryRecord(await source.read(offset, 256), { offset, report });
    if (dot?.directory && dot.block === block) return { offset, bytes: BigInt(dot.dataBytes) };
    report({ offset: link.offset, structure: "Rock Ridge child link", expected: `a directory at block ${block}`, found: "something else" });
    return { offset, bytes: 0n };
  }

  const root: IsoNode = {
    name: "",
    directory: true,
    symbolicLink: false,
    sizeBytes: BigInt(descriptor.root.dataBytes),
    dataOffset: BigInt(descriptor.root.block) * blockBytes,
    recordOffset: descriptor.root.offset,
    pieces: [{ offset: BigInt(descriptor.root.block) * blockBytes, bytes: BigInt(descriptor.root.dataBytes) }],
    compressed: false,
    interleaved: false,
  };

  return {
    source,
    report,
    root,
    ignoresCase: names !== "rock-ridge",
    async *entries(directory) {
      let pending: DirectoryRecord[] = [];
      const missing = (found: string) =>
        report({ offset: pending.at(-1)!.offset, structure: "directory record", expected: "another extent of the same file", found });
      for await (const records of readDirectoryRecords(source, directory, report)) {
        for (const record of records) {
          if (record.associated) continue;
          if (pending.length > 0 && latin1(pending[0]!.rawName) !== latin1(record.rawName)) {
            missing("another name");
            const cut = await nodeOf(pending);
            pending = [];
            if (cut !== undefined) yield cut;
          }
          pending.push(record);
          if (record.moreExtents && pending.length < EXTENTS_MAX) continue;
          const node = await nodeOf(pending);
          pending = [];
          if (node !== undefined) yield node;
        }
      }
      if (pending.length === 0) return;
      missing("the end of the directory");
      const cut = await nodeOf(pending);
      if (cut !== undefined) yield cut;
    },
    async *extents(file) {
      const place = { offset: file.recordOffset, structure: "directory record" };
      if (file.interleaved) {
        report({ ...place, expected: "a file in one piece", found: "interleaved extents, which nobody writes any more" });
        return;
      }
      for (const extent of file.pieces) {
        if (extent.offset + extent.bytes > source.sizeBytes) {
          const expected = `data inside the image of ${source.sizeBytes} bytes`;
          report({ ...place, expected, found: `${extent.bytes} bytes at ${extent.offset}` });
        }
        yield extent;
      }
    },
  };
}

/** 4 TiB. */
const EXTENTS_MAX = 1024;

/** The records of a directory but "." and "..", a sector at a time: a damaged one costs the rest of its sector. */
async function* readDirectoryRecords(
  source: BlockSource,
  directory: IsoNode,
  report: ReportProblem,
): AsyncGenerator<readonly DirectoryRecord[], void> {
  const { offset: start, bytes } = directory.pieces[0]!;
  const place = { offset: directory.recordOffset, structure: "directory record" };
  if (bytes > BigInt(DIRECTORY_BYTES_MAX)) {
    report({ ...place, expected: `a directory of at most ${DIRECTORY_BYTES_MAX} bytes`, found: `${bytes}` });
  }
  const length = Math.min(Number(bytes), DIRECTORY_BYTES_MAX);
  for (let inside = 0; inside < length; inside += ISO_SECTOR_BYTES) {
    const sectorOffset = start + BigInt(inside);
    const sector = await source.read(sectorOffset, Math.min(ISO_SECTOR_BYTES, length - inside));
    const records: DirectoryRecord[] = [];
    for (let at = 0; at < sector.length && sector[at] !== 0; ) {
      const record = decodeDirectoryRecord(sector.subarray(at), { offset: sectorOffset + BigInt(at), report });
      if (record === undefined) break;
      const special = record.rawName.length === 1 && record.rawName[0]! <= 1;
      if (!special) records.push(record);
      at += record.recordBytes;
    }
    yield records;
    if (sector.length < Math.min(ISO_SECTOR_BYTES, length - inside)) {
      report({
        ...place,
        expected: `a directory inside the image of ${source.sizeBytes} bytes`,
        found: `${bytes} bytes at ${start}`,
      });
      return;
    }
  }
}
