/** Where two targets, or two images, differ first: the file, the byte, and what stands there in the format of the image. */
import type { FileHandle } from "node:fs/promises";
import { lstat, open, readdir, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { viewOf } from "../formats/bytes.ts";
import { isPayload } from "../formats/lbpayld1.ts";
import { decodeMbr } from "../formats/mbr.ts";
import { decodeSrcfsLine, SRCFS_LINE_BYTES_MAX, type SrcfsLine } from "../formats/srcfs.ts";
import type { Environment } from "../host/xdg.ts";
import { askTool } from "../live/tool.ts";
import { measureSecondStage } from "./boot-sector.ts";
import { SECTOR_BYTES, TEMPORARY_NAME } from "./init-image.ts";
import { openPayload } from "./payload/input.ts";
import { readPayloadContents } from "./payload/list.ts";
import { RECORD_NAME } from "./prepared.ts";
import { compareBytes } from "./target-tree.ts";

export interface Difference {
  /** From the root of both targets; "" where two files were compared. */
  readonly path: string;
  /** First byte that differs; absent where the difference is none of bytes. */
  readonly offset?: bigint;
  /** What stands there: "srcfs entry steps/manifest, byte 12". */
  readonly place: string;
  /** What the first and the second have there. */
  readonly first: string;
  readonly second: string;
}

export interface CompareOptions {
  readonly env: Environment;
  /** Modification times too; two runs of different programs rarely have the same. */
  readonly times?: boolean;
}

/**
 * Undefined: they are the same. Of two folders everything in them is compared, names, kinds, modes and contents, in the order of the names'
 * bytes; the record of a preparation, and what is being made, is left out. Throws where one of them cannot be read, or one is a folder and the
 * other is not.
 */
export async function compareBootstraps(first: string, second: string, options: CompareOptions, job: Job): Promise<Difference | undefined> {
  const kinds = [await kindOf(first), await kindOf(second)];
  if (kinds.includes("nothing")) {
    throw new HiperisoError({
      what: "compare",
      where: kinds[0] === "nothing" ? first : second,
      expected: "a target or an image",
      found: "nothing there",
      kind: "usage",
    });
  }
  return await compareEntries({ first, second, path: "", options, job }, true);
}

interface Pair {
  readonly first: string;
  readonly second: string;
  readonly path: string;
  readonly options: CompareOptions;
  readonly job: Job;
}

type Kind = "nothing" | "file" | "folder" | "symbolic link" | "device, pipe or socket";

async function kindOf(path: string): Promise<Kind> {
  try {
    const found = await lstat(path);
    if (found.isFile()) return "file";
    if (found.isDirectory()) return "folder";
    return found.isSymbolicLink() ? "symbolic link" : "device, pipe or socket";
  } catch (cause) {
    if (["ENOENT", "ENOTDIR"].includes((cause as NodeJS.ErrnoException).code ?? "")) return "nothing";
    throw unreadable(path, cause);
  }
}

const unreadable = (path: string, cause: unknown): HiperisoError =>
  new HiperisoError({ what: "compare", where: path, expected: "to read it", found: reasonOf(cause), cause });

async function compareEntries(pair: Pair, isTop = false): Promise<Difference | undefined> {
  const { first, second, path, options, job } = pair;
  job.signal.throwIfAborted();
  const [one, other] = [await kindOf(first), await kindOf(second)];
  if (one !== other) return { path, place: "kind", first: one, second: other };
  // Two files or folders that are named may well differ in these.
  if (!isTop && one !== "symbolic link") {
    const [here, there] = [await lstat(first), await lstat(second)];
    const mode = (bits: number): string => `0${(bits & 0o7777).toString(8)}`;
    if (mode(here.mode) !== mode(there.mode)) return { path, place: "mode", first: mode(here.mode), second: mode(there.mode) };
    if (options.times === true && Math.floor(here.mtimeMs / 1000) !== Math.floor(there.mtimeMs / 1000)) {
      return { path, place: "time of the last change", first: here.mtime.toISOString(), second: there.mtime.toISOString() };
    }
  }
  if (one === "file") return await compareFiles(pair);
  if (one === "folder") return await compareFolders(pair);
  if (one === "symbolic link") {
    const [here, there] = [await readlink(first), await readlink(second)];
    return here === there ? undefined : { path, place: "target of the symbolic link", first: here, second: there };
  }
  return undefined;
}

async function compareFolders({ first, second, path, options, job }: Pair): Promise<Difference | undefined> {
  const namesOf = async (folder: string): Promise<string[]> => {
    const names = await readdir(folder).catch((cause: unknown) => {
      throw unreadable(folder, cause);
    });
    return path === "" ? names.filter((name) => name !== RECORD_NAME && !TEMPORARY_NAME.test(name)) : names;
  };
  const names = new Set([...(await namesOf(first)), ...(await namesOf(second))]);
  for (const name of [...names].sort(compareBytes)) {
    const inside = { first: join(first, name), second: join(second, name), path: path === "" ? name : `${path}/${name}`, options, job };
    const found = await compareEntries(inside);
    if (found !== undefined) return found;
  }
  return undefined;
}

const CHUNK_BYTES = 1024 * 1024;

async function compareFiles({ first, second, path, options, job }: Pair): Promise<Difference | undefined> {
  await using one = await openFile(first);
  await using other = await openFile(second);
  const [oneBytes, otherBytes] = [(await one.stat({ bigint: true })).size, (await other.stat({ bigint: true })).size];
  const common = BigInt(Math.min(Number(oneBytes), Number(otherBytes)));
  const step = job.progress.begin(`compare ${path === "" ? basename(first) : path}`, common);
  try {
    for (let offset = 0n; offset < common; offset += BigInt(CHUNK_BYTES)) {
      job.signal.throwIfAborted();
      const lengthBytes = Math.min(CHUNK_BYTES, Number(common - offset));
      const [here, there] = await Promise.all([readAt(one, offset, lengthBytes), readAt(other, offset, lengthBytes)]);
      step.advance(here.length);
      if (Buffer.compare(here, there) === 0) continue;
      const at = here.findIndex((byte, index) => byte !== there[index]);
      if (at < 0) break;
      const place = offset + BigInt(at);
      const byte = (bytes: Uint8Array): string => (at < bytes.length ? `0x${bytes[at]!.toString(16).padStart(2, "0")}` : "the end");
      const named = await placeOf({ first, second, one, other, offset: place, options, job });
      return { path, offset: place, place: named.place, first: named.first ?? byte(here), second: named.second ?? byte(there) };
    }
  } finally {
    step.end();
  }
  if (oneBytes === otherBytes) return undefined;
  return { path, offset: common, place: "length of the file", first: `${oneBytes} bytes`, second: `${otherBytes} bytes` };
}

const openFile = (path: string): Promise<FileHandle> =>
  open(path, "r").catch((cause: unknown) => {
    throw unreadable(path, cause);
  });

async function readAt(file: FileHandle, offset: bigint, lengthBytes: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes);
  let length = 0;
  for (let read = -1; length < lengthBytes && read !== 0; length += read) {
    read = (await file.read(bytes, length, lengthBytes - length, Number(offset) + length)).bytesRead;
  }
  return bytes.subarray(0, length);
}

interface Spot {
  readonly first: string;
  readonly second: string;
  readonly one: FileHandle;
  readonly other: FileHandle;
  readonly offset: bigint;
  readonly options: CompareOptions;
  readonly job: Job;
}

interface NamedPlace {
  readonly place: string;
  readonly first?: string;
  readonly second?: string;
}

/** The spot in the words of the image's format; its offset alone where the image is of none that is known, or damaged before the spot. */
async function placeOf(spot: Spot): Promise<NamedPlace> {
  const plain = { place: `byte ${spot.offset}` };
  const head = await readAt(spot.one, 0n, SECTOR_BYTES);
  try {
    if (isPayload(head)) return (await payloadPlace(spot)) ?? plain;
    const mbr = decodeMbr(head, { offset: 0n, report: () => {} });
    const [entry] = mbr?.entries ?? [];
    if (entry?.type === 0xb5) return (await initImagePlace(spot)) ?? plain;
    if (entry?.type === 0x83) return (await diskPlace(spot, BigInt(entry.firstLba) * BigInt(SECTOR_BYTES))) ?? plain;
  } catch (error) {
    // The first image of the two has another fault before this spot: then its format says nothing about it.
    if (!(error instanceof HiperisoError) || spot.job.signal.aborted) throw error;
  }
  return plain;
}

async function payloadPlace({ first, second, offset, job }: Spot): Promise<NamedPlace | undefined> {
  if (offset < 8n) return { place: `magic, byte ${offset}` };
  const read = async (path: string) => {
    await using input = await openPayload(path, job);
    return await readPayloadContents(input);
  };
  const { width, entries, endOffset } = await read(first);
  if (offset < 8n + BigInt(width / 8)) return { place: "number of payload entries" };
  const nameOf = (bytes: Uint8Array | undefined): string => (bytes === undefined ? "no more entries" : new TextDecoder().decode(bytes));
  for (const [index, { nameBytes, headerOffset, dataOffset, sizeBytes }] of entries.entries()) {
    if (offset >= dataOffset + sizeBytes) continue;
    const name = nameOf(nameBytes);
    if (offset >= dataOffset) return { place: `payload entry ${name}, byte ${offset - dataOffset}` };
    // Two headers that differ are two names or two lengths: both are worth more than a byte of them.
    const theirs = await read(second).catch(() => undefined);
    const other = theirs?.entries[index];
    const said = (bytes: Uint8Array | undefined, size: bigint | undefined) =>
      size === undefined ? nameOf(bytes) : `${nameOf(bytes)}, ${size} bytes`;
    return {
      place: `header of payload entry ${index + 1}, byte ${offset - headerOffset}`,
      first: said(nameBytes, sizeBytes),
      ...(theirs === undefined ? {} : { second: said(other?.nameBytes, other?.sizeBytes) }),
    };
  }
  return offset >= endOffset ? { place: `behind the last payload entry, byte ${offset - endOffset}` } : undefined;
}

/** Longer than any second stage that a boot sector could read. */
const STAGE2_BYTES_MAX = 1024 * 1024;

async function initImagePlace(spot: Spot): Promise<NamedPlace | undefined> {
  const { one, other, offset, first } = spot;
  if (offset < BigInt(SECTOR_BYTES)) return { place: `${offset >= 440n ? "MBR of the boot sector" : "boot sector"}, byte ${offset}` };
  const source = await stage2Of(one);
  const sourceEnd = BigInt(SECTOR_BYTES + source.length);
  if (offset < sourceEnd) {
    const before = new TextDecoder("latin1").decode(source.subarray(0, Number(offset) - SECTOR_BYTES));
    return { place: `stage 2 source, byte ${offset - BigInt(SECTOR_BYTES)}, line ${before.split("\n").length}` };
  }
  const start = BigInt(measureSecondStage(new TextDecoder().decode(source), first).srcfsSector * SECTOR_BYTES);
  if (offset < start) return { place: "zeros behind the stage 2 source" };
  const [line, theirs] = await linesAt(spot, start);
  if (line === undefined)
    return theirs === undefined
      ? { place: "zeros behind the commands" }
      : { place: "kick-off line", first: "no more lines", second: theirs };
  if (line.kind === "src" && line.name.startsWith(".")) {
    const path = line.name.replace(/^\.\/?/, "") || ".";
    if (offset >= line.contentOffset) return { place: `srcfs entry ${path}, byte ${offset - line.contentOffset}` };
    return { place: `line of srcfs entry ${path}`, first: textOf(line), second: theirs ?? "no more lines" };
  }
  return { place: `kick-off line "${textOf(line)}"`, first: textOf(line), second: theirs ?? "no more lines" };

  async function linesAt(
    { first: name, second: otherName }: Spot,
    from: bigint,
  ): Promise<readonly [SrcfsLine | undefined, string | undefined]> {
    const imageBytes = (await one.stat({ bigint: true })).size;
    const otherBytes = (await other.stat({ bigint: true })).size;
    for (let at = from; ; ) {
      const next = decodeSrcfsLine(await readAt(one, at, SRCFS_LINE_BYTES_MAX), { offset: at, imageBytes, where: name });
      if (next !== undefined && next.end <= offset) {
        at = next.end;
        continue;
      }
      // Up to here both are the same, so a line of the other begins here too.
      const theirs = decodeSrcfsLine(await readAt(other, at, SRCFS_LINE_BYTES_MAX), {
        offset: at,
        imageBytes: otherBytes,
        where: otherName,
      });
      return [next?.line, theirs === undefined ? undefined : textOf(theirs.line)];
    }
  }
}

const textOf = (line: SrcfsLine): string => (line.kind === "src" ? `src ${line.sizeBytes} ${line.name}` : line.text);

/** The source behind the boot sector, up to its NUL. */
async function stage2Of(image: FileHandle): Promise<Uint8Array> {
  const bytes = await readAt(image, BigInt(SECTOR_BYTES), STAGE2_BYTES_MAX);
  const end = bytes.indexOf(0);
  return bytes.subarray(0, end < 0 ? bytes.length : end);
}

async function diskPlace(spot: Spot, partition: bigint): Promise<NamedPlace | undefined> {
  const { one, offset, first } = spot;
  if (offset < BigInt(SECTOR_BYTES)) return { place: `MBR, byte ${offset}` };
  if (offset < partition) return { place: `before the partition, byte ${offset}` };
  const superblock = await readAt(one, partition + 1024n, 1024);
  if (superblock.length < 1024 || viewOf(superblock).getUint16(56, true) !== 0xef53)
    return { place: `partition, byte ${offset - partition}` };
  const blockBytes = BigInt(1024 << viewOf(superblock).getUint32(24, true));
  const block = (offset - partition) / blockBytes;
  const general = { place: `ext file system, block ${block}, byte ${offset - partition}` };
  const inode = lastNumber(await debugfs(spot, partition, `icheck ${block}`), /^\d+\t(\d+)$/m);
  if (inode === undefined) return general;
  const path = /^\d+\t(.+)$/m.exec((await debugfs(spot, partition, `ncheck ${inode}`)) ?? "")?.[1];
  if (path === undefined) return { place: `${general.place}, of inode ${inode}` };
  const blocks = (await debugfs(spot, partition, `blocks <${inode}>`))?.trim().split(/\s+/) ?? [];
  const index = blocks.indexOf(`${block}`);
  const clean = path.replace(/^\/+/, "");
  // Blocks that list the file's blocks stand among them: up to the twelfth there is none.
  if (index < 0 || index > 11) return { place: `ext file system, file ${clean}, block ${block}` };
  const byte = BigInt(index) * blockBytes + ((offset - partition) % blockBytes);
  return { place: `ext file system, file ${clean}, byte ${byte}` };

  function lastNumber(answer: string | undefined, pattern: RegExp): string | undefined {
    return answer === undefined ? undefined : pattern.exec(answer)?.[1];
  }

  async function debugfs({ options: { env }, job }: Spot, at: bigint, request: string): Promise<string | undefined> {
    // Without the tool the block has to do.
    const answer = await askTool("debugfs", ["-R", request, `${first}?offset=${at}`], { env, signal: job.signal }).catch(() => undefined);
    job.signal.throwIfAborted();
    return answer?.status === 0 ? answer.stdout : undefined;
  }
}
