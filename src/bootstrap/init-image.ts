/**
 * The first image of a kernel bootstrap, as a layout and as bytes:
 *
 *   sector 0    boot sector: stage 1, assembled from hex0
 *   sector 1    stage 2 as hex0 source, which stage 1 assembles up to the first NUL
 *               zeros to the next sector, one at least
 *   sector n    source file system (formats/srcfs.ts); n is a number in the code of stage 2
 *               the commands that start the first program
 *               zeros to the next MiB, a whole one where it ends at one, and on to the size that was asked for
 *
 * In a folder the files and folders are sorted by the bytes of their names. The original takes them as the file system gives them, so that its
 * images differ from one computer to the next.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { hex } from "../formats/bytes.ts";
import { assembleHex0 } from "../formats/hex0.ts";
import { decodeMbr } from "../formats/mbr.ts";
import { encodeSrcfsCommand, encodeSrcLine, type SrcfsCommand, type SrcfsLoss, srcfsLosses } from "../formats/srcfs.ts";
import { syncDirectory } from "../host/atomic-file.ts";
import { measureSecondStage } from "./boot-sector.ts";
import { BOOT_SECTOR } from "./checkout.ts";
import { KICK_OFF } from "./first-image.ts";
import { PieceWriter, Turns } from "./payload/pieces.ts";
import { spaceHint } from "./payload/space-hint.ts";
import { compareBytes, type TargetEntry } from "./target-tree.ts";

export const SECTOR_BYTES = 512;
const MIB = 1024n * 1024n;
/** Partition type that marks a disk of this kind. */
const BOOTSTRAP_TYPE = 0xb5;
/** A piece of the image that holds something; all between them is zero. */
export interface ImagePart {
  readonly kind: "boot-sector" | "stage2-source" | "entry" | "commands";
  /** Path of an entry, from the root. */
  readonly path?: string;
  readonly offset: bigint;
  /** Of `head` and file together. */
  readonly sizeBytes: bigint;
  /** Bytes that stand first: all of the part, or an entry's line. */
  readonly head: Uint8Array;
  /** An entry's content behind its line. */
  readonly content?: { readonly file: string; readonly sizeBytes: bigint } | { readonly bytes: Uint8Array };
}

export interface InitImageLayout {
  /** In the order of their offsets. */
  readonly parts: readonly ImagePart[];
  /** First sector of the source file system. */
  readonly srcfsSector: number;
  /** Lines of the source file system. */
  readonly entryCount: number;
  /** Bytes of all its files. */
  readonly fileBytes: bigint;
  /** Behind the last command. */
  readonly endOffset: bigint;
  /** With the zeros. */
  readonly imageBytes: bigint;
  /** What does not survive in this form; nothing that stops a boot. */
  readonly losses: readonly SrcfsLoss[];
}

export interface InitImageInput {
  /** The two stages, as hex0 source. */
  readonly bootSector: { readonly stage1: string; readonly stage2: string };
  /** Files and folders of the first system's root, in any order. */
  readonly entries: readonly TargetEntry[];
  /** The image is at least this large. */
  readonly targetSizeBytes: bigint;
  readonly commands?: readonly SrcfsCommand[];
}

/**
 * Throws (`usage`) on a stage 1 that is no boot sector of this kind, a stage 2 whose number of the first sector does not fit its length, a name
 * or a file that the source file system cannot carry, and commands that need a file which is not there.
 */
export function planInitImage({ bootSector, entries, targetSizeBytes, commands = KICK_OFF }: InitImageInput): InitImageLayout {
  const { bytes: stage2, srcfsSector } = checkedStage2(bootSector.stage2);
  const parts: ImagePart[] = [
    part("boot-sector", 0n, checkedStage1(bootSector.stage1)),
    part("stage2-source", BigInt(SECTOR_BYTES), stage2),
  ];
  const kept = entries.filter(({ path }) => !path.includes(".git"));
  const walked = walk(kept);
  assert(walked.length === kept.length, "the folder of every entry is an entry");
  let offset = BigInt(srcfsSector * SECTOR_BYTES);
  let fileBytes = 0n;
  for (const entry of [undefined, ...walked]) {
    const next = entryPart(entry, offset);
    parts.push(next);
    offset += next.sizeBytes;
    fileBytes += entry?.sizeBytes ?? 0n;
  }
  checkCommands(commands, walked);
  const tail = part("commands", offset, joined(commands.map(encodeSrcfsCommand)));
  parts.push(tail);
  const endOffset = offset + tail.sizeBytes;
  const rounded = (endOffset / MIB + 1n) * MIB;
  return {
    parts,
    srcfsSector,
    entryCount: walked.length + 1,
    fileBytes,
    endOffset,
    imageBytes: rounded < targetSizeBytes ? targetSizeBytes : rounded,
    losses: srcfsLosses(walked),
  };
}

const part = (kind: ImagePart["kind"], offset: bigint, head: Uint8Array): ImagePart => ({
  kind,
  offset,
  sizeBytes: BigInt(head.length),
  head,
});

/** `undefined` is the root. */
function entryPart(entry: TargetEntry | undefined, offset: bigint): ImagePart {
  const { path = "", kind = "directory", sizeBytes = 0n } = entry ?? {};
  const head = encodeSrcLine(path, sizeBytes);
  const common = { kind: "entry", path, offset, sizeBytes: BigInt(head.length) + sizeBytes, head } as const;
  if (entry === undefined || kind === "directory" || sizeBytes === 0n) return common;
  return { ...common, content: "file" in entry.from ? { file: entry.from.file, sizeBytes } : entry.from };
}

const inputError = (name: string, expected: string, found: string, hint?: string): HiperisoError =>
  new HiperisoError({
    what: "make the first image",
    where: `${BOOT_SECTOR.folder}/${name}`,
    expected,
    found,
    kind: "usage",
    ...(hint === undefined ? {} : { hint }),
  });

/** As text comes out of the original: one newline, whatever ended the line. */
const withNewlines = (source: string): Uint8Array => new TextEncoder().encode(source.replace(/\r\n?/g, "\n"));

function checkedStage1(source: string): Uint8Array {
  const name = BOOT_SECTOR.stage1;
  const sector = assembleHex0(withNewlines(source), `${BOOT_SECTOR.folder}/${name}`);
  if (sector.length !== SECTOR_BYTES) throw inputError(name, `${SECTOR_BYTES} bytes`, `${sector.length}`);
  const mbr = decodeMbr(sector, { offset: 0n, report: () => {} });
  if (mbr === undefined) throw inputError(name, "a boot sector: 55 AA at its end, and a partition table", "none");
  if (!mbr.entries.some(({ type }) => type === BOOTSTRAP_TYPE)) {
    const types = mbr.entries.map(({ type }) => hex(type)).join(", ");
    throw inputError(name, `a partition of type ${hex(BOOTSTRAP_TYPE)}`, types === "" ? "none" : types);
  }
  return sector;
}

function checkedStage2(source: string): { readonly bytes: Uint8Array; readonly srcfsSector: number } {
  const name = BOOT_SECTOR.stage2;
  const bytes = withNewlines(source);
  const { srcfsSector, reads } = measureSecondStage(source, `${BOOT_SECTOR.folder}/${name}`);
  if (reads.includes(srcfsSector)) return { bytes, srcfsSector };
  if (reads.length === 0) throw inputError(name, "the instruction C7 05 00 00 00 01 with the number of a sector", "none");
  const last = Math.max(...reads);
  throw inputError(
    name,
    `${(last - 2) * SECTOR_BYTES} to ${(last - 1) * SECTOR_BYTES - 1} bytes, for its code reads the source file system from sector ${last}`,
    `${bytes.length} bytes, which put it at sector ${srcfsSector}`,
    "Was the file changed? Its length and that number belong together.",
  );
}

/** In each folder first its folders, then its files, then what is in those folders: the order of the original. */
function walk(entries: readonly TargetEntry[]): readonly TargetEntry[] {
  const children = new Map<string, TargetEntry[]>();
  for (const entry of entries) {
    const parent = entry.path.includes("/") ? dirname(entry.path) : "";
    const there = children.get(parent);
    if (there === undefined) children.set(parent, [entry]);
    else there.push(entry);
  }
  const walked: TargetEntry[] = [];
  const descend = (folder: string): void => {
    const inside = (children.get(folder) ?? []).sort((one, other) => compareBytes(one.path, other.path));
    const folders = inside.filter(({ kind }) => kind === "directory");
    walked.push(...folders, ...inside.filter(({ kind }) => kind === "file"));
    for (const { path } of folders) descend(path);
  };
  descend("");
  return walked;
}

/** A file that a command needs and that nobody brings would leave the computer standing there without a word. */
function checkCommands(commands: readonly SrcfsCommand[], entries: readonly TargetEntry[]): void {
  const there = new Set(entries.filter(({ kind, sizeBytes }) => kind === "file" && sizeBytes > 0n).map(({ path }) => `/${path}`));
  const needed = (path: string): void => {
    if (there.has(path)) return;
    throw new HiperisoError({
      what: "make the first image",
      where: path,
      expected: "a file that the first commands need",
      found: "none in the tree",
      hint: "Is a submodule of seed/stage0-posix missing? `git submodule update --init --recursive` brings them all.",
      kind: "usage",
    });
  };
  for (const command of commands) {
    if (command.kind === "folder") there.add(command.path);
    if (command.kind === "hex0") {
      needed(command.source);
      there.add(command.target);
    }
    if (command.kind === "run") {
      needed(command.program);
      needed(command.argument);
    }
  }
}

const joined = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

export interface ImageOptions {
  /** False: without waiting for the medium at the end. A cut of power may then leave less than all under the image's name. */
  readonly sync?: boolean;
}

/**
 * Writes the image under a temporary name in its folder, then gives it its own; whatever stands there is replaced whole or stays. Throws when a
 * file has changed its size since it was listed, and with the reason where reading or writing fails.
 */
export async function writeInitImage(layout: InitImageLayout, path: string, { sync = true }: ImageOptions, job: Job): Promise<void> {
  const temporary = join(dirname(path), temporaryName());
  const step = job.progress.begin(`write ${basename(path)}`, layout.endOffset);
  try {
    const file = await open(temporary, "wx", 0o644);
    try {
      await writeParts(layout, file.fd, new Turns(job.signal, (bytes) => step.advance(bytes)));
      // The zeros at the end are a hole where the file system has holes.
      await file.truncate(Number(layout.imageBytes));
      if (sync) await file.sync();
    } finally {
      await file.close();
    }
    job.signal.throwIfAborted();
    await rename(temporary, path);
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => {});
    if (cause instanceof HiperisoError || job.signal.aborted) throw cause;
    throw new HiperisoError({ what: "write the first image", where: path, found: reasonOf(cause), hint: spaceHint(cause), cause });
  } finally {
    step.end();
  }
  if (sync) await syncDirectory(dirname(path));
}

/** Names of files that are being made: who finds one in a folder that nobody works in may remove it. */
export const temporaryName = (): string => `.bootstrap-${randomBytes(4).toString("hex")}.tmp`;
export const TEMPORARY_NAME = /^\.(?:bootstrap-|payload-|bootstrap\.json\.)[0-9a-f]{8}\.tmp$/;

async function writeParts({ parts }: InitImageLayout, descriptor: number, turns: Turns): Promise<void> {
  const writer = new PieceWriter(turns);
  writer.begin(descriptor);
  let offset = 0n;
  for (const { head, content, offset: start, sizeBytes } of parts) {
    if (start > offset) await writer.add(new Uint8Array(Number(start - offset)));
    await writer.add(head);
    if (content !== undefined) await ("bytes" in content ? writer.add(content.bytes) : copyInto(writer, content.file, content.sizeBytes));
    offset = start + sizeBytes;
  }
  writer.flush();
}

async function copyInto(writer: PieceWriter, file: string, sizeBytes: bigint): Promise<void> {
  let source: number | undefined;
  try {
    // O_NONBLOCK: a pipe that took the file's place would wait for a writer.
    source = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const read = await writer.addFrom(source, sizeBytes);
    const size = fstatSync(source, { bigint: true }).size;
    if (read === sizeBytes && size === sizeBytes) return;
    throw new HiperisoError({
      what: "put a file into the first image",
      where: file,
      expected: `the ${sizeBytes} bytes that it had at the start`,
      found: `${size === sizeBytes ? read : size}`,
      hint: "Wait until nothing writes to it any more, then start again.",
    });
  } catch (cause) {
    // A write that failed is the image's error and not this file's.
    const { syscall } = cause as NodeJS.ErrnoException;
    if (syscall !== "open" && syscall !== "read") throw cause;
    throw new HiperisoError({ what: "put a file into the first image", where: file, found: reasonOf(cause), cause });
  } finally {
    if (source !== undefined) closeSync(source);
  }
}
