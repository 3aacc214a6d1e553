/** What a disk or image holds: its partition table of either kind, and what stands in each partition or on the whole. */
import { hex } from "../formats/bytes.ts";
import { type GptEntry, gptTypeName } from "../formats/gpt.ts";
import { mbrTypeName } from "../formats/mbr.ts";
import type { BlockSource } from "../image/block-source.ts";
import { checkGpt, type GptFindings } from "./partitions/gpt-check.ts";
import type { SectorBytes } from "./partitions/gpt-layout.ts";
import { type MbrPartition, type MbrTable, readMbr } from "./partitions/mbr-table.ts";
import { type Recognised, recognise } from "./recognise.ts";

export interface DiskPartition {
  readonly number: number;
  readonly role: "gpt" | "primary" | "extended" | "logical";
  /** Byte of the disk. */
  readonly offset: bigint;
  /** As the table says; more than there is where the disk was cut. */
  readonly sizeBytes: bigint;
  /** GUID, or a number such as 0x07. */
  readonly typeId: string;
  readonly typeName: string | null;
  /** Of a GPT's entry; empty in an MBR. */
  readonly name: string;
  /** GUID of the partition itself; null in an MBR. */
  readonly guid: string | null;
  /** `active`; of a GPT the names of `GPT_ATTRIBUTES`, and hexadecimal what has none. */
  readonly attributes: readonly string[];
}

export interface TableProblem {
  readonly id: string;
  /** Byte of the disk. */
  readonly offset: bigint;
  readonly text: string;
  /** What a repair does about it; undefined where a person must decide. */
  readonly mending: string | undefined;
}

export interface FreeRange {
  readonly offset: bigint;
  readonly sizeBytes: bigint;
}

export interface DiskTable {
  readonly scheme: "gpt" | "mbr";
  readonly sectorBytes: SectorBytes;
  /** Disk GUID, or the signature of an MBR. */
  readonly id: string;
  /** In the order of their places. */
  readonly partitions: readonly DiskPartition[];
  /** Between partitions, where one more could be. Stretches below 1 MiB are alignment and left out. */
  readonly free: readonly FreeRange[];
  readonly problems: readonly TableProblem[];
  /** The table itself, where it is a GPT. */
  readonly gpt: GptFindings | undefined;
}

export interface DiskContents {
  /** Undefined: there is none. */
  readonly table: DiskTable | undefined;
  /** What fills the disk from its first byte on; beside a table only for ISO 9660, whose images are disks too. */
  readonly whole: Recognised | undefined;
}

/** Bits of an entry's attributes: 0 to 2 of UEFI 2.10, table 5.8; 60 to 63 as Microsoft uses them for basic data. */
export const GPT_ATTRIBUTES = [
  ["required", 0n],
  ["no-block-io", 1n],
  ["legacy-boot", 2n],
  ["read-only", 60n],
  ["shadow-copy", 61n],
  ["hidden", 62n],
  ["no-drive-letter", 63n],
] as const satisfies readonly (readonly [string, bigint])[];

/**
 * `sectorBytes`: where the disk says what it has; an image does not, and both sizes are tried. Damage is told in `problems`. Throws HiperisoError only where
 * the medium cannot be read.
 */
export async function readContents(disk: BlockSource, sectorBytes?: SectorBytes): Promise<DiskContents> {
  const whole = await recognise(disk);
  const gpt = await checkGpt(disk, sectorBytes);
  const mbr = await readMbr(disk, gpt?.sectorBytes ?? sectorBytes ?? 512);
  // A boot sector in sector 0 leaves no room for a table, and the end of a disk may still hold a GPT that was given up.
  const fills = whole !== undefined && whole.format !== "iso9660" && mbr?.protective !== true;
  if (fills) return { table: undefined, whole };
  if (gpt !== undefined && (gpt.used !== undefined || mbr === undefined || mbr.protective)) return { table: gptTable(disk, gpt), whole };
  return { table: mbr === undefined ? undefined : mbrTable(disk, mbr), whole };
}

function gptTable(disk: BlockSource, gpt: GptFindings): DiskTable {
  const { sectorBytes, problems, used } = gpt;
  const copy = used === "primary" ? gpt.primary : gpt.backup;
  const partitions = (copy?.partitions ?? []).map((entry) => ofGpt(entry, BigInt(sectorBytes))).sort(byPlace);
  const block = BigInt(sectorBytes);
  const free =
    copy === undefined
      ? []
      : freeBetween(partitions, copy.header.firstUsableLba * block, smaller((copy.header.lastUsableLba + 1n) * block, disk.sizeBytes));
  return { scheme: "gpt", sectorBytes, id: copy?.header.diskGuid ?? "", partitions, free, problems, gpt };
}

const ofGpt = ({ number, typeGuid, uniqueGuid, firstLba, lastLba, attributes, name }: GptEntry, block: bigint): DiskPartition => ({
  number,
  role: "gpt",
  offset: firstLba * block,
  sizeBytes: lastLba < firstLba ? 0n : (lastLba - firstLba + 1n) * block,
  typeId: typeGuid,
  typeName: gptTypeName(typeGuid),
  name,
  guid: uniqueGuid,
  attributes: attributeNames(attributes),
});

function attributeNames(attributes: bigint): readonly string[] {
  const named = GPT_ATTRIBUTES.filter(([, bit]) => (attributes & (1n << bit)) !== 0n);
  const rest = named.reduce((left, [, bit]) => left & ~(1n << bit), attributes);
  return [...named.map(([name]) => name), ...(rest === 0n ? [] : [hex(rest, 16)])];
}

function mbrTable(disk: BlockSource, { sectorBytes, diskSignature, partitions: entries, problems, protective }: MbrTable): DiskTable {
  const sector = BigInt(sectorBytes);
  const partitions = entries.map((entry) => ofMbr(entry, sector)).sort(byPlace);
  const missing: TableProblem = {
    id: "gpt-missing",
    offset: sector,
    text: "the protective MBR announces a GPT, and there is none",
    mending: undefined,
  };
  return {
    scheme: "mbr",
    sectorBytes,
    id: hex(diskSignature, 8),
    partitions,
    free: freeBetween(
      partitions.filter(({ role }) => role !== "logical"),
      sector,
      smaller(disk.sizeBytes, sector << 32n),
    ),
    problems: [...problems.map((problem) => ({ ...problem, mending: undefined })), ...(protective ? [missing] : [])],
    gpt: undefined,
  };
}

const ofMbr = ({ number, role, type, active, firstLba, sectors }: MbrPartition, sector: bigint): DiskPartition => ({
  number,
  role,
  offset: firstLba * sector,
  sizeBytes: sectors * sector,
  typeId: hex(type),
  typeName: mbrTypeName(type),
  name: "",
  guid: null,
  attributes: active ? ["active"] : [],
});

const byPlace = (a: DiskPartition, b: DiskPartition): number =>
  a.offset < b.offset ? -1 : a.offset > b.offset ? 1 : a.sizeBytes > b.sizeBytes ? -1 : a.number - b.number;

const FREE_BYTES_MIN = 1n << 20n;

function freeBetween(partitions: readonly DiskPartition[], start: bigint, end: bigint): readonly FreeRange[] {
  const free: FreeRange[] = [];
  let at = start;
  for (const { offset, sizeBytes } of [...partitions, { offset: end, sizeBytes: 0n }]) {
    if (offset - at >= FREE_BYTES_MIN) free.push({ offset: at, sizeBytes: offset - at });
    if (offset + sizeBytes > at) at = offset + sizeBytes;
  }
  return free.filter(({ offset }) => offset < end);
}

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);
