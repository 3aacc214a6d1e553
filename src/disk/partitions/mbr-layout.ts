/** Where primary partitions of an MBR go on a disk: decided here, written by `mbr-table.ts`. */
import { HiperisoError } from "../../contract/error.ts";
import { hex } from "../../formats/bytes.ts";
import { encodeMbr, isExtended, PROTECTIVE_TYPE, type PrimaryPartition } from "../../formats/mbr.ts";
import type { SectorBytes } from "./gpt-layout.ts";

/** A table as it shall be on a disk: primary partitions alone. */
export interface MbrPlan {
  readonly sectorBytes: SectorBytes;
  readonly diskSectors: bigint;
  readonly diskSignature: number;
  readonly partitions: readonly PrimaryPartition[];
}

export interface PrimaryWish {
  /** 0x01 to 0xff, but none of the types that stand for something else: extended, protective. */
  readonly type: number;
  readonly active?: boolean;
  /** Byte at which it starts, a multiple of the sector. Undefined: behind the one before it, aligned. */
  readonly offset?: bigint;
  /** Bytes, rounded up to sectors; "rest": all up to the next partition that has its place or to the end. */
  readonly size: bigint | "rest";
}

export interface MbrDiskWish {
  readonly sizeBytes: bigint;
  readonly sectorBytes: SectorBytes;
  /** 32 bits, not 0: what Windows tells disks apart by. */
  readonly diskSignature: number;
  /** Default 1 MiB, as all partitioning programs have it. */
  readonly alignBytes?: bigint;
}

const PARTITIONS_MAX = 4;
const MIB = 1n << 20n;
/** First sector and number of sectors are 32 bits each. The last sector that all readers reach is 2^32 - 1. */
const SECTORS_MAX = 1n << 32n;

const smaller = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/**
 * The partitions in the order of `wishes`. Throws HiperisoError of kind `usage` where there are more than four, they do not fit or overlap, two are
 * active, or one goes beyond what 32 bits can say (2 TiB with sectors of 512 bytes).
 */
export function planMbr(disk: MbrDiskWish, wishes: readonly PrimaryWish[]): MbrPlan {
  const { sizeBytes, sectorBytes, diskSignature, alignBytes = MIB } = disk;
  const sector = BigInt(sectorBytes);
  const diskSectors = sizeBytes / sector;
  const refuse = (expected: string, found: string, hint?: string) =>
    new HiperisoError({ what: "plan the partitions", expected, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });

  if (alignBytes <= 0n || alignBytes % sector !== 0n)
    throw refuse(`an alignment in sectors of ${sectorBytes} bytes`, `${alignBytes} bytes`);
  if (wishes.length > PARTITIONS_MAX) throw refuse(`${PARTITIONS_MAX} primary partitions at most`, `${wishes.length}`, "A GPT holds 128.");
  if (wishes.filter(({ active }) => active === true).length > 1) throw refuse("one active partition", "more than one");
  if (!Number.isInteger(diskSignature) || diskSignature < 1 || diskSignature > 0xffff_ffff)
    throw refuse("a disk signature of 32 bits that is not 0", `${diskSignature}`);
  for (const { type } of wishes) {
    if (!Number.isInteger(type) || type < 1 || type > 0xff || isExtended(type) || type === PROTECTIVE_TYPE)
      throw refuse("a type of a primary partition, 0x01 to 0xff", hex(type));
  }

  const align = alignBytes / sector;
  const alignedUp = (lba: bigint) => ((lba + align - 1n) / align) * align;
  const placed = wishes.flatMap(({ offset }) => (offset === undefined ? [] : [offset / sector]));
  let at = alignedUp(1n);
  const partitions: PrimaryPartition[] = [];
  for (const [index, { type, active = false, offset, size }] of wishes.entries()) {
    const title = `partition ${index + 1}`;
    if (offset !== undefined && (offset < sector || offset % sector !== 0n))
      throw refuse(`${title} at a sector behind the first`, `byte ${offset}`);
    const firstLba = offset === undefined ? at : offset / sector;
    const next = placed.filter((lba) => lba > firstLba).reduce(smaller, diskSectors);
    if (size !== "rest" && size <= 0n) throw refuse(`a size above 0 for ${title}`, `${size}`);
    const sectors = size === "rest" ? next - firstLba : (size + sector - 1n) / sector;
    if (sectors <= 0n || firstLba + sectors > diskSectors)
      throw refuse(`room for ${title}`, `${diskSectors} sectors of ${sectorBytes} bytes, and it starts at ${firstLba}`);
    if (firstLba + sectors > SECTORS_MAX) {
      throw refuse(
        `${title} to end within ${SECTORS_MAX} sectors, all that an MBR can name`,
        `an end at sector ${firstLba + sectors}`,
        "A GPT has no such limit.",
      );
    }
    const other = partitions.findIndex((one) => one.firstLba < firstLba + sectors && firstLba < one.firstLba + one.sectors);
    if (other >= 0) throw refuse(`sectors of its own for ${title}`, `some of partition ${other + 1}`);
    partitions.push({ type, active, firstLba, sectors });
    at = alignedUp(firstLba + sectors);
  }
  return { sectorBytes, diskSectors, diskSignature, partitions };
}

/** The first 512 bytes of the disk. `bootCode`: up to 440 bytes. */
export const encodeMbrPlan = ({ diskSignature, partitions }: MbrPlan, bootCode: Uint8Array): Uint8Array =>
  encodeMbr({ diskSignature, partitions, bootCode });
