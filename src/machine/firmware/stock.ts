/** The firmware files of this computer: those that descriptors name, those in known places, and what lies beside them; each read and not believed by its name. */
import type { Dirent } from "node:fs";
import { readdir, realpath } from "node:fs/promises";
import { extname, isAbsolute, join } from "node:path";
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { decodeFirmwareImage, type FirmwareImage } from "../../formats/firmware-volume.ts";
import { type FirmwareDescriptor, filesOf, KNOWN_FIRMWARE } from "../../host/firmware.ts";
import { closeDiskFiles, openDiskFiles } from "../../image/disk-format.ts";
import { qcow2Obstacle, qcow2Source } from "../../image/qcow2-source.ts";

/** A file that a descriptor names, or that lies where firmware lies. */
export type FirmwareFile = PresentFirmware | { readonly path: string; readonly state: "missing" | "unreadable"; readonly because: string };

export interface PresentFirmware {
  readonly path: string;
  readonly state: "present";
  /** Behind all links: several names may mean one file. */
  readonly realPath: string;
  readonly format: "raw" | "qcow2";
  /** What the flash holds; its size is the disk's, not the file's, in a qcow2. */
  readonly image: FirmwareImage;
}

/** By path. */
export type FirmwareStock = ReadonlyMap<string, FirmwareFile>;

/** Where distributions and QEMU itself put firmware. */
export const STOCK_FOLDERS: readonly string[] = [
  "/usr/share/OVMF",
  "/usr/share/ovmf",
  "/usr/share/edk2",
  "/usr/share/edk2-ovmf",
  "/usr/share/qemu",
  "/usr/local/share/qemu",
  "/usr/local/share/OVMF",
];
const STOCK_ENDINGS: ReadonlySet<string> = new Set([".fd", ".bin", ".qcow2"]);
/** Names of architectures and of machine types: two levels below a folder of the list. */
const DEPTH_MAX = 2;
const FILES_MAX = 500;
/** QEMU takes 8 MiB of flash on a PC; what is longer is padding of other machines. */
const READ_MAX_BYTES = 16 * 1024 * 1024;

export interface StockWanted {
  readonly descriptors: readonly FirmwareDescriptor[];
  /** More paths that somebody names. */
  readonly paths: readonly string[];
  /** What else lies there: `STOCK_FOLDERS`, and whatever a person adds. */
  readonly folders: readonly string[];
  /** The places of `KNOWN_FIRMWARE` too. */
  readonly known: boolean;
}

/** Reads firmware files. The modules of code are unpacked too, once for each file behind all links: about a second each. */
export async function readFirmwareStock({ descriptors, paths, folders, known: withKnown }: StockWanted, job: Job): Promise<FirmwareStock> {
  const named = [...paths, ...descriptors.flatMap(({ content }) => ("broken" in content ? [] : namedFiles(content.facts.mapping)))];
  const known = !withKnown ? [] : KNOWN_FIRMWARE.flatMap(({ mapping }) => filesOf(mapping));
  const lying = (await Promise.all(folders.map((folder) => filesBelow(folder, DEPTH_MAX)))).flat();
  const stock = new Map<string, FirmwareFile>();
  const read = new Map<string, FirmwareFile>();
  for (const path of new Set([...named, ...known, ...lying.slice(0, FILES_MAX)])) {
    job.signal.throwIfAborted();
    if (isAbsolute(path)) stock.set(path, await readOnce(path, read));
  }
  // Places that nobody named and where nothing is are no news.
  for (const path of known) if (!named.includes(path) && stock.get(path)?.state === "missing") stock.delete(path);
  return stock;
}

/** Every path in a descriptor's mapping, whatever its kind. */
export function namedFiles(mapping: {
  readonly filename?: string;
  readonly executable?: { readonly filename: string };
  readonly "nvram-template"?: { readonly filename: string } | undefined;
}): readonly string[] {
  return [mapping.filename, mapping.executable?.filename, mapping["nvram-template"]?.filename].filter((path) => path !== undefined);
}

async function readOnce(path: string, read: Map<string, FirmwareFile>): Promise<FirmwareFile> {
  const real = await realpath(path).catch(() => path);
  const before = read.get(real);
  if (before !== undefined) return { ...before, path };
  const file = await readFirmwareFile(path);
  read.set(real, file);
  return file;
}

/** Never throws: a file that is missing or cannot be read says so. */
export async function readFirmwareFile(path: string): Promise<FirmwareFile> {
  try {
    const realPath = await realpath(path);
    const { format, bytes, sizeBytes } = await readFlash(realPath);
    return { path, state: "present", realPath, format, image: decodeFirmwareImage(bytes, { sizeBytes, modules: true }) };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT" || (error as NodeJS.ErrnoException).code === "ENOTDIR";
    if (missing) return { path, state: "missing", because: "there is no such file" };
    const because = error instanceof HiperisoError ? (error.found ?? error.message) : String(error);
    return { path, state: "unreadable", because };
  }
}

/** The bytes of the flash, out of a raw file or a qcow2. */
async function readFlash(
  path: string,
): Promise<{ readonly format: "raw" | "qcow2"; readonly bytes: Uint8Array; readonly sizeBytes: bigint }> {
  const files = await openDiskFiles(path);
  try {
    const [file] = files;
    if (file === undefined) throw new Error("a disk has at least one file");
    if (file.qcow2 === undefined) {
      return { format: "raw", bytes: await file.source.read(0n, READ_MAX_BYTES), sizeBytes: file.source.sizeBytes };
    }
    const obstacle = files.length > 1 ? "the qcow2 has a backing file" : qcow2Obstacle(file.qcow2);
    if (obstacle !== undefined) throw new HiperisoError({ what: "read a firmware", where: path, found: obstacle });
    const source = qcow2Source(file.source, file.qcow2, undefined);
    return { format: "qcow2", bytes: await source.read(0n, READ_MAX_BYTES), sizeBytes: source.sizeBytes };
  } finally {
    await closeDiskFiles(files);
  }
}

/** Files with the endings of firmware, sorted. Folders that cannot be read hold nothing. */
async function filesBelow(folder: string, depth: number): Promise<readonly string[]> {
  const entries: Dirent[] = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const found: string[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && depth > 0) found.push(...(await filesBelow(path, depth - 1)));
    else if (STOCK_ENDINGS.has(extname(entry.name)) && !entry.isDirectory()) found.push(path);
  }
  return found;
}
