/** The partition tables of a disk: MBR with its chain of logical partitions, GPT with its backup. */

import { hex } from "../formats/bytes.ts";
import {
  decodeGptEntries,
  decodeGptHeader,
  ESP_GUID,
  type GptEntry,
  type GptHeader,
  gptTypeName,
  hasGptSignature,
} from "../formats/gpt.ts";
import { decodeMbr, ESP_TYPE, isExtended, MBR_BYTES, type Mbr, type MbrEntry, mbrTypeName, PROTECTIVE_TYPE } from "../formats/mbr.ts";
import type { ReportProblem } from "../formats/problem.ts";
import type { BlockSource } from "./block-source.ts";
import { diskNumber, type GptFacts, type GptPartitionFacts, type MbrFacts, type MbrPartitionFacts } from "./image-facts.ts";

/** A partition's place in bytes, cut to the image; undefined where it lies outside altogether. */
export interface PartitionRange {
  readonly offset: bigint;
  readonly bytes: bigint;
  /** "GPT partition 2". */
  readonly title: string;
  readonly efiSystem: boolean;
}

export interface MbrTable {
  readonly facts: MbrFacts;
  /** In the order of `facts.partitions`. */
  readonly ranges: readonly (PartitionRange | undefined)[];
}

export interface GptTable {
  readonly facts: GptFacts;
  readonly ranges: readonly (PartitionRange | undefined)[];
}

const MBR_SECTOR = 512n;
/** Linux stops at 256 partitions in all. */
const LOGICAL_MAX = 256;

/** The table in sector 0; undefined where there is none. `sharesIso`: entries of a hybrid ISO lie inside one another on purpose. */
export async function readMbrTable(source: BlockSource, report: ReportProblem, sharesIso: boolean): Promise<MbrTable | undefined> {
  const mbr = decodeMbr(await source.read(0n, MBR_BYTES), { offset: 0n, report });
  if (mbr === undefined || mbr.entries.length === 0) return undefined;
  const found: { entry: MbrEntry; number: number; firstLba: bigint }[] = [];
  for (const entry of mbr.entries) found.push({ entry, number: entry.number, firstLba: BigInt(entry.firstLba) });
  for (const entry of mbr.entries) {
    if (isExtended(entry.type))
      for (const logical of await readLogical(source, entry, report))
        found.push({ ...logical, number: 5 + found.filter(({ number }) => number > 4).length });
  }

  const ranges = found.map(({ entry, number, firstLba }) => {
    const title = `MBR partition ${number}`;
    // A protective entry may claim 2^32 - 1 sectors of any disk.
    if (entry.type === PROTECTIVE_TYPE || isExtended(entry.type)) return undefined;
    const bytes = BigInt(entry.sectors) * MBR_SECTOR;
    return cutToImage({ offset: firstLba * MBR_SECTOR, bytes, title, efiSystem: entry.type === ESP_TYPE }, source, entry.offset, report);
  });
  if (!sharesIso)
    reportOverlaps(
      ranges,
      report,
      found.map(({ entry }) => entry.offset),
    );
  return {
    facts: {
      diskSignature: hex(mbr.diskSignature, 8),
      protective: isProtective(mbr),
      partitions: found.map(
        ({ entry, number, firstLba }): MbrPartitionFacts => ({
          number,
          type: hex(entry.type),
          typeName: mbrTypeName(entry.type),
          active: entry.active,
          firstLba: diskNumber(firstLba),
          sectors: entry.sectors,
          volume: null,
        }),
      ),
    },
    ranges,
  };
}

const isProtective = (mbr: Mbr): boolean => mbr.entries.length === 1 && mbr.entries[0]!.type === PROTECTIVE_TYPE;

async function readLogical(
  source: BlockSource,
  extended: MbrEntry,
  report: ReportProblem,
): Promise<{ entry: MbrEntry; firstLba: bigint }[]> {
  const logical: { entry: MbrEntry; firstLba: bigint }[] = [];
  const seen = new Set<bigint>();
  const base = BigInt(extended.firstLba);
  for (let lba: bigint | undefined = base; lba !== undefined; ) {
    const bad = (expected: string, found: string) =>
      report({ offset: lba! * MBR_SECTOR, structure: "extended boot record", expected, found });
    if (seen.has(lba) || seen.size >= LOGICAL_MAX) {
      bad("a chain that ends", seen.has(lba) ? "a circle" : `more than ${LOGICAL_MAX} links`);
      break;
    }
    seen.add(lba);
    const place = { offset: lba * MBR_SECTOR, report };
    const record = decodeMbr(await source.read(lba * MBR_SECTOR, MBR_BYTES), place);
    if (record === undefined) {
      bad("0x55 0xaa at byte 510", lba * MBR_SECTOR >= source.sizeBytes ? "the end of the image" : "something else");
      break;
    }
    const partition = record.entries.find(({ type }) => !isExtended(type));
    if (partition !== undefined) logical.push({ entry: partition, firstLba: lba + BigInt(partition.firstLba) });
    const next = record.entries.find(({ type }) => isExtended(type));
    lba = next === undefined ? undefined : base + BigInt(next.firstLba);
  }
  return logical;
}

/** Logical blocks of 512 bytes, else of 4,096: an image does not say from what disk it was taken. */
const GPT_BLOCK_SIZES = [512, 4096] as const;

/**
 * The GPT; undefined where neither of its headers is there or can be used. `expected`: sector 0 holds a protective MBR, so that
 * a missing GPT is worth a report.
 */
export async function readGptTable(source: BlockSource, report: ReportProblem, expected: boolean): Promise<GptTable | undefined> {
  for (const blockBytes of GPT_BLOCK_SIZES) {
    const lastLba = source.sizeBytes / BigInt(blockBytes) - 1n;
    const blockAt = (lba: bigint) => source.read(lba * BigInt(blockBytes), blockBytes);
    const primaryThere = hasGptSignature(await blockAt(1n));
    if (!primaryThere && !(lastLba > 1n && hasGptSignature(await blockAt(lastLba)))) continue;

    const primary = await readOneGpt(source, blockBytes, 1n, report);
    const otherLba = primary?.header.otherLba ?? lastLba;
    const backupOffset = otherLba * BigInt(blockBytes);
    let backup: OneGpt | undefined;
    if (otherLba > lastLba) {
      const found = `LBA ${otherLba}, the last one of the image is ${lastLba}`;
      report({ offset: BigInt(blockBytes) + 32n, structure: "GPT header", expected: "a backup header inside the image", found });
    } else {
      if (otherLba !== lastLba) {
        const at = `LBA ${otherLba}`;
        report({
          offset: BigInt(blockBytes) + 32n,
          structure: "GPT header",
          expected: `its backup in the last block, LBA ${lastLba}`,
          found: at,
        });
      }
      backup = await readOneGpt(source, blockBytes, otherLba, report);
    }
    if (primary !== undefined && backup !== undefined && !sameTable(primary, backup)) {
      report({ offset: backupOffset, structure: "backup GPT", expected: "the same partitions as in the primary one", found: "others" });
    }
    const used = primary ?? backup;
    if (used !== undefined)
      return describeGpt(source, blockBytes, used, primary === undefined ? "backup" : "primary", backup !== undefined, report);
  }
  if (expected)
    report({ offset: 512n, structure: "GPT header", expected: '"EFI PART", as the protective MBR announces', found: "something else" });
  return undefined;
}

interface OneGpt {
  readonly header: GptHeader;
  readonly entries: readonly GptEntry[];
}

async function readOneGpt(source: BlockSource, blockBytes: number, lba: bigint, report: ReportProblem): Promise<OneGpt | undefined> {
  const offset = lba * BigInt(blockBytes);
  const header = decodeGptHeader(await source.read(offset, blockBytes), lba, { offset, report });
  if (header === undefined) return undefined;
  const tableOffset = header.entriesLba * BigInt(blockBytes);
  const table = await source.read(tableOffset, header.entryCount * header.entryBytes);
  const entries = decodeGptEntries(table, header, { offset: tableOffset, report });
  return entries === undefined ? undefined : { header, entries };
}

/** The checksums say it all: the entries of both tables are the same bytes. */
const sameTable = (a: OneGpt, b: OneGpt): boolean => a.header.entriesCrc === b.header.entriesCrc && a.header.diskGuid === b.header.diskGuid;

function describeGpt(
  source: BlockSource,
  blockBytes: number,
  { header, entries }: OneGpt,
  table: GptFacts["table"],
  backupIntact: boolean,
  report: ReportProblem,
): GptTable {
  const size = BigInt(blockBytes);
  const ranges = entries.map((entry) => {
    const bad = (expected: string, found: string) =>
      report({ offset: entry.offset + 32n, structure: `GPT entry ${entry.number}`, expected, found });
    if (entry.lastLba < entry.firstLba) {
      bad("a last LBA not before the first", `${entry.firstLba} to ${entry.lastLba}`);
      return undefined;
    }
    if (entry.firstLba < header.firstUsableLba || entry.lastLba > header.lastUsableLba) {
      bad(`LBAs from ${header.firstUsableLba} to ${header.lastUsableLba}`, `${entry.firstLba} to ${entry.lastLba}`);
    }
    const bytes = (entry.lastLba - entry.firstLba + 1n) * size;
    const range = { offset: entry.firstLba * size, bytes, title: `GPT partition ${entry.number}`, efiSystem: entry.typeGuid === ESP_GUID };
    return cutToImage(range, source, entry.offset, report);
  });
  reportOverlaps(
    ranges,
    report,
    entries.map(({ offset }) => offset),
  );
  return {
    facts: {
      diskGuid: header.diskGuid,
      sectorBytes: blockBytes,
      table,
      backupIntact,
      partitions: entries.map(
        (entry): GptPartitionFacts => ({
          number: entry.number,
          typeGuid: entry.typeGuid,
          typeName: gptTypeName(entry.typeGuid),
          uniqueGuid: entry.uniqueGuid,
          firstLba: diskNumber(entry.firstLba),
          lastLba: diskNumber(entry.lastLba),
          attributes: hex(entry.attributes, 16),
          name: entry.name,
          volume: null,
        }),
      ),
    },
    ranges,
  };
}

function cutToImage(range: PartitionRange, source: BlockSource, entryOffset: bigint, report: ReportProblem): PartitionRange | undefined {
  const end = range.offset + range.bytes;
  if (end <= source.sizeBytes) return range;
  const expected = `a partition inside the image of ${source.sizeBytes} bytes`;
  report({ offset: entryOffset, structure: range.title, expected, found: `bytes ${range.offset} to ${end - 1n}` });
  return range.offset < source.sizeBytes ? { ...range, bytes: source.sizeBytes - range.offset } : undefined;
}

function reportOverlaps(ranges: readonly (PartitionRange | undefined)[], report: ReportProblem, entryOffsets: readonly bigint[]): void {
  const sorted = ranges
    .flatMap((range, index) => (range === undefined || range.bytes === 0n ? [] : [{ range, entryOffset: entryOffsets[index]! }]))
    .sort((a, b) => (a.range.offset < b.range.offset ? -1 : a.range.offset > b.range.offset ? 1 : 0));
  let widest = sorted[0];
  for (const next of sorted.slice(1)) {
    if (next.range.offset < widest!.range.offset + widest!.range.bytes) {
      const found = `both hold byte ${next.range.offset}`;
      report({ offset: next.entryOffset, structure: next.range.title, expected: `no sector of ${widest!.range.title}`, found });
    }
    if (next.range.offset + next.range.bytes > widest!.range.offset + widest!.range.bytes) widest = next;
  }
}
