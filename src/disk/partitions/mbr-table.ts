/**
 * The MBR of a disk with its chain of logical partitions: read and checked; written with primary partitions alone.
 * Places on the disk: `formats/mbr.ts`.
 */
import { HiperisoError } from "../../contract/error.ts";
import { decodeMbr, isExtended, MBR_BYTES, type MbrEntry, PROTECTIVE_TYPE } from "../../formats/mbr.ts";
import type { BlockSource } from "../../image/block-source.ts";
import type { BlockStore } from "../block-store.ts";
import { eraseGptHeaders } from "./erase.ts";
import { checkGpt } from "./gpt-check.ts";
import type { SectorBytes } from "./gpt-layout.ts";
import { encodeMbrPlan, type MbrPlan } from "./mbr-layout.ts";

export type MbrProblemId =
  | "entry-status"
  | "logical-chain"
  | "partition-empty"
  | "partition-outside"
  | "partitions-overlap"
  | "logical-outside"
  | "several-active"
  | "several-extended";

export interface MbrProblem {
  readonly id: MbrProblemId;
  /** Byte on the disk. */
  readonly offset: bigint;
  readonly text: string;
}

export interface MbrPartition {
  /** 1 to 4 of the table itself, from 5 on in the order of the chain, as Linux counts them. */
  readonly number: number;
  readonly role: "primary" | "extended" | "logical";
  readonly type: number;
  readonly active: boolean;
  readonly firstLba: bigint;
  readonly sectors: bigint;
  /** Byte of its entry on the disk. */
  readonly entryOffset: bigint;
}

export interface MbrTable {
  readonly sectorBytes: SectorBytes;
  readonly diskSignature: number;
  /** It has an entry of type 0xee: a GPT stands behind it, or stood. */
  readonly protective: boolean;
  readonly partitions: readonly MbrPartition[];
  readonly problems: readonly MbrProblem[];
}

/** Linux stops at 256 partitions in all. */
const LOGICAL_MAX = 256;

/** Undefined where sector 0 holds no table, or one without entries. Nothing in it is trusted: the chain is bounded, and a circle in it ends it. */
export async function readMbr(disk: BlockSource, sectorBytes: SectorBytes): Promise<MbrTable | undefined> {
  const problems: MbrProblem[] = [];
  const report = ({ offset, structure, expected, found }: { offset: bigint; structure: string; expected: string; found: string }) => {
    problems.push({ id: "entry-status", offset, text: `${structure}: expected ${expected}, found ${found}` });
  };
  const mbr = decodeMbr(await disk.read(0n, MBR_BYTES), { offset: 0n, report });
  if (mbr === undefined || mbr.entries.length === 0) return undefined;
  const partitions: MbrPartition[] = mbr.entries.map((entry) => ({
    ...placed(entry, BigInt(entry.firstLba)),
    number: entry.number,
    role: isExtended(entry.type) ? "extended" : "primary",
  }));
  const extended = partitions.filter(({ role }) => role === "extended");
  for (const one of extended) {
    const from = partitions.filter(({ role }) => role === "logical").length;
    partitions.push(...(await readLogical(disk, BigInt(sectorBytes), one, 5 + from, problems)));
  }
  if (extended.length > 1)
    problems.push({
      id: "several-extended",
      offset: extended[1]!.entryOffset,
      text: "two extended partitions: most systems read the first alone",
    });
  checkPlaces(partitions, disk.sizeBytes / BigInt(sectorBytes), problems);
  return {
    sectorBytes,
    diskSignature: mbr.diskSignature,
    protective: mbr.entries.some(({ type }) => type === PROTECTIVE_TYPE),
    partitions,
    problems,
  };
}

const placed = ({ offset, type, active, sectors }: MbrEntry, firstLba: bigint) => ({
  type,
  active,
  firstLba,
  sectors: BigInt(sectors),
  entryOffset: offset,
});

async function readLogical(
  disk: BlockSource,
  sector: bigint,
  extended: MbrPartition,
  firstNumber: number,
  problems: MbrProblem[],
): Promise<readonly MbrPartition[]> {
  const logical: MbrPartition[] = [];
  const seen = new Set<bigint>();
  for (let lba: bigint | undefined = extended.firstLba; lba !== undefined; ) {
    const at: bigint = lba * sector;
    const end = (text: string) => problems.push({ id: "logical-chain", offset: at, text: `the chain of logical partitions ${text}` });
    if (seen.has(lba)) {
      end("comes back to where it was");
      break;
    }
    if (seen.size >= LOGICAL_MAX) {
      end(`has more than ${LOGICAL_MAX} links`);
      break;
    }
    seen.add(lba);
    const record = decodeMbr(await disk.read(at, MBR_BYTES), { offset: at, report: () => {} });
    if (record === undefined) {
      end(at >= disk.sizeBytes ? "leads behind the end of the disk" : "leads to a sector that is no part of it");
      break;
    }
    const partition = record.entries.find(({ type }) => !isExtended(type));
    if (partition !== undefined)
      logical.push({ ...placed(partition, lba + BigInt(partition.firstLba)), number: firstNumber + logical.length, role: "logical" });
    const next = record.entries.find(({ type }) => isExtended(type));
    lba = next === undefined ? undefined : extended.firstLba + BigInt(next.firstLba);
  }
  return logical;
}

function checkPlaces(partitions: readonly MbrPartition[], diskSectors: bigint, problems: MbrProblem[]): void {
  const add = (id: MbrProblemId, { entryOffset }: MbrPartition, text: string) => problems.push({ id, offset: entryOffset, text });
  const active = partitions.filter((partition) => partition.active);
  if (active.length > 1) add("several-active", active[1]!, `partitions ${active.map(({ number }) => number).join(" and ")} are active`);
  const real = partitions.filter(({ type }) => type !== PROTECTIVE_TYPE);
  for (const partition of real) {
    const { number, firstLba, sectors, role } = partition;
    const end = firstLba + sectors;
    if (sectors === 0n || firstLba === 0n)
      add("partition-empty", partition, `partition ${number} starts at sector ${firstLba} and has ${sectors}`);
    else if (end > diskSectors)
      add(
        "partition-outside",
        partition,
        `partition ${number} ends at sector ${end - 1n}, the last one of the disk is ${diskSectors - 1n}`,
      );
    const within = real.some((one) => one.role === "extended" && one.firstLba < firstLba && end <= one.firstLba + one.sectors);
    if (role === "logical" && !within) add("logical-outside", partition, `partition ${number} lies outside of the extended partition`);
  }
  for (const [alike, text] of [
    [real.filter(({ role }) => role !== "logical"), "both hold sector"],
    [real.filter(({ role }) => role === "logical"), "both hold sector"],
  ] as const) {
    const byStart = [...alike].sort((a, b) => (a.firstLba < b.firstLba ? -1 : a.firstLba > b.firstLba ? 1 : a.number - b.number));
    let widest: MbrPartition | undefined;
    for (const partition of byStart) {
      if (widest !== undefined && partition.firstLba < widest.firstLba + widest.sectors)
        add("partitions-overlap", partition, `partitions ${widest.number} and ${partition.number} ${text} ${partition.firstLba}`);
      if (widest === undefined || partition.firstLba + partition.sectors > widest.firstLba + widest.sectors) widest = partition;
    }
  }
}

export interface WriteMbrOptions {
  /** The first 440 bytes of the disk; without it those that are there stay. */
  readonly bootCode?: Uint8Array;
  /** A GPT is there and shall go. Without it that is an error: behind an MBR it would be forgotten and still found by some. */
  readonly replaceGpt?: boolean;
}

/**
 * Writes the table: one sector, so that a cut leaves the old table or the new one. The headers of a GPT that goes are erased after that.
 * Throws HiperisoError of kind `usage` where the disk has other sizes than the plan, or a GPT that nobody gave up.
 */
export async function writeMbr(store: BlockStore, plan: MbrPlan, options: WriteMbrOptions = {}): Promise<void> {
  const refuse = (expected: string, found: string, hint?: string) =>
    new HiperisoError({ what: "write the partition table", where: store.name, expected, found, kind: "usage", ...(hint && { hint }) });
  if (store.sizeBytes / BigInt(plan.sectorBytes) < plan.diskSectors)
    throw refuse(`a disk of ${plan.diskSectors} sectors, as planned`, `${store.sizeBytes} bytes`);
  const gpt = await checkGpt(store);
  if (gpt !== undefined && options.replaceGpt !== true) throw refuse("a disk without a GPT", "one", "Say that it shall go.");
  const block = await store.read(0n, plan.sectorBytes);
  block.set(encodeMbrPlan(plan, options.bootCode ?? block.slice(0, 440)));
  await store.write(0n, block);
  await store.flush();
  if (gpt !== undefined) await eraseGptHeaders(store);
}
