/**
 * A disk image as a file that may lean on others: in which format its bytes stand, and the files below it. A qcow2 names its backing file
 * itself, and an image is foreign: so the chain is followed here, each name judged, and QEMU is told every file of it by hand.
 */
import { realpath, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, sep } from "node:path";
import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { decodeQcow2Header, QCOW2_HEAD_BYTES, type Qcow2Header } from "../formats/qcow2.ts";
import { recogniseContainer } from "../formats/signature.ts";
import { type BlockSource, openImage } from "./block-source.ts";
import { type Mapped, readMap } from "./mapped-source.ts";

/** Formats that a disk can have, by the names that people use. `vhd`: QEMU calls it vpc. */
export const DISK_FORMATS = ["raw", "qcow2", "vmdk", "vdi", "vhdx", "vhd"] as const;
export type DiskFormat = (typeof DISK_FORMATS)[number];

/** One file of a disk. */
export interface DiskFile {
  /** Absolute. */
  readonly path: string;
  readonly blockDevice: boolean;
  readonly format: DiskFormat;
}

/** The file that a person named, and those below it, the nearest first. */
export interface DiskFiles extends DiskFile {
  readonly backing: readonly DiskFile[];
}

export interface DiskFileRules {
  /** Undefined: what the first bytes say. */
  readonly format: DiskFormat | undefined;
  /** Files below the image are taken wherever they stand; else only from the image's own folder and those in it. */
  readonly backingAnywhere: boolean;
}

export const STANDARD_RULES: DiskFileRules = { format: undefined, backingAnywhere: false };

/** Deeper chains are somebody's mistake; each file of one is held open by QEMU. */
const CHAIN_MAX = 64;

/** What a disk's own header says, where we read it; a chain is followed by it. */
export interface OpenDiskFile extends DiskFile {
  readonly source: BlockSource;
  readonly qcow2: Qcow2Header | undefined;
  readonly mapped: Mapped | undefined;
}

/**
 * Opens a disk image and all below it, the named one first. `path` is absolute. Throws (kind `usage`) where a file of the chain is missing,
 * stands where it may not, is named by something else than a path, comes twice, or cannot be opened by QEMU. The caller closes what it got.
 */
export async function openDiskFiles(path: string, rules: DiskFileRules = STANDARD_RULES): Promise<readonly OpenDiskFile[]> {
  const files: OpenDiskFile[] = [];
  const seen = new Map<string, string>();
  try {
    let next: Wanted | undefined = { path, format: rules.format, below: undefined };
    while (next !== undefined) {
      const file = await openOne(next, seen);
      files.push(file);
      if (files.length > CHAIN_MAX) throw badChain(path, `a chain of at most ${CHAIN_MAX} files`, "more");
      next = await belowOf(file, path, rules);
    }
    return files;
  } catch (error) {
    await closeDiskFiles(files);
    throw error;
  }
}

export async function closeDiskFiles(files: readonly OpenDiskFile[]): Promise<void> {
  for (const { source } of files) await source[Symbol.asyncDispose]();
}

/** As `openDiskFiles`, for whoever wants to know the files and not to read them. */
export async function readDiskFiles(path: string, rules: DiskFileRules = STANDARD_RULES): Promise<DiskFiles> {
  const files = await openDiskFiles(path, rules);
  await closeDiskFiles(files);
  return diskFilesOf(files);
}

export function diskFilesOf(files: readonly OpenDiskFile[]): DiskFiles {
  const [top, ...backing] = files.map(({ path, blockDevice, format }) => ({ path, blockDevice, format }));
  if (top === undefined) throw new Error("a disk has at least one file");
  return { ...top, backing };
}

interface Wanted {
  readonly path: string;
  readonly format: DiskFormat | undefined;
  /** The file that names this one. */
  readonly below: string | undefined;
}

async function openOne({ path, format, below }: Wanted, seen: Map<string, string>): Promise<OpenDiskFile> {
  const source = await openImage(path).catch((error: unknown) => {
    if (below === undefined || !(error instanceof HiperisoError)) throw error;
    throw badChain(below, "its backing file", `${error.found ?? "nothing"}: ${printable(path)}`, error);
  });
  try {
    const facts = await stat(path, { bigint: true });
    const key = facts.isBlockDevice() ? `block ${facts.rdev}` : `${facts.dev}:${facts.ino}`;
    const before = seen.get(key);
    if (before !== undefined) throw badChain(below ?? path, "a chain of backing files that ends", `${printable(path)} for the second time`);
    seen.set(key, path);
    const found = format ?? (await recogniseDiskFormat(source));
    return {
      path,
      blockDevice: facts.isBlockDevice(),
      format: found,
      source,
      qcow2: found === "qcow2" ? decodeQcow2Header(await source.read(0n, QCOW2_HEAD_BYTES), path) : undefined,
      mapped: found === "raw" || found === "qcow2" ? undefined : await readMap(source, found),
    };
  } catch (error) {
    await source[Symbol.asyncDispose]();
    throw error;
  }
}

/** By the first bytes. What is in none of the formats (an ISO, a packed image, anything) is a raw disk to QEMU. */
export async function recogniseDiskFormat(source: BlockSource): Promise<DiskFormat> {
  const container = recogniseContainer(await source.read(0n, 512), new Uint8Array());
  return DISK_FORMATS.find((format) => format === container) ?? "raw";
}

async function belowOf(file: OpenDiskFile, top: string, { backingAnywhere }: DiskFileRules): Promise<Wanted | undefined> {
  const { path, qcow2, mapped } = file;
  if (mapped !== undefined && "files" in mapped) await checkParts(mapped.files ?? [], file, top, backingAnywhere);
  if (qcow2?.externalData === true) {
    throw badChain(path, "a qcow2 that holds its own data", "one that keeps it in another file", undefined, CONVERT);
  }
  if (qcow2?.backing === undefined) return undefined;
  const { name, format } = qcow2.backing;
  const below = pathOfBacking(name, path);
  if (!backingAnywhere && !(await standsBeside(below, top))) throw outside(path, below);
  return { path: below, format: backingFormat(format, path), below: path };
}

const outside = (path: string, below: string): HiperisoError =>
  badChain(
    path,
    "files in the folder of the image, or in one inside it",
    printable(below),
    undefined,
    "An image of somebody else could name any file of yours. If you trust this one, say --backing-anywhere.",
  );

/** QEMU opens the parts of a VMDK by the names in it: each has to be a file that the person may have meant. */
async function checkParts(names: readonly string[], { path }: OpenDiskFile, top: string, backingAnywhere: boolean): Promise<void> {
  for (const name of names) {
    const part = pathOfBacking(name, path);
    if (!backingAnywhere && !(await standsBeside(part, top))) throw outside(path, part);
    const facts = await stat(part).catch(() => undefined);
    if (facts?.isFile() !== true) throw badChain(path, "the files that it names", `no file: ${printable(part)}`);
  }
}

const CONVERT = "`qemu-img convert -O qcow2` makes one file of it.";

/** QEMU reads `nbd:…`, `json:…`, `http:…` as what they say (block.c, path_has_protocol). We take files alone. */
function pathOfBacking(name: string, image: string): string {
  const protocol = /^([^/:]*):/.exec(name)?.[1];
  if (protocol !== undefined && protocol !== "file") {
    throw badChain(image, "a backing file named by its path", printable(name), undefined, CONVERT);
  }
  const path = protocol === undefined ? name : name.slice("file:".length);
  return isAbsolute(path) ? path : join(dirname(image), path);
}

/** Undefined: the format is looked for. QEMU knows more formats than we let an image lead to. */
function backingFormat(format: string | undefined, image: string): DiskFormat | undefined {
  if (format === undefined || format === "") return undefined;
  if (format === "host_device" || format === "file") return "raw";
  const name = format === "vpc" ? "vhd" : format;
  const known = DISK_FORMATS.find((one) => one === name);
  if (known !== undefined) return known;
  throw badChain(image, `a backing file in one of the formats ${DISK_FORMATS.join(", ")}`, `"${printable(format)}"`, undefined, CONVERT);
}

/** Links count as what they lead to. A file that is not there is judged by its folder: its lack is said by whoever opens it. */
async function standsBeside(path: string, top: string): Promise<boolean> {
  const folder = await realpath(dirname(top));
  const real = await realpath(path).catch(async () => join(await realpath(dirname(path)).catch(() => dirname(path)), "missing"));
  return real.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`);
}

function badChain(where: string, expected: string, found: string, cause?: unknown, hint?: string): HiperisoError {
  return new HiperisoError({
    what: "open the disk image",
    where,
    expected,
    found,
    kind: "usage",
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  });
}
