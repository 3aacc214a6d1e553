/** The file systems that the tests drive, in several shapes each, and the foreign programs that judge what was made of them. */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quietJob } from "../../src/contract/job.ts";
import { type BlockStore, memoryStore, windowStore } from "../../src/disk/block-store.ts";
import { checkExfat, repairExfat } from "../../src/disk/exfat/check.ts";
import { makeExfat } from "../../src/disk/exfat/make.ts";
import { openExfat } from "../../src/disk/exfat/volume.ts";
import { checkFat, repairFat } from "../../src/disk/fat/check.ts";
import { makeFat } from "../../src/disk/fat/make.ts";
import { openFat } from "../../src/disk/fat/volume.ts";
import { planGpt, type SectorBytes } from "../../src/disk/partitions/gpt-layout.ts";
import { writeGpt } from "../../src/disk/partitions/gpt-writer.ts";
import type { CheckVolume, Volume } from "../../src/disk/volume.ts";
import { bytesOf, folded, type Model } from "./volume-model.ts";

export interface FileSystem {
  readonly name: string;
  readonly sectorBytes: SectorBytes;
  readonly volumeBytes: number;
  readonly make: (store: BlockStore) => Promise<void>;
  readonly open: (store: BlockStore) => Promise<Volume>;
  readonly check: CheckVolume;
  readonly repair: CheckVolume;
  /** What foreign programs have against the volume in a file, and against its content beside the model's. Empty: nothing. */
  readonly judge: (image: string, volume: Volume, model: Model) => Promise<readonly string[]>;
  /** The quick one of them: is the volume in a file in order? */
  readonly fsck: (image: string) => string | undefined;
}

const MIB = 1 << 20;

function exfat(megabytes: number, clusterBytes: number, sectorBytes: SectorBytes = 512): FileSystem {
  return {
    name: `exFAT of ${megabytes} MiB, clusters of ${clusterBytes} bytes, sectors of ${sectorBytes}`,
    sectorBytes,
    volumeBytes: megabytes * MIB,
    make: (store) => makeExfat(store, { serial: 0x1234_abcd, clusterBytes }, quietJob),
    open: (store) => openExfat(store, {}, quietJob),
    check: checkExfat,
    repair: repairExfat,
    judge: async (image, volume, model) => [...said(fsckExfat(image)), ...(await dumpExfat(image, volume)), ...grubReads(image, model)],
    fsck: fsckExfat,
  };
}

function fat(bits: 12 | 16 | 32, megabytes: number, clusterBytes: number, sectorBytes: SectorBytes = 512): FileSystem {
  return {
    name: `FAT${bits} of ${megabytes} MiB, clusters of ${clusterBytes} bytes, sectors of ${sectorBytes}`,
    sectorBytes,
    volumeBytes: megabytes * MIB,
    make: (store) => makeFat(store, { serial: 0x1234_abcd, bits, clusterBytes }, quietJob),
    open: (store) => openFat(store, {}, quietJob),
    check: checkFat,
    repair: repairFat,
    judge: async (image, _, model) => [...said(fsckFat(image)), ...mtoolsRead(image, model), ...grubReads(image, model)],
    fsck: fsckFat,
  };
}

export const FILE_SYSTEMS: readonly FileSystem[] = [
  exfat(4, 512),
  exfat(16, 4096),
  exfat(64, 32_768),
  exfat(16, 4096, 4096),
  fat(12, 1, 512),
  fat(12, 8, 4096),
  fat(16, 8, 1024),
  fat(16, 64, 2048),
  fat(16, 32, 4096, 4096),
  fat(32, 40, 512),
  fat(32, 72, 1024),
];

/** One of each kind: for tests that run with all others. */
export const SOME_FILE_SYSTEMS: readonly FileSystem[] = [
  exfat(4, 512),
  exfat(16, 4096, 4096),
  fat(12, 1, 512),
  fat(16, 8, 1024),
  fat(32, 40, 512),
];

/** Small ones, whose folders and tables are soon full of holes. No FAT32 is small. */
export const CUT_FILE_SYSTEMS: readonly FileSystem[] = [exfat(1, 512), fat(12, 1, 512), exfat(2, 4096), fat(16, 3, 512), fat(32, 34, 512)];

/** A volume on a disk with a partition table of ours. */
export interface VolumeOnDisk {
  readonly disk: Uint8Array;
  /** The partition's bytes in `disk`. */
  readonly bytes: Uint8Array;
  readonly store: BlockStore;
}

/** What comes before the partition and behind it: room for the tables. */
const OUTSIDE_BYTES = MIB;

export async function volumeOnDisk({
  sectorBytes,
  volumeBytes,
  make,
}: Pick<FileSystem, "sectorBytes" | "volumeBytes" | "make">): Promise<VolumeOnDisk> {
  const disk = new Uint8Array(volumeBytes + 2 * OUTSIDE_BYTES);
  const guid = (number: number) => `5a5a5a5a-0000-4000-8000-00000000000${number}`;
  const wish = { typeGuid: "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", guid: guid(1), name: "data", size: BigInt(volumeBytes) };
  const table = planGpt({ sizeBytes: BigInt(disk.length), sectorBytes, diskGuid: guid(0) }, [wish]);
  const store = memoryStore(disk, sectorBytes);
  await writeGpt(store, table);
  const start = Number(table.partitions[0]!.firstLba) * sectorBytes;
  const window = windowStore(store, BigInt(start), BigInt(volumeBytes));
  await make(window);
  return { disk, bytes: disk.subarray(start, start + volumeBytes), store: window };
}

// The foreign programs

const has = (tool: string, ...words: readonly string[]): boolean => spawnSync(tool, words, { stdio: "ignore" }).error === undefined;
const hasExfatprogs = has("fsck.exfat", "-V");
const hasDosfstools = has("fsck.fat", "--help");
const hasMtools = has("mtools", "--version");
const hasGrub = has("grub-fstest", "--version");
const hasSgdisk = has("sgdisk", "--version");
/** Names of the tools that are not there, for the names of the tests. */
export const missingTools: readonly string[] = Object.entries({
  exfatprogs: hasExfatprogs,
  dosfstools: hasDosfstools,
  mtools: hasMtools,
  "grub-fstest": hasGrub,
  gdisk: hasSgdisk,
})
  .filter(([, there]) => !there)
  .map(([tool]) => tool);

interface Said {
  readonly status: number | null;
  readonly text: string;
}

/** mtools 4.0.32 takes the last cluster of a volume for one too many, and then refuses the volume, unless it is told not to look. */
const ENVIRONMENT = { ...process.env, LC_ALL: "C.UTF-8", MTOOLS_SKIP_CHECK: "1" };

function run(tool: string, ...words: readonly string[]): Said {
  const { status, stdout, stderr } = spawnSync(tool, words, { encoding: "utf8", env: ENVIRONMENT, maxBuffer: 1 << 28 });
  return { status, text: stdout + stderr };
}

/** A file of these bytes, for as long as `use` takes. */
export async function withFile<T>(bytes: Uint8Array, use: (path: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-disk-"));
  try {
    const path = join(folder, "image");
    writeFileSync(path, bytes);
    return await use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function fsckExfat(image: string): string | undefined {
  if (!hasExfatprogs) return undefined;
  const { status, text } = run("fsck.exfat", "-n", image);
  return status === 0 && /: clean\./.test(text) && !/ERROR|corrupt/i.test(text) ? undefined : `fsck.exfat ends with ${status}: ${text}`;
}

async function dumpExfat(image: string, volume: Volume): Promise<readonly string[]> {
  if (!hasExfatprogs) return [];
  const { freeBytes, clusterBytes } = await volume.space();
  const { text } = run("dump.exfat", image);
  const wrong: string[] = [];
  const free = /Free Clusters:\s+(\d+)/.exec(text)?.[1];
  if (free !== `${freeBytes / BigInt(clusterBytes)}`)
    wrong.push(`dump.exfat finds ${free} free clusters, we ${freeBytes / BigInt(clusterBytes)}`);
  const label = /Volume label:[ \t]*(.*)/.exec(text)?.[1]?.trim() ?? "";
  if (label !== volume.label) wrong.push(`dump.exfat finds the label ${JSON.stringify(label)}`);
  return wrong;
}

export function fsckFat(image: string): string | undefined {
  if (!hasDosfstools) return undefined;
  const { status, text } = run("fsck.fat", "-n", image);
  // "fsck.fat 4.2 (…)" and "IMAGE: 3 files, 12/4081 clusters" are all that it says of a volume in order.
  return status === 0 && text.trim().split("\n").length === 2 ? undefined : `fsck.fat ends with ${status}: ${text}`;
}

/**
 * Some files as mtools copies them out, and some folders as it lists them: those with short names in ASCII, for over long names in other letters mtools
 * 4.0.32 overruns a buffer of its own ("stack smashing detected").
 */
function mtoolsRead(image: string, model: Model): readonly string[] {
  if (!hasMtools) return [];
  const wrong: string[] = [];
  const isPlain = (path: string) => /^[ -~]{0,100}$/.test(path);
  const plain = [...model.entries].filter(([path]) => isPlain(path));
  for (const [key, { content }] of someOf(
    plain.filter(([, entry]) => entry.content !== undefined),
    5,
  )) {
    const { status, stdout, stderr } = spawnSync("mcopy", ["-i", image, `::${model.listed(key)}`, "-"], {
      env: ENVIRONMENT,
      maxBuffer: 1 << 28,
    });
    if (status !== 0 || !stdout.equals(bytesOf(content!)))
      wrong.push(`mcopy of ${model.listed(key)}: ${status}, ${stdout.length} bytes, ${stderr}`);
  }
  const folders = plain.flatMap(([path, { content }]) => (content === undefined ? [path] : []));
  for (const folder of someOf(folders, 5)) {
    const names = [...model.entries.keys()].filter((path) => path.lastIndexOf("/") === folder.length && path.startsWith(`${folder}/`));
    if (!names.every(isPlain) || names.length === 0) continue;
    const { text } = run("mdir", "-b", "-a", "-i", image, `::${model.listed(folder)}`);
    const wanted = names.map((path) => `::${model.listed(path)}${model.isDirectory(path) ? "/" : ""}`);
    if (text.trim().split("\n").sort().join("\n") !== wanted.sort().join("\n"))
      wrong.push(`mdir of ${folder}: ${text}, not ${wanted.join("\n")}`);
  }
  return wrong;
}

/** GRUB's own readers of FAT and exFAT, run as a program: some files, byte for byte, and the names in their folders. */
function grubReads(image: string, model: Model): readonly string[] {
  if (!hasGrub || usesLastTwoClusters(image)) return [];
  const wrong: string[] = [];
  const files = [...model.entries].filter(([, { content }]) => content !== undefined && content.sizeBytes > 0);
  for (const [key, { content }] of someOf(files, 4)) {
    const path = model.listed(key); // GRUB knows upper and lower case of ASCII alone
    const { status, stdout, stderr } = spawnSync("grub-fstest", [image, "cat", `(loop0)${path}`], { maxBuffer: 1 << 28 });
    if (status !== 0 || !stdout.equals(bytesOf(content!)))
      wrong.push(`grub-fstest reads ${path}: status ${status}, ${stdout.length} bytes, ${stderr}`);
  }
  const folders = [...model.entries].flatMap(([path, { content }]) => (content === undefined ? [path] : []));
  for (const folder of ["", ...someOf(folders, 4)]) {
    const { text } = run("grub-fstest", image, "ls", `(loop0)${model.listed(folder)}/`);
    const names = [...model.entries].filter(([path]) => path.lastIndexOf("/") === folder.length && path.startsWith(`${folder}/`));
    const wanted = names.map(([, { name, content }]) => (content === undefined ? `${name}/` : name));
    // It prints a blank behind each name, and nothing between them that a name could not hold: so lengths are compared, and each name looked for.
    // Names without a long one are listed in small letters.
    const absent = wanted.filter((name) => !folded(text).includes(`${folded(name)} `));
    const bytes = wanted.reduce((sum, name) => sum + name.length + 1, 0);
    if (absent.length > 0 || text.trimEnd().length !== Math.max(0, bytes - 1))
      wrong.push(`grub-fstest lists in ${folder}/: ${JSON.stringify(text)}, not ${JSON.stringify(wanted)}`);
  }
  return wrong;
}

/** GRUB 2.06 follows no chain of exFAT into the last two clusters: it takes the number of clusters for the number behind the last. */
function usesLastTwoClusters(image: string): boolean {
  const file = openSync(image, "r");
  try {
    const boot = Buffer.alloc(512);
    readSync(file, boot, 0, boot.length, 0);
    if (boot.toString("latin1", 3, 8) !== "EXFAT") return false;
    const [heapSector, clusters] = [boot.readUInt32LE(88), boot.readUInt32LE(92)];
    const tail = Buffer.alloc(2); // of the bitmap, which our volumes have in their first clusters
    readSync(file, tail, 0, 2, heapSector * 2 ** boot[108]! + Math.ceil(clusters / 8) - 2);
    const bits = tail.readUInt16LE() >> (16 - 2 - ((8 - (clusters % 8)) % 8));
    return (bits & 3) !== 0;
  } finally {
    closeSync(file);
  }
}

/** Up to about `count` of them, from all over the list. */
const someOf = <T>(list: readonly T[], count: number): readonly T[] => {
  const step = Math.max(1, Math.ceil(list.length / count));
  return list.filter((_, index) => index % step === list.length % step);
};

/** What `sgdisk -v` has against the table of a disk of `volumeOnDisk`. */
export async function sgdiskSaysOf(disk: Uint8Array): Promise<string | undefined> {
  return await withFile(disk.subarray(0, OUTSIDE_BYTES), (path) => {
    // What is inside the partition is nothing to sgdisk: it stays a hole.
    const file = openSync(path, "r+");
    writeSync(file, disk.subarray(-OUTSIDE_BYTES), 0, OUTSIDE_BYTES, disk.length - OUTSIDE_BYTES);
    closeSync(file);
    return sgdiskSays(path);
  });
}

/** What `sgdisk -v` has against a disk. Its exit status is 0 whatever it finds. */
export function sgdiskSays(image: string): string | undefined {
  if (!hasSgdisk) return undefined;
  const { text } = run("sgdisk", "-v", image);
  return /No problems found/.test(text) && !/Caution|Invalid|Warning|Problem:/.test(text) ? undefined : `sgdisk -v: ${text}`;
}

const said = (complaint: string | undefined): readonly string[] => (complaint === undefined ? [] : [complaint]);
