/** What adding images will do, found out before its first byte: which are written, which are there already, and all that stands against it in one list. */
import { HiperisoError } from "../contract/error.ts";
import type { ImageSource } from "./image-sources.ts";

export interface ThereEntry {
  readonly kind: "file" | "directory" | "other";
  /** As it is written on the stick. */
  readonly path: string;
  readonly sizeBytes: bigint;
  readonly modifiedMs: number | null;
}

/** What of the data partition the plan rests on. */
export interface DataFacts {
  /** For messages. */
  readonly where: string;
  /** By folded path: what is there of what is wanted, and of the folders above it. */
  readonly there: ReadonlyMap<string, ThereEntry>;
  readonly freeBytes: bigint;
  readonly clusterBytes: number;
  readonly fileBytesMax: bigint;
  /** Bytes that unfinished copies of these very images hold already, by path on the stick. */
  readonly heldBytes: ReadonlyMap<string, bigint>;
  /** Folded paths of those whose sums are kept. */
  readonly recorded: ReadonlySet<string>;
  readonly folded: (path: string) => string;
  readonly nameFault: (name: string) => string | undefined;
}

export interface AddWish {
  readonly images: readonly ImageSource[];
  /** Images that are there under these names are replaced. */
  readonly replace: boolean;
  readonly allowDamaged: boolean;
}

export interface PlannedImage extends ImageSource {
  /** The path of the one that it replaces, as that is written; undefined where there is none. */
  readonly replaces: string | undefined;
}

export interface AddPlan {
  readonly images: readonly PlannedImage[];
  /** Those that are on the stick already, of the same size and time. */
  readonly skipped: readonly ImageSource[];
  /** The same, but nobody has kept their sums: copied by hand, or cut off in the last moment. They are compared, and recorded. */
  readonly unrecorded: readonly ImageSource[];
  readonly totalBytes: bigint;
}

/** FAT has steps of 2 s; a tenth of a second more than that is another time. */
const SAME_TIME_MS = 2100;
const REFUSALS_SHOWN = 20;
/** Room for names, folders and our own record. */
const RESERVE_BYTES = 1n << 20n;

/** Throws HiperisoError of kind `usage` with all that stands against it; then nothing was written. */
export function planAdd({ images, replace, allowDamaged }: AddWish, facts: DataFacts): AddPlan {
  const refusals: string[] = [];
  const refuse = (from: string, why: string) => void refusals.push(`${JSON.stringify(from)}: ${why}`);
  const planned: PlannedImage[] = [];
  const skipped: ImageSource[] = [];
  const unrecorded: ImageSource[] = [];
  const taken = new Map<string, string>();
  for (const image of images) {
    const { from, to } = image;
    const key = facts.folded(to);
    const other = taken.get(key);
    const there = facts.there.get(key);
    const fault = nameFaultIn(to, facts);
    const inTheWay = parentsOf(to).find((folder) => (facts.there.get(facts.folded(folder))?.kind ?? "directory") !== "directory");
    if (fault !== undefined) refuse(from, fault);
    else if (other !== undefined)
      refuse(from, `the stick takes its name for the one of ${JSON.stringify(other)}: they differ in case alone`);
    else if (inTheWay !== undefined) refuse(from, `${inTheWay} is a file on the stick, and would have to be a folder`);
    else if (there?.kind === "directory") refuse(from, `${there.path} is a folder on the stick`);
    else if (image.damage !== undefined && !allowDamaged) refuse(from, `${image.damage}; --allow-damaged takes it all the same`);
    else if (image.sizeBytes > facts.fileBytesMax) refuse(from, `${image.sizeBytes} bytes, files there have at most ${facts.fileBytesMax}`);
    else if (there === undefined) planned.push({ ...image, replaces: undefined });
    else if (!replace && isSame(image, there)) (facts.recorded.has(key) ? skipped : unrecorded).push(image);
    else if (!replace) refuse(from, `${there.path} is there already, and is another one: --force replaces it`);
    else planned.push({ ...image, replaces: there.path });
    taken.set(key, other ?? from);
  }
  const usage = (expected: string, found: string, hint: string) =>
    new HiperisoError({ what: "add images", where: facts.where, expected, found, hint, kind: "usage" });
  if (refusals.length > 0) {
    const shown = refusals.slice(0, REFUSALS_SHOWN);
    if (refusals.length > shown.length) shown.push(`and ${refusals.length - shown.length} more`);
    throw usage("images that can be added", shown.join("\n"), "Nothing was written.");
  }
  const missing = missingRoom(planned, facts);
  if (missing > 0n)
    throw usage(
      `room for ${facts.freeBytes + missing} bytes`,
      `${facts.freeBytes} bytes free`,
      "Nothing was written. `stick list` shows what is on it.",
    );
  return { images: planned, skipped, unrecorded, totalBytes: planned.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0n) };
}

function nameFaultIn(path: string, { nameFault }: DataFacts): string | undefined {
  for (const name of path.split("/").slice(1)) {
    const fault = name === "" || name === "." || name === ".." ? "the name is none" : nameFault(name);
    if (fault !== undefined) return `the stick cannot hold the name ${JSON.stringify(name)}: ${fault}`;
  }
  return undefined;
}

/** `/a/b/c.iso` → `/a`, `/a/b`. */
export const parentsOf = (path: string): readonly string[] =>
  path.split("/").slice(1, -1).map((_, index, parts) => `/${parts.slice(0, index + 1).join("/")}`); // biome-ignore format: one thought

const isSame = ({ sizeBytes, modifiedMs }: ImageSource, there: ThereEntry): boolean =>
  there.sizeBytes === sizeBytes && there.modifiedMs !== null && Math.abs(there.modifiedMs - modifiedMs) <= SAME_TIME_MS;

/** One that is replaced stays until its new one is whole. */
function missingRoom(planned: readonly PlannedImage[], { freeBytes, clusterBytes, there, heldBytes, folded }: DataFacts): bigint {
  const cluster = BigInt(clusterBytes);
  const whole = (bytes: bigint) => ((bytes + cluster - 1n) / cluster) * cluster;
  let left = planned.length === 0 ? freeBytes : freeBytes - RESERVE_BYTES;
  let lowest = left;
  for (const { to, sizeBytes, replaces } of planned) {
    left += whole(heldBytes.get(to) ?? 0n) - whole(sizeBytes);
    if (left < lowest) lowest = left;
    if (replaces !== undefined) left += whole(there.get(folded(to))?.sizeBytes ?? 0n);
  }
  return planned.length > 0 && lowest < 0n ? -lowest : 0n;
}
