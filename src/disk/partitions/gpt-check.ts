/**
 * What is wrong with a disk's GUID partition table, and its repair from the copy that is whole. UEFI 2.10, 5.3.
 */
import { HiperisoError } from "../../contract/error.ts";
import { hex } from "../../formats/bytes.ts";
import { decodeGptEntries, decodeGptHeader, type GptEntry, type GptHeader, hasGptSignature, type NewGptEntry } from "../../formats/gpt.ts";
import { decodeMbr, MBR_BYTES, PROTECTIVE_TYPE } from "../../formats/mbr.ts";
import type { BlockSource } from "../../image/block-source.ts";
import type { BlockStore } from "../block-store.ts";
import type { GptTable, SectorBytes } from "./gpt-layout.ts";
import { writeGpt } from "./gpt-writer.ts";

export type GptProblemId =
  | "protective-mbr"
  | "protective-mbr-size"
  | "primary-damaged"
  | "backup-damaged"
  | "backup-not-at-end"
  | "copies-differ"
  | "usable-range"
  | "partition-outside"
  | "partition-backwards"
  | "partitions-overlap"
  | "guid-twice"
  | "disk-too-small";

export interface GptProblem {
  readonly id: GptProblemId;
  /** Byte on the disk. */
  readonly offset: bigint;
  readonly text: string;
  /** What a repair does about it; undefined where a person must decide. */
  readonly mending: string | undefined;
}

export interface GptCopy {
  readonly header: GptHeader;
  readonly partitions: readonly GptEntry[];
}

export interface GptFindings {
  readonly sectorBytes: SectorBytes;
  readonly primary: GptCopy | undefined;
  readonly backup: GptCopy | undefined;
  /** The one that counts: the primary where it is whole. */
  readonly used: "primary" | "backup" | undefined;
  readonly problems: readonly GptProblem[];
}

const SECTOR_SIZES: readonly SectorBytes[] = [512, 4096];

/**
 * Both copies, and all that is wrong with them. Undefined where there is no GPT at all: no signature at LBA 1 or in the last block, for
 * blocks of 512 bytes or of 4,096 (or of `sectorBytes` alone, where the disk says what it has).
 */
export async function checkGpt(disk: BlockSource, sectorBytes?: SectorBytes): Promise<GptFindings | undefined> {
  for (const size of sectorBytes === undefined ? SECTOR_SIZES : [sectorBytes]) {
    const lastLba = disk.sizeBytes / BigInt(size) - 1n;
    if (lastLba < 2n) continue;
    const signed = async (lba: bigint) => hasGptSignature(await disk.read(lba * BigInt(size), size));
    if ((await signed(1n)) || (await signed(lastLba))) return await checkBoth(disk, size, lastLba);
  }
  return undefined;
}

async function checkBoth(disk: BlockSource, sectorBytes: SectorBytes, lastLba: bigint): Promise<GptFindings> {
  const block = BigInt(sectorBytes);
  const problems: GptProblem[] = [];
  const add = (id: GptProblemId, offset: bigint, text: string, mending?: string) => problems.push({ id, offset, text, mending });

  const [primary, primaryFault] = await readCopy(disk, sectorBytes, 1n);
  // A disk that grew keeps its backup where the primary says.
  const says = primary?.header.otherLba;
  const tells = says !== undefined && says > 1n && says <= lastLba ? says : lastLba;
  const [told, toldFault] = await readCopy(disk, sectorBytes, tells);
  const [atEnd] = tells === lastLba ? [told] : await readCopy(disk, sectorBytes, lastLba);
  const backup = told ?? atEnd;
  const used = primary !== undefined ? "primary" : backup !== undefined ? "backup" : undefined;

  if (primary === undefined) add("primary-damaged", block, primaryFault, backup === undefined ? undefined : "written anew from the backup");
  if (says !== undefined && says > lastLba)
    add("disk-too-small", block + 32n, `the primary header places its backup at LBA ${says}, the last one of the disk is ${lastLba}`);
  else if (backup === undefined)
    add("backup-damaged", tells * block, toldFault, primary === undefined ? undefined : "written anew from the primary");
  else if (backup.header.myLba !== lastLba)
    add(
      "backup-not-at-end",
      backup.header.myLba * block,
      `the backup stands at LBA ${backup.header.myLba}, the last one is ${lastLba}`,
      "moved",
    );
  if (primary !== undefined && backup !== undefined && !sameTable(primary, backup))
    add("copies-differ", backup.header.myLba * block, "the backup has other partitions than the primary", "written anew from the primary");

  await checkProtectiveMbr(disk, lastLba, add);
  const copy = primary ?? backup;
  if (copy !== undefined) checkPartitions(copy, lastLba, block, add);
  return { sectorBytes, primary, backup, used, problems };
}

type AddProblem = (id: GptProblemId, offset: bigint, text: string, mending?: string) => void;

/** The copy whose header is at `lba`, or why there is none. */
async function readCopy(disk: BlockSource, sectorBytes: SectorBytes, lba: bigint): Promise<readonly [GptCopy | undefined, string]> {
  let fault = "";
  const report = ({ structure, expected, found }: { structure: string; expected: string; found: string }) => {
    fault = `${structure} at LBA ${lba}: expected ${expected}, found ${found}`;
  };
  const offset = lba * BigInt(sectorBytes);
  const header = decodeGptHeader(await disk.read(offset, sectorBytes), lba, { offset, report });
  if (header === undefined) return [undefined, fault];
  const tableOffset = header.entriesLba * BigInt(sectorBytes);
  const table = await disk.read(tableOffset, header.entryCount * header.entryBytes);
  const partitions = decodeGptEntries(table, header, { offset: tableOffset, report });
  return partitions === undefined ? [undefined, fault] : [{ header, partitions }, ""];
}

const sameTable = (a: GptCopy, b: GptCopy): boolean =>
  a.header.entriesCrc === b.header.entriesCrc &&
  a.header.diskGuid === b.header.diskGuid &&
  a.header.firstUsableLba === b.header.firstUsableLba &&
  a.header.lastUsableLba === b.header.lastUsableLba;

async function checkProtectiveMbr(disk: BlockSource, lastLba: bigint, add: AddProblem): Promise<void> {
  const mbr = decodeMbr(await disk.read(0n, MBR_BYTES), { offset: 0n, report: () => {} });
  const protective = mbr?.entries.find(({ type }) => type === PROTECTIVE_TYPE);
  if (protective === undefined) {
    add("protective-mbr", 446n, "no entry of type 0xee: programs that know only the MBR take the disk for empty", "written anew");
    return;
  }
  // A hybrid MBR (other entries beside it) is somebody's purpose; its protective entry need not cover the disk.
  const wanted = lastLba > 0xffffffffn ? 0xffffffff : Number(lastLba);
  if (mbr!.entries.length === 1 && protective.sectors !== wanted && protective.sectors !== 0xffffffff)
    add(
      "protective-mbr-size",
      protective.offset + 12n,
      `it covers ${protective.sectors} blocks, the disk has ${wanted} behind it`,
      "written anew",
    );
}

function checkPartitions({ header, partitions }: GptCopy, lastLba: bigint, block: bigint, add: AddProblem): void {
  const { firstUsableLba, lastUsableLba } = header;
  if (firstUsableLba > lastUsableLba || lastUsableLba >= lastLba || firstUsableLba < 2n)
    add(
      "usable-range",
      header.myLba * block + 40n,
      `usable LBAs from ${firstUsableLba} to ${lastUsableLba}, on a disk whose last one is ${lastLba}`,
    );
  for (const { number, firstLba, lastLba: last, offset } of partitions) {
    if (last < firstLba) add("partition-backwards", offset + 32n, `partition ${number} goes from LBA ${firstLba} to ${last}`);
    else if (firstLba < firstUsableLba || last > lastUsableLba)
      add(
        "partition-outside",
        offset + 32n,
        `partition ${number}, LBA ${firstLba} to ${last}, is not inside ${firstUsableLba} to ${lastUsableLba}`,
      );
  }
  const byStart = [...partitions].sort((a, b) => (a.firstLba < b.firstLba ? -1 : a.firstLba > b.firstLba ? 1 : a.number - b.number));
  let widest: GptEntry | undefined;
  for (const partition of byStart) {
    if (widest !== undefined && partition.firstLba <= widest.lastLba)
      add(
        "partitions-overlap",
        partition.offset + 32n,
        `partitions ${widest.number} and ${partition.number} both hold LBA ${partition.firstLba}`,
      );
    if (widest === undefined || partition.lastLba > widest.lastLba) widest = partition;
  }
  const owners = new Map<string, number>();
  for (const { uniqueGuid, number, offset } of partitions) {
    const other = owners.get(uniqueGuid);
    if (other === undefined) owners.set(uniqueGuid, number);
    else add("guid-twice", offset + 16n, `partitions ${other} and ${number} have the same GUID, ${uniqueGuid}`);
  }
}

/** The table that counts, as one that can be written to a disk of `diskSectors` blocks: the usable range reaches its end then. */
export function tableOf({ header, partitions }: GptCopy, sectorBytes: SectorBytes, diskSectors: bigint): GptTable {
  const tableBlocks = BigInt(Math.ceil((header.entryCount * header.entryBytes) / sectorBytes));
  return {
    sectorBytes,
    diskSectors,
    diskGuid: header.diskGuid,
    entryCount: header.entryCount,
    entryBytes: header.entryBytes,
    firstUsableLba: header.firstUsableLba > 2n + tableBlocks ? header.firstUsableLba : 2n + tableBlocks,
    lastUsableLba: diskSectors - tableBlocks - 2n,
    partitions: partitions.map(({ offset: _, ...entry }): NewGptEntry => entry),
  };
}

/**
 * Writes both copies and the protective MBR anew from the copy that counts, so that the backup stands at the end of the disk. Boot code and
 * the entries of a hybrid MBR stay where the MBR is whole. Throws HiperisoError where no copy is whole, or where a partition would lie outside: on a disk that
 * shrank, that is a loss which only the person can decide about.
 */
export async function repairGpt(disk: BlockStore, findings: GptFindings): Promise<void> {
  const copy = findings.used === "primary" ? findings.primary : findings.backup;
  const refuse = (found: string, hint: string) => new HiperisoError({ what: "repair the partition table", where: disk.name, found, hint });
  if (copy === undefined)
    throw refuse("neither the table at the start nor the one at the end is whole", "Search for lost partitions with testdisk.");
  const table = tableOf(copy, findings.sectorBytes, disk.sizeBytes / BigInt(findings.sectorBytes));
  const outside = table.partitions.find(({ firstLba, lastLba }) => lastLba > table.lastUsableLba || firstLba < table.firstUsableLba);
  if (outside !== undefined) {
    throw refuse(
      `partition ${outside.number} ends at LBA ${outside.lastLba}, and the last one for partitions is ${table.lastUsableLba}`,
      "Copy the whole disk or image: this one was cut.",
    );
  }
  const before = await disk.read(0n, MBR_BYTES);
  await writeGpt(disk, table);
  const hybrid = decodeMbr(before, { offset: 0n, report: () => {} });
  if (hybrid !== undefined && hybrid.entries.length > 1 && hybrid.entries.some(({ type }) => type === PROTECTIVE_TYPE)) {
    await disk.write(0n, before);
    await disk.flush();
  }
}

/** How two tables differ, a sentence each; none where they say the same. */
export function compareGpt(a: GptCopy, b: GptCopy): readonly string[] {
  const differences: string[] = [];
  if (a.header.diskGuid !== b.header.diskGuid) differences.push(`disk GUID ${a.header.diskGuid} and ${b.header.diskGuid}`);
  const others = new Map(b.partitions.map((partition) => [partition.number, partition]));
  for (const partition of a.partitions) {
    const other = others.get(partition.number);
    others.delete(partition.number);
    if (other === undefined) differences.push(`partition ${partition.number} is only in the first`);
    else
      for (const [key, one, two] of fieldsOf(partition, other))
        if (one !== two) differences.push(`partition ${partition.number}: ${key} ${one} and ${two}`);
  }
  for (const number of others.keys()) differences.push(`partition ${number} is only in the second`);
  return differences;
}

const fieldsOf = (a: GptEntry, b: GptEntry): readonly (readonly [string, string, string])[] => [
  ["type", a.typeGuid, b.typeGuid],
  ["GUID", a.uniqueGuid, b.uniqueGuid],
  ["first LBA", `${a.firstLba}`, `${b.firstLba}`],
  ["last LBA", `${a.lastLba}`, `${b.lastLba}`],
  ["attributes", hex(a.attributes, 16), hex(b.attributes, 16)],
  ["name", JSON.stringify(a.name), JSON.stringify(b.name)],
];
