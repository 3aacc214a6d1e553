/**
 * Takes files out of a container into a folder. Everything that can be refused is refused before the first file is made: names, names
 * that are there twice, a container that is cut short, files that stand there already. A file gets its name when it is whole.
 */
import { type BigIntStats, closeSync, constants, fsync, lstatSync, openSync, renameSync, rmSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { printableBytes } from "../../formats/escape-terminal.ts";
import { type PayloadEntry, payloadNameProblem } from "../../formats/lbpayld1.ts";
import { syncDirectory } from "../../host/atomic-file.ts";
import { makeFolders } from "../../host/make-folders.ts";
import { openPayload, type PayloadFile, readFailed } from "./input.ts";
import { readPayloadContents } from "./list.ts";
import { MANY_FILES_PIECE_BYTES, PieceWriter, Turns } from "./pieces.ts";
import { spaceHint } from "./space-hint.ts";

export interface ExtractOptions {
  /** These alone; left out or none: all. */
  readonly names?: readonly string[] | undefined;
  /** Of files that stand there already. `refuse`: none is made. `keep`: they stay, if their sizes are right. `replace`: they are made anew. */
  readonly existing?: "refuse" | "keep" | "replace" | undefined;
  /** False: without waiting for the medium. A cut of power may then leave files that are not whole under their names. */
  readonly sync?: boolean | undefined;
}

export interface ExtractSummary {
  readonly folder: string;
  readonly extracted: readonly string[];
  /** Stood there already. */
  readonly kept: readonly string[];
  readonly sizeBytes: bigint;
}

const WHAT = "extract the payload container";
/** Files on their way to the medium at one time: together they wait less than in turns. */
const FINISHING_MAX = 8;

interface WantedFile {
  readonly name: string;
  /** In the folder, until the file is whole. */
  readonly temporaryName: string;
  readonly entry: PayloadEntry;
}

/**
 * Extracts the container at `path` (a file or a disk) into `folder`, which is made where it is missing. Throws PayloadDamage for a container that
 * is none or cut short; HiperisoError for names that an importer refuses, (`usage`) for files that are there already and names that are not in the
 * container, and where reading or writing fails: files that were whole by then stay, and nothing else does.
 */
export async function extractPayload(path: string, folder: string, options: ExtractOptions, job: Job): Promise<ExtractSummary> {
  await using input = await openPayload(path, job);
  const { entries } = await readPayloadContents(input);
  const files = wantedFiles(entries, options.names ?? [], path);
  await makeTarget(folder);
  const { missing, kept } = parted(files, folder, options.existing ?? "refuse");
  const sizeBytes = missing.reduce((sum, { entry }) => sum + entry.sizeBytes, 0n);
  const step = job.progress.begin(`extract into ${folder}`, sizeBytes);
  try {
    await extractFiles(input, missing, { ...options, folder, job, turns: new Turns(job.signal, (bytes) => step.advance(bytes)) });
  } finally {
    step.end();
  }
  if (options.sync !== false) await syncDirectory(folder);
  return { folder, extracted: missing.map(({ name }) => name), kept: kept.map(({ name }) => name), sizeBytes };
}

/** Names are checked of all entries, also of those that nobody asked for: a container with one bad name is not to be trusted with the rest. */
function wantedFiles(entries: readonly PayloadEntry[], only: readonly string[], path: string): readonly WantedFile[] {
  const byName = new Map<string, PayloadEntry>();
  for (const entry of entries) {
    const where = `${path}@${entry.headerOffset}`;
    const problem = payloadNameProblem(entry.nameBytes);
    const name = new TextDecoder("utf-8", { ignoreBOM: true }).decode(entry.nameBytes);
    if (problem !== undefined || byName.has(name)) {
      throw new HiperisoError({
        what: WHAT,
        where,
        expected: problem === undefined ? "each name once" : "a name of a file in a folder",
        found: `${problem ?? "a name that an earlier entry has"}: "${printableBytes(entry.nameBytes)}"`,
        hint: "Nothing was extracted. `payload verify` names all such entries.",
      });
    }
    byName.set(name, entry);
  }
  const absent = only.filter((name) => !byName.has(name));
  if (absent.length > 0) {
    const hint = "`payload list` prints the names.";
    throw new HiperisoError({
      what: WHAT,
      where: path,
      expected: "a name that the container has",
      found: absent.join(", "),
      hint,
      kind: "usage",
    });
  }
  const names = only.length === 0 ? [...byName.keys()] : [...new Set(only)];
  return names.map((name) => ({ name, temporaryName: temporaryName(name, byName), entry: byName.get(name)! }));
}

/** `NAME.part`, unless that is the name of another file. */
function temporaryName(name: string, taken: ReadonlyMap<string, unknown>): string {
  let part = `${name}.part`;
  while (taken.has(part)) part += "_";
  return part;
}

async function makeTarget(folder: string): Promise<void> {
  try {
    await makeFolders(folder);
  } catch (cause) {
    throw new HiperisoError({ what: WHAT, where: folder, expected: "a folder", found: reasonOf(cause), hint: spaceHint(cause), cause });
  }
}

/** Parts the files that are to be made from those that stand there and stay. */
function parted(files: readonly WantedFile[], folder: string, existing: "refuse" | "keep" | "replace") {
  const [missing, kept, inTheWay]: [WantedFile[], WantedFile[], string[]] = [[], [], []];
  for (const file of files) {
    const path = join(folder, file.name);
    const present = presentAt(path);
    if (present?.isDirectory() === true) throw standsThere(path, "a folder");
    if (present === undefined || existing === "replace") missing.push(file);
    else if (existing === "refuse") inTheWay.push(file.name);
    else if (present.isFile() && present.size === file.entry.sizeBytes) kept.push(file);
    else
      throw standsThere(
        path,
        present.isFile() ? `a file of ${present.size} bytes` : "something that is no plain file",
        file.entry.sizeBytes,
      );
  }
  if (inTheWay.length > 0) {
    const more = inTheWay.length > 3 ? ` and ${inTheWay.length - 3} more` : "";
    throw standsThere(folder, `${inTheWay.slice(0, 3).join(", ")}${more}`);
  }
  return { missing, kept };
}

const standsThere = (where: string, found: string, sizeBytes?: bigint): HiperisoError =>
  new HiperisoError({
    what: WHAT,
    where,
    expected: sizeBytes === undefined ? "no such file there yet" : `a file of ${sizeBytes} bytes, or none`,
    found,
    hint: "Nothing was extracted. --keep leaves files of the right size as they are and makes the rest; --replace makes all anew.",
    kind: "usage",
  });

function presentAt(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false });
  } catch (cause) {
    throw writeFailed(path, cause);
  }
}

const writeFailed = (path: string, cause: unknown): HiperisoError =>
  new HiperisoError({ what: WHAT, where: path, found: reasonOf(cause), hint: spaceHint(cause), cause });

interface Extraction extends ExtractOptions {
  readonly folder: string;
  readonly job: Job;
  readonly turns: Turns;
}

/** One file after the other is copied; while one is, others before it are on their way to the medium. */
async function extractFiles(input: PayloadFile, files: readonly WantedFile[], options: Extraction): Promise<void> {
  const writer = new PieceWriter(options.turns, MANY_FILES_PIECE_BYTES);
  const finishing = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  try {
    for (const file of files) {
      options.job.signal.throwIfAborted();
      const whole = await copiedFile(input, file, writer, options);
      const finished = finish(whole, options)
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => finishing.delete(finished));
      finishing.add(finished);
      if (finishing.size >= FINISHING_MAX) await Promise.race(finishing);
      if (failure !== undefined) break;
    }
  } catch (error) {
    failure ??= { error };
  }
  await Promise.all(finishing);
  if (failure !== undefined) throw failure.error;
  await options.turns.give();
}

/** All bytes are in it; it has yet to last, and to get its name. */
interface WholeFile {
  readonly fd: number;
  readonly temporary: string;
  readonly path: string;
}

async function copiedFile(
  input: PayloadFile,
  { name, temporaryName, entry }: WantedFile,
  writer: PieceWriter,
  { folder }: Extraction,
): Promise<WholeFile> {
  const whole = { path: join(folder, name), temporary: join(folder, temporaryName) };
  const fd = createNew(whole);
  try {
    writer.begin(fd);
    const { sizeBytes, dataOffset } = entry;
    const copied = await writer.addFrom(input.fd, sizeBytes, dataOffset);
    if (copied < sizeBytes) throw readFailed(input.name, dataOffset + copied, new Error("it ends here, and did not when it was opened"));
    writer.flush();
    return { fd, ...whole };
  } catch (cause) {
    discard({ fd, ...whole });
    const { syscall } = cause as NodeJS.ErrnoException;
    if (syscall === "write") throw writeFailed(whole.path, cause);
    throw syscall === "read" ? readFailed(input.name, entry.dataOffset, cause) : cause;
  }
}

/** What stands there is what an interrupted run left, or a link that somebody put there: it goes, and is never followed. */
function createNew({ temporary, path }: Omit<WholeFile, "fd">): number {
  const create = () => openSync(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o666);
  try {
    try {
      return create();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      unlinkSync(temporary);
      return create();
    }
  } catch (cause) {
    throw writeFailed(path, cause);
  }
}

async function finish(whole: WholeFile, { sync, existing }: Extraction): Promise<void> {
  const { fd, temporary, path } = whole;
  let isOpen = true;
  try {
    if (sync !== false) await synced(fd);
    isOpen = false;
    closeSync(fd);
    // Where a file system knows no difference of case, another file of this container may have taken the name.
    if (existing !== "replace" && presentAt(path) !== undefined) throw standsThere(path, "a file that came there meanwhile");
    renameSync(temporary, path);
  } catch (cause) {
    discard(isOpen ? whole : { ...whole, fd: undefined });
    throw cause instanceof HiperisoError ? cause : writeFailed(path, cause);
  }
}

const synced = promisify(fsync);

/** Takes away what was begun. The error that led here is the one to tell. */
function discard({ fd, temporary }: { readonly fd: number | undefined; readonly temporary: string }): void {
  try {
    if (fd !== undefined) closeSync(fd);
  } finally {
    rmSync(temporary, { force: true });
  }
}
