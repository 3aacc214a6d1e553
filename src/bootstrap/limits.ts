/** What the early code can hold, as numbers: checked by the plan before anything is written. */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

export interface Limit {
  readonly name: string;
  /** What is known of it; with `unknown` above 0 it is at least this. */
  readonly value: number;
  /** Files whose size is not known, and who would add to the value. */
  readonly unknown: number;
  /** How value and limit have to stand to each other. */
  readonly bound: "at most" | "at least" | "exactly";
  readonly limit: number;
  readonly unit: "bytes" | "entries" | "sector" | "MiB" | "line";
  /** Null where what is not known decides. */
  readonly ok: boolean | null;
  /** Whether media that break it are not made; else it is a warning, since it is an estimate or the person chose it. */
  readonly stops: boolean;
  readonly because: string;
}

/** A sum of sizes of which some may not be known. */
export interface Amount {
  readonly bytes: number;
  readonly unknown: number;
}

export const NOTHING: Amount = { bytes: 0, unknown: 0 };

export const plus = (...amounts: readonly Amount[]): Amount => ({
  bytes: amounts.reduce((sum, { bytes }) => sum + bytes, 0),
  unknown: amounts.reduce((sum, { unknown }) => sum + unknown, 0),
});

export const known = (bytes: number): Amount => ({ bytes, unknown: 0 });

export const amountOf = (files: Iterable<{ readonly sizeBytes?: number }>): Amount => {
  let [bytes, unknown] = [0, 0];
  for (const { sizeBytes } of files) {
    if (sizeBytes === undefined) unknown += 1;
    else bytes += sizeBytes;
  }
  return { bytes, unknown };
};

/** Not more than `limit`: certain, refuted, or null for unknown. */
export const atMost = ({ bytes, unknown }: Amount, limit: number): boolean | null => (bytes > limit ? false : unknown > 0 ? null : true);

export const bytesLimit = (name: string, amount: Amount, limit: number, stops: boolean, because: string): Limit => ({
  name,
  value: amount.bytes,
  unknown: amount.unknown,
  bound: "at most",
  limit,
  unit: "bytes",
  ok: atMost(amount, limit),
  stops,
  because,
});

/** A limit of something that is always known. */
export function countLimit(limit: Omit<Limit, "unknown" | "ok">): Limit {
  const { value, bound } = limit;
  const ok = bound === "at most" ? value <= limit.limit : bound === "at least" ? value >= limit.limit : value === limit.limit;
  return { ...limit, unknown: 0, ok };
}

/** A limit in words, with its numbers. */
export function sentenceOf({ name, value, unknown, bound, limit, unit, because }: Limit): string {
  const amount = (count: number): string => (unit === "bytes" ? sizeText(count) : `${count} ${unit}`);
  const have = unknown === 0 ? amount(value) : `${value === 0 ? "" : `${amount(value)} and `}${unknown} files of unknown size`;
  return `${name}: ${have}, ${bound} ${amount(limit)} (${because})`;
}

/** For people: three digits of a size. */
export function sizeText(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit]}`;
}

/** builder-hex0's table of files has slots 4 to 14335, one for each file or folder that ever was. */
export const FILE_SLOTS = 14_332;
/** builder-hex0 keeps all files in memory from 0x54000000 to 0xBBFFFFFF and never frees any: 1,664 MiB, or 1,744 million bytes. */
export const FILE_AREA_BYTES = 0xbbff_ffff - 0x5400_0000 + 1;
/** The image of a file system that `jump: fiwix` makes in that same area, and the size of the root that Fiwix has then. */
export const MEMORY_DISK_BYTES = 1_381_376 * KIB;
/** Where `jump: linux` packs the whole root of Fiwix, and Linux itself. */
export const HANDOVER_BYTES = 199_680 * KIB;
/** What stands there without a payload: Linux, 10.5 MiB, and the root of the known tree with the sources of the steps up to the network. */
export const HANDOVER_USED_BYTES = 193 * MIB;
/** `jump: move_disk` puts the partition behind the first GiB of a whole disk. */
export const BELOW_PARTITION_BYTES = GIB;
/** Fiwix 1.5.0-lb1 reads no further into a disk. */
export const FIWIX_DISK_BYTES = 4 * GIB;
/** Fiwix and builder-hex0 use addresses up to 3 GiB and more. */
export const RAM_MIB_MIN = 4096;
/** Without root= on its command line Linux keeps its first root in a tmpfs, which takes half of the memory at most. */
export const linuxRootBytes = (ramMib: number): number => (ramMib / 2) * MIB;
/** A size in srcfs has 32 bits. */
export const SRCFS_SIZE_MAX = 0xffff_ffff;
export const mib = (count: number): number => count * MIB;
