/** From what a person named to a volume: the medium is opened, the partition found, the file system recognised. */
import { readFile, stat } from "node:fs/promises";
import { HiperisoError } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { deviceNumber } from "../host/block-devices.ts";
import { cachedSource, openImage } from "../image/block-source.ts";
import { type BlockStore, windowStore } from "./block-store.ts";
import { type DiskContents, type DiskPartition, readContents } from "./disk-table.ts";
import { checkExfat, repairExfat } from "./exfat/check.ts";
import { openExfat } from "./exfat/volume.ts";
import { checkFat, repairFat } from "./fat/check.ts";
import { openFat } from "./fat/volume.ts";
import { openNtfs } from "./ntfs.ts";
import type { SectorBytes } from "./partitions/gpt-layout.ts";
import { isVolumeFormat, recognise, recogniseNoDisk } from "./recognise.ts";
import type { DiskTarget } from "./target.ts";
import type { CheckVolume, Volume, VolumeCheck, VolumeFormat } from "./volume.ts";

/** The image or device, for reading alone: a write is an error. Throws as `openImage` does. */
export async function openForReading({ medium, isDevice }: Pick<DiskTarget, "medium" | "isDevice">): Promise<BlockStore> {
  const source = await openImage(medium);
  const refuse = async (): Promise<never> => {
    throw new HiperisoError({ what: "write to a disk", where: medium, found: "it was opened for reading only" });
  };
  const sectorBytes = isDevice ? await deviceSectorBytes(medium) : 512;
  return { ...source, sectorBytes, write: refuse, flush: async () => {} };
}

/** BLKSSZGET is out of reach here; the kernel tells the same in sysfs, for a partition in the folder of its disk. */
async function deviceSectorBytes(path: string): Promise<SectorBytes> {
  const number = deviceNumber((await stat(path, { bigint: true })).rdev);
  for (const folder of [`/sys/dev/block/${number}`, `/sys/dev/block/${number}/..`]) {
    const text = await readFile(`${folder}/queue/logical_block_size`, "latin1").catch(() => "");
    if (text.trim() === "4096") return 4096;
    if (text.trim() !== "") return 512;
  }
  return 512;
}

/** A disk says what its sectors are, an image does not. */
export const sectorsOf = ({ isDevice }: Pick<DiskTarget, "isDevice">, store: BlockStore): SectorBytes | undefined =>
  isDevice ? (store.sectorBytes === 4096 ? 4096 : 512) : undefined;

export interface OpenedPlace {
  /** The partition, or the medium itself: what a volume is opened or made on. Does not own the medium. */
  readonly store: BlockStore;
  readonly contents: DiskContents;
  readonly partition: DiskPartition | undefined;
}

/**
 * The partition that the target names, or the whole. Throws HiperisoError of kind `usage` where there is no such partition, or it lies outside of the
 * disk. `needsVolume`: the whole is no answer where the disk has a table; the error lists the partitions then.
 */
export async function openPlace(
  medium: BlockStore,
  target: DiskTarget,
  { needsVolume }: { readonly needsVolume: boolean },
): Promise<OpenedPlace> {
  const contents = await readContents(medium, sectorsOf(target, medium));
  const { table, whole } = contents;
  const where = target.medium;
  const bad = (expected: string, found: string, hint?: string) =>
    new HiperisoError({ what: "find the partition", where, expected, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });
  if (target.partition === undefined) {
    if (needsVolume && table !== undefined && whole === undefined) {
      const example = `For example ${where}:${table.partitions[0]?.number ?? 1}${target.path ?? "/"}`;
      throw bad("the number of a partition", `a partition table: ${listed(table.partitions)}`, example);
    }
    return { store: named(withSectors(medium, table?.sectorBytes), where), contents, partition: undefined };
  }
  if (table === undefined) {
    const found = whole === undefined ? "no partition table" : `no partition table but ${whole.format}`;
    throw bad(
      `partition ${target.partition}`,
      found,
      whole === undefined ? undefined : `Leave out the number: ${where}${target.path ?? "/"}`,
    );
  }
  const partition = table.partitions.find(({ number }) => number === target.partition);
  if (partition === undefined) throw bad(`partition ${target.partition}`, listed(table.partitions));
  if (partition.role === "extended") throw bad("a partition that holds data", "an extended one, which holds others");
  if (partition.offset >= medium.sizeBytes || partition.sizeBytes === 0n)
    throw bad(
      `partition ${target.partition} inside the ${medium.sizeBytes} bytes of the disk`,
      `one at byte ${partition.offset}`,
      CUT_HINT,
    );
  const window = windowStore(withSectors(medium, table.sectorBytes), partition.offset, partition.sizeBytes);
  return { store: named(window, `${where}:${partition.number}`), contents, partition };
}

const CUT_HINT = "The image was cut, or the copy of it not finished.";

const listed = (partitions: readonly DiskPartition[]): string =>
  partitions.length === 0
    ? "no partitions"
    : `partitions ${partitions.map(({ number, name, typeName, typeId }) => `${number} (${name === "" ? (typeName ?? typeId) : name})`).join(", ")}`;

const named = (store: BlockStore, name: string): BlockStore => ({ ...store, name });

/** An image of a disk with larger sectors is written in those. */
const withSectors = (store: BlockStore, sectorBytes: number | undefined): BlockStore =>
  sectorBytes === undefined || sectorBytes <= store.sectorBytes ? store : { ...store, sectorBytes };

/**
 * The volume that fills `store`. Throws HiperisoError, kind `usage` where another file system stands there or none, kind `failure` where it is damaged
 * too far. `store` stays the caller's.
 */
export async function openVolume(store: BlockStore, { readOnly }: { readonly readOnly: boolean }, job: Job): Promise<Volume> {
  const found = await recognise(store);
  if (found !== undefined && isVolumeFormat(found.format)) return await engineOf(found.format).open(store, readOnly, job);
  const other = found?.format ?? (await recogniseNoDisk(store));
  throw new HiperisoError({
    what: "open the file system",
    where: store.name,
    expected: "FAT, exFAT or NTFS",
    found: other ?? "nothing that is known",
    kind: "usage",
    ...(other === undefined ? {} : { hint: HINTS[other] ?? `hiperiso does not read ${other}: mount it, or use its own tools.` }),
  });
}

/** Reads the volume's structures; undefined where none stands there that can be checked. */
export async function checkVolume(store: BlockStore, job: Job): Promise<VolumeCheck | undefined> {
  const found = await recognise(store);
  return found !== undefined && isVolumeFormat(found.format) ? await engineOf(found.format).check?.(store, job) : undefined;
}

/** Mends what can be mended, and checks again. Throws HiperisoError of kind `usage` where no volume stands there that can be repaired. */
export async function repairVolume(store: BlockStore, job: Job): Promise<VolumeCheck> {
  const found = await recognise(store);
  const repair = found !== undefined && isVolumeFormat(found.format) ? engineOf(found.format).repair : undefined;
  if (repair !== undefined) return await repair(store, job);
  const hint = found?.format === "ntfs" ? "Let Windows do it: chkdsk /f." : undefined;
  throw new HiperisoError({
    what: "repair the file system",
    where: store.name,
    expected: "FAT or exFAT",
    found: found?.format ?? "nothing that is known",
    kind: "usage",
    ...(hint && { hint }),
  });
}

interface Engine {
  readonly open: (store: BlockStore, readOnly: boolean, job: Job) => Promise<Volume>;
  readonly check?: CheckVolume;
  readonly repair?: CheckVolume;
}

const exfat: Engine = {
  open: (store, readOnly, job) => openExfat(store, { readOnly }, job),
  check: checkExfat,
  repair: repairExfat,
};
const ntfs: Engine = { open: (store, _, job) => openNtfs({ ...cachedSource(store, job.signal), name: store.name }) };
const fat: Engine = {
  open: (store, readOnly, job) => openFat(store, { readOnly }, job),
  check: checkFat,
  repair: repairFat,
};

const engineOf = (format: VolumeFormat): Engine => (format === "exfat" ? exfat : format === "ntfs" ? ntfs : fat);

const HINTS: Readonly<Record<string, string>> = {
  iso9660: "`hiperiso inspect` says what is in it; 7z x or xorriso take files out.",
  luks: "Open it with cryptsetup first.",
  lvm2: "Its volumes are under /dev/mapper.",
  gzip: "Unpack it first: gzip -d.",
  xz: "Unpack it first: xz -d.",
  zstd: "Unpack it first: zstd -d.",
  qcow2: "Convert it first: qemu-img convert -O raw.",
};
