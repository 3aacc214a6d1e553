/** FAT volumes for tests, what is on them, and the foreign tools that judge them. */
import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Job, quietJob, silentProgress } from "../../../src/contract/job.ts";
import { type BlockStore, memoryStore } from "../../../src/disk/block-store.ts";
import type { FatOptions } from "../../../src/disk/fat/layout.ts";
import { makeFat } from "../../../src/disk/fat/make.ts";
import { openFat } from "../../../src/disk/fat/volume.ts";
import type { Volume } from "../../../src/disk/volume.ts";
import { decodeFatBoot, fatPlaces } from "../../../src/formats/fat-boot.ts";
import { ENTRY_BYTES, encodeShortEntry } from "../../../src/formats/fat-entries.ts";

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
  { name: "FAT16", bytes: 3 << 20, options: { bits: 16, clusterBytes: 512 } },
  { name: "FAT32", bytes: 34 << 20, options: { bits: 32 } },
];

/** An empty volume in memory. */
export async function freshVolume(bytes: number, options: Partial<FatOptions> = {}, sectorBytes = 512): Promise<Uint8Array> {
  const volume = new Uint8Array(bytes);
  await makeFat(memoryStore(volume, sectorBytes), { serial: 0x1234abcd, label: "TEST", timeMs: TIME_MS, ...options }, quietJob);
  return volume;
}

/** A FAT32 with a folder of so many entries, all of one name, which is more than a folder may have. */
export async function folderOfMillions(entries: number): Promise<Uint8Array> {
  const bytes = await changed(await freshVolume(entries * ENTRY_BYTES + (36 << 20), { bits: 32, clusterBytes: 512 }), async (volume) => {
    await volume.makeDirectory("/FOLDER", TIME_MS);
    await put(volume, "/FOLDER/A", "");
    await put(volume, "/FILE", new Uint8Array(entries * ENTRY_BYTES - 512)); // its clusters become the folder's
    await volume.remove("/FOLDER/A");
  });
  const view = new DataView(bytes.buffer);
  const at = (name: string) => Buffer.from(bytes).indexOf(name.padEnd(11));
  const first = (name: string) => view.getUint16(at(name) + 26, true) + view.getUint16(at(name) + 20, true) * 0x10000;
  const boot = decodeFatBoot(bytes, "volume");
  const [folder, file] = [first("FOLDER"), first("FILE")];
  for (let fat = 0; fat < 2; fat += 1) view.setUint32((boot.reservedSectors + fat * boot.fatSectors) * 512 + folder * 4, file, true);
  bytes[at("FILE")] = 0xe5;
  const entry = encodeShortEntry({ name: Buffer.from("A          "), attributes: 0, firstCluster: 0, sizeBytes: 1, timeMs: 0 });
  const { dataSector } = fatPlaces(boot);
  const clusterAt = (cluster: number) => (dataSector + cluster - 2) * 512;
  for (let slot = 2; slot < 16; slot += 1) bytes.set(entry, clusterAt(folder) + slot * ENTRY_BYTES);
  for (let slot = 16; slot < entries; slot += 1) bytes.set(entry, clusterAt(file) + (slot - 16) * ENTRY_BYTES);
  return bytes;
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

/** Only pieces that hold something take time and room. */
function writeSparse(path: string, bytes: Uint8Array): void {
  const file = openSync(path, "w");
  const zeros = Buffer.alloc(65_536);
  ftruncateSync(file, bytes.length);
  for (let at = 0; at < bytes.length; at += zeros.length) {
    const piece = bytes.subarray(at, at + zeros.length);
    if (zeros.compare(piece, 0, piece.length, 0, piece.length) !== 0) writeSync(file, piece, 0, piece.length, at);
  }
  closeSync(file);
}

function inFile<T>(bytes: Uint8Array, use: (image: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-fat-"));
  try {
    const image = join(folder, "volume.img");
    writeSparse(image, bytes);
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
