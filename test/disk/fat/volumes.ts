/** FAT volumes for tests, what is on them, and the foreign tools that judge them. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Job, quietJob, silentProgress } from "../../../src/contract/job.ts";
import { type BlockStore, memoryStore } from "../../../src/disk/block-store.ts";
import type { FatOptions } from "../../../src/disk/fat/layout.ts";
import { makeFat } from "../../../src/disk/fat/make.ts";
import { openFat } from "../../../src/disk/fat/volume.ts";
import type { Volume } from "../../../src/disk/volume.ts";

export const TIME_MS = Date.UTC(2026, 10, 21, 11, 30, 2);
export const hasDosfstools = spawnSync("fsck.fat", ["--help"]).error === undefined;
export const hasMtools = spawnSync("mdir", ["--version"]).error === undefined;

export interface Kind {
  readonly name: string;
  readonly bytes: number;
  readonly options: Partial<FatOptions>;
  readonly sectorBytes?: number;
}

/** One small volume of each type; FAT32 needs 65,541 clusters. */
export const KINDS: readonly Kind[] = [
  { name: "FAT12", bytes: 1 << 20, options: { bits: 12 } },
  { name: "FAT16", bytes: 5 << 20, options: { bits: 16 } },
  { name: "FAT32", bytes: 34 << 20, options: { bits: 32 } },
];

/** An empty volume in memory. */
export async function freshVolume(bytes: number, options: Partial<FatOptions> = {}, sectorBytes = 512): Promise<Uint8Array> {
  const volume = new Uint8Array(bytes);
  await makeFat(memoryStore(volume, sectorBytes), { serial: 0x1234abcd, label: "TEST", timeMs: TIME_MS, ...options }, quietJob);
  return volume;
}

/** A job that keeps what it is warned of. */
export function listeningJob(): Job & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return { ...quietJob, warnings, progress: { ...silentProgress, warn: (line) => warnings.push(line) } };
}

/** Opens the volume in `bytes`, changes it, closes it. */
export async function changed(bytes: Uint8Array, change: (volume: Volume) => Promise<void>, sectorBytes = 512): Promise<Uint8Array> {
  await using volume = await openFat(memoryStore(bytes, sectorBytes), {}, quietJob);
  await change(volume);
  return bytes;
}

export async function put(volume: Volume, path: string, content: string | Uint8Array, replace = false): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await volume.write(path, [bytes], { sizeBytes: BigInt(bytes.length), modifiedMs: TIME_MS, replace }, quietJob);
}

export async function contentOf(volume: Volume, path: string, offset?: bigint, lengthBytes?: bigint): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const range = offset === undefined || lengthBytes === undefined ? undefined : { offset, lengthBytes };
  for await (const piece of volume.read(path, range)) pieces.push(piece);
  return Buffer.concat(pieces);
}

export async function namesIn(volume: Volume, path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of volume.list(path)) names.push(entry.name);
  return names;
}

/** Every file by its path, with its content as text of base 64; folders with null. */
export async function treeOf(store: BlockStore): Promise<Map<string, string | null>> {
  const volume = await openFat(store, { readOnly: true }, quietJob);
  const tree = new Map<string, string | null>();
  const visit = async (folder: string): Promise<void> => {
    for await (const entry of volume.list(folder === "" ? "/" : folder)) {
      const path = `${folder}/${entry.name}`;
      if (entry.kind === "directory") {
        tree.set(path, null);
        await visit(path);
      } else tree.set(path, (await contentOf(volume, path)).toString("base64"));
    }
  };
  await visit("");
  return tree;
}

function inFile<T>(bytes: Uint8Array, use: (image: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-fat-"));
  try {
    const image = join(folder, "volume.img");
    writeFileSync(image, bytes);
    return use(image);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What `fsck.fat -n` says of a volume: exit status 0 and nothing but its first and last line, or all its words. */
export const fsckSays = (bytes: Uint8Array): string =>
  inFile(bytes, (image) => {
    const { status, stdout, stderr } = spawnSync("fsck.fat", ["-n", image], { encoding: "utf8" });
    const lines = stdout.trim().split("\n");
    return status === 0 && lines.length === 2 && stderr === "" ? "clean" : `${status}: ${stdout}${stderr}`;
  });

const MTOOLS = { ...process.env, MTOOLS_SKIP_CHECK: "0", TZ: "UTC", MTOOLS_DATE_STRING: "yyyy-mm-dd", MTOOLS_NO_VFAT: "0" };

/** What an mtools command says of a volume; throws with its words where it fails. The volume is what it was before, or what the tool made of it. */
export const mtools = (bytes: Uint8Array, command: string, ...args: string[]): string =>
  inFile(bytes, (image) => {
    const { status, stdout, stderr } = spawnSync(command, ["-i", image, ...args], { encoding: "utf8", env: MTOOLS });
    if (status !== 0 || stderr !== "") throw new Error(`${command} ${args.join(" ")}: ${status}: ${stdout}${stderr}`);
    bytes.set(readFileSync(image));
    return stdout;
  });

/** A file's content as mtools reads it. */
export const mtoolsContent = (bytes: Uint8Array, path: string): Buffer =>
  inFile(bytes, (image) => {
    const { status, stdout, stderr } = spawnSync("mtype", ["-i", image, `::${path}`], { env: MTOOLS, maxBuffer: 1 << 26 });
    if (status !== 0) throw new Error(`mtype ${path}: ${stderr}`);
    return stdout;
  });

/** A volume made by mkfs.fat. */
export function mkfs(bytes: number, ...args: string[]): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-fat-"));
  try {
    const image = join(folder, "volume.img");
    writeFileSync(image, "");
    truncateSync(image, bytes);
    const { status, stdout, stderr } = spawnSync("mkfs.fat", ["-i", "12345678", ...args, image], { encoding: "utf8" });
    if (status !== 0) throw new Error(`mkfs.fat ${args.join(" ")}: ${stdout}${stderr}`);
    return new Uint8Array(readFileSync(image));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
