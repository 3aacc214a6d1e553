/**
 * Where partitions go on a disk, and the bytes of its GUID partition table: decided here, written by `gpt-writer.ts`.
 *
 *   LBA 0          protective MBR (UEFI 2.10, 5.2.3)
 *   LBA 1          primary header
 *   LBA 2 …        primary entries: 128 of 128 bytes, so 32 blocks of 512 bytes or 4 of 4,096
 *   … N - 2        backup entries
 *   LBA N - 1      backup header
 */
import { crc32 } from "node:zlib";
import { HiperisoError } from "../../contract/error.ts";
import { encodeGptEntries, encodeGptHeader, encodeGuid, GPT_NAME_UNITS_MAX, type NewGptEntry } from "../../formats/gpt.ts";

export type SectorBytes = 512 | 4096;

/** A table as it is or shall be on a disk of `diskSectors` blocks. */
export interface GptTable {
  readonly sectorBytes: SectorBytes;
  readonly diskSectors: bigint;
  readonly diskGuid: string;
  readonly entryCount: number;
  readonly entryBytes: number;
  readonly firstUsableLba: bigint;
  /** Inclusive. */
  readonly lastUsableLba: bigint;
  readonly partitions: readonly NewGptEntry[];
}

export interface PartitionWish {
  readonly typeGuid: string;
  readonly guid: string;
  readonly name: string;
  readonly attributes?: bigint;
  /** Bytes, rounded up to blocks; "rest": what the others leave, for one partition at most. */
  readonly size: bigint | "rest";
}

export interface DiskWish {
  readonly sizeBytes: bigint;
  readonly sectorBytes: SectorBytes;
  readonly diskGuid: string;
  /** Starts of partitions are multiples of it. Default 1 MiB, as all partitioning programs have it. */
  readonly alignBytes?: bigint;
}

const ENTRY_COUNT = 128;
const ENTRY_BYTES = 128;
const MIB = 1n << 20n;

/**
 * The partitions in the order of `wishes`, one behind the other. Throws HiperisoError of kind `usage` where they do not fit, a name is
 * too long, or a GUID is none or is there twice.
 */
export function planGpt(disk: DiskWish, wishes: readonly PartitionWish[]): GptTable {
  const { sizeBytes, sectorBytes, diskGuid, alignBytes = MIB } = disk;
  const block = BigInt(sectorBytes);
  const diskSectors = sizeBytes / block;
  const tableBlocks = BigInt((ENTRY_COUNT * ENTRY_BYTES) / sectorBytes);
  const firstUsableLba = 2n + tableBlocks;
  const lastUsableLba = diskSectors - tableBlocks - 2n;
  const refuse = (expected: string, found: string, hint?: string) =>
    new HiperisoError({ what: "plan the partitions", expected, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });

  if (alignBytes <= 0n || alignBytes % block !== 0n) throw refuse(`an alignment in blocks of ${sectorBytes} bytes`, `${alignBytes} bytes`);
  if (lastUsableLba < firstUsableLba) throw refuse("a disk with room for two partition tables", `${sizeBytes} bytes`);
  if (wishes.length > ENTRY_COUNT) throw refuse(`at most ${ENTRY_COUNT} partitions`, `${wishes.length}`);
  if (wishes.filter(({ size }) => size === "rest").length > 1) throw refuse("one partition that takes the rest", "more than one");
  checkGuids([diskGuid, ...wishes.map(({ guid }) => guid)], wishes, refuse);

  const align = alignBytes / block;
  const alignedUp = (lba: bigint) => ((lba + align - 1n) / align) * align;
  const blocksOf = (bytes: bigint) => (bytes + block - 1n) / block;
  const first = alignedUp(firstUsableLba);
  const end = lastUsableLba + 1n;
  const restAt = wishes.findIndex(({ size }) => size === "rest");
  // Those behind the one that takes the rest are pushed against the end of the disk.
  const behind = restAt === -1 ? [] : wishes.slice(restAt + 1);
  const partitions: NewGptEntry[] = [];
  const starts = new Map<PartitionWish, bigint>();
  let limit = end;
  for (const wish of [...behind].reverse()) {
    const start = ((limit - blocksOf(sizeOf(wish, refuse))) / align) * align;
    starts.set(wish, start);
    limit = start;
  }
  let at = first;
  for (const [index, wish] of wishes.entries()) {
    const start = starts.get(wish) ?? at;
    // Its end is aligned too: programs for encrypted disks expect that, and sgdisk warns where it is not so.
    const blocks = wish.size === "rest" ? (limit / align) * align - start : blocksOf(sizeOf(wish, refuse));
    if (start < at || blocks <= 0n || start + blocks > end)
      throw refuse(`room for partition ${index + 1} ("${wish.name}")`, `${end - first} blocks of ${sectorBytes} bytes for all of them`);
    partitions.push({
      number: index + 1,
      typeGuid: wish.typeGuid.toUpperCase(),
      uniqueGuid: wish.guid.toUpperCase(),
      firstLba: start,
      lastLba: start + blocks - 1n,
      attributes: wish.attributes ?? 0n,
      name: wish.name,
    });
    at = alignedUp(start + blocks);
  }
  return {
    sectorBytes,
    diskSectors,
    diskGuid: diskGuid.toUpperCase(),
    entryCount: ENTRY_COUNT,
    entryBytes: ENTRY_BYTES,
    firstUsableLba,
    lastUsableLba,
    partitions,
  };
}

type Refuse = (expected: string, found: string, hint?: string) => HiperisoError;

function sizeOf({ size, name }: PartitionWish, refuse: Refuse): bigint {
  if (size === "rest" || size <= 0n) throw refuse(`a size above 0 for "${name}"`, `${size}`);
  return size;
}

function checkGuids(unique: readonly string[], wishes: readonly PartitionWish[], refuse: Refuse): void {
  for (const guid of [...unique, ...wishes.map(({ typeGuid }) => typeGuid)]) {
    try {
      encodeGuid(guid);
    } catch {
      throw refuse("a GUID", guid);
    }
  }
  const upper = unique.map((guid) => guid.toUpperCase());
  const twice = upper.find((guid, index) => upper.indexOf(guid) !== index);
  if (twice !== undefined) throw refuse("GUIDs that differ", `${twice} twice`);
  for (const { name } of wishes)
    if (name.length > GPT_NAME_UNITS_MAX || name.includes("\0")) throw refuse(`a name of at most ${GPT_NAME_UNITS_MAX} UTF-16 units`, name);
}

/** Bytes for a place on the disk. */
export interface PlacedBytes {
  readonly what: "protective MBR" | "primary header" | "primary entries" | "backup header" | "backup entries";
  readonly offset: bigint;
  readonly bytes: Uint8Array;
}

export interface EncodedGpt {
  readonly primary: readonly PlacedBytes[];
  readonly backup: readonly PlacedBytes[];
  readonly protectiveMbr: PlacedBytes;
}

/** All that makes up the table, encoded before a byte is written. `bootCode`: what stands in the first 440 bytes of LBA 0. */
export function encodeGpt(table: GptTable, bootCode?: Uint8Array): EncodedGpt {
  const { sectorBytes, diskSectors, diskGuid, entryCount, entryBytes, firstUsableLba, lastUsableLba, partitions } = table;
  const block = BigInt(sectorBytes);
  const entries = encodeGptEntries(partitions, entryCount, entryBytes);
  const padded = new Uint8Array(Math.ceil(entries.length / sectorBytes) * sectorBytes);
  padded.set(entries);
  const tableBlocks = BigInt(padded.length) / block;
  const lastLba = diskSectors - 1n;
  const backupEntriesLba = lastLba - tableBlocks;
  const common = { firstUsableLba, lastUsableLba, diskGuid, entryCount, entryBytes, entriesCrc: crc32(entries) };
  const primary = encodeGptHeader({ ...common, myLba: 1n, otherLba: lastLba, entriesLba: 2n }, sectorBytes);
  const backup = encodeGptHeader({ ...common, myLba: lastLba, otherLba: 1n, entriesLba: backupEntriesLba }, sectorBytes);
  return {
    primary: [
      { what: "primary entries", offset: 2n * block, bytes: padded },
      { what: "primary header", offset: block, bytes: primary },
    ],
    backup: [
      { what: "backup entries", offset: backupEntriesLba * block, bytes: padded },
      { what: "backup header", offset: lastLba * block, bytes: backup },
    ],
    protectiveMbr: { what: "protective MBR", offset: 0n, bytes: protectiveMbr(table, bootCode) },
  };
}

/** UEFI 2.10, 5.2.3, table 5.4: one entry over the whole disk, or as much of it as 32 bits can say. */
function protectiveMbr({ sectorBytes, diskSectors }: GptTable, bootCode?: Uint8Array): Uint8Array {
  const sector = new Uint8Array(sectorBytes);
  if (bootCode !== undefined) sector.set(bootCode.subarray(0, 440));
  const sectors = diskSectors - 1n;
  const view = new DataView(sector.buffer);
  sector.set([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff], 446);
  view.setUint32(454, 1, true);
  view.setUint32(458, sectors > 0xffffffffn ? 0xffffffff : Number(sectors), true);
  sector.set([0x55, 0xaa], 510);
  return sector;
}
