/**
 * Writes a payload container. All is decided before the first byte is written: names, order, sizes, and that the container is none of
 * its own sources. Then the bytes go to a temporary name beside the container's, which is given its own when they are on the medium.
 */
import { randomBytes } from "node:crypto";
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync, statSync } from "node:fs";
import { type FileHandle, lstat, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import {
  encodePayloadEntry,
  encodePayloadHead,
  layoutOf,
  type PayloadLayout,
  type PayloadOptions,
  type PayloadWidth,
  type PlacedFile,
} from "../../formats/lbpayld1.ts";
import { syncDirectory } from "../../host/atomic-file.ts";
import { PieceWriter, Turns } from "./pieces.ts";
import { spaceHint } from "./space-hint.ts";

/** One file of a container: the name that it has there, and where its bytes are. */
export interface PayloadSource {
  readonly name: string;
  readonly from: { readonly file: string } | { readonly bytes: Uint8Array };
}

export interface CreateOptions extends PayloadOptions {
  /** False: without waiting for the medium at the end. A cut of power may then leave less than all under the container's name. */
  readonly sync?: boolean | undefined;
}

export interface PayloadSummary {
  readonly path: string;
  readonly width: PayloadWidth;
  readonly entryCount: number;
  /** Behind the last file. */
  readonly endOffset: bigint;
  /** With the padding. */
  readonly sizeBytes: bigint;
}

/** What a source was when it was looked at: it has to be the same when it is read, and after that. */
interface Inspected {
  readonly name: string;
  readonly sizeBytes: bigint;
  readonly from: { readonly file: string; readonly stat: BigIntStats } | { readonly bytes: Uint8Array };
}

/** A look at a file takes microseconds; after so many, signals are seen to. */
const LOOKS_A_TURN = 1000;

/**
 * Writes the container `out` of `entries`, in the order of their names. An `out` that is there already is replaced as a whole, or stays as it is
 * when this throws: `usage` for what `layoutOf` refuses, for a source that is no plain file, for an `out` that is no plain file or one of the sources;
 * `failure` for a source that changed while it was read, and where reading or writing fails.
 */
export async function createPayload(
  entries: Iterable<PayloadSource>,
  out: string,
  options: CreateOptions,
  job: Job,
): Promise<PayloadSummary> {
  const inspected: Inspected[] = [];
  const paths = new Map<string, string>();
  for (const source of entries) {
    if (inspected.length % LOOKS_A_TURN === LOOKS_A_TURN - 1) await setImmediate();
    job.signal.throwIfAborted();
    if ("file" in source.from) refuseSecond(paths, source.name, source.from.file);
    inspected.push(inspect(source));
  }
  const layout = layoutOf(inspected, options);
  const target = await targetOf(out, inspected);
  const temporary = join(dirname(target), `.payload-${randomBytes(4).toString("hex")}.tmp`);
  const step = job.progress.begin(`write ${out}`, layout.sizeBytes);
  try {
    const file = await openOutput(temporary, out);
    try {
      await writeContainer(file, layout, out, new Turns(job.signal, (bytes) => step.advance(bytes)));
      if (options.sync !== false) await file.sync();
    } finally {
      await file.close();
    }
    job.signal.throwIfAborted();
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    if (error instanceof HiperisoError || job.signal.aborted) throw error;
    throw writeFailed(out, error);
  } finally {
    step.end();
  }
  if (options.sync !== false) await syncDirectory(dirname(target));
  const { width, endOffset, sizeBytes } = layout;
  return { path: out, width, entryCount: layout.entries.length, endOffset, sizeBytes };
}

/** `layoutOf` refuses names that are there twice as well, but does not know the files. */
function refuseSecond(paths: Map<string, string>, name: string, path: string): void {
  const first = paths.get(name);
  paths.set(name, path);
  if (first === undefined) return;
  throw new HiperisoError({
    what: "make a payload container",
    where: path,
    expected: `"${name}" once: a container has no folders`,
    found: `it a second time, after ${first}`,
    hint: "Leave one of them out, or give it another name in a list (--list).",
    kind: "usage",
  });
}

function inspect({ name, from }: PayloadSource): Inspected {
  if ("bytes" in from) return { name, sizeBytes: BigInt(from.bytes.length), from };
  let found: BigIntStats;
  try {
    found = statSync(from.file, { bigint: true });
  } catch (cause) {
    throw unusable(from.file, reasonOf(cause), cause);
  }
  if (!found.isFile()) throw unusable(from.file, kindOf(found));
  return { name, sizeBytes: found.size, from: { file: from.file, stat: found } };
}

const unusable = (path: string, found: string, cause?: unknown): HiperisoError =>
  new HiperisoError({
    what: "put a file into the payload container",
    where: path,
    expected: "a plain file that can be read",
    found,
    kind: "usage",
    ...(cause === undefined ? {} : { cause }),
  });

/** What stands there instead of a plain file. */
export function kindOf(found: Pick<BigIntStats, "isDirectory" | "isFIFO" | "isSocket" | "isSymbolicLink">): string {
  if (found.isDirectory()) return "a folder";
  if (found.isFIFO()) return "a pipe";
  if (found.isSocket()) return "a socket";
  return found.isSymbolicLink() ? "a symbolic link" : "a device";
}

/** The path that the finished container is renamed to. A symbolic link to a file stays, and the file behind it is replaced. */
async function targetOf(out: string, sources: readonly Inspected[]): Promise<string> {
  const taken = (expected: string, found: string, hint?: string) =>
    new HiperisoError({
      what: "write the payload container",
      where: out,
      expected,
      found,
      kind: "usage",
      ...(hint === undefined ? {} : { hint }),
    });
  const present = await stat(out, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw writeFailed(out, error);
  });
  if (present === undefined) {
    if (await lstat(out).catch(() => undefined)) throw taken("a file, or nothing", "a symbolic link to nothing", "Remove the link.");
    return out;
  }
  if (!present.isFile()) {
    const hint = present.isBlockDevice() ? "Make a file, look at it with `payload verify`, then copy it to the disk with dd." : undefined;
    throw taken("a file, or nothing", kindOf(present), hint);
  }
  const own = sources.find(({ from }) => "stat" in from && from.stat.dev === present.dev && from.stat.ino === present.ino);
  if (own !== undefined) {
    throw taken("a container apart from its sources", `the container among them, as "${own.name}"`, "Write it into another folder.");
  }
  return await realpath(out);
}

async function openOutput(temporary: string, out: string): Promise<FileHandle> {
  try {
    return await open(temporary, "wx", 0o666);
  } catch (error) {
    throw writeFailed(out, error);
  }
}

const writeFailed = (out: string, error: unknown): HiperisoError =>
  new HiperisoError({ what: "write the payload container", where: out, found: reasonOf(error), hint: spaceHint(error), cause: error });

async function writeContainer(
  file: FileHandle,
  { width, entries, endOffset, sizeBytes }: PayloadLayout<Inspected>,
  out: string,
  turns: Turns,
): Promise<void> {
  const writer = new PieceWriter(turns);
  writer.begin(file.fd);
  await writer.add(encodePayloadHead(BigInt(entries.length), width));
  for (const entry of entries) {
    await writer.add(encodePayloadEntry(entry, width));
    const { from } = entry.file;
    if ("bytes" in from) await writer.add(from.bytes);
    else await addSource(writer, entry, from, out);
  }
  await writer.add(new Uint8Array(Number(sizeBytes - endOffset)));
  writer.flush();
  await turns.give();
}

/** All bytes of one source, which has to be what it was when it was looked at. */
async function addSource(
  writer: PieceWriter,
  { name, sizeBytes }: PlacedFile,
  { file: path, stat: before }: { readonly file: string; readonly stat: BigIntStats },
  out: string,
): Promise<void> {
  const what = "put a file into the payload container";
  const changed = (found: string) =>
    new HiperisoError({
      what,
      where: path,
      expected: `the ${sizeBytes} bytes that it had at the start`,
      found,
      hint: "Wait until nothing writes to it any more, then start again.",
    });
  let fd: number | undefined;
  try {
    // O_NONBLOCK: a pipe that took the file's place would wait for a writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const read = await writer.addFrom(fd, sizeBytes);
    const after = fstatSync(fd, { bigint: true });
    if (read !== sizeBytes || after.size !== sizeBytes) throw changed(`${read < sizeBytes ? read : after.size}`);
    // Files of /proc have bytes and no size.
    if (readSync(fd, new Uint8Array(1)) > 0) throw changed("more");
    if (after.mtimeNs !== before.mtimeNs || after.ino !== before.ino || after.dev !== before.dev) {
      throw changed("other bytes: it was written to or replaced while it was read");
    }
  } catch (cause) {
    const { syscall } = cause as NodeJS.ErrnoException;
    if (syscall === undefined) throw cause;
    if (syscall === "write") throw writeFailed(out, cause);
    throw new HiperisoError({ what, where: path, found: reasonOf(cause), hint: `It would be "${name}" in the container.`, cause });
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
